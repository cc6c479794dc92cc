//! Running the program.

use assert_cmd::Command;

/// The program with arguments, without colours or a terminal.
pub fn noroshi(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("noroshi").expect("the program is built with its tests");
    command.args(args).env_remove("CLICOLOR_FORCE");
    command
}

/// Standard output, standard error and exit code of a run.
pub fn run(args: &[&str]) -> (String, String, i32) {
    let output = noroshi(args).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("no signal ends the program"))
}

//! Every command explains itself.

use crate::support::run;
use clap::CommandFactory;

#[test]
fn every_command_shows_an_example() {
    let program = noroshi_cli::Cli::command();
    let names: Vec<_> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert!(names.iter().any(|name| name == "analyze"));
    for name in names {
        let (out, err, code) = run(&[&name, "--help"]);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        assert!(out.contains("Example") && out.contains(&format!("noroshi {name}")), "{name}:\n{out}");
    }
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    noroshi_cli::Cli::command().debug_assert();
}

#[test]
fn without_arguments_the_usage_is_shown() {
    let (_, err, code) = run(&[]);
    assert_eq!(code, 2);
    assert!(err.contains("Usage: noroshi <COMMAND>"), "{err}");
}

#[test]
fn an_unknown_command_is_wrong_usage() {
    let (_, err, code) = run(&["analyse"]);
    assert_eq!(code, 2);
    assert!(err.contains("analyze"), "a similar command is offered: {err}");
}

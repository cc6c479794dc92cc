use super::Shell;
use crate::amplification::Persona;
use crate::iot::{Device, Limits};
use noroshi_model::Nanos;
use proptest::prelude::*;

fn shell() -> Shell {
    Shell::new(Device::shipped("camera").unwrap().dress(&Persona::new(1)), Limits::default(), "root")
}

fn says(lines: &[&str]) -> String {
    let mut shell = shell();
    let mut last = Vec::new();
    for line in lines {
        last = shell.line(line.as_bytes(), Nanos(1_767_225_600_000_000_000)).output;
    }
    String::from_utf8_lossy(&last).into_owned()
}

#[test]
fn pipelines_redirections_and_conditions() {
    assert_eq!(says(&["echo a b | cat | wc -l"]), "1\n");
    assert_eq!(says(&["cd /tmp && echo x > f; cat f && echo y || echo z"]), "x\ny\n");
    assert_eq!(says(&["cd /nowhere || echo none"]), "-sh: cd: can't cd to /nowhere\nnone\n");
    assert_eq!(says(&["for i in 1 2 3; do echo $i; done"]), "1\n2\n3\n");
    assert_eq!(says(&["if [ -d /tmp ]; then echo yes; else echo no; fi"]), "yes\n");
    assert_eq!(says(&["A=x; echo \"$A\" '$A' `echo b` $(echo c)"]), "x $A b c\n");
    assert_eq!(says(&["cat /missing 2>/dev/null; echo $?"]), "1\n");
    assert_eq!(says(&["echo 'echo deep' > /tmp/s; sh /tmp/s"]), "deep\n");
    assert_eq!(says(&["cd /var/run; pwd"]), "/var/run\n");
    assert_eq!(says(&["(echo a; echo b) | head -n 1"]), "a\n");
    assert_eq!(says(&["grep -c processor /proc/cpuinfo; uname -m"]), "0\narmv5tejl\n");
}

#[test]
fn checks_by_which_bots_tell_a_device() {
    assert_eq!(says(&["/bin/busybox MIRAI"]), "MIRAI: applet not found\n");
    assert_eq!(says(&["nonsense"]), "-sh: nonsense: not found\n");
    assert_eq!(says(&["echo -e '\\x47\\x72\\x6f\\x70/'"]), "Grop/\n");
    assert_eq!(says(&["echo -ne '\\101\\0102'"]), "AB");
    assert_eq!(
        says(&["dd bs=52 count=1 if=/bin/echo 2>/dev/null | wc -c | tr -d x"]).split_whitespace().last(),
        Some("52")
    );
    assert!(says(&["cat /proc/self/exe | head -c 4"]).starts_with('\u{7f}'));
}

#[test]
fn loops_and_bombs_end() {
    says(&["while true; do echo x; done"]);
    says(&[
        "for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do for k in 1 2 3 4 5 6 7 8 9; do for l in 1 2 3 4 5 6 7 8 9; do echo $i$j$k$l; done; done; done; done",
    ]);
    says(&["echo 'sh /tmp/a; sh /tmp/a' > /tmp/a", "sh /tmp/a"]);
    says(&[
        "A=aaaaaaaaaaaaaaaaaaaa",
        "A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A; A=$A$A$A$A",
    ]);
    says(&[&"(".repeat(10_000)]);
    says(&[&"$(".repeat(10_000)]);
    says(&[&"if ".repeat(10_000)]);
    let mut shell = shell();
    for n in 0..500 {
        shell.line(
            format!("cd /tmp; dd if=/bin/echo of=f{n} bs=4096; cat /bin/echo >> all; echo x > g{n}").as_bytes(),
            Nanos(0),
        );
    }
    assert!(shell.files.full && shell.files.left().count() <= 128);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_line_breaks_the_shell(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        shell().line(&line, Nanos(0));
    }

    #[test]
    fn no_syntax_breaks_the_shell(words in proptest::collection::vec(
        "(if|then|else|fi|for|in|do|done|while|true|false|echo -e|cat|head -c|dd if=|busybox|sh -c|cd|wget|tftp -g|[|]|\\$\\(|\\)|\\(|\\{|\\}|;|&&|\\|\\||\\||>|>>|<|2>|'|\"|`|\\\\|\\$a|\\$\\{|/tmp/x|\\*|é|a=b| )", 0..40)) {
        shell().line(words.join(" ").as_bytes(), Nanos(0));
    }
}

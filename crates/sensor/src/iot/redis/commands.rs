//! What the server answers.

use crate::amplification::Persona;
use crate::iot::dialogue::Dialogue;
use crate::iot::files::absolute;
use noroshi_model::Nanos;
use std::collections::BTreeMap;

/// Keys of one visitor's database.
const KEYS_MAX: usize = 256;
/// Bytes of all its values.
const VALUES_MAX: usize = 1 << 20;

/// What is said, and whether the connection ends.
#[derive(Default)]
pub struct Said {
    pub bytes: Vec<u8>,
    pub close: bool,
}

fn simple(text: &str) -> Said {
    Said { bytes: format!("+{text}\r\n").into_bytes(), close: false }
}

fn error(text: &str) -> Said {
    Said { bytes: format!("-ERR {text}\r\n").into_bytes(), close: false }
}

fn integer(number: usize) -> Said {
    Said { bytes: format!(":{number}\r\n").into_bytes(), close: false }
}

fn bulk(text: Option<&[u8]>) -> Said {
    let bytes = match text {
        None => b"$-1\r\n".to_vec(),
        Some(text) => [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat(),
    };
    Said { bytes, close: false }
}

fn array(items: &[&[u8]]) -> Said {
    let mut bytes = format!("*{}\r\n", items.len()).into_bytes();
    items.iter().for_each(|item| bytes.extend(bulk(Some(item)).bytes));
    Said { bytes, close: false }
}

/// A database as the visitor sees it.
pub struct Store {
    persona: Persona,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    settings: BTreeMap<&'static str, String>,
    master: Option<(String, String)>,
    changes: usize,
}

impl Store {
    pub fn new(persona: &Persona) -> Self {
        let folder = persona.pick("redis.dir", &["/var/lib/redis", "/", "/data", "/usr/local/redis", "/root"]);
        let settings = [
            ("dir", folder.to_owned()),
            ("dbfilename", "dump.rdb".to_owned()),
            ("maxmemory", "0".to_owned()),
            ("requirepass", String::new()),
            ("stop-writes-on-bgsave-error", "yes".to_owned()),
            ("rdbcompression", "yes".to_owned()),
            ("slave-read-only", "yes".to_owned()),
            ("protected-mode", "no".to_owned()),
        ];
        let settings = settings.into();
        Store { persona: persona.clone(), values: BTreeMap::new(), settings, master: None, changes: 0 }
    }

    fn version(&self) -> &str {
        self.persona.pick("redis.version", &["3.0.6", "3.2.12", "4.0.9", "4.0.14", "5.0.7", "5.0.14"])
    }

    /// The answer to one command.
    pub fn answer(&mut self, words: &[Vec<u8>], dialogue: &mut Dialogue, now: Nanos) -> Said {
        let text = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        let name = text(0).to_ascii_lowercase();
        let wrong = || error(&format!("wrong number of arguments for '{name}' command"));
        let least = match &*name {
            "get" | "del" | "auth" | "select" | "echo" | "keys" | "exists" | "type" | "config" | "strlen" => 2,
            "set" | "append" | "slaveof" | "replicaof" => 3,
            _ => 1,
        };
        if words.len() < least {
            return wrong();
        }
        match &*name {
            "ping" => words.get(1).map_or_else(|| simple("PONG"), |word| bulk(Some(word))),
            "echo" => bulk(Some(&words[1])),
            "select" | "flushall" | "flushdb" | "bgrewriteaof" => {
                if name.starts_with("flush") {
                    self.values.clear();
                }
                simple("OK")
            }
            "auth" => {
                let (user, password) = if words.len() > 2 { (text(1), text(2)) } else { ("default".into(), text(1)) };
                dialogue.login(&user, &password, now);
                error("Client sent AUTH, but no password is set")
            }
            "set" | "append" => self.set(&words[1], &words[2], name == "append", dialogue),
            "get" => bulk(self.values.get(&words[1]).map(Vec::as_slice)),
            "strlen" => integer(self.values.get(&words[1]).map_or(0, Vec::len)),
            "exists" => integer(words[1..].iter().filter(|key| self.values.contains_key(*key)).count()),
            "del" => integer(words[1..].iter().filter(|key| self.values.remove(*key).is_some()).count()),
            "type" => simple(if self.values.contains_key(&words[1]) { "string" } else { "none" }),
            "keys" => array(&self.values.keys().map(Vec::as_slice).collect::<Vec<_>>()),
            "dbsize" => integer(self.values.len()),
            "config" => self.config(&text(1).to_ascii_lowercase(), words),
            "save" | "bgsave" => self.save(name == "bgsave", dialogue),
            "slaveof" | "replicaof" => self.follow(text(1), text(2), dialogue, now),
            "module" => match &*text(1).to_ascii_lowercase() {
                "list" => array(&[]),
                "load" => error("Error loading the extension. Please check the server logs."),
                _ => error("Error unloading module: no such module with that name"),
            },
            "eval" | "evalsha" | "script" => bulk(None),
            "info" => bulk(Some(self.info(now).as_bytes())),
            "command" => array(&[]),
            "client" => match &*text(1).to_ascii_lowercase() {
                "setname" => simple("OK"),
                "getname" => bulk(None),
                _ => error("Syntax error, try CLIENT (LIST | KILL | GETNAME | SETNAME | PAUSE | REPLY)"),
            },
            "quit" => Said { close: true, ..simple("OK") },
            "shutdown" => Said { close: true, ..Said::default() },
            // What a visitor wrote is not repeated to it beyond its name, as old servers do.
            _ => error(&format!("unknown command '{}'", printable(&text(0)))),
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8], append: bool, dialogue: &mut Dialogue) -> Said {
        let held: usize = self.values.values().map(Vec::len).sum();
        if held + value.len() > VALUES_MAX || self.values.len() >= KEYS_MAX && !self.values.contains_key(key) {
            dialogue.truncate();
            return Said {
                bytes: b"-OOM command not allowed when used memory > 'maxmemory'.\r\n".to_vec(),
                close: false,
            };
        }
        self.changes += 1;
        let slot = self.values.entry(key.to_vec()).or_default();
        if append {
            slot.extend_from_slice(value);
            return integer(slot.len());
        }
        *slot = value.to_vec();
        simple("OK")
    }

    fn config(&mut self, verb: &str, words: &[Vec<u8>]) -> Said {
        let text = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
        let name = text(2).to_ascii_lowercase();
        match verb {
            "get" => {
                let fits = |known: &str| name == "*" || known == name;
                let found: Vec<&[u8]> = self
                    .settings
                    .iter()
                    .filter(|(known, _)| fits(known))
                    .flat_map(|(known, value)| [known.as_bytes(), value.as_bytes()])
                    .collect();
                array(&found)
            }
            "set" => match self.settings.iter_mut().find(|(known, _)| **known == name) {
                Some((_, value)) if words.len() == 4 => {
                    *value = text(3).chars().take(1_024).collect();
                    simple("OK")
                }
                _ => error(&format!("Unsupported CONFIG parameter: {}", printable(&name))),
            },
            "resetstat" | "rewrite" => simple("OK"),
            _ => error("CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE"),
        }
    }

    /// The file that would now be on disk: what crontabs and keys are smuggled in by.
    fn save(&mut self, background: bool, dialogue: &mut Dialogue) -> Said {
        let mut content = b"REDIS0007\xfe\x00".to_vec();
        for (key, value) in &self.values {
            content.push(0);
            content.extend(key);
            content.extend(value);
        }
        content.push(0xff);
        let path = absolute(&self.settings["dir"], &self.settings["dbfilename"]);
        dialogue.files().put(&path, &content, false);
        self.changes = 0;
        simple(if background { "Background saving started" } else { "OK" })
    }

    fn follow(&mut self, host: String, port: String, dialogue: &mut Dialogue, now: Nanos) -> Said {
        if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
            self.master = None;
            return simple("OK");
        }
        let Ok(port) = port.parse::<u16>() else { return error("value is not an integer or out of range") };
        dialogue.url(format!("redis://{}:{port}", printable(&host)), now);
        self.master = Some((host, port.to_string()));
        simple("OK")
    }

    fn info(&self, now: Nanos) -> String {
        let persona = &self.persona;
        let uptime = persona.uptime("redis", now);
        let run: String = (0..3).map(|n| format!("{:016x}", persona.number(&format!("redis.run.{n}")))).collect();
        let memory = persona.between("redis.memory", 500_000, 900_000);
        let kernel = persona.pick(
            "redis.kernel",
            &[
                "3.10.0-957.el7.x86_64",
                "4.4.0-142-generic",
                "4.15.0-112-generic",
                "4.9.0-8-amd64",
                "3.13.0-170-generic",
            ],
        );
        let gcc = persona.pick("redis.gcc", &["4.8.5", "5.4.0", "7.5.0", "6.3.0"]);
        let slave = match &self.master {
            None => "role:master\r\nconnected_slaves:0".to_owned(),
            Some((host, port)) => format!(
                "role:slave\r\nmaster_host:{}\r\nmaster_port:{port}\r\nmaster_link_status:down\r\nconnected_slaves:0",
                printable(host)
            ),
        };
        let keyspace = match self.values.len() {
            0 => String::new(),
            keys => format!("db0:keys={keys},expires=0,avg_ttl=0\r\n"),
        };
        format!(
            "# Server\r\nredis_version:{}\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:{:x}\r\n\
             redis_mode:standalone\r\nos:Linux {kernel} x86_64\r\narch_bits:64\r\nmultiplexing_api:epoll\r\n\
             gcc_version:{gcc}\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:6379\r\nuptime_in_seconds:{uptime}\r\n\
             uptime_in_days:{}\r\nhz:10\r\nlru_clock:{}\r\n\r\n# Clients\r\nconnected_clients:1\r\nblocked_clients:0\r\n\r\n\
             # Memory\r\nused_memory:{memory}\r\nused_memory_human:{:.2}K\r\nmem_allocator:jemalloc-3.6.0\r\n\r\n\
             # Persistence\r\nloading:0\r\nrdb_changes_since_last_save:{}\r\nrdb_bgsave_in_progress:0\r\naof_enabled:0\r\n\r\n\
             # Replication\r\n{slave}\r\n\r\n# CPU\r\nused_cpu_sys:{:.2}\r\nused_cpu_user:{:.2}\r\n\r\n\
             # Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n{keyspace}",
            self.version(),
            persona.number("redis.build"),
            persona.between("redis.process", 400, 30_000),
            &run[..40],
            uptime / 86_400,
            now.seconds() as u64 & 0xff_ffff,
            memory as f64 / 1_024.0,
            self.changes,
            uptime as f64 * 0.0007,
            uptime as f64 * 0.0005,
        )
    }
}

/// A visitor's word inside a line of the protocol: without what would end it.
fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(128).collect()
}

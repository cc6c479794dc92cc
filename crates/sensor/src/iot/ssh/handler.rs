//! What a visitor does over SSH, channel by channel.

use super::Shared;
use super::scp::Sink;
use super::sftp::Server as SftpServer;
use crate::iot::dialogue::Dialogue;
use crate::iot::house::now;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session};
use russh::{Channel, ChannelId, Pty};
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

/// Channels of one visitor at once.
const CHANNELS: usize = 8;
/// Longest line that is typed.
const LINE: usize = 64 << 10;

/// What a channel is used for.
enum Use {
    /// Nothing yet.
    Open,
    /// A shell, line by line.
    Shell { line: Vec<u8>, after_return: bool },
    /// An upload by `scp -t`.
    Upload(Sink),
    /// `cat > FILE` and the like: what comes is the file.
    Input { path: String, content: Vec<u8> },
    /// SFTP.
    Sftp(SftpServer),
}

/// One visitor.
pub struct Visitor {
    dialogue: Shared,
    channels: HashMap<ChannelId, (Use, bool)>,
    hasty: bool,
}

/// The dialogue is over, by limit or from outside.
fn over() -> russh::Error {
    russh::Error::Disconnect
}

impl Visitor {
    /// Who shares this dialogue.
    pub fn new(dialogue: Shared, hasty: bool) -> Self {
        Visitor { dialogue, channels: HashMap::new(), hasty }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Dialogue) -> T) -> Result<T, russh::Error> {
        let mut dialogue = self.dialogue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        dialogue.as_mut().map(act).ok_or_else(over)
    }

    fn send(&self, channel: ChannelId, bytes: Vec<u8>, session: &mut Session) -> Result<(), russh::Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.with(|dialogue| dialogue.sent(&bytes, now()))? {
            return Err(over());
        }
        session.data(channel, bytes)
    }

    fn end(&mut self, channel: ChannelId, status: u32, session: &mut Session) -> Result<(), russh::Error> {
        self.channels.remove(&channel);
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }

    fn forward(&self, kind: &str, host: &str, port: u32) -> Result<(), russh::Error> {
        let fields = json!({"forward": kind, "host": host.chars().take(255).collect::<String>(), "port": port});
        self.with(|dialogue| dialogue.note(now(), "forward", fields))
    }

    async fn wait(&self, seconds: u32) {
        if seconds > 0 && !self.hasty {
            tokio::time::sleep(Duration::from_secs(u64::from(seconds.min(60)))).await;
        }
    }

    /// Runs a line; what the visitor sees, whether the shell ended, and the status of what ran last.
    async fn run(&self, line: &[u8], pty: bool) -> Result<(Vec<u8>, bool, u32), russh::Error> {
        let said = self.with(|dialogue| dialogue.line(line, now()))?;
        self.wait(said.seconds).await;
        let mut output = Vec::with_capacity(said.output.len());
        for byte in said.output {
            if byte == b'\n' && pty {
                output.push(b'\r');
            }
            output.push(byte);
        }
        Ok((output, said.exit, u32::from(said.status)))
    }

    async fn typed(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let mut out = Vec::new();
        for byte in data {
            let Some((Use::Shell { line, after_return }, pty)) = self.channels.get_mut(&channel) else { return Ok(()) };
            let (pty, second) = (*pty, std::mem::replace(after_return, *byte == b'\r'));
            match byte {
                b'\n' if second => {}
                b'\r' | b'\n' => {
                    let line = std::mem::take(line);
                    if pty {
                        out.extend(b"\r\n");
                    }
                    let (said, exit, status) = self.run(&line, pty).await?;
                    out.extend(said);
                    if exit {
                        self.send(channel, out, session)?;
                        return self.end(channel, status, session);
                    }
                    out.extend(self.prompt(pty)?);
                }
                3 => {
                    line.clear();
                    out.extend(b"^C\r\n");
                    out.extend(self.prompt(pty)?);
                }
                4 if line.is_empty() => {
                    self.send(channel, out, session)?;
                    return self.end(channel, 0, session);
                }
                8 | 127 => {
                    if line.pop().is_some() && pty {
                        out.extend(b"\x08 \x08");
                    }
                }
                _ if line.len() >= LINE => {
                    self.with(Dialogue::truncate)?;
                    return Err(over());
                }
                _ => {
                    line.push(*byte);
                    if pty {
                        out.push(*byte);
                    }
                }
            }
        }
        self.send(channel, out, session)
    }

    /// Bytes of a file come; what to answer.
    fn put(&mut self, channel: ChannelId, data: &[u8]) -> Result<Vec<u8>, russh::Error> {
        let shared = self.dialogue.clone();
        let mut dialogue = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let files = dialogue.as_mut().ok_or_else(over)?.files();
        Ok(match self.channels.get_mut(&channel) {
            Some((Use::Upload(sink), _)) => sink.take(data, files),
            Some((Use::Sftp(server), _)) => server.take(data, files),
            Some((Use::Input { content, .. }, _)) => {
                content.extend_from_slice(data);
                Vec::new()
            }
            _ => Vec::new(),
        })
    }

    fn prompt(&self, pty: bool) -> Result<Vec<u8>, russh::Error> {
        // Without a terminal a shell shows no prompt.
        self.with(|dialogue| if pty { dialogue.prompt().as_bytes().to_vec() } else { Vec::new() })
    }
}

/// The file that a command line fills from its input, such as `cat > /tmp/x; chmod 777 /tmp/x`.
fn fills(line: &str) -> Option<String> {
    let first = line.split([';', '&', '|']).map(str::trim).find(|part| {
        part.starts_with("cat") || part.starts_with("/bin/busybox cat") || part.starts_with("busybox cat")
    })?;
    let (command, file) = first.split_once('>')?;
    let alone = command.split_whitespace().all(|word| ["cat", "busybox", "/bin/busybox", "-"].contains(&word));
    let file = file.trim_start_matches('>').trim().trim_matches(['\'', '"']);
    (alone && !file.is_empty() && !file.contains(char::is_whitespace)).then(|| file.to_owned())
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let accepted = self.with(|dialogue| dialogue.login(user, password, now()))?;
        Ok(if accepted { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let key = offer.public_key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
        let user: String = user.chars().take(255).collect();
        self.with(|dialogue| dialogue.note(now(), "key", json!({"username": user, "key": key})))?;
        Ok(Auth::reject())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() < CHANNELS {
            self.channels.insert(channel.id(), (Use::Open, false));
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.forward("local", host, port)?;
        reply.reject(russh::ChannelOpenFailure::ConnectFailed).await;
        Ok(())
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, _: &mut Session) -> Result<bool, Self::Error> {
        self.forward("remote", address, *port)?;
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, _: &mut Session) -> Result<bool, Self::Error> {
        self.forward("remote-socket", path, 0)?;
        Ok(false)
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.forward("local-socket", path, 0)?;
        reply.reject(russh::ChannelOpenFailure::ConnectFailed).await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some((_, pty)) = self.channels.get_mut(&channel) {
            *pty = true;
        }
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let Some((used, pty)) = self.channels.get_mut(&channel) else { return session.channel_failure(channel) };
        *used = Use::Shell { line: Vec::new(), after_return: false };
        let pty = *pty;
        session.channel_success(channel)?;
        let mut first = self.with(|dialogue| dialogue.device.device.welcome.clone())?.into_bytes();
        if !pty {
            first.clear();
        }
        first.extend(self.prompt(pty)?);
        self.send(channel, first, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some((_, pty)) = self.channels.get(&channel) else { return session.channel_failure(channel) };
        let pty = *pty;
        session.channel_success(channel)?;
        if !self.with(|dialogue| dialogue.received(data, now()))? {
            return Err(over());
        }
        let text = String::from_utf8_lossy(data).into_owned();
        let mut words = text.split_whitespace();
        if words.next().is_some_and(|word| word == "scp" || word.ends_with("/scp")) {
            self.with(|dialogue| dialogue.request(&text, json!({"command": text}), &text, now()))?;
            let target = words.rfind(|word| !word.starts_with('-')).unwrap_or(".").to_owned();
            if !text.split_whitespace().any(|word| word.starts_with('-') && word.contains('t')) {
                self.send(channel, b"\x01scp: No such file or directory\n".to_vec(), session)?;
                return self.end(channel, 1, session);
            }
            self.channels.insert(channel, (Use::Upload(Sink::new(&target)), pty));
            return self.send(channel, vec![0], session);
        }
        let (output, _, status) = self.run(data, pty).await?;
        self.send(channel, output, session)?;
        match fills(&text) {
            Some(path) => {
                self.channels.insert(channel, (Use::Input { path, content: Vec::new() }, pty));
                Ok(())
            }
            None => self.end(channel, status, session),
        }
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some((used, _)) = self.channels.get_mut(&channel).filter(|_| name == "sftp") else {
            return session.channel_failure(channel);
        };
        *used = Use::Sftp(SftpServer::default());
        session.channel_success(channel)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        if !self.with(|dialogue| dialogue.received(data, now()))? {
            return Err(over());
        }
        if matches!(self.channels.get(&channel), Some((Use::Shell { .. }, _))) {
            return self.typed(channel, data, session).await;
        }
        let reply = self.put(channel, data)?;
        self.send(channel, reply, session)
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        match self.channels.get_mut(&channel) {
            Some((Use::Input { path, content }, _)) => {
                let (path, content) = (crate::iot::files::absolute("/root", path), std::mem::take(content));
                self.with(|dialogue| dialogue.files().write(&path, &content, false))?;
                self.end(channel, 0, session)
            }
            Some(_) => self.end(channel, 0, session),
            None => Ok(()),
        }
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }
}

//! The dialogue of a telnet login, as a state machine: bytes and time in, bytes out.

use super::protocol::{Decoder, Input, OPENING};
use crate::iot::device::Dressed;
use crate::iot::dialogue::{Dialogue, Ends, Finished};
use crate::iot::house::{Reply, Talking};
use crate::iot::limits::Limits;
use noroshi_model::Nanos;
use std::sync::Arc;

enum State {
    Login,
    Password { user: String },
    Shell,
}

/// One visitor.
pub struct Talk {
    dialogue: Dialogue,
    decoder: Decoder,
    state: State,
}

impl Talk {
    /// A visitor came; also what to send first.
    pub fn new(device: Arc<Dressed>, limits: Limits, ends: &Ends, id: String, now: Nanos) -> (Self, Vec<u8>) {
        let mut first = OPENING.to_vec();
        first.extend(device.device.banner.as_bytes());
        first.extend(device.device.login.as_bytes());
        let mut dialogue = Dialogue::new(device, limits, ends, id, now);
        dialogue.sent(&first, now);
        (Talk { dialogue, decoder: Decoder::new(limits.line_bytes), state: State::Login }, first)
    }

    fn answer(&mut self, bytes: &[u8], now: Nanos) -> Reply {
        let mut reply = Reply { close: !self.dialogue.received(bytes, now), ..Reply::default() };
        for byte in bytes {
            if reply.close {
                break;
            }
            match self.decoder.feed(*byte) {
                None => {}
                Some(Input::Answer(answer)) => reply.bytes.extend(answer),
                Some(Input::Echo(byte)) if !matches!(self.state, State::Password { .. }) => reply.bytes.push(byte),
                Some(Input::Erased) if !matches!(self.state, State::Password { .. }) => {
                    reply.bytes.extend(b"\x08 \x08")
                }
                Some(Input::Echo(_) | Input::Erased) => {}
                Some(Input::Interrupt) => {
                    reply.bytes.extend(b"^C\r\n");
                    reply.bytes.extend(self.dialogue.prompt().as_bytes());
                }
                Some(Input::End) => reply.close = true,
                Some(Input::TooLong) => {
                    self.dialogue.truncate();
                    reply.close = true;
                }
                Some(Input::Line(line)) => self.line(line, now, &mut reply),
            }
        }
        reply.close |= !self.dialogue.sent(&reply.bytes, now);
        reply
    }

    fn line(&mut self, line: Vec<u8>, now: Nanos, reply: &mut Reply) {
        let device = self.dialogue.device.clone();
        let device = &device.device;
        match std::mem::replace(&mut self.state, State::Shell) {
            State::Login => {
                reply.bytes.extend(b"\r\n");
                let user = String::from_utf8_lossy(&line).trim().to_owned();
                if user.is_empty() {
                    reply.bytes.extend(device.login.as_bytes());
                    self.state = State::Login;
                } else {
                    reply.bytes.extend(device.password.as_bytes());
                    self.state = State::Password { user };
                }
            }
            State::Password { user } => {
                reply.bytes.extend(b"\r\n");
                let password = String::from_utf8_lossy(&line).into_owned();
                if self.dialogue.login(&user, &password, now) {
                    reply.bytes.extend(device.welcome.as_bytes());
                    reply.bytes.extend(device.prompt.as_bytes());
                    return;
                }
                reply.millis += self.dialogue.device.timing().refusal;
                reply.bytes.extend(device.refused.as_bytes());
                reply.close = !self.dialogue.may_login();
                reply.bytes.extend(device.login.as_bytes());
                self.state = State::Login;
            }
            State::Shell => {
                reply.bytes.extend(b"\r\n");
                let said = self.dialogue.line(&line, now);
                for byte in said.output {
                    if byte == b'\n' {
                        reply.bytes.push(b'\r');
                    }
                    // A byte of 255 would be a command to the client (RFC 854).
                    reply.bytes.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == 255)));
                }
                reply.seconds += said.seconds;
                reply.close |= said.exit;
                if !reply.close {
                    reply.bytes.extend(device.prompt.as_bytes());
                }
            }
        }
    }
}

impl Talking for Talk {
    fn feed(&mut self, bytes: &[u8], now: Nanos) -> Reply {
        self.answer(bytes, now)
    }

    fn truncate(&mut self) {
        self.dialogue.truncate();
    }

    fn finish(self: Box<Self>, now: Nanos) -> Finished {
        self.dialogue.finish(now)
    }
}

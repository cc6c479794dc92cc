//! Commands are taken out of the stream and answered; what is left is split into lines.

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;
const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;
const WINDOW_SIZE: u8 = 31;

/// Bytes of one subnegotiation that are looked at.
const SUBNEGOTIATION: usize = 256;
/// Answers to commands per stream: two sides that refuse each other must not go on for ever.
const ANSWERS: u32 = 64;

/// What a server of this kind says first: it will echo, asks for the size of the window.
pub const OPENING: [u8; 12] = [IAC, DO, ECHO, IAC, DO, WINDOW_SIZE, IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD];

enum State {
    Data,
    Command,
    Option(u8),
    Sub(usize),
    SubCommand(usize),
}

/// What a byte stream turns into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A line was ended.
    Line(Vec<u8>),
    /// A character to show.
    Echo(u8),
    /// The last character was taken back.
    Erased,
    /// The line was given up (control-C).
    Interrupt,
    /// End of input (control-D on an empty line).
    End,
    /// A command to answer.
    Answer([u8; 3]),
    /// The line is longer than allowed.
    TooLong,
}

/// The decoder of one stream.
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    limit: usize,
    after_return: bool,
    answers: u32,
}

impl Decoder {
    /// Lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Decoder { state: State::Data, line: Vec::new(), limit, after_return: false, answers: 0 }
    }

    /// Takes one byte.
    pub fn feed(&mut self, byte: u8) -> Option<Input> {
        match self.state {
            State::Data if byte == IAC => self.state = State::Command,
            State::Data => return self.data(byte),
            State::Command => {
                self.state = match byte {
                    WILL | WONT | DO | DONT => State::Option(byte),
                    SB => State::Sub(0),
                    _ => State::Data,
                };
                if byte == IAC {
                    return self.data(byte);
                }
            }
            State::Option(command) => {
                self.state = State::Data;
                return self.answer(command, byte);
            }
            State::Sub(_) if byte == IAC => self.state = State::SubCommand(0),
            // A subnegotiation that never ends is given up: what follows is data.
            State::Sub(length) => {
                self.state = if length >= SUBNEGOTIATION { State::Data } else { State::Sub(length + 1) }
            }
            State::SubCommand(length) => self.state = if byte == SE { State::Data } else { State::Sub(length + 1) },
        }
        None
    }

    fn answer(&mut self, command: u8, option: u8) -> Option<Input> {
        // What was offered in the opening needs no answer; everything else is refused.
        let ours =
            matches!((command, option), (DO | DONT, ECHO | SUPPRESS_GO_AHEAD) | (WILL | WONT, WINDOW_SIZE | ECHO));
        if ours || self.answers >= ANSWERS {
            return None;
        }
        self.answers += 1;
        match command {
            DO => Some(Input::Answer([IAC, WONT, option])),
            WILL => Some(Input::Answer([IAC, DONT, option])),
            _ => None,
        }
    }

    fn data(&mut self, byte: u8) -> Option<Input> {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            b'\n' | 0 if after_return => None,
            b'\r' | b'\n' => Some(Input::Line(std::mem::take(&mut self.line))),
            0 => None,
            3 => {
                self.line.clear();
                Some(Input::Interrupt)
            }
            4 if self.line.is_empty() => Some(Input::End),
            8 | 127 => self.line.pop().map(|_| Input::Erased),
            _ if self.line.len() >= self.limit => Some(Input::TooLong),
            _ => {
                self.line.push(byte);
                Some(Input::Echo(byte))
            }
        }
    }
}

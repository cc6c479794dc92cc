//! Requests of the three modes.

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Mode 3 (or 1): what time is it?
    Time {
        /// Version of the asker.
        version: u8,
        /// Its poll exponent.
        poll: u8,
        /// Its transmit timestamp, to be returned.
        transmit: [u8; 8],
    },
    /// Mode 6: control.
    Control {
        /// Version of the asker.
        version: u8,
        /// 1 read status, 2 read variables, …
        opcode: u8,
        /// To be returned.
        sequence: u16,
        /// Association; 0 is the system.
        association: u16,
    },
    /// Mode 7: private.
    Private {
        /// Version of the asker.
        version: u8,
        /// Sequence number of the request.
        sequence: u8,
        /// 3 is XNTPD; 0 is universal.
        implementation: u8,
        /// 42 is MON_GETLIST_1.
        code: u8,
    },
}

/// Reads a request; none for responses and anything else.
pub fn parse(payload: &[u8]) -> Option<Request> {
    let first = *payload.first()?;
    let version = first >> 3 & 7;
    match first & 7 {
        // Leap indicator bits of mode 7 are "response" and "more".
        7 => {
            let head = payload.first_chunk::<8>()?;
            (first & 0xc0 == 0 && head[4] >> 4 == 0).then_some(Request::Private {
                version,
                sequence: head[1] & 0x7f,
                implementation: head[2],
                code: head[3],
            })
        }
        6 => {
            let head = payload.first_chunk::<12>()?;
            (head[1] & 0xe0 == 0).then_some(Request::Control {
                version,
                opcode: head[1] & 0x1f,
                sequence: u16::from_be_bytes([head[2], head[3]]),
                association: u16::from_be_bytes([head[6], head[7]]),
            })
        }
        1 | 3 => {
            let head = payload.first_chunk::<48>()?;
            (1..=4).contains(&version).then(|| Request::Time {
                version,
                poll: head[2],
                transmit: head[40..48].try_into().expect("eight bytes"),
            })
        }
        _ => None,
    }
}

/// Name of a control operation.
pub fn control_name(opcode: u8) -> String {
    match opcode {
        1 => "readstat".into(),
        2 => "readvar".into(),
        4 => "readclock".into(),
        10 => "mrulist".into(),
        12 => "nonce".into(),
        other => format!("control-{other}"),
    }
}

/// Name of a private request.
pub fn private_name(code: u8) -> String {
    match code {
        0 => "peer-list".into(),
        1 => "peer-list-sum".into(),
        4 => "sys-info".into(),
        16 => "reslist".into(),
        20 | 42 => "monlist".into(),
        other => format!("private-{other}"),
    }
}

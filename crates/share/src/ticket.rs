//! Tickets: whoever holds one may see one incident of one message, and answer about it, without an account.
//!
//! A ticket is `EXPIRES.ALERT.INCIDENT.SIGNATURE`: seconds since 1970 in hexadecimal, two ids, and the first half of an
//! HMAC-SHA256 over what stands before it (RFC 2104, section 5 allows halves). Nothing in it is secret but the right to
//! use it, and nothing has to be stored to know it again.

use hmac::{Hmac, KeyInit, Mac};
use noroshi_model::Nanos;
use sha2::Sha256;

/// Days for which a message may be answered by its link; ours. Longer: later answers count, old mails open doors.
pub const TICKET_DAYS: i64 = 30;
/// Bytes of the key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the signature.
const SIGNATURE_BYTES: usize = 16;
/// Longest id that stands in a ticket.
const ID_MAX: usize = 64;
/// What the key is used for, so that a signature made for anything else is none here.
const PURPOSE: &[u8] = b"noroshi ticket 1\n";

/// Makes tickets and knows them again.
#[derive(Clone)]
pub struct Tickets {
    key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

/// What a ticket is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The message.
    pub alert: String,
    /// The incident in it.
    pub incident: String,
    /// Until when it holds.
    pub expires: Nanos,
}

/// Why a ticket opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TicketError {
    /// Not made here, or cut off on the way.
    #[error("this is not a link of ours; copy it whole from the message")]
    Foreign,
    /// Made here, and too old.
    #[error("this link held for {TICKET_DAYS} days and is over; sign in to answer")]
    Expired,
}

impl Tickets {
    /// With the key of this installation.
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Tickets { key }
    }

    fn mac(&self, body: &str) -> Option<Hmac<Sha256>> {
        // Any key length is fine for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(PURPOSE);
        mac.update(body.as_bytes());
        Some(mac)
    }

    /// A ticket for an incident in a message that was decided at `created`; none for ids that no ticket can hold.
    pub fn issue(&self, alert: &str, incident: &str, created: Nanos) -> Option<String> {
        let fits = |id: &str| {
            id.len() <= ID_MAX && !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !fits(alert) || !fits(incident) {
            return None;
        }
        let expires = created.seconds().max(0) + TICKET_DAYS * 86_400;
        let body = format!("{expires:x}.{alert}.{incident}");
        let signature = self.mac(&body)?.finalize().into_bytes();
        let hex: String = signature.iter().take(SIGNATURE_BYTES).map(|b| format!("{b:02x}")).collect();
        Some(format!("{body}.{hex}"))
    }

    /// What a ticket is for, if it is ours and still holds.
    pub fn open(&self, text: &str, now: Nanos) -> Result<Ticket, TicketError> {
        let (body, hex) = text.rsplit_once('.').ok_or(TicketError::Foreign)?;
        if text.len() > 4 * ID_MAX {
            return Err(TicketError::Foreign);
        }
        let signature = bytes(hex).filter(|bytes| bytes.len() == SIGNATURE_BYTES).ok_or(TicketError::Foreign)?;
        let mac = self.mac(body).ok_or(TicketError::Foreign)?;
        // Takes the same time wherever the difference is.
        mac.verify_truncated_left(&signature).map_err(|_| TicketError::Foreign)?;
        let mut parts = body.splitn(3, '.');
        let (Some(expires), Some(alert), Some(incident)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TicketError::Foreign);
        };
        let expires = i64::from_str_radix(expires, 16).map_err(|_| TicketError::Foreign)?;
        if now.seconds() >= expires {
            return Err(TicketError::Expired);
        }
        let expires = Nanos::from_seconds(expires);
        Ok(Ticket { alert: alert.to_owned(), incident: incident.to_owned(), expires })
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

/// Where messages lead: the public address of the portal, and how tickets for it are made.
#[derive(Clone, Debug)]
pub struct Links {
    /// Public address without a trailing slash.
    pub base: String,
    /// Makes tickets; without it answers need an account.
    pub tickets: Option<Tickets>,
}

/// Where one incident of one message is shown and answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// A page for people.
    pub page: String,
    /// Takes `POST {"verdict": "true"|"false"|"already-known"|"mitigated", "at": …}` of programs.
    pub api: String,
}

impl Links {
    /// Where an incident of a message is shown and answered.
    pub fn places(&self, alert: &str, incident: &str, created: Nanos) -> Places {
        let base = &self.base;
        match self.tickets.as_ref().and_then(|tickets| tickets.issue(alert, incident, created)) {
            Some(ticket) => {
                Places { page: format!("{base}/answer/{ticket}"), api: format!("{base}/api/v1/answers/{ticket}") }
            }
            None => {
                Places { page: format!("{base}/warnings"), api: format!("{base}/api/v1/incidents/{incident}/feedback") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: &str = "0b1f5c5e-8a0e-5a5d-9d2c-6e6f726f7368";
    const INCIDENT: &str = "7c9e6679-7425-50de-944b-e07fc1f90ae7";

    fn day(n: i64) -> Nanos {
        Nanos::from_seconds(1_767_225_600 + n * 86_400)
    }

    #[test]
    fn a_ticket_opens_its_own_incident_until_it_expires() {
        let tickets = Tickets::new([7; KEY_BYTES]);
        let text = tickets.issue(ALERT, INCIDENT, day(0)).unwrap();
        let ticket = Ticket { alert: ALERT.into(), incident: INCIDENT.into(), expires: day(TICKET_DAYS) };
        assert_eq!(tickets.open(&text, day(TICKET_DAYS - 1)), Ok(ticket));
        assert_eq!(tickets.open(&text, day(TICKET_DAYS)), Err(TicketError::Expired));
        assert_eq!(Tickets::new([8; KEY_BYTES]).open(&text, day(0)), Err(TicketError::Foreign));
        assert_eq!(tickets.issue("a b", INCIDENT, day(0)), None);
    }

    #[test]
    fn no_byte_can_be_changed() {
        let tickets = Tickets::new([7; KEY_BYTES]);
        let text = tickets.issue(ALERT, INCIDENT, day(0)).unwrap();
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(tickets.open(&other, day(0)), Err(TicketError::Foreign), "{other}");
            assert_eq!(tickets.open(&text[..at], day(0)), Err(TicketError::Foreign));
        }
        for text in ["", ".", "....", "zz.a.b.é", &"0".repeat(100_000)] {
            assert_eq!(tickets.open(text, day(0)), Err(TicketError::Foreign));
        }
    }
}

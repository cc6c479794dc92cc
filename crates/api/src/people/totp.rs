//! The second factor: time-based one-time passwords (RFC 6238 over RFC 4226), SHA-1, 30 seconds, 6 digits: what every
//! authenticator app speaks.

use hmac::{Hmac, KeyInit, Mac};
use noroshi_model::Nanos;

/// Length of a step, seconds (RFC 6238, 5.2).
pub const STEP_SECONDS: i64 = 30;
/// Steps before and after the present that are accepted, for clocks that differ and people who type slowly.
const SLACK: i64 = 1;
const MODULUS: u32 = 1_000_000;

/// A new secret of 160 bits (RFC 4226, 4: recommended).
pub fn secret() -> Vec<u8> {
    rand::random::<[u8; 20]>().to_vec()
}

/// The code of a step.
fn code(secret: &[u8], step: i64) -> u32 {
    let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(secret) else { return MODULUS };
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    // Dynamic truncation (RFC 4226, 5.3).
    let at = usize::from(hash[19] & 15);
    let bits = u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff;
    bits % MODULUS
}

/// The step whose code this is, when it is later than `after`: a code that was used once is used up (RFC 6238, 5.2).
pub fn step_of(secret: &[u8], typed: &str, now: Nanos, after: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let fits = typed.len() == 6 && typed.bytes().all(|b| b.is_ascii_digit());
    let typed: u32 = typed.parse().ok().filter(|_| fits)?;
    let present = now.seconds().div_euclid(STEP_SECONDS);
    // All steps are computed, whichever fits, so that time tells nothing.
    let found = (present - SLACK..=present + SLACK).filter(|step| code(secret, *step) == typed).max();
    found.filter(|step| *step > after)
}

/// RFC 4648 base 32 without padding, as apps expect it.
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bit = |n: usize| bytes.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
    (0..(bytes.len() * 8).div_ceil(5))
        .map(|group| ALPHABET[(0..5).fold(0, |sum, n| sum << 1 | usize::from(bit(group * 5 + n)))] as char)
        .collect()
}

/// What an authenticator app reads, usually as a picture.
pub fn uri(account: &str, secret: &[u8]) -> String {
    let plain: String = account
        .bytes()
        .map(
            |b| if b.is_ascii_alphanumeric() || b"-._".contains(&b) { (b as char).into() } else { format!("%{b:02X}") },
        )
        .collect();
    format!("otpauth://totp/Noroshi:{plain}?secret={}&issuer=Noroshi&algorithm=SHA1&digits=6&period=30", base32(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_standard() {
        // RFC 6238, appendix B, SHA-1, cut to six digits.
        let secret = b"12345678901234567890";
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = seconds / STEP_SECONDS;
            assert_eq!(format!("{:06}", code(secret, step)), expected);
        }
        let now = Nanos::from_seconds(59);
        assert_eq!(step_of(secret, "287 082", now, 0), Some(1));
        assert_eq!(step_of(secret, "287082", now, 1), None, "a used code is used up");
        assert_eq!(step_of(secret, "287082", Nanos::from_seconds(59 + 61), 0), None, "too old");
        for wrong in ["", "28708", "2870822", "+87082", "28708x"] {
            assert_eq!(step_of(secret, wrong, now, 0), None);
        }
    }

    #[test]
    fn base32_of_the_standard() {
        // RFC 4648, section 10.
        for (plain, coded) in [("f", "MY"), ("fo", "MZXQ"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(plain.as_bytes()), coded);
        }
    }
}

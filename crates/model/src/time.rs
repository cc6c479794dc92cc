//! Instants as nanoseconds since 1970 UTC, and the clock as a parameter.

use std::fmt;
use std::str::FromStr;

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;

/// An instant: nanoseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Nanos(pub i64);

impl Nanos {
    /// From whole seconds and nanoseconds; saturates at the ends of the range (years 1677 and 2262).
    pub fn from_parts(seconds: i64, nanos: i64) -> Self {
        Nanos(seconds.saturating_mul(SECOND).saturating_add(nanos))
    }

    /// From whole seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Self::from_parts(seconds, 0)
    }

    /// Whole seconds, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// Seconds from `earlier` to here, as a real number.
    pub fn seconds_since(self, earlier: Nanos) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / SECOND as f64
    }

    /// RFC 3339 in UTC with the sub-second part only when there is one.
    pub fn rfc3339(self) -> String {
        let (days, second_of_day) = (self.seconds().div_euclid(86_400), self.seconds().rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        let nanos = self.0.rem_euclid(SECOND);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if nanos != 0 {
            text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
        }
        text.push('Z');
        text
    }
}

/// Proleptic Gregorian date of a day number; Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * m + 2) / 5 + 1)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Seconds with nine decimals, the form used in JSON contracts.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", magnitude / SECOND as u64, magnitude % SECOND as u64)
    }
}

/// The text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a time (expected 2026-01-31, 2026-01-31T12:00:00Z, 2026-01-31T12:00:00+09:00 or seconds since 1970)"
)]
pub struct ParseTimeError(pub String);

impl FromStr for Nanos {
    type Err = ParseTimeError;
    /// Seconds since 1970 with up to nine decimals, a date, or RFC 3339 (`Z`, an offset, or nothing for UTC).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_seconds(text).or_else(|| parse_civil(text)).ok_or_else(|| ParseTimeError(text.to_owned()))
    }
}

fn parse_seconds(text: &str) -> Option<Nanos> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let nanos = parse_fraction(fraction)?;
    let seconds = parse_digits(whole)?;
    let value = seconds.checked_mul(SECOND)?.checked_add(nanos)?;
    Some(Nanos(if negative { -value } else { value }))
}

fn parse_digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn parse_fraction(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    if text.len() > 9 {
        return None;
    }
    Some(parse_digits(text)? * 10i64.pow(9 - text.len() as u32))
}

fn parse_civil(text: &str) -> Option<Nanos> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, "00:00:00Z"),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parse_digits(parts.next()?)?, parse_digits(parts.next()?)?, parse_digits(parts.next()?)?);
    if parts.next().is_some() || !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    let (clock, offset_seconds) = split_offset(time)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute) = (parse_digits(parts.next()?)?, parse_digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0), parse_digits)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds;
    Some(Nanos::from_parts(seconds, parse_fraction(fraction)?))
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let sign = if time.as_bytes()[at] == b'-' { -1 } else { 1 };
    let offset = time[at + 1..].replace(':', "");
    if offset.len() != 4 {
        return None;
    }
    let digits = parse_digits(&offset)?;
    Some((&time[..at], sign * (digits / 100 * 3600 + digits % 100 * 60)))
}

impl serde::Serialize for Nanos {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Nanos {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the present comes from. Stages take it as a parameter; only programs make a real one.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Nanos;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_has_nine_decimals() {
        assert_eq!(Nanos(1_541_515_314_826_314_000).to_string(), "1541515314.826314000");
        assert_eq!(Nanos(-500_000_000).to_string(), "-0.500000000");
        assert_eq!(Nanos(0).to_string(), "0.000000000");
    }

    #[test]
    fn rfc3339_known_dates() {
        assert_eq!(Nanos::from_seconds(1_767_225_600).rfc3339(), "2026-01-01T00:00:00Z");
        assert_eq!(Nanos::from_seconds(951_782_400).rfc3339(), "2000-02-29T00:00:00Z");
        assert_eq!(Nanos(1_541_515_314_826_314_000).rfc3339(), "2018-11-06T14:41:54.826314Z");
    }

    #[test]
    fn parses_what_people_type() {
        let expect = Nanos::from_seconds(1_767_225_600);
        for text in [
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01 09:00:00+09:00",
            "1767225600",
            "1767225600.000",
            "2026-01-01T00:00",
        ] {
            assert_eq!(text.parse::<Nanos>().unwrap(), expect, "{text}");
        }
        for text in
            ["", "yesterday", "2026-13-01", "2026-02-30", "2026-01-01T25:00:00Z", "1.1.1", "2026-01-01T00:00:00+9"]
        {
            assert!(text.parse::<Nanos>().is_err(), "{text}");
        }
    }
}

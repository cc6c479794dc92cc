//! Quiet hours in a member's own time zone, from the time-zone database that is built in.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use noroshi_model::Nanos;
use noroshi_model::member::{Member, QuietHours};
use std::sync::LazyLock;

/// The system's database may be missing or differ between machines; the bundled one makes decisions repeatable.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The time zone of that IANA name.
pub fn zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

/// Minute of the day, 0 to 1439, in a zone.
pub fn minute_of_day(at: Nanos, zone: &TimeZone) -> Option<u16> {
    let time = Timestamp::from_second(at.seconds()).ok()?.to_zoned(zone.clone());
    Some(time.hour() as u16 * 60 + time.minute() as u16)
}

/// Whether these hours hold at that minute. Equal ends mean never.
pub fn holds(hours: QuietHours, minute: u16) -> bool {
    if hours.from_minute <= hours.to_minute {
        (hours.from_minute..hours.to_minute).contains(&minute)
    } else {
        minute >= hours.from_minute || minute < hours.to_minute
    }
}

/// The quiet hours that hold for a member now, if any. A zone that is not known counts as UTC; [`crate::config`]
/// refuses such a member before it gets here.
pub fn now(member: &Member, at: Nanos) -> Option<QuietHours> {
    let hours = member.quiet_hours?;
    let zone = zone(&member.time_zone).unwrap_or(TimeZone::UTC);
    holds(hours, minute_of_day(at, &zone)?).then_some(hours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::alert::Severity;

    #[test]
    fn hours_over_midnight_in_tokyo() {
        let hours = QuietHours { from_minute: 22 * 60, to_minute: 7 * 60, except: Severity::Critical };
        let tokyo = zone("Asia/Tokyo").unwrap();
        let minute = |text: &str| minute_of_day(text.parse().unwrap(), &tokyo).unwrap();
        assert!(holds(hours, minute("2026-03-01T23:30:00+09:00")));
        assert!(holds(hours, minute("2026-03-01T06:59:59+09:00")));
        assert!(!holds(hours, minute("2026-03-01T07:00:00+09:00")));
        assert!(!holds(hours, minute("2026-03-01T12:00:00Z")), "21:00 in Tokyo");
        assert!(zone("Mars/Olympus").is_none());
    }
}

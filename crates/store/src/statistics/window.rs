//! A window of time, cut so that the coarsest roll-ups cover it exactly: whole days from `days_…`, the hours before and
//! after from `hours_…`, the minutes at the edges from `minutes_…`. A grouping that has no minutes, or neither minutes
//! nor hours, has its edges counted from the packets.

use super::Parameters;
use crate::rollup::{Grouping, Span};
use noroshi_model::Nanos;

/// From, inclusive, and until, exclusive; `None` is without end.
pub(super) type Window = (Option<i64>, Option<i64>);

/// The parts of a window, each with the span that covers it, `None` for the packets. A minute belongs to the window when it
/// starts in it.
pub(super) fn parts((since, until): Window, spans: &[Span]) -> Vec<(Option<Span>, Window)> {
    let minute = |ns: i64| ceil(ns, Span::Minute);
    let mut found = Vec::new();
    cover(spans, (since.map(minute), until.map(minute)), &mut found);
    found
}

fn floor(ns: i64, span: Span) -> i64 {
    ns.div_euclid(span.nanos()).saturating_mul(span.nanos())
}

fn ceil(ns: i64, span: Span) -> i64 {
    floor(ns.saturating_add(span.nanos() - 1), span)
}

/// Covers the window with the last of the spans as far as it goes, and the edges with the finer ones.
fn cover(spans: &[Span], (since, until): Window, found: &mut Vec<(Option<Span>, Window)>) {
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return;
    }
    let Some((span, finer)) = spans.split_last() else { return found.push((None, (since, until))) };
    let (from, to) = (since.map(|ns| ceil(ns, *span)), until.map(|ns| floor(ns, *span)));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return cover(finer, (since, until), found);
    }
    if from != since {
        cover(finer, (since, from), found);
    }
    found.push((Some(*span), (from, to)));
    if to != until {
        cover(finer, (to, until), found);
    }
}

/// Rows of a grouping in a window as a subquery with the columns named and `t`, when the row's span begins.
pub(super) fn rows(p: &Parameters, grouping: Grouping, columns: &str, window: Window, coarsest: Span) -> String {
    let conditions = |time: &str, (since, until): Window| {
        let mut conditions = vec![p.sensor_only()];
        conditions.extend(since.map(|ns| format!("{time} >= {}", super::instant(Nanos(ns)))));
        conditions.extend(until.map(|ns| format!("{time} < {}", super::instant(Nanos(ns)))));
        conditions.join(" and ")
    };
    let part = |(span, window): (Option<Span>, Window)| match span {
        None => grouping.packets_sql(columns, &conditions("ts", window)),
        Some(span) => {
            let time = format!("\"{}\"", span.word());
            format!("select {time} t, {columns} from {} where {}", grouping.table(span), conditions(&time, window))
        }
    };
    let spans: Vec<Span> = grouping.spans().iter().copied().filter(|span| *span <= coarsest).collect();
    let mut parts: Vec<String> = parts(window, &spans).into_iter().map(part).collect();
    if parts.is_empty() {
        parts.push(part((Some(grouping.finest()), (Some(0), Some(0)))));
    }
    format!("({})", parts.join(" union all "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * 1_000_000_000;
    const MINUTE: i64 = HOUR / 60;

    #[test]
    fn a_window_is_cut_at_days_hours_and_minutes() {
        let window = (Some(22 * HOUR + 58 * MINUTE + 1), Some(49 * HOUR + MINUTE));
        let expected = vec![
            (Some(Span::Minute), (Some(22 * HOUR + 59 * MINUTE), Some(23 * HOUR))),
            (Some(Span::Hour), (Some(23 * HOUR), Some(24 * HOUR))),
            (Some(Span::Day), (Some(24 * HOUR), Some(48 * HOUR))),
            (Some(Span::Hour), (Some(48 * HOUR), Some(49 * HOUR))),
            (Some(Span::Minute), (Some(49 * HOUR), Some(49 * HOUR + MINUTE))),
        ];
        assert_eq!(parts(window, &Span::ALL), expected);
        assert_eq!(parts((None, None), &Span::ALL), [(Some(Span::Day), (None, None))]);
        assert_eq!(parts((None, Some(24 * HOUR)), &Span::ALL), [(Some(Span::Day), (None, Some(24 * HOUR)))]);
        assert_eq!(parts((Some(HOUR), Some(2 * HOUR)), &Span::ALL), [(Some(Span::Hour), (Some(HOUR), Some(2 * HOUR)))]);
        assert_eq!(parts((Some(HOUR), Some(HOUR)), &Span::ALL), []);
        let days = vec![
            (None, (Some(22 * HOUR + 59 * MINUTE), Some(24 * HOUR))),
            (Some(Span::Day), (Some(24 * HOUR), Some(48 * HOUR))),
            (None, (Some(48 * HOUR), Some(49 * HOUR + MINUTE))),
        ];
        assert_eq!(parts(window, &[Span::Day]), days);
    }

    /// Parts lie side by side, each begins and ends where its span does, and together they are the window.
    #[test]
    fn parts_are_whole_and_touch() {
        let mut state = 7u64;
        for _ in 0..2000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let since = (state % 5_000) as i64 * MINUTE;
            let until = since + (state >> 32) as i64 % 5_000 * MINUTE;
            for spans in [&Span::ALL[..], &[Span::Hour, Span::Day], &[Span::Day]] {
                let mut at = since;
                for (span, window) in parts((Some(since), Some(until)), spans) {
                    let (from, to) = (window.0.unwrap(), window.1.unwrap());
                    let whole = span.unwrap_or(Span::Minute).nanos();
                    assert!(from == at && to > from && from % whole == 0 && to % whole == 0);
                    at = to;
                }
                assert_eq!(at, until);
            }
        }
    }
}

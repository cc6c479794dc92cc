//! A window of time, cut so that the coarsest roll-ups cover it exactly: whole days from `days_…`, the hours before and
//! after from `hours_…`, the minutes at the edges from `minutes_…`.

use super::Parameters;
use crate::rollup::{Grouping, Span};
use noroshi_model::Nanos;

/// From, inclusive, and until, exclusive; `None` is without end.
pub(super) type Window = (Option<i64>, Option<i64>);

/// The parts of a window, each with the span that covers it. A minute belongs to the window when it starts in it.
pub(super) fn parts((since, until): Window, coarsest: Span) -> Vec<(Span, Window)> {
    let minute = |ns: i64| ceil(ns, Span::Minute);
    let mut found = Vec::new();
    cover(coarsest, (since.map(minute), until.map(minute)), &mut found);
    found
}

fn floor(ns: i64, span: Span) -> i64 {
    ns.div_euclid(span.nanos()).saturating_mul(span.nanos())
}

fn ceil(ns: i64, span: Span) -> i64 {
    floor(ns.saturating_add(span.nanos() - 1), span)
}

fn cover(span: Span, (since, until): Window, found: &mut Vec<(Span, Window)>) {
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return;
    }
    let Some(finer) = span.finer() else { return found.push((span, (since, until))) };
    let (from, to) = (since.map(|ns| ceil(ns, span)), until.map(|ns| floor(ns, span)));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return cover(finer, (since, until), found);
    }
    if from != since {
        cover(finer, (since, from), found);
    }
    found.push((span, (from, to)));
    if to != until {
        cover(finer, (to, until), found);
    }
}

/// Rows of a grouping in a window as a subquery with the columns named and `t`, when the row's span begins.
pub(super) fn rows(p: &Parameters, grouping: Grouping, columns: &str, window: Window, coarsest: Span) -> String {
    let part = |(span, (since, until)): (Span, Window)| {
        let time = format!("\"{}\"", span.word());
        let mut conditions = vec![p.sensor_only()];
        conditions.extend(since.map(|ns| format!("{time} >= {}", super::instant(Nanos(ns)))));
        conditions.extend(until.map(|ns| format!("{time} < {}", super::instant(Nanos(ns)))));
        format!("select {time} t, {columns} from {} where {}", grouping.table(span), conditions.join(" and "))
    };
    let mut parts: Vec<String> = parts(window, coarsest).into_iter().map(part).collect();
    if parts.is_empty() {
        parts.push(part((Span::Minute, (Some(0), Some(0)))));
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
            (Span::Minute, (Some(22 * HOUR + 59 * MINUTE), Some(23 * HOUR))),
            (Span::Hour, (Some(23 * HOUR), Some(24 * HOUR))),
            (Span::Day, (Some(24 * HOUR), Some(48 * HOUR))),
            (Span::Hour, (Some(48 * HOUR), Some(49 * HOUR))),
            (Span::Minute, (Some(49 * HOUR), Some(49 * HOUR + MINUTE))),
        ];
        assert_eq!(parts(window, Span::Day), expected);
        assert_eq!(parts((None, None), Span::Day), [(Span::Day, (None, None))]);
        assert_eq!(parts((None, Some(24 * HOUR)), Span::Day), [(Span::Day, (None, Some(24 * HOUR)))]);
        assert_eq!(parts((Some(HOUR), Some(2 * HOUR)), Span::Day), [(Span::Hour, (Some(HOUR), Some(2 * HOUR)))]);
        assert_eq!(parts((Some(HOUR), Some(HOUR)), Span::Day), []);
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
            let mut at = since;
            for (span, window) in parts((Some(since), Some(until)), Span::Day) {
                let (from, to) = (window.0.unwrap(), window.1.unwrap());
                assert!(from == at && to > from && from % span.nanos() == 0 && to % span.nanos() == 0);
                at = to;
            }
            assert_eq!(at, until);
        }
    }
}

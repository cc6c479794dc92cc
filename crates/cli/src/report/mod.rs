//! A [`Report`] as a person or a program reads it.
//!
//! [`json`] is the published contract, [`text`] one page for a terminal, [`html`] one self-contained page for a
//! browser or a printer. All three come from the same value; lists are cut here ([`cut`]), totals never.

pub mod chart;
pub mod html;
mod html_parts;
pub mod json;
pub mod services;
pub mod text;
pub mod words;
pub mod world;

use noroshi_model::report::Report;
use std::str::FromStr;

/// How many rows of each list are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Top {
    /// At most so many.
    Rows(usize),
    /// Everything.
    All,
}

impl Top {
    /// Rows to take.
    pub fn rows(self) -> usize {
        match self {
            Top::Rows(rows) => rows,
            Top::All => usize::MAX,
        }
    }
}

impl FromStr for Top {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Top::All),
            _ => text
                .parse()
                .map(Top::Rows)
                .map_err(|_| "expected a number of rows, such as 100, or the word all".to_owned()),
        }
    }
}

/// Cuts every list, the members of campaigns included. Totals keep their full counts.
pub fn cut(report: &mut Report, top: Top) {
    let rows = top.rows();
    report.ports.truncate(rows);
    report.sources.truncate(rows);
    report.scans.truncate(rows);
    report.campaigns.truncate(rows);
    report.attacks.truncate(rows);
    report.payloads.truncate(rows);
    report.brute_force.truncate(rows);
    for campaign in &mut report.campaigns {
        campaign.members.truncate(rows);
    }
}

//! Learned: is a sender that never speaks TCP flags answering a flood, or scanning?
//!
//! Backscatter and scans are told apart by flags where there are flags. Furutani, Ban, Nakazato, Shimamura, Kitazono and
//! Ozawa ("Detection of DDoS Backscatter Based on Traffic Features of Darknet TCP Packets", AsiaJCIS 2014; for UDP,
//! ICONIP 2015) learn from TCP what the flags say, from features that do not see the flags, and apply it where there are
//! none. Here: [`examples`] of one source in one minute, [`train`] with feature selection and a linear support vector
//! machine as published, boosted stumps beside it, and the majority as the baseline. Sources of the test part are never
//! in the part learned from, and are later.

pub mod examples;
pub mod model;

pub use examples::{Collector, Example, FEATURES};
pub use model::{Card, Model, Scores, train};

#[cfg(test)]
mod tests;

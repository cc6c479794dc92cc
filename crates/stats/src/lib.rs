//! Numerics as pure functions on slices: what is usual, what changed, what belongs together, what comes next, and how
//! good that was.
//!
//! Every function names its paper. A hole in a series is NaN. Holes, constant series, one point or none, values that
//! are not finite: each has a defined result (mostly `None`), never a panic.

pub mod baseline;
pub mod bocpd;
pub mod changefinder;
pub mod classify;
pub mod conformal;
pub mod decay;
pub mod ensemble;
pub mod glasso;
pub mod lag;
pub mod naive;
pub mod nearness;
pub mod nmf;
pub mod pelt;
mod product;
pub mod regression;
pub mod score;
pub mod share;
pub mod skipgram;
pub mod smooth;
pub mod tail;
mod wide;

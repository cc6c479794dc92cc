//! Imports real logs and compares with figures that other tools counted.

mod budgets;
mod flowtuple;
mod hpfeeds;
mod real_logs;

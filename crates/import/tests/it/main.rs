//! Imports real logs and compares with figures that other tools counted.

mod budgets;
mod flowtuple;
mod real_logs;

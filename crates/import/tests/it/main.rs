//! Imports real logs and compares with figures that other tools counted.

mod budgets;
mod real_logs;

//! The door from outside: every route by every role, sessions and their abuse, what a scope lets through.

mod door;
mod factor;
mod interference;
mod matrix;
mod records;
mod screens;
mod world;

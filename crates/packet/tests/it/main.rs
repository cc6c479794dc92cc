//! The reader and decoder against captures whose facts other tools counted.

mod captures;
mod filter;
mod foreign;
mod hostile;

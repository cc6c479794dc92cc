//! What a generated world promises, checked on its bytes by a parser of the tests' own.

mod bytes;
mod promises;
mod scenarios;
mod tools;

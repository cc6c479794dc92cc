//! The filter language: one in the command line, the API and the portal.
//!
//! ```text
//! dport in (23, 2323) and kind = scan and not country = JP
//! src in 192.0.2.0/24 or (proto = udp and payload_len > 400)
//! ```
//!
//! A test on a field that the packet does not have is false, so `not dport = 53` keeps packets without ports; the SQL
//! made from an expression says the same. Text, number of tests and depth are bounded.

mod complete;
mod field;
mod parse;
mod sql;
pub use sql::{KIND as KIND_SQL, column as sql_column, shown as sql_shown};

pub use complete::{Completion, complete};
pub use field::{Field, Kind, Shape};
pub use parse::{FilterError, parse};

use noroshi_model::{Addr, Prefix};

/// Longest filter text, in bytes.
pub const MAX_TEXT: usize = 4096;
/// Most tests in one filter.
pub const MAX_TESTS: usize = 128;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 24;

/// How a field is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Equal to one of the values, or inside one of the prefixes.
    In,
    /// Smaller.
    Less,
    /// Smaller or equal.
    AtMost,
    /// Larger.
    More,
    /// Larger or equal.
    AtLeast,
    /// All bits of the value are set.
    Bits,
}

/// A value in a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Number.
    Number(u64),
    /// Address or prefix.
    Prefix(Prefix),
    /// Word.
    Word(String),
}

/// A parsed filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// All hold.
    And(Vec<Expr>),
    /// At least one holds.
    Or(Vec<Expr>),
    /// Does not hold.
    Not(Box<Expr>),
    /// One test; `=` is [`Op::In`] with one value, `!=` is its negation.
    Test {
        /// What is compared.
        field: Field,
        /// How.
        op: Op,
        /// With what; never empty.
        values: Vec<Value>,
    },
}

/// What a filter is evaluated on.
pub trait Row {
    /// Value of a numeric field; none when the row has no such header.
    fn number(&self, field: Field) -> Option<u64>;
    /// Value of an address field.
    fn address(&self, field: Field) -> Option<Addr>;
    /// Value of a word field.
    fn word(&self, field: Field) -> Option<&str>;
}

impl Expr {
    /// Whether the row passes.
    pub fn holds(&self, row: &impl Row) -> bool {
        match self {
            Expr::And(all) => all.iter().all(|expr| expr.holds(row)),
            Expr::Or(any) => any.iter().any(|expr| expr.holds(row)),
            Expr::Not(inner) => !inner.holds(row),
            Expr::Test { field, op, values } => test(row, *field, *op, values),
        }
    }

    /// Whether any test is on that field.
    pub fn mentions(&self, wanted: Field) -> bool {
        match self {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().any(|part| part.mentions(wanted)),
            Expr::Not(inner) => inner.mentions(wanted),
            Expr::Test { field, .. } => *field == wanted,
        }
    }

    /// The condition as SQL on table `packets`.
    pub fn to_sql(&self) -> String {
        sql::condition(self)
    }
}

fn test(row: &impl Row, field: Field, op: Op, values: &[Value]) -> bool {
    match field.shape() {
        Shape::Number { .. } => row.number(field).is_some_and(|have| {
            values.iter().any(|value| matches!(value, Value::Number(want) if compare(op, have, *want)))
        }),
        Shape::Address => row
            .address(field)
            .is_some_and(|have| values.iter().any(|value| matches!(value, Value::Prefix(p) if p.contains(have)))),
        Shape::Word(_) => row
            .word(field)
            .is_some_and(|have| values.iter().any(|value| matches!(value, Value::Word(want) if want == have))),
    }
}

fn compare(op: Op, have: u64, want: u64) -> bool {
    match op {
        Op::In => have == want,
        Op::Less => have < want,
        Op::AtMost => have <= want,
        Op::More => have > want,
        Op::AtLeast => have >= want,
        Op::Bits => have & want == want,
    }
}

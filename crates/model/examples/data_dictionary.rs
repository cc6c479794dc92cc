//! Prints the data dictionary as Markdown; `cargo xtask gen` keeps `docs/reference/data-dictionary.md` equal to it.

use noroshi_model::columns::Column;
use noroshi_model::packet::{Oddities, ToolBits};
use noroshi_model::tables::TABLES;

/// The declarations of the bits, for the sentences beside them.
const SOURCE: &str = include_str!("../src/packet.rs");

fn main() {
    println!("# Data dictionary\n");
    println!("Derived from crate `model` by `cargo xtask gen`; change the declaration there, not this page.\n");
    println!(
        "Addresses are 16 bytes in network order, IPv4 mapped (`::ffff:a.b.c.d`). Times are nanoseconds since 1970, UTC."
    );
    println!("A column that may be null says what null means.");
    TABLES.iter().for_each(|declared| table(declared.name, declared.rows, declared.columns));
    bits("oddities", "What is odd about a packet.", Oddities::NAMES.iter().map(|(bit, code)| (bit.0, *code)));
    bits(
        "tool_bits",
        "Which scanner fingerprints one packet satisfies; one packet proves nothing.",
        ToolBits::NAMES.iter().map(|(bit, code)| (u32::from(bit.0), *code)),
    );
}

fn table(name: &str, what: &str, columns: &[Column]) {
    println!("\n## Table `{name}`: {what}\n");
    println!("| column | type | null | unit | meaning |\n|---|---|---|---|---|");
    for column in columns {
        let null = if column.nullable { "yes" } else { "" };
        let meaning = column.meaning.replace('|', "\\|");
        println!("| `{}` | {} | {null} | {} | {meaning} |", column.name, column.kind.word(), column.unit);
    }
}

fn bits(name: &str, what: &str, bits: impl Iterator<Item = (u32, &'static str)>) {
    println!("\n## Bits of `{name}`\n\n{what}\n");
    println!("| bit | value | code | meaning |\n|---|---|---|---|");
    for (value, code) in bits {
        println!("| {} | {value} | `{code}` | {} |", value.trailing_zeros(), meaning(code));
    }
}

/// The sentence above the declaration `NAME = n, "code";`. The same code may name bits of two sets; both lists of this
/// page come after `Has`, so the last declaration is the one meant.
fn meaning(code: &str) -> String {
    let ending = format!(", \"{code}\";");
    let lines: Vec<&str> = SOURCE.lines().map(str::trim).collect();
    let at = lines.iter().rposition(|line| line.ends_with(&ending)).unwrap_or(0);
    let first = lines[..at].iter().rposition(|line| !line.starts_with("///")).map_or(0, |i| i + 1);
    let words = lines[first..at].iter().map(|line| line.trim_start_matches("///").trim());
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

//! An expression as a SQL condition on table `packets` of the lake, with its functions. Values are typed before they get
//! here: numbers, addresses and prefixes in their one written form, and words as quoted literals.

use super::{Expr, Field, Op, Value};

pub(super) fn condition(expr: &Expr) -> String {
    match expr {
        Expr::And(parts) => join(parts, " AND "),
        Expr::Or(parts) => join(parts, " OR "),
        // A test on a missing value is false here, as in `holds`; SQL alone would make it unknown.
        Expr::Not(inner) => format!("NOT coalesce({}, false)", condition(inner)),
        Expr::Test { field, op, values } => {
            let tests: Vec<_> = values.iter().map(|value| test(*field, *op, value)).collect();
            if tests.len() == 1 { tests.concat() } else { format!("({})", tests.join(" OR ")) }
        }
    }
}

fn join(parts: &[Expr], with: &str) -> String {
    format!("({})", parts.iter().map(condition).collect::<Vec<_>>().join(with))
}

fn test(field: Field, op: Op, value: &Value) -> String {
    let column = column(field);
    match value {
        Value::Number(n) => match op {
            Op::In => format!("{column} = {n}"),
            Op::Less => format!("{column} < {n}"),
            Op::AtMost => format!("{column} <= {n}"),
            Op::More => format!("{column} > {n}"),
            Op::AtLeast => format!("{column} >= {n}"),
            Op::Bits => format!("({column} & {n}) = {n}"),
        },
        Value::Prefix(prefix) => {
            // The network of a source is cut from the source, so a prefix test on either reads the same column.
            let column = if field == Field::Network { "src" } else { column.as_str() };
            if prefix.first() == prefix.last() {
                format!("{column} = addr('{}')", prefix.first())
            } else {
                format!("in_prefix({column}, '{prefix}')")
            }
        }
        Value::Word(word) => format!("{column} = '{}'", word.replace('\'', "''")),
    }
}

/// The column, or the expression that derives the field.
pub fn column(field: Field) -> String {
    match field {
        Field::Kind => KIND.to_owned(),
        Field::Tool => TOOL.to_owned(),
        Field::Country => "country(src)".to_owned(),
        Field::Network => "network(src)".to_owned(),
        // A word of SQL.
        Field::Window => "\"window\"".to_owned(),
        other => other.name().to_owned(),
    }
}

/// The same as text or number, for people.
pub fn shown(field: Field) -> String {
    match field {
        Field::Src | Field::Dst | Field::QuotedDst => format!("ip({})", field.name()),
        other => column(other),
    }
}

/// The same decision as `live::kind_of`, in SQL.
pub const KIND: &str = "CASE WHEN proto = 6 AND (tcp_flags & 2) = 2 AND (tcp_flags & 16) = 0 AND (tool_bits & 1) = 1 THEN 'infected' \
    WHEN proto = 6 AND (tcp_flags & 2) = 2 AND (tcp_flags & 16) = 0 THEN 'scan' \
    WHEN proto = 6 AND ((tcp_flags & 18) = 18 OR (tcp_flags & 4) = 4) THEN 'backscatter' \
    WHEN proto = 1 AND icmp_type IN (0, 3, 4, 5, 11, 12, 14, 16, 18) THEN 'backscatter' \
    WHEN proto = 58 AND icmp_type IN (1, 2, 3, 4, 129) THEN 'backscatter' \
    WHEN proto = 17 AND dport IN (17, 19, 53, 69, 111, 123, 137, 161, 389, 427, 520, 1434, 1900, 3283, 3702, 5093, 5353, 5683, 10001, 11211, 27015, 37810) THEN 'amplification' \
    WHEN proto = 17 THEN 'udp' ELSE 'other' END";

const TOOL: &str = "CASE WHEN (tool_bits & 1) = 1 THEN 'mirai' WHEN (tool_bits & 6) > 0 THEN 'zmap' \
    WHEN (tool_bits & 24) > 0 THEN 'masscan' WHEN (tool_bits & 160) > 0 THEN 'nmap' END";

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn words_cannot_leave_their_quotes() {
        let expr = parse("sensor = \"x' OR '1'='1\"").unwrap().unwrap();
        assert_eq!(expr.to_sql(), "sensor = 'x'' OR ''1''=''1'");
    }

    #[test]
    fn addresses_keep_their_written_form_and_missing_values_are_false() {
        let expr = parse("src in 192.0.2.0/24 and not dport = 53").unwrap().unwrap();
        assert_eq!(expr.to_sql(), "(in_prefix(src, '192.0.2.0/24') AND NOT coalesce(dport = 53, false))");
        let expr = parse("dst = 2001:db8::1").unwrap().unwrap();
        assert_eq!(expr.to_sql(), "dst = addr('2001:db8::1')");
    }
}

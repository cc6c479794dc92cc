//! Addresses as people write them: `src = '192.0.2.1'` is asked of the bytes that the lake keeps.

use super::functions::write_address;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator};
use noroshi_model::Addr;
use std::net::IpAddr;

/// Where bytes are compared with a text that is an address, puts the address in the text's place. Without it the engine
/// would compare with the letters, and find nothing.
#[derive(Debug)]
pub(super) struct WrittenAddresses;

/// The bytes of an address that stands there as a text.
fn address(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(value, metadata) = expr else { return None };
    let address: IpAddr = value.try_as_str()??.parse().ok()?;
    let bytes = write_address(Addr::from(address));
    Some(Expr::Literal(ScalarValue::Binary(Some(bytes)), metadata.clone()))
}

fn is_bytes(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| kind.is_binary())
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Puts addresses in place of texts, and says whether there were any.
fn replace<'a>(texts: impl IntoIterator<Item = &'a mut Expr>) -> bool {
    let mut found = false;
    for text in texts {
        if let Some(address) = address(text) {
            *text = address;
            found = true;
        }
    }
    found
}

impl FunctionRewrite for WrittenAddresses {
    fn name(&self) -> &str {
        "written_addresses"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if compares(op) => {
                let found = match (is_bytes(&left, schema), is_bytes(&right, schema)) {
                    (true, false) => replace([&mut *right]),
                    (false, true) => replace([&mut *left]),
                    _ => false,
                };
                Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), found)
            }
            Expr::InList(InList { expr, mut list, negated }) => {
                let found = is_bytes(&expr, schema) && replace(&mut list);
                Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), found)
            }
            Expr::Between(Between { expr, negated, mut low, mut high }) => {
                let found = is_bytes(&expr, schema) && replace([&mut *low, &mut *high]);
                Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), found)
            }
            other => Transformed::no(other),
        })
    }
}

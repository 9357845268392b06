//! Tells of a condition, by its form alone, that nothing could ever make it true or false.
//!
//! Invariant: what is told holds for every call; of what depends on a call nothing is told.

use cel::common::ast::{CallExpr, Expr, LiteralValue};

/// Why an expression can never be judged, in words; `None` where it might be.
pub(super) fn never_judged(expr: &Expr) -> Option<String> {
    if always_fails(expr) {
        return Some("fails for every call".to_owned());
    }
    other_than_bool(expr).map(|what| format!("gives {what}, which is neither true nor false"))
}

/// What an expression gives where that is never true or false.
fn other_than_bool(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(_) => None,
            LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Some("a number"),
            LiteralValue::String(_) | LiteralValue::Bytes(_) => Some("a text"),
            LiteralValue::Null => Some("null"),
        },
        Expr::List(_) => Some("a list"),
        Expr::Map(_) | Expr::Struct(_) => Some("a map"),
        Expr::Ident(name) => match name.as_str() {
            "args" | "principal" => Some("a map"),
            "method" | "tool" | "upstream" => Some("a text"),
            _ => None,
        },
        Expr::Select(select) if !select.test && matches!(&select.operand.expr, Expr::Ident(name) if name == "principal") => {
            match select.field.as_str() {
                "id" | "issuer" | "subject" => Some("a text"),
                "groups" | "roles" => Some("a list"),
                _ => None,
            }
        }
        Expr::Call(call) => given_by_call(call),
        _ => None,
    }
}

fn given_by_call(call: &CallExpr) -> Option<&'static str> {
    let given = |at: usize| call.args.get(at).and_then(|part| other_than_bool(&part.expr));
    match call.func_name.as_str() {
        "size" | "int" | "double" | "-_" | "_-_" | "_*_" | "_/_" | "_%_" => Some("a number"),
        "string" => Some("a text"),
        "_+_" => Some("a sum"),
        "!_" => given(0),
        // Each branch must be something else, for only one is taken.
        "_?_:_" => given(1).and(given(2)),
        // One that is true or false can decide alone.
        "_&&_" | "_||_" => given(0).and(given(1)),
        _ => None,
    }
}

/// Whether an expression fails whatever the call is.
fn always_fails(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let parts = || call.target.iter().map(AsRef::as_ref).chain(&call.args);
    let literal = |at: usize| match call.args.get(at).map(|part| &part.expr) {
        Some(Expr::Literal(literal)) => Some(literal),
        _ => None,
    };
    match call.func_name.as_str() {
        // These need not judge all their parts.
        "_&&_" | "_||_" => parts().all(|part| always_fails(&part.expr)),
        "_?_:_" => call.args.first().is_some_and(|part| always_fails(&part.expr)),
        "size" if call.target.is_none() => parts().any(|part| {
            let is_sized = |literal: &LiteralValue| matches!(literal, LiteralValue::String(_) | LiteralValue::Bytes(_));
            matches!(&part.expr, Expr::Literal(literal) if !is_sized(literal)) || always_fails(&part.expr)
        }),
        // Whole numbers are not divided by nothing; others are (IEEE 754).
        "_/_" | "_%_" => match (literal(0), literal(1)) {
            (Some(LiteralValue::Int(_)), Some(LiteralValue::Int(by))) => *by.inner() == 0,
            (Some(LiteralValue::UInt(_)), Some(LiteralValue::UInt(by))) => *by.inner() == 0,
            _ => parts().any(|part| always_fails(&part.expr)),
        },
        "@not_strictly_false" => false,
        _ => parts().any(|part| always_fails(&part.expr)),
    }
}

//! The condition of a rule, `when`: an expression of CEL over who calls what with which arguments.
//!
//! Invariant: judging one ends. An expression is short, knows only what is listed here, loops over nothing within a loop and keeps no
//! more than a word or a count in one; arguments past a bound are not looked at. What cannot be judged is neither true nor false.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, LiteralValue};
use cel::{Context, Env, IdedExpr, Value};
use sluicegate_dlp::json::{self, Kind};
use sluicegate_identity::Principal;

use super::truth::never_judged;

/// Bytes of an expression.
const EXPRESSION_BYTES_MAX: usize = 2_048;
/// Expressions within expressions; chains like `a + b + c` count each link.
const DEPTH_MAX: u16 = 48;

/// What an expression can name.
pub const VARIABLES: [&str; 5] = ["args", "method", "principal", "tool", "upstream"];
/// What `principal` has.
pub const PRINCIPAL: [&str; 8] = ["actors", "client", "groups", "id", "issuer", "roles", "scopes", "subject"];
/// What it can call; each takes time that its arguments bound. `matches` is missing: a caller could choose the pattern.
pub const FUNCTIONS: [&str; 8] = ["bool", "contains", "double", "endsWith", "int", "size", "startsWith", "string"];
/// How the parser names operators and the inner calls of `all`, `exists` and `exists_one`.
const OPERATORS: [&str; 19] = [
    "!_",
    "-_",
    "@in",
    "@not_strictly_false",
    "_!=_",
    "_%_",
    "_&&_",
    "_*_",
    "_+_",
    "_-_",
    "_/_",
    "_<=_",
    "_<_",
    "_==_",
    "_>=_",
    "_>_",
    "_?_:_",
    "_[_]",
    "_||_",
];

thread_local! {
    /// The library of functions. Each thread has its own, so that no worker waits for another's count of references.
    static ENV: Arc<Env> = Arc::new(Env::stdlib().with_optional_support(false));
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// The line in the expression, from 1, and the column, from 1; `None` where the whole is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// The name that is not known; empty where none is meant.
    pub name: String,
    /// What is known instead.
    pub known: &'static [&'static str],
}

impl ConditionError {
    fn of(message: impl Into<String>) -> Self {
        ConditionError { place: None, message: message.into(), name: String::new(), known: &[] }
    }

    fn unknown(what: &str, name: &str, known: &'static [&'static str]) -> Self {
        ConditionError { name: name.to_owned(), known, ..ConditionError::of(format!("{name:?} is no {what}")) }
    }
}

/// An expression that can be judged.
#[derive(Debug)]
pub struct Condition {
    expression: IdedExpr,
    /// Which of [`VARIABLES`] it names.
    names: [bool; VARIABLES.len()],
}

/// What a condition is judged by.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// Who calls.
    pub who: &'a Principal,
    /// The upstream's name.
    pub upstream: &'a str,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// The tool or prompt; empty text where there is none.
    pub tool: &'a str,
    /// `params.arguments`; an empty object where there are none.
    pub arguments: Option<json::Value<'a>>,
    /// Bytes of arguments that are looked at.
    pub argument_bytes_max: usize,
}

impl Condition {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is too long or too deep, does not parse, names what is not known, could work without a bound, or could never be judged.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ConditionError::of(format!("is longer than {EXPRESSION_BYTES_MAX} bytes")));
        }
        let parser = ENV.with(|env| env.parser()).max_recursion_depth(DEPTH_MAX);
        let expression = parser.parse(text).map_err(|errors| match errors.errors.first() {
            Some(error) => {
                let place = usize::try_from(error.pos.0).ok().zip(usize::try_from(error.pos.1).ok());
                ConditionError { place, ..ConditionError::of(error.msg.lines().next().unwrap_or_default()) }
            }
            None => ConditionError::of("does not parse"),
        })?;
        let mut names = [false; VARIABLES.len()];
        Inspection { names: &mut names, own: Vec::new() }.inspect(&expression.expr, DEPTH_MAX)?;
        if let Some(why) = never_judged(&expression.expr) {
            return Err(ConditionError::of(why));
        }
        Ok(Condition { expression, names })
    }

    /// Whether it holds; `None` where it cannot be judged: a member is missing, types do not fit, a number is out of range, the
    /// arguments are past the bound, or what comes out is neither true nor false.
    pub fn judge(&self, by: &Circumstances<'_>) -> Option<bool> {
        let mut context = Context::with_env(ENV.with(Arc::clone));
        for (name, _) in VARIABLES.iter().zip(self.names).filter(|(_, is_named)| *is_named) {
            context.add_variable_from_value(*name, value(name, by)?);
        }
        match context.resolve(&self.expression) {
            Ok(Value::Bool(holds)) => Some(holds),
            _ => None,
        }
    }
}

/// What a name of [`VARIABLES`] stands for.
fn value(name: &str, by: &Circumstances<'_>) -> Option<Value> {
    Some(match name {
        "args" => match by.arguments {
            Some(arguments) if arguments.span().len() > by.argument_bytes_max => return None,
            Some(arguments) => of_json(arguments)?,
            None => Value::from(HashMap::<String, Value>::new()),
        },
        "method" => Value::from(by.method),
        "tool" => Value::from(by.tool),
        "upstream" => Value::from(by.upstream),
        _ => principal(by.who),
    })
}

/// Who calls. What is not known is missing, so that nothing can be concluded of it.
fn principal(who: &Principal) -> Value {
    let texts = |texts: &[String]| Value::from(texts.iter().map(String::as_str).collect::<Vec<_>>());
    let actors: Vec<&str> = who.actors().iter().map(|actor| actor.subject.as_str()).collect();
    let mut members = HashMap::from([
        ("id", Value::from(who.id())),
        ("issuer", Value::from(who.issuer_name())),
        ("subject", Value::from(who.subject())),
        ("roles", texts(who.roles())),
        ("scopes", texts(who.scopes())),
        ("actors", Value::from(actors)),
    ]);
    members.extend(who.client_id().map(|client| ("client", Value::from(client))));
    if who.are_groups_known() {
        members.insert("groups", texts(who.groups()));
    }
    Value::from(members)
}

/// A value of JSON; `None` where an upstream could read another one than we do.
fn of_json(value: json::Value<'_>) -> Option<Value> {
    Some(match value.kind() {
        Kind::Object => {
            let member = |(name, member): (json::Value<'_>, json::Value<'_>)| {
                if name.has_lone_surrogate() { None } else { Some((name.text().into_owned(), of_json(member)?)) }
            };
            Value::from(value.members().map(member).collect::<Option<HashMap<_, _>>>()?)
        }
        Kind::Array => Value::from(value.elements().map(of_json).collect::<Option<Vec<_>>>()?),
        Kind::String if value.has_lone_surrogate() => return None,
        Kind::String => Value::from(value.text().as_ref()),
        _ => match value.text().as_ref() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            number => of_number(number)?,
        },
    })
}

/// Whole numbers stay exact; one that is too large to is not rounded.
fn of_number(text: &str) -> Option<Value> {
    if text.contains(['.', 'e', 'E']) {
        return text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
    }
    text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::UInt)).ok()
}

/// Looks through an expression before it is ever judged.
struct Inspection<'n> {
    names: &'n mut [bool; VARIABLES.len()],
    /// Names that a loop gives; not empty within one.
    own: Vec<String>,
}

impl Inspection<'_> {
    fn inspect(&mut self, expr: &Expr, depth: u16) -> Result<(), ConditionError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ConditionError::of(format!("is deeper than {DEPTH_MAX} levels")));
        };
        match expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                let is_principal = matches!(&select.operand.expr, Expr::Ident(name) if name == "principal");
                if is_principal && !PRINCIPAL.contains(&select.field.as_str()) {
                    return Err(ConditionError::unknown("part of `principal`", &select.field, &PRINCIPAL));
                }
                self.inspect(&select.operand.expr, depth)
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
                    return Err(ConditionError::unknown("function", name, &FUNCTIONS));
                }
                let target = call.target.iter().map(AsRef::as_ref);
                target.chain(&call.args).try_for_each(|part| self.inspect(&part.expr, depth))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.inspect(&element.expr, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.inspect(&entry.key.expr, depth)?;
                    self.inspect(&entry.value.expr, depth)
                }
                EntryExpr::StructField(_) => Err(ConditionError::of("makes a message, and there are none")),
            }),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Struct(_) => Err(ConditionError::of("makes a message, and there are none")),
            Expr::Unspecified => Err(ConditionError::of("is empty")),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), ConditionError> {
        if self.own.iter().any(|own| own == name) {
            return Ok(());
        }
        match self.names.iter_mut().zip(VARIABLES).find(|(_, variable)| *variable == name) {
            Some((is_named, _)) => *is_named = true,
            None => return Err(ConditionError::unknown("variable", name, &VARIABLES)),
        }
        Ok(())
    }

    /// `all`, `exists` and `exists_one` keep a word or a count; `map` and `filter` build lists, and could double them at each turn.
    fn comprehension(&mut self, of: &ComprehensionExpr, depth: u16) -> Result<(), ConditionError> {
        if !self.own.is_empty() {
            return Err(ConditionError::of("loops within a loop"));
        }
        if !matches!(of.accu_init.expr, Expr::Literal(LiteralValue::Boolean(_) | LiteralValue::Int(_))) {
            return Err(ConditionError::of("builds a list in a loop; only `all`, `exists` and `exists_one` loop here"));
        }
        self.inspect(&of.iter_range.expr, depth)?;
        self.own = [Some(&of.iter_var), of.iter_var2.as_ref(), Some(&of.accu_var)].into_iter().flatten().cloned().collect();
        if let Some(name) = self.own.iter().find(|name| VARIABLES.contains(&name.as_str())) {
            return Err(ConditionError::of(format!("gives {name:?} another meaning in a loop")));
        }
        let parts = [&of.loop_cond, &of.loop_step, &of.result];
        let inspected = parts.into_iter().try_for_each(|part| self.inspect(&part.expr, depth));
        self.own.clear();
        inspected
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(text: &str) -> ConditionError {
        Condition::parse(text).expect_err(text)
    }

    #[test]
    fn what_an_expression_cannot_say_is_said_at_load() {
        for (text, message) in [
            ("", ""),
            ("args.a ==", ""),
            ("agrs.a == 1", "\"agrs\" is no variable"),
            ("principal.sub == 'a'", "\"sub\" is no part of `principal`"),
            ("args.a.matches('(a+)+')", "\"matches\" is no function"),
            ("timestamp('2026-01-01T00:00:00Z') == 1", "\"timestamp\" is no function"),
            ("type(args.a) == int", "\"type\" is no function"),
            ("args.a.map(x, x) == []", "builds a list in a loop; only `all`, `exists` and `exists_one` loop here"),
            ("args.a.filter(x, x > 1) == []", "builds a list in a loop; only `all`, `exists` and `exists_one` loop here"),
            ("args.a.all(x, args.a.all(y, x == y))", "loops within a loop"),
            ("args.a.all(args, args > 1)", "gives \"args\" another meaning in a loop"),
            ("Thing{a: 1} == 1", "makes a message, and there are none"),
            ("size(args)", "gives a number, which is neither true nor false"),
            ("1", "gives a number, which is neither true nor false"),
            ("args", "gives a map, which is neither true nor false"),
            ("principal.subject", "gives a text, which is neither true nor false"),
            ("principal.roles", "gives a list, which is neither true nor false"),
            ("true ? 1 : 2", "gives a number, which is neither true nor false"),
            ("[true]", "gives a list, which is neither true nor false"),
            ("{'a': true}", "gives a map, which is neither true nor false"),
            ("tool + 'x'", "gives a sum, which is neither true nor false"),
            ("!size(args)", "gives a number, which is neither true nor false"),
            ("1 || tool", "gives a text, which is neither true nor false"),
            ("size(1) == 1", "fails for every call"),
            ("1/0 == 1", "fails for every call"),
            ("1 % 0 < 2 && size(true) == 1", "fails for every call"),
        ] {
            let error = refused(text);
            assert!(message.is_empty() || error.message == message, "{text}: {error:?}");
            assert!(!error.message.is_empty(), "{text}");
        }
        assert_eq!(refused("args.a == 1 &&\n  args.b ==").place.map(|(line, _)| line), Some(2));
    }

    #[test]
    fn an_expression_is_bounded_in_length_and_depth() {
        assert_eq!(refused(&format!("tool == '{}'", "a".repeat(2_048))).message, "is longer than 2048 bytes");
        for (start, piece, middle, end) in [
            ("", "(", "1", ")"),
            ("1", "+1", "", ""),
            ("", "!", "true", ""),
            ("", "-", "1", ""),
            ("args", ".a", "", ""),
            ("args", "[0]", "", ""),
        ] {
            let text = |count| format!("{start}{}{middle}{} == 1", piece.repeat(count), end.repeat(count));
            Condition::parse(&text(3)).unwrap();
            let long = Condition::parse(&text(600));
            // A run of signs is one sign or none to the parser.
            assert!(long.is_err() || matches!(piece, "!" | "-"), "{piece}: {long:?}");
        }
    }

    #[test]
    fn all_that_is_promised_parses() {
        for text in [
            "principal.id == 'corp:bot' && principal.issuer == 'corp' && principal.subject != ''",
            "'admin' in principal.roles || principal.groups.exists(group, group.startsWith('ops-'))",
            "upstream == 'crm' && method == 'tools/call' && tool.endsWith('_read')",
            "has(args.limit) && args.limit <= 100 && size(args.ids) < 10",
            "args.rows.all(row, row.owner == principal.subject)",
            "args.rows.exists_one(row, row.primary) ? true : false",
            "int(args.a) + 1 == 2 && string(args.b).contains('x') && double(args.c) > 0.5 && bool(args.d)",
            "{'a': 1}[args.key] == 1 && args.list[0] in [1, 2]",
            "args.flag",
            "!args.flag || args['other']",
            "1/0 == 1 || tool == 'x'",
            "has(args.a) ? args.a : 1",
            "has(principal.subject)",
            "1.0 / 0.0 > 5.0",
            "size('x') == 1 && size(args.a) > 0",
        ] {
            assert!(Condition::parse(text).is_ok(), "{text}: {:?}", Condition::parse(text));
        }
    }

    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(of_number("9007199254740993"), Some(Value::Int(9_007_199_254_740_993)));
        assert_eq!(of_number("18446744073709551615"), Some(Value::UInt(u64::MAX)));
        assert_eq!(of_number("18446744073709551616"), None);
        assert_eq!(of_number("1.5e3"), Some(Value::Float(1_500.0)));
        assert_eq!(of_number("1e999"), None);
    }
}

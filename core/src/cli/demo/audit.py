"""Runs the audit's queries in DuckDB, prints each with its rows, and checks the audit against the ledger on standard input."""
import datetime
import json
import pathlib
import re
import sys

import duckdb

ROWS_SHOWN, CELL_SHOWN = 24, 40
CALLS, FINDINGS = (f"read_parquet('audit/{table}/**/*.parquet')" for table in ("calls", "findings"))
database = duckdb.connect()


def rows_of(sql, *parameters):
    result = database.execute(sql, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def cell(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]
    text = "" if value is None else str(value)
    return text if len(text) <= CELL_SHOWN else text[:CELL_SHOWN - 1] + "…"


def show(title, rows):
    print(f"\n{title}")
    if len(rows) > ROWS_SHOWN:
        print(f"  ({len(rows) - ROWS_SHOWN} earlier rows are not shown)")
    rows = rows[-ROWS_SHOWN:]
    # A column without a value in any row says nothing.
    columns = [name for name in rows[0] if any(cell(row[name]) for row in rows)] if rows else []
    table = [columns] + [[cell(row[name]) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    for line in table if rows else [["none"]]:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths or [4])).rstrip())


def run_documented(path):
    answers = {}
    for part in pathlib.Path(path).read_text(encoding="utf-8").split("-- name: ")[1:]:
        name, _, sql = part.partition("\n")
        for statement in filter(str.strip, re.split(r";\s*(?:\n|$)", sql)):
            answers[name.strip()] = rows_of(statement)
            show(name.strip(), answers[name.strip()])
    return answers


def differences(row, call):
    for name, expected in call.items():
        seen = json.loads(row["args"]) if name == "args" and row["args"] else row[name]
        if seen != expected:
            yield f"{name} is {seen!r}, not {expected!r}"


def compare(ledger):
    found = f"select call_id, list_sort(list(kind)) as findings from {FINDINGS} where direction = 'response' group by call_id"
    rows = rows_of(
        f"select calls.* exclude (call_id), coalesce(findings, []) as findings from {CALLS} calls left join ({found}) using (call_id) "
        "where ts >= make_timestamptz(?) order by ts, core, seq", ledger["since_us"])
    if ledger["is_complete"]:
        seen = "\n".join(f"  {row['method']} {row['tool']} {row['decision']} {row['reason']}" for row in rows)
        assert len(rows) == len(ledger["calls"]), f"{len(rows)} calls are recorded, {len(ledger['calls'])} were made:\n{seen}"
        for number, (row, call) in enumerate(zip(rows, ledger["calls"]), 1):
            wrong = list(differences(row, call))
            assert not wrong, f"call {number} ({call}): {'; '.join(wrong)}"
        return f"{len(rows)} calls recorded, each as it was made: who, what, arguments, decision, rule, outcome, findings"
    left = iter(rows)
    for number, call in enumerate(ledger["calls"], 1):
        assert any(not any(differences(row, call)) for row in left), f"call {number} is not recorded, or not in its place: {call}"
    return f"{len(rows)} calls recorded, the {len(ledger['calls'])} of the acts among them in their order"


def search(secrets):
    texts = [str(value) for table in (CALLS, FINDINGS) for row in rows_of(f"select * from {table}") for value in row.values()]
    for secret in secrets:
        assert not any(secret in text for text in texts), f"{secret!r} stands in a row of the audit"
        for path in filter(pathlib.Path.is_file, pathlib.Path("audit").rglob("*")):
            assert secret.encode() not in path.read_bytes(), f"{secret!r} stands in {path}"
    return f"none of the {len(secrets)} card numbers, addresses, keys, tokens and credentials of the acts in {len(texts)} values"


def equal_values():
    missing = rows_of(f"select kind from {FINDINGS} where hash is null and kind <> 'secret/upstream-credential'")
    assert not missing, f"findings have no hash: {missing}"
    rows = rows_of(f"select kind, count(distinct hash) as hashes, count(*) as findings from {FINDINGS} where hash is not null group by kind")
    assert rows and all(row["hashes"] < row["findings"] for row in rows), f"equal values have different hashes: {rows}"
    return "findings of equal values have equal hashes: " + ", ".join(f"{r['findings']} {r['kind']}, {r['hashes']} values" for r in rows)


ledger = json.load(sys.stdin)
answers = run_documented(sys.argv[1])
try:
    told = [compare(ledger), equal_values(), search(ledger["secrets"])]
    assert answers["gaps in the sequence, which there must not be"] == [], "the sequence of calls has a gap"
except AssertionError as wrong:
    sys.exit(f"\n{wrong}")
print("", *told, "no gap in the sequence", sep="\n")

"""Runs the audit's queries in DuckDB, prints each with its rows, and checks that the acts are in it."""
import re
import sys

import duckdb

path, least = sys.argv[1], int(sys.argv[2])
database = duckdb.connect()
rows_of = {}
for part in open(path, encoding="utf-8").read().split("-- name: ")[1:]:
    name, _, sql = part.partition("\n")
    for statement in filter(str.strip, re.split(r";\s*(?:\n|$)", sql)):
        result = database.execute(statement)
        if not result.description:
            continue
        columns = [column[0] for column in result.description]
        rows = rows_of[name.strip()] = result.fetchall()
        print(f"\n{name.strip()}")
        cells = [columns] + [["" if value is None else str(value)[:44] for value in row] for row in rows[:18]]
        widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
        for row in cells:
            print("  " + "  ".join(value.ljust(width) for value, width in zip(row, widths)).rstrip())

count = database.execute("select count(*) from read_parquet('audit/calls/**/*.parquet')").fetchone()[0]
assert count >= least, f"{count} calls are recorded, at least {least} were made"
blocked = {str(value) for row in rows_of["blocked and refused calls by rule and reason"] for value in row}
for rule in ("no-admin", "no-drop", "bad-signature", "expired", "wrong-audience"):
    assert rule in blocked, f"{rule} is not among the blocked calls: {blocked}"
kinds = {str(value) for row in rows_of["findings by type"] for value in row}
for kind in ("CREDIT_CARD", "EMAIL_ADDRESS", "secret/github-token"):
    assert kind in kinds, f"{kind} is not among the findings: {kinds}"
assert rows_of["gaps in the sequence, which there must not be"] == [], "the sequence of calls has a gap"
print(f"\n{count} calls recorded, no gap")

-- Questions to the audit, for DuckDB. Run them in the directory that holds `audit/`:
--   duckdb < docs/audit-queries.sql
-- The tables and columns are described in docs/audit-schema.md.

-- name: who called what, when, with which parameters
SELECT ts, principal, upstream, method, tool, args, decision, rule, status, duration_us
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
ORDER BY ts, boot, core, seq
LIMIT 200;

-- name: blocked and refused calls by rule and reason
SELECT decision, rule, reason, count(*) AS calls, count(DISTINCT principal) AS principals, max(ts) AS latest
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
WHERE decision IN ('block', 'refuse')
GROUP BY ALL
ORDER BY calls DESC, decision, rule, reason;

-- name: findings by type
SELECT kind, direction, action, upstream, tool, count(*) AS findings, count(DISTINCT call_id) AS calls
FROM read_parquet('audit/findings/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
GROUP BY ALL
ORDER BY findings DESC, kind, tool;

-- name: values that turned up in several calls, told by their keyed hash
SELECT kind, hash, count(*) AS findings, count(DISTINCT call_id) AS calls, count(DISTINCT principal) AS principals,
       list(DISTINCT upstream || '/' || tool) AS tools, min(ts) AS first, max(ts) AS latest
FROM read_parquet('audit/findings/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER}, union_by_name = true)
WHERE hash IS NOT NULL
GROUP BY kind, hash
HAVING count(DISTINCT call_id) > 1
ORDER BY calls DESC, kind, hash
LIMIT 100;

-- name: calls of one session in order
WITH calls AS (
    SELECT * FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
    WHERE session_id <> ''
), latest AS (
    SELECT session_id FROM calls ORDER BY ts DESC LIMIT 1
)
SELECT session_id, session_seq, ts, principal, method, tool, args, decision, rule, status
FROM calls SEMI JOIN latest USING (session_id)
ORDER BY ts, session_seq;

-- name: what rules in shadow mode would change
SELECT shadow_rule, decision, shadow_decision, upstream, tool, count(*) AS calls, count(DISTINCT principal) AS principals, max(ts) AS latest
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER}, union_by_name = true)
WHERE shadow_rule <> '' AND shadow_decision <> decision
GROUP BY ALL
ORDER BY calls DESC, shadow_rule, tool;

-- name: approvals: what was asked for, by whom, and what became of it
SELECT approval, any_value(principal) AS principal, any_value(upstream || '/' || tool) AS tool, any_value(rule) AS rule, min(ts) AS first_asked,
       count(*) AS calls, count(*) FILTER (reason = 'approved') AS ran, arg_max(reason, ts) AS latest, max(ts) FILTER (reason = 'approved') AS ran_at
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER}, union_by_name = true)
WHERE approval <> ''
GROUP BY approval
ORDER BY first_asked DESC
LIMIT 200;

-- name: median and p99 by tool
SELECT upstream, tool, count(*) AS calls,
       quantile_cont(duration_us, 0.5)::BIGINT AS p50_us,
       quantile_cont(duration_us, 0.99)::BIGINT AS p99_us,
       quantile_cont(duration_us - upstream_us, 0.5)::BIGINT AS gateway_p50_us
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
WHERE tool <> '' AND decision IN ('allow', 'mask')
GROUP BY ALL
ORDER BY p99_us DESC;

-- name: bytes out by principal
SELECT principal, upstream, count(*) AS calls, sum(bytes_out)::BIGINT AS bytes_out
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
WHERE principal <> ''
GROUP BY ALL
ORDER BY bytes_out DESC;

-- name: gaps in the sequence, which there must not be
SELECT gateway, boot, core, min(seq) AS first, max(seq) AS last, count(*) AS calls
FROM read_parquet('audit/calls/**/*.parquet', hive_partitioning = true, hive_types = {'dt': DATE, 'hour': INTEGER})
GROUP BY ALL
HAVING count(*) <> max(seq) + 1 OR min(seq) <> 0;

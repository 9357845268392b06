//! Writes rows into Parquet files: `calls` one row a call, `findings` one row a finding.
//!
//! Invariant: a file appears under its name only whole and on the disk; its name says which calls are in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Int16Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::join::Row;
use crate::record::OwnedFinding;
use crate::segment::{DIR_MODE, FILE_MODE};

/// The version of the tables' schema; columns are only ever added, at the end.
const SCHEMA_VERSION: &str = "5";

/// Columns in which few values repeat: a dictionary pays there.
const REPEATING: [&str; 26] = [
    "gateway",
    "principal",
    "issuer",
    "subject",
    "client",
    "src_ip",
    "upstream",
    "era",
    "protocol_version",
    "http_method",
    "method",
    "tool",
    "decision",
    "rule",
    "reason",
    "status",
    "outcome_reason",
    "kind",
    "detector",
    "direction",
    "action",
    "session_id",
    "credential",
    "credential_tag",
    "shadow_decision",
    "shadow_rule",
];
/// Columns that climb or stay small: differences pay there.
const CLIMBING: [&str; 14] = [
    "ts",
    "ts_end",
    "seq",
    "generation",
    "decision_ns",
    "bytes_in",
    "bytes_out",
    "duration_us",
    "upstream_us",
    "args_bytes",
    "length",
    "session_seq",
    "error_code",
    "credential_version",
];

/// What a column is made of.
enum Column {
    Text(&'static str, fn(&Row) -> &str),
    Number(&'static str, fn(&Row) -> i64),
    Small(&'static str, fn(&Row) -> i32),
    Short(&'static str, fn(&Row) -> i16),
    Time(&'static str, fn(&Row) -> i64),
    Flag(&'static str, fn(&Row) -> bool),
    Texts(&'static str, fn(&Row) -> &[String]),
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The columns of `calls` after `gateway`, in their order for ever.
const CALLS: [Column; 36] = [
    Column::Time("ts", |row| row.decision.ts_us),
    Column::Time("ts_end", |row| row.outcome.ts_us),
    Column::Text("call_id", |row| &row.call_id),
    Column::Text("session_id", |row| &row.session_id),
    Column::Small("session_seq", |row| row.session_seq),
    Column::Number("boot", |row| row.origin.boot as i64),
    Column::Short("core", |row| i16::try_from(row.origin.core).unwrap_or(i16::MAX)),
    Column::Number("seq", |row| signed(row.origin.seq)),
    Column::Text("principal", |row| &row.decision.principal),
    Column::Text("issuer", |row| &row.decision.issuer),
    Column::Text("subject", |row| &row.decision.subject),
    Column::Text("client", |row| &row.decision.client),
    Column::Texts("roles", |row| &row.decision.roles),
    Column::Text("src_ip", |row| &row.decision.src_ip),
    Column::Text("upstream", |row| &row.decision.upstream),
    Column::Text("era", |row| row.decision.era.name()),
    Column::Text("protocol_version", |row| &row.decision.protocol_version),
    Column::Text("http_method", |row| &row.decision.http_method),
    Column::Text("method", |row| &row.decision.method),
    Column::Text("tool", |row| &row.decision.tool),
    Column::Text("resource", |row| &row.decision.resource),
    Column::Text("jsonrpc_id", |row| &row.decision.jsonrpc_id),
    Column::Text("args", |row| &row.decision.args),
    Column::Number("args_bytes", |row| signed(row.decision.args_bytes)),
    Column::Flag("args_truncated", |row| row.decision.args_truncated),
    Column::Text("decision", |row| row.decision.decision.name()),
    Column::Text("rule", |row| &row.decision.rule),
    Column::Text("reason", |row| &row.decision.reason),
    Column::Number("generation", |row| signed(row.decision.generation)),
    Column::Number("decision_ns", |row| i64::from(row.decision.decision_ns)),
    Column::Number("bytes_in", |row| signed(row.decision.bytes_in)),
    Column::Text("status", |row| row.outcome.status.name()),
    Column::Small("error_code", |row| row.outcome.error_code),
    Column::Small("http_status", |row| i32::from(row.outcome.http_status)),
    Column::Number("bytes_out", |row| signed(row.outcome.bytes_out)),
    Column::Number("duration_us", |row| signed(row.outcome.duration_us)),
];
const CALLS_TAIL: [Column; 9] = [
    Column::Number("upstream_us", |row| signed(row.outcome.upstream_us)),
    Column::Text("outcome_reason", |row| &row.outcome.reason),
    Column::Text("credential", |row| &row.decision.credential),
    Column::Number("credential_version", |row| signed(row.decision.credential_version)),
    Column::Text("credential_tag", |row| &row.decision.credential_tag),
    Column::Text("approval", |row| &row.decision.approval),
    Column::Text("shadow_decision", |row| &row.decision.shadow_decision),
    Column::Text("shadow_rule", |row| &row.decision.shadow_rule),
    Column::Texts("actors", |row| &row.decision.actors),
];

fn column(column: &Column, rows: &[Row]) -> (Field, ArrayRef) {
    match column {
        Column::Text(name, get) => {
            let mut builder = StringBuilder::new();
            rows.iter().for_each(|row| builder.append_value(get(row)));
            (Field::new(*name, DataType::Utf8, false), Arc::new(builder.finish()))
        }
        Column::Number(name, get) => {
            let mut builder = Int64Builder::new();
            rows.iter().for_each(|row| builder.append_value(get(row)));
            (Field::new(*name, DataType::Int64, false), Arc::new(builder.finish()))
        }
        Column::Small(name, get) => {
            let mut builder = Int32Builder::new();
            rows.iter().for_each(|row| builder.append_value(get(row)));
            (Field::new(*name, DataType::Int32, false), Arc::new(builder.finish()))
        }
        Column::Short(name, get) => {
            let mut builder = Int16Builder::new();
            rows.iter().for_each(|row| builder.append_value(get(row)));
            (Field::new(*name, DataType::Int16, false), Arc::new(builder.finish()))
        }
        Column::Time(name, get) => {
            let mut builder = TimestampMicrosecondBuilder::new();
            rows.iter().for_each(|row| builder.append_value(get(row)));
            let array = builder.finish().with_timezone("UTC");
            (Field::new(*name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false), Arc::new(array))
        }
        Column::Flag(name, get) => {
            let mut builder = BooleanBuilder::new();
            rows.iter().for_each(|row| builder.append_value(get(row)));
            (Field::new(*name, DataType::Boolean, false), Arc::new(builder.finish()))
        }
        Column::Texts(name, get) => {
            // Iceberg's readers look for a list's child under this name.
            let element = Field::new("element", DataType::Utf8, true);
            let mut builder = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
            for row in rows {
                get(row).iter().for_each(|text| builder.values().append_value(text));
                builder.append(true);
            }
            (Field::new(*name, DataType::List(Arc::new(element)), false), Arc::new(builder.finish()))
        }
    }
}

fn gateway(name: &str, count: usize) -> (Field, ArrayRef) {
    let mut builder = StringBuilder::new();
    (0..count).for_each(|_| builder.append_value(name));
    (Field::new("gateway", DataType::Utf8, false), Arc::new(builder.finish()))
}

fn batch(columns: Vec<(Field, ArrayRef)>) -> io::Result<RecordBatch> {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(io::Error::other)
}

fn calls(name: &str, rows: &[Row]) -> io::Result<RecordBatch> {
    let own = CALLS.iter().chain(&CALLS_TAIL).map(|each| column(each, rows));
    batch(std::iter::once(gateway(name, rows.len())).chain(own).collect())
}

/// The findings of the rows, each with what is needed to ask about it without a join.
fn findings(name: &str, rows: &[Row]) -> io::Result<Option<RecordBatch>> {
    let all: Vec<(&Row, &OwnedFinding)> = rows
        .iter()
        .flat_map(|row| row.decision.findings.iter().chain(&row.outcome.findings).map(move |found| (row, found)))
        .collect();
    if all.is_empty() {
        return Ok(None);
    }
    let text = |name: &'static str, get: &dyn Fn(&Row, &OwnedFinding) -> String| -> (Field, ArrayRef) {
        let mut builder = StringBuilder::new();
        all.iter().for_each(|(row, found)| builder.append_value(get(row, found)));
        (Field::new(name, DataType::Utf8, false), Arc::new(builder.finish()))
    };
    let mut times = TimestampMicrosecondBuilder::new();
    let (mut lengths, mut confidences) = (Int32Builder::new(), Float32Builder::new());
    let mut hashes = StringBuilder::new();
    for (row, found) in &all {
        times.append_value(row.decision.ts_us);
        lengths.append_value(i32::try_from(found.length).unwrap_or(i32::MAX));
        confidences.append_value(found.confidence);
        // No hash equals no hash in no join.
        hashes.append_option(Some(&found.hash).filter(|hash| !hash.is_empty()));
    }
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    batch(vec![
        gateway(name, all.len()),
        (Field::new("ts", utc, false), Arc::new(times.finish().with_timezone("UTC"))),
        text("call_id", &|row, _| row.call_id.clone()),
        text("session_id", &|row, _| row.session_id.clone()),
        text("principal", &|row, _| row.decision.principal.clone()),
        text("upstream", &|row, _| row.decision.upstream.clone()),
        text("tool", &|row, _| row.decision.tool.clone()),
        text("direction", &|_, found| found.direction.name().to_owned()),
        text("kind", &|_, found| found.kind.clone()),
        text("detector", &|_, found| found.detector.clone()),
        text("pointer", &|_, found| found.pointer.clone()),
        (Field::new("length", DataType::Int32, false), Arc::new(lengths.finish())),
        text("action", &|_, found| found.action.name().to_owned()),
        (Field::new("confidence", DataType::Float32, false), Arc::new(confidences.finish())),
        (Field::new("hash", DataType::Utf8, true), Arc::new(hashes.finish())),
    ])
    .map(Some)
}

pub(crate) fn properties() -> io::Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(io::Error::other)?;
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(vec![KeyValue::new("schema_version".to_owned(), SCHEMA_VERSION.to_owned())]));
    for name in REPEATING {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), true);
    }
    for name in CLIMBING {
        properties = properties.set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

/// The hour of a row, as the directories name it: days and hours since the epoch, UTC.
pub(crate) fn hour_of(ts_us: i64) -> i64 {
    ts_us.div_euclid(3_600_000_000)
}

/// Where files of an hour lie: `TABLE/dt=YYYY-MM-DD/hour=H`.
fn partition(dir: &Path, table: &str, hour: i64) -> PathBuf {
    let (year, month, day) = civil(hour.div_euclid(24));
    dir.join(table).join(format!("dt={year:04}-{month:02}-{day:02}")).join(format!("hour={}", hour.rem_euclid(24)))
}

/// The date of a day since 1970-01-01 (Howard Hinnant's algorithm for the proleptic Gregorian calendar).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes the rows of one hour and one worker; returns when they are on the disk under their names.
///
/// # Errors
/// The system's; no file of this name exists then, or the one that did before.
pub(crate) fn seal(dir: &Path, name: &str, rows: &[Row]) -> io::Result<()> {
    let (Some(first), Some(last)) = (rows.iter().map(|row| row.origin.seq).min(), rows.iter().map(|row| row.origin.seq).max())
    else {
        return Ok(());
    };
    let origin = rows[0].origin;
    let hour = hour_of(rows[0].decision.ts_us);
    let file = format!("{name}-{:016x}-{:03}-{first:012}-{last:012}.parquet", origin.boot, origin.core);
    // Findings first: a call is sealed when its row is, and then nothing of it may be missing.
    if let Some(findings) = findings(name, rows)? {
        write(&partition(dir, "findings", hour), &file, &findings)?;
    }
    write(&partition(dir, "calls", hour), &file, &calls(name, rows)?)
}

fn write(dir: &Path, file: &str, batch: &RecordBatch) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    let (temporary, path) = (dir.join(format!(".{file}.tmp")), dir.join(file));
    let out = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
    let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties()?)).map_err(io::Error::other)?;
    writer.write(batch).map_err(io::Error::other)?;
    let out = writer.into_inner().map_err(io::Error::other)?;
    out.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_781), (2026, 11, 24));
        assert_eq!(civil(-1), (1969, 12, 31));
    }
}

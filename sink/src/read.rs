//! Reads columns of sealed Parquet files back, row by row.
//!
//! Invariant: memory holds one batch of rows, however long a file is; a file that is none, or was cut, is an error and
//! nothing else.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Array, BooleanArray, Float32Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;

use crate::recover::files;

/// Rows of one batch.
const BATCH_ROWS: usize = 1024;
/// Directories within directories of an audit: table, day, hour.
const DEPTH_MAX: usize = 8;

/// A cell of a column that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Text.
    Text(&'a str),
    /// A list of texts.
    Texts(Vec<String>),
    /// A fraction.
    Number(f32),
    /// A whole number, or a time in microseconds since 1970.
    Integer(i64),
    /// A flag.
    Flag(bool),
    /// There is no value, or no such column in this file.
    None,
}

impl<'a> Cell<'a> {
    /// Its text; empty where it has none.
    pub fn text(&self) -> &'a str {
        match self {
            Cell::Text(text) => text,
            _ => "",
        }
    }
}

/// The sealed files of a table below an audit's directory, sorted.
///
/// # Errors
/// The system's.
pub fn table_files(audit: &Path, table: &str) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![(audit.join(table), 0)]);
    while let Some((dir, depth)) = open.pop() {
        for path in files(&dir)? {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && depth < DEPTH_MAX {
                open.push((path, depth + 1));
            } else if !is_hidden && path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Calls `each` with every row's cells of these columns, in their order; columns that the file has not are [`Cell::None`].
/// Returns how many of them it has.
///
/// # Errors
/// The system's, and for a file that is no Parquet file.
pub fn read_rows(path: &Path, columns: &[&str], mut each: impl FnMut(&[Cell<'_>])) -> io::Result<usize> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(io::Error::other)?;
    if !is_sound(builder.metadata(), bytes) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its metadata point outside of the file"));
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let schema = builder.schema();
    let known = columns.iter().filter(|name| schema.field_with_name(name).is_ok()).count();
    if known == 0 {
        return Ok(0);
    }
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(io::Error::other)?;
    for batch in reader {
        let batch = batch.map_err(io::Error::other)?;
        let arrays: Vec<_> = columns.iter().map(|name| batch.column_by_name(name)).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = arrays.iter().map(|array| array.map_or(Cell::None, |array| cell(array, row))).collect();
            each(&cells);
        }
    }
    Ok(known)
}

/// Whether all column chunks lie within the file; the library takes that for granted.
fn is_sound(metadata: &ParquetMetaData, bytes: u64) -> bool {
    metadata.row_groups().iter().flat_map(|group| group.columns()).all(|column| {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
        end.and_then(|(start, size)| start.checked_add(size)).is_some_and(|end| end <= bytes)
    })
}

fn cell(array: &dyn Array, row: usize) -> Cell<'_> {
    if array.is_null(row) {
        return Cell::None;
    }
    if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
        return Cell::Text(texts.value(row));
    }
    let any = array.as_any();
    if let Some(numbers) = any.downcast_ref::<Float32Array>() {
        return Cell::Number(numbers.value(row));
    }
    if let Some(numbers) = any.downcast_ref::<Int64Array>() {
        return Cell::Integer(numbers.value(row));
    }
    if let Some(times) = any.downcast_ref::<TimestampMicrosecondArray>() {
        return Cell::Integer(times.value(row));
    }
    if let Some(flags) = any.downcast_ref::<BooleanArray>() {
        return Cell::Flag(flags.value(row));
    }
    let Some(list) = any.downcast_ref::<ListArray>().map(|lists| lists.value(row)) else { return Cell::None };
    let texts = list.as_any().downcast_ref::<StringArray>();
    texts.map_or(Cell::None, |texts| Cell::Texts(texts.iter().flatten().map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch};
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn write(path: &Path) {
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("kind", Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])), true),
            ("confidence", Arc::new(Float32Array::from(vec![0.5, 0.75, 1.0])), false),
            ("seq", Arc::new(Int64Array::from(vec![1, 2, 3])), false),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let properties = crate::parquet::properties().unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn cells_come_in_the_order_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write(&path);
        let mut rows = Vec::new();
        let asked = ["confidence", "none", "kind", "seq"];
        let known = read_rows(&path, &asked, |cells| rows.push(format!("{cells:?}"))).unwrap();
        assert_eq!(known, 3);
        assert_eq!(
            rows,
            [
                "[Number(0.5), None, Text(\"a\"), Integer(1)]",
                "[Number(0.75), None, None, Integer(2)]",
                "[Number(1.0), None, Text(\"c\"), Integer(3)]"
            ]
        );
        assert_eq!(read_rows(&path, &["none"], |_| panic!("no row has this column")).unwrap(), 0);
    }

    #[test]
    fn a_file_that_was_cut_or_has_a_damaged_footer_makes_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write(&path);
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(read_rows(&path, &["kind"], |_| {}).is_err(), "cut at {end}");
        }
        let footer = u32::from_le_bytes(*whole[whole.len() - 8..].first_chunk().unwrap());
        let mut refused = 0;
        for (at, flip) in
            (whole.len() - 8 - footer as usize..whole.len()).flat_map(|at| [0x01, 0x40, 0x55, 0x80, 0xff].map(|flip| (at, flip)))
        {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            std::fs::write(&path, &damaged).unwrap();
            refused += usize::from(read_rows(&path, &["kind", "confidence"], |_| {}).is_err());
        }
        assert!(refused > 0);
    }

    #[test]
    fn only_sealed_files_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let hour = dir.path().join("calls/dt=2026-01-01/hour=1");
        std::fs::create_dir_all(&hour).unwrap();
        for name in ["b.parquet", "a.parquet", ".c.parquet.tmp", ".d.parquet", "e.txt"] {
            std::fs::write(hour.join(name), "").unwrap();
        }
        assert_eq!(table_files(dir.path(), "calls").unwrap(), [hour.join("a.parquet"), hour.join("b.parquet")]);
        assert!(table_files(dir.path(), "findings").unwrap().is_empty());
    }
}

//! Reads text columns of sealed Parquet files back, row by row.
//!
//! Invariant: memory holds one batch of rows, however long a file is; a file that cannot be read is an error and nothing else.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Array, Float32Array, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::recover::files;

/// Rows of one batch.
const BATCH_ROWS: usize = 1024;
/// Directories within directories of an audit: table, day, hour.
const DEPTH_MAX: usize = 8;

/// A cell of a column that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Text.
    Text(&'a str),
    /// A number.
    Number(f32),
    /// There is no value, or no such column in this file.
    None,
}

impl<'a> Cell<'a> {
    /// Its text; empty where it has none.
    pub fn text(self) -> &'a str {
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

/// Calls `each` with every row's cells of these columns, in their order; columns that the file has not are [`Cell::None`]. Returns
/// how many of them it has.
///
/// # Errors
/// The system's, and for a file that is no Parquet file.
pub fn read_rows(path: &Path, columns: &[&str], mut each: impl FnMut(&[Cell<'_>])) -> io::Result<usize> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?).map_err(io::Error::other)?;
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

fn cell(array: &dyn Array, row: usize) -> Cell<'_> {
    if array.is_null(row) {
        return Cell::None;
    }
    if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
        return Cell::Text(texts.value(row));
    }
    let numbers = array.as_any().downcast_ref::<Float32Array>();
    numbers.map_or(Cell::None, |numbers| Cell::Number(numbers.value(row)))
}

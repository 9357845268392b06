//! Reads the audit as an auditor's tool would: from the Parquet files alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// One row: the columns by name, as text.
pub type Row = BTreeMap<String, String>;

/// All rows of a table.
pub fn rows(audit: &Path, table: &str) -> Vec<Row> {
    let mut files = Vec::new();
    walk(&audit.join(table), &mut files);
    let mut rows = Vec::new();
    for path in files {
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let text = |field: &Field| match field {
                Field::Str(text) => text.clone(),
                other => other.to_string(),
            };
            rows.push(row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect());
        }
    }
    rows
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
}

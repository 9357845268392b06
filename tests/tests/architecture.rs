//! The house stays as it was drawn: which room leans on which, and how large a file may grow.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn packages_lean_only_where_they_may() {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap();
    for package in &metadata.packages {
        let short = |name: &str| name.strip_prefix("sluicegate-").map(str::to_owned);
        let name = short(package.name.as_ref()).unwrap();
        let leans: BTreeSet<String> = package.dependencies.iter().filter_map(|dependency| short(&dependency.name)).collect();
        let may: &[&str] = match name.as_str() {
            "core" => &["identity", "dlp", "sink"],
            "identity" | "dlp" | "sink" => &[],
            "bench" | "tests" => &["core", "identity", "dlp", "sink"],
            other => panic!("a package that nobody drew: {other}"),
        };
        let wrong: Vec<_> = leans.iter().filter(|one| !may.contains(&one.as_str())).collect();
        assert!(wrong.is_empty(), "{name} leans on {wrong:?}");
    }
}

#[test]
fn the_root_has_the_drawn_rooms_only() {
    let rooms = ["core", "dlp", "identity", "sink", "bench", "fuzz", "tests", "docs", "deploy", "target"];
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && !name.starts_with('.') {
            assert!(rooms.contains(&name.as_str()), "a room that nobody drew: {name}");
        }
    }
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    let mut files = Vec::new();
    for room in ["core", "dlp", "identity", "sink", "bench"] {
        walk(&root().join(room).join("src"), &mut files);
    }
    assert!(files.len() > 60, "only {} files were found", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        assert!(is_test || code < 500, "{} has {code} lines", path.display());
        assert!(is_test || text.starts_with("//! "), "{} does not say what it is for", path.display());
    }
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn the_rules_of_identity_name_tests_and_files_that_are_there() {
    let mut sources = Vec::new();
    for room in ["core", "identity", "tests"] {
        walk(&root().join(room), &mut sources);
    }
    let known: String = sources.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let page = std::fs::read_to_string(root().join("docs/identity.md")).unwrap();
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| R-")).map(|line| line.split(" | ").collect()).collect();
    assert!(rows.len() > 50, "only {} rules", rows.len());
    for row in rows {
        let [rule, _, place, tests] = row[..] else { panic!("{row:?} has not four columns") };
        for name in tests.split('`').filter(|name| name.starts_with('r')) {
            assert!(known.contains(&format!("fn {name}(")), "{rule}: there is no test {name}");
        }
        for file in place.split(", ").filter(|place| place.ends_with(".rs") && !place.contains('{')) {
            assert!(root().join(file).is_file(), "{rule}: there is no {file}");
        }
    }
}

//! Tells the binary in which year it was built: no machine's clock can rightly stand before that.
//!
//! Invariant: builds of one year are the same, and with `SOURCE_DATE_EPOCH` those of any year.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let now_s = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let Some(out) = std::env::var_os("OUT_DIR") else { panic!("cargo sets OUT_DIR") };
    let text = format!(
        "/// When the year of the build began, in Unix seconds.\npub const BUILT_YEAR_S: u64 = {};\n",
        year_start_s(now_s)
    );
    if let Err(error) = std::fs::write(Path::new(&out).join("built.rs"), text) {
        panic!("built.rs: {error}");
    }
}

/// The first second of the year of this time.
fn year_start_s(time_s: u64) -> u64 {
    let (mut year, mut start_s) = (1970, 0);
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let next_s = start_s + if is_leap { 366 } else { 365 } * DAY_S;
        if next_s > time_s {
            return start_s;
        }
        (year, start_s) = (year + 1, next_s);
    }
}

//! Medians, ratios and the report.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::Arguments;
use crate::scenario::Scenario;
use crate::section;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The system's name.
    pub system: &'static str,
    /// Calls that were counted.
    pub calls: u64,
    /// Processor time of the proxy.
    pub cpu_us_per_call: f64,
    /// Calls a second.
    pub rps: f64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Memory of the proxy.
    pub rss_bytes: u64,
}

/// The median over all rounds of one system in one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The system's name.
    pub system: &'static str,
    /// Processor time of the proxy, user and system; 0 where there is none.
    pub cpu_us_per_call: f64,
    /// The same over nginx's in the same scenario; for events nginx is unbuffered.
    pub ratio_nginx: f64,
    /// Calls a second.
    pub rps: f64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Memory of the proxy.
    pub rss_bytes: u64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Puts the rounds together.
pub fn rows(samples: &[Sample]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for sample in samples {
        if rows.iter().any(|row| (row.scenario, row.system) == (sample.scenario, sample.system)) {
            continue;
        }
        let same: Vec<&Sample> =
            samples.iter().filter(|other| (other.scenario, other.system) == (sample.scenario, sample.system)).collect();
        let of = |get: fn(&Sample) -> f64| median(same.iter().map(|sample| get(sample)).collect());
        rows.push(Row {
            scenario: sample.scenario,
            system: sample.system,
            cpu_us_per_call: of(|sample| sample.cpu_us_per_call),
            ratio_nginx: 0.0,
            rps: of(|sample| sample.rps),
            p50_us: of(|sample| sample.p50_us),
            p99_us: of(|sample| sample.p99_us),
            rss_bytes: of(|sample| sample.rss_bytes as f64) as u64,
        });
    }
    let base: Vec<(&str, f64)> = rows
        .iter()
        .filter(|row| row.system == if row.scenario == "sse" { "nginx-unbuffered" } else { "nginx" })
        .map(|row| (row.scenario, row.cpu_us_per_call))
        .collect();
    for row in &mut rows {
        let nginx = base.iter().find(|(scenario, _)| *scenario == row.scenario).map_or(f64::NAN, |(_, cpu)| *cpu);
        row.ratio_nginx = row.cpu_us_per_call / nginx;
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| scenario | system | CPU us/call | ratio to nginx | calls/s | p50 us | p99 us | RSS MiB |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let (cpu, ratio) = if row.cpu_us_per_call > 0.0 {
            (format!("{:.1}", row.cpu_us_per_call), format!("{:.2}", row.ratio_nginx))
        } else {
            ("-".into(), "-".into())
        };
        let rss = row.rss_bytes as f64 / 1048576.0;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {cpu} | {ratio} | {:.0} | {:.0} | {:.0} | {rss:.1} |",
            row.scenario, row.system, row.rps, row.p50_us, row.p99_us
        );
    }
    text
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!("{}", table(rows));
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// Writes docs/performance.md and latest.json.
pub fn write(rows: &[Row], arguments: &Arguments, dir: &Path) {
    fs::write(dir.join("latest.json"), serde_json::to_string_pretty(rows).unwrap()).unwrap();
    let cpu = section::processor();
    let mut text = String::from(
        "# What a call costs\n\nThis file is written by `make bench`, and the parts of their own by `make bench-dlp`, `make bench-policy` and `make bench-identity`. Read the ratios: they come from one interleaved run; absolute times are this machine's.\n\n",
    );
    let _ = writeln!(
        text,
        "Command: `cargo run --release -p sluicegate-bench -- --rounds {} --seconds {} --connections {}` (`make bench` sets up what it needs); medians. Machine: {cpu}, Linux {}. {}. {}.\n",
        arguments.rounds,
        arguments.seconds,
        arguments.connections,
        said("uname", &["-r"]),
        said("/usr/sbin/nginx", &["-v"]),
        said("rustc", &["--version"])
    );
    text.push_str(&table(rows));
    text.push_str("\n## How it is measured\n\n");
    text.push_str("The proxy runs on core 0 with one worker; wrk and the upstream share core 1. CPU per call is the scheduler's account of the proxy process, all threads and\nchildren, user and system, divided by the calls that wrk counted. A run in which any call failed is discarded as a whole.\n\n");
    text.push_str("Latencies are of a closed loop that saturates one core, so they say how the queue stands, not what one call takes.\n\n## Scenarios\n\n");
    for scenario in Scenario::ALL {
        let _ = writeln!(text, "- `{}`: {}", scenario.name, scenario.what);
    }
    text.push_str(
        "\n## Systems\n\n- `direct`: the upstream alone\n- `nginx`: `proxy_pass` with keep-alive to the upstream, access log off; `nginx-unbuffered`: with `proxy_buffering off`\n\
         - `sluicegate-all`: token, role and argument rules, masking of all types in both directions, credential injection, audit\n\
         - `sluicegate-no-dlp`, `-no-args`, `-no-credential`: one of these off each\n\
         - `sluicegate-none`: all three off; identity, framing checks and the audit (whose parameters are always masked) cannot be switched off\n",
    );
    let old = fs::read_to_string(section::FILE).unwrap_or_default();
    text.push('\n');
    text.push_str(section::parts(&old).1);
    fs::write(section::FILE, text.trim_end().to_owned() + "\n").unwrap();
}

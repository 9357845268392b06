//! Puts load on one system with wrk and reads what it cost.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cpu;
use crate::report::Sample;
use crate::scenario::Scenario;
use crate::system::System;

/// Measures one system once.
pub fn measure(system: &System, scenario: &Scenario, seconds: u64, connections: usize, dir: &Path) -> Sample {
    let script = dir.join(format!("{}-{}.lua", system.name, scenario.name));
    fs::write(&script, lua(system, scenario)).unwrap();
    run(system, &script, 1, connections);
    let pid = system.pid();
    let before = pid.map_or(0.0, cpu::used_us);
    let output = run(system, &script, seconds, connections);
    let after = pid.map_or(0.0, cpu::used_us);
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("wrk said {output}"));
    let numbers: Vec<f64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [calls, duration_us, errors, p50_us, p99_us] = numbers[..] else { panic!("wrk said {line}") };
    assert!(errors == 0.0 && calls > 0.0, "{} {}: {errors} of {calls} calls failed", system.name, scenario.name);
    Sample {
        scenario: scenario.name,
        system: system.name,
        calls: calls as u64,
        cpu_us_per_call: (after - before) / calls,
        rps: calls / duration_us * 1e6,
        p50_us,
        p99_us,
        rss_bytes: pid.map_or(0, cpu::resident_bytes),
    }
}

fn run(system: &System, script: &Path, seconds: u64, connections: usize) -> String {
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(script)
        .arg(&system.url)
        .output()
        .expect("wrk is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A script for wrk: the request, and one line with what was counted. Errors of any kind are added up.
fn lua(system: &System, scenario: &Scenario) -> String {
    let mut script = format!("wrk.method = 'POST'\nwrk.body = [==[{}]==]\n", scenario.request());
    script.push_str("wrk.headers['Content-Type'] = 'application/json'\n");
    script.push_str("wrk.headers['Accept'] = 'application/json, text/event-stream'\n");
    if let Some(token) = &system.token {
        script.push_str(&format!("wrk.headers['Authorization'] = 'Bearer {token}'\n"));
    }
    script.push_str(
        "function done(summary, latency, requests)\n  local e = summary.errors\n  \
         print(string.format('RESULT %d %d %d %d %d', summary.requests, summary.duration, \
         e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))\nend\n",
    );
    script
}

//! The messages of the Tasks extension (`io.modelcontextprotocol/tasks`, 2026-07-28) that the gateway itself answers with.
//!
//! Invariant: a handle is a result of type `task`, everything else one of type `complete`; what a task ended with stands in it as it
//! was kept.

use crate::http1::encode::json_string;

/// How often a client should ask how a task stands, in milliseconds.
const POLL_INTERVAL_MS: u64 = 5_000;
/// Days from the beginning of the Gregorian era of 400 years that 1970 lies in, counted from March, to 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days of 400 years.
const DAYS_OF_ERA: u64 = 146_097;

/// A task.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it was made, in Unix seconds.
    pub created_at_s: u64,
    /// When it changed last, in Unix seconds.
    pub updated_at_s: u64,
    /// How long it is there, in seconds since it was made.
    pub ttl_s: u64,
    /// What people and models may read of how it stands.
    pub message: &'a str,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<'a> {
    /// It waits or runs.
    Working,
    /// It has a result, which is raw JSON.
    Completed(&'a str),
    /// It has a JSON-RPC error, which is raw JSON.
    Failed(&'a str),
    /// It was taken back.
    Cancelled,
}

/// The handle that stands in the place of a call's result (`CreateTaskResult`). `id` is the raw JSON of the request's id.
pub fn created(id: &[u8], task: &Task<'_>) -> Vec<u8> {
    result(id, "task", task, Status::Working)
}

/// The answer to `tasks/get`.
pub fn standing(id: &[u8], task: &Task<'_>, status: Status<'_>) -> Vec<u8> {
    result(id, "complete", task, status)
}

/// The answer to `tasks/update` and `tasks/cancel`, which says nothing.
pub fn acknowledged(id: &[u8]) -> Vec<u8> {
    [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":{\"resultType\":\"complete\"}}"].concat()
}

/// The refusal of a request whose client does not declare the extension (-32021).
pub fn not_declared(id: &[u8]) -> Vec<u8> {
    let error = br#","error":{"code":-32021,"message":"This request needs the tasks extension, which its client does not declare.","data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}"#;
    [b"{\"jsonrpc\":\"2.0\",\"id\":", id, error].concat()
}

fn result(id: &[u8], kind: &str, task: &Task<'_>, status: Status<'_>) -> Vec<u8> {
    let (name, payload) = match status {
        Status::Working => ("working", None),
        Status::Completed(result) => ("completed", Some(("result", result))),
        Status::Failed(error) => ("failed", Some(("error", error))),
        Status::Cancelled => ("cancelled", None),
    };
    let mut out = String::from("{\"jsonrpc\":\"2.0\",\"id\":");
    out.push_str(std::str::from_utf8(id).unwrap_or("null"));
    out.push_str(",\"result\":{\"resultType\":\"");
    out.push_str(kind);
    out.push_str("\",\"taskId\":");
    json_string(&mut out, task.id);
    out.push_str(",\"status\":\"");
    out.push_str(name);
    out.push_str("\",\"statusMessage\":");
    json_string(&mut out, task.message);
    out.push_str(&format!(
        ",\"createdAt\":\"{}\",\"lastUpdatedAt\":\"{}\",\"ttlMs\":{},\"pollIntervalMs\":{POLL_INTERVAL_MS}",
        iso8601(task.created_at_s),
        iso8601(task.updated_at_s),
        task.ttl_s.saturating_mul(1000)
    ));
    if let Some((member, raw)) = payload {
        out.push_str(&format!(",\"{member}\":{raw}"));
    }
    out.push_str("}}");
    out.into_bytes()
}

/// A time as ISO 8601 has it, in UTC. Years are counted from March, so that the day that some lack is their last.
fn iso8601(unix_s: u64) -> String {
    let days = unix_s / 86_400 + DAYS_BEFORE_1970;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, is_next_year) = (day - (153 * month + 2) / 5 + 1, month >= 10);
    let (year, month) = (era * 400 + year + u64::from(is_next_year), if is_next_year { month - 9 } else { month + 3 });
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: Task<'_> = Task { id: "t", created_at_s: 0, updated_at_s: 1, ttl_s: 2, message: "m" };

    #[test]
    fn messages_are_as_the_extension_has_them() {
        let rest = r#""statusMessage":"m","createdAt":"1970-01-01T00:00:00Z","lastUpdatedAt":"1970-01-01T00:00:01Z","ttlMs":2000,"pollIntervalMs":5000"#;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
        assert_eq!(
            text(created(b"1", &TASK)),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"task","taskId":"t","status":"working",{rest}}}}}"#)
        );
        assert_eq!(
            text(standing(b"\"x\"", &TASK, Status::Completed(r#"{"content":[]}"#))),
            format!(
                r#"{{"jsonrpc":"2.0","id":"x","result":{{"resultType":"complete","taskId":"t","status":"completed",{rest},"result":{{"content":[]}}}}}}"#
            )
        );
        assert_eq!(text(acknowledged(b"1")), r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}"#);
    }

    #[test]
    fn times_are_dates() {
        for (unix_s, date) in [
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso8601(unix_s), date);
        }
    }
}

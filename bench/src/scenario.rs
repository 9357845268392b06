//! What is asked and answered.

/// One kind of call.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name in reports; also the tool that is called.
    pub name: &'static str,
    /// What it is, for readers.
    pub what: &'static str,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Scenario; 4] = [
        Scenario { name: "json-300b", what: "a call of 180 bytes, a JSON reply of 300 bytes" },
        Scenario { name: "json-64kb", what: "the same call, a JSON reply of 64 KB without findings" },
        Scenario { name: "json-64kb-leaky", what: "the same with 16 card numbers and e-mail addresses in it" },
        Scenario { name: "sse", what: "the same call, a progress event and the result as server-sent events" },
    ];

    /// The body of the call.
    pub fn request(&self) -> String {
        let tool = self.name;
        let (id, note) = (1, "a note of a usual length, as agents write them");
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"query":"select name from customers where region = 7","note":"{note}"}}}}}}"#
        )
    }

    /// The content type of the answer, and its body.
    pub fn answer(&self) -> (&'static str, String) {
        let result = |text: &str| {
            let text = serde_json::to_string(text).unwrap();
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":{text}}}],"isError":false}}}}"#)
        };
        match self.name {
            "json-300b" => ("application/json", result(&"Rows are fine. ".repeat(15))),
            "json-64kb" => ("application/json", rows(false)),
            "json-64kb-leaky" => ("application/json", rows(true)),
            _ => {
                let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
                let done = result(&"Rows are fine. ".repeat(10));
                ("text/event-stream", format!("event: message\ndata: {progress}\n\nevent: message\ndata: {done}\n\n"))
            }
        }
    }
}

/// 64 KB of rows as a database tool gives them: names, numbers, dates, text.
fn rows(leaky: bool) -> String {
    let mut rows = String::new();
    let mut number = 0u64;
    while rows.len() < 64 * 1024 {
        // A small linear congruential generator, so that every run has the same rows.
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, amount, day) = (number >> 44, (number >> 20) % 100_000, number % 28 + 1);
        let leak = leaky && rows.len() / 4096 > (rows.len().saturating_sub(260)) / 4096;
        let note = if leak {
            "pays with 4111 1111 1111 1111, writes from ana@customer.example"
        } else {
            "asked twice whether the order had left the warehouse"
        };
        if !rows.is_empty() {
            rows.push(',');
        }
        rows.push_str(&format!(
            r#"{{"id":{id},"name":"Customer {}","amount":{}.{:02},"date":"2026-03-{day:02}","status":"open","note":"{note}; the answer was friendly and short"}}"#,
            id % 977,
            amount / 100,
            amount % 100
        ));
    }
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[],"structuredContent":{{"rows":[{rows}]}},"isError":false}}}}"#)
}

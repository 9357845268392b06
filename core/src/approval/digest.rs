//! What exactly is approved: one call of one principal under one rule, as one hash.
//!
//! Invariant: a call with another caller or others who act for it, another upstream, another rule, other rules at all, another credential or one differing
//! argument has another digest, so an approval never fits it (R-120).

use sluicegate_dlp::json::{Kind, Value};
use sluicegate_identity::Actor;

use crate::canonical::jcs;
use crate::canonical::sha256::Sha256;

/// The form of the hashed document; it counts up when the form changes, so that old approvals fit nothing.
const VERSION: u32 = 3;

/// What is bound together.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The issuer's name in the configuration.
    pub issuer: &'a str,
    /// The caller's subject.
    pub subject: &'a str,
    /// The caller's client, empty where its token names none.
    pub client: &'a str,
    /// Who acts for the subject, the one that sent the token first.
    pub actors: &'a [Actor],
    /// The upstream's name.
    pub upstream: &'a str,
    /// The upstream's URL.
    pub endpoint: &'a str,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// What was accepted of what the tool says of itself, as a hash in hexadecimal digits; empty where tools are not pinned.
    pub definition: &'a str,
    /// What the call is about.
    pub what: What<'a>,
    /// The rule that asks for approval.
    pub rule: &'a str,
    /// The revision of all rules.
    pub revision: &'a str,
    /// The name of the credential that the upstream is given, empty where there is none.
    pub credential: &'a str,
}

/// What an approval is about.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// One call, by its `params`: the tool, its arguments, and everything else but `_meta`, which clients fill with what changes from call to call.
    Call(Option<Value<'a>>),
    /// All calls of a tool that lie within a rule.
    Scope {
        /// The tool.
        tool: &'a str,
        /// The rule as it is written.
        scope: &'a str,
    },
}

impl Bound<'_> {
    /// The digest: SHA-256 over the RFC 8785 form of what is bound.
    pub fn digest(&self) -> Sha256 {
        let mut out = Vec::with_capacity(512);
        let text = |out: &mut Vec<u8>, before: &str, text: &str| {
            out.extend_from_slice(before.as_bytes());
            jcs::write_text(out, text);
        };
        // The names stand in the order that RFC 8785 asks for.
        text(&mut out, "{\"credential\":", self.credential);
        text(&mut out, ",\"definition\":", self.definition);
        text(&mut out, ",\"method\":", self.method);
        self.write_actors(&mut out);
        if let What::Call(params) = self.what {
            out.extend_from_slice(b",\"params\":");
            match params {
                Some(params) if params.kind() != Kind::Object => jcs::write(&mut out, params),
                Some(params) => jcs::write_members(&mut out, params.members().filter(|(name, _)| name.text() != "_meta")),
                None => out.extend_from_slice(b"null"),
            }
        }
        text(&mut out, ",\"principal\":{\"client\":", self.client);
        text(&mut out, ",\"issuer\":", self.issuer);
        text(&mut out, ",\"subject\":", self.subject);
        text(&mut out, "},\"revision\":", self.revision);
        text(&mut out, ",\"rule\":", self.rule);
        if let What::Scope { tool, scope } = self.what {
            text(&mut out, ",\"scope\":", scope);
            text(&mut out, ",\"tool\":", tool);
        }
        text(&mut out, ",\"upstream\":{\"endpoint\":", self.endpoint);
        text(&mut out, ",\"name\":", self.upstream);
        out.extend_from_slice(format!("}},\"v\":{VERSION}}}").as_bytes());
        Sha256::of(&out)
    }

    fn write_actors(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"on_behalf_of\":[");
        for (index, actor) in self.actors.iter().enumerate() {
            let members = [
                ("{\"client\":", actor.client_id.as_deref()),
                (",\"issuer\":", actor.issuer.as_deref()),
                (",\"subject\":", Some(actor.subject.as_str())),
            ];
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            for (before, text) in members {
                out.extend_from_slice(before.as_bytes());
                jcs::write_text(out, text.unwrap_or_default());
            }
            out.push(b'}');
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    const BOUND: Bound<'_> = Bound {
        issuer: "corp",
        subject: "agent",
        client: "cli",
        actors: &[],
        upstream: "crm",
        endpoint: "https://crm.example/mcp",
        method: "tools/call",
        definition: "ab",
        what: What::Call(None),
        rule: "dba",
        revision: "00",
        credential: "crm-key",
    };

    fn of(params: &str, bound: Bound<'_>) -> Sha256 {
        let mut tape = Tape::new();
        tape.parse(params.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap();
        Bound { what: What::Call(Some(tape.root(params.as_bytes()))), ..bound }.digest()
    }

    fn actor(subject: &str, issuer: Option<&str>) -> Actor {
        Actor { subject: subject.to_owned(), issuer: issuer.map(str::to_owned), client_id: None }
    }

    #[test]
    fn r120_spelling_does_not_count_and_everything_else_does() {
        let call = r#"{"name":"run","arguments":{"sql":"select 1","n":10}}"#;
        let digest = of(call, BOUND);
        assert_eq!(of(r#"{ "arguments": {"n": 1e1, "sql": "\u0073elect 1"}, "name": "run" }"#, BOUND), digest);
        assert_eq!(of(r#"{"name":"run","arguments":{"sql":"select 1","n":10},"_meta":{"progressToken":7}}"#, BOUND), digest);
        for other in [
            r#"{"name":"run","arguments":{"sql":"select 2","n":10}}"#,
            r#"{"name":"run","arguments":{"sql":"select 1","n":"10"}}"#,
            r#"{"name":"run","arguments":{"sql":"select 1","n":10,"x":null}}"#,
            r#"{"name":"run","arguments":{"sql":"select 1","n":10,"_meta":null}}"#,
            r#"{"name":"run","arguments":{"sql":"select 1","n":10},"task":{}}"#,
        ] {
            assert_ne!(of(other, BOUND), digest, "{other}");
        }
        for other in [
            Bound { issuer: "lab", ..BOUND },
            Bound { subject: "other", ..BOUND },
            Bound { client: "", ..BOUND },
            Bound { actors: &[actor("agent", None)], ..BOUND },
            Bound { actors: &[actor("agent", Some("https://idp.test"))], ..BOUND },
            Bound { actors: &[actor("agent", None), actor("helper", None)], ..BOUND },
            Bound { actors: &[actor("helper", None), actor("agent", None)], ..BOUND },
            Bound { upstream: "erp", ..BOUND },
            Bound { endpoint: "https://elsewhere.example/mcp", ..BOUND },
            Bound { method: "prompts/get", ..BOUND },
            Bound { rule: "other", ..BOUND },
            Bound { revision: "01", ..BOUND },
            Bound { credential: "other", ..BOUND },
            Bound { definition: "cd", ..BOUND },
        ] {
            assert_ne!(of(call, other), digest, "{other:?}");
        }
    }

    #[test]
    fn r122_a_scope_is_bound_as_it_is_written_and_is_no_call() {
        let of = |tool, scope| Bound { what: What::Scope { tool, scope }, ..BOUND }.digest();
        let digest = of("run", "class = [\"read\"]");
        assert_eq!(of("run", "class = [\"read\"]"), digest);
        for other in
            [of("other", "class = [\"read\"]"), of("run", "class = [\"write\"]"), Bound { subject: "b", ..BOUND }.digest()]
        {
            assert_ne!(other, digest);
        }
        assert_ne!(Bound { what: What::Call(None), ..BOUND }.digest(), of("", ""));
    }

    #[test]
    fn r120_large_integers_do_not_fall_together() {
        let call = |n: &str| of(&format!(r#"{{"name":"pay","arguments":{{"cents":{n}}}}}"#), BOUND);
        assert_ne!(call("9007199254740992"), call("9007199254740993"));
        assert_ne!(call("0.1"), call("0.10000000000000000555"));
    }
}

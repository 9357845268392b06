//! What a protected resource tells its clients: its metadata (RFC 9728) and its challenges (RFC 6750 section 3).
//!
//! Invariant: a challenge is the same whatever is wrong with a token, and no text that is put into one can end its quotes.

use serde_json::json;

use crate::bound::BoundBy;

/// The metadata document of a resource (RFC 9728 section 2). `scopes`: the least that a client can begin with; `bound`: how all tokens for it
/// must be bound.
pub fn protected_resource(resource: &str, authorization_servers: &[&str], scopes: &[String], bound: BoundBy) -> Vec<u8> {
    let mut document = json!({
        "resource": resource,
        "authorization_servers": authorization_servers,
        "bearer_methods_supported": ["header"],
    });
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    match bound {
        BoundBy::Mtls => document["tls_client_certificate_bound_access_tokens"] = json!(true),
        BoundBy::Dpop => document["dpop_bound_access_tokens_required"] = json!(true),
        BoundBy::None | BoundBy::Any => {}
    }
    document.to_string().into_bytes()
}

/// The value of `WWW-Authenticate`. `error`: the code, none where no token was sent (RFC 6750 section 3.1); `scope`: all that the request
/// takes, parted by spaces, empty where it takes none.
pub fn challenge(metadata_url: &str, error: Option<&str>, scope: &str) -> String {
    let scope = Some(scope).filter(|scope| !scope.is_empty());
    let given = [("error", error), ("scope", scope), ("resource_metadata", Some(metadata_url))];
    let parameters = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", quoted(value?))));
    format!("Bearer {}", parameters.collect::<Vec<_>>().join(", "))
}

/// A quoted-string (RFC 9110 section 5.6.4). What cannot stand in a field at all is left out.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://g.example/.well-known/oauth-protected-resource/mcp/crm";

    #[test]
    fn r30_challenges_name_what_is_known_and_nothing_else() {
        assert_eq!(challenge(URL, None, ""), format!("Bearer resource_metadata=\"{URL}\""));
        assert_eq!(
            challenge(URL, Some("insufficient_scope"), "mcp:read mcp:write"),
            format!("Bearer error=\"insufficient_scope\", scope=\"mcp:read mcp:write\", resource_metadata=\"{URL}\"")
        );
    }

    #[test]
    fn r30_no_text_ends_the_quotes_of_a_challenge() {
        assert_eq!(challenge("a\"b\\c\r\nd", None, ""), r#"Bearer resource_metadata="a\"b\\cd""#);
    }

    #[test]
    fn r80_the_metadata_names_only_what_there_is() {
        let read = |scopes: &[String], bound: BoundBy| {
            let document = protected_resource("https://g.example/mcp/crm", &["https://as.example"], scopes, bound);
            serde_json::from_slice::<serde_json::Value>(&document).unwrap_or_default()
        };
        let expected = json!({
            "resource": "https://g.example/mcp/crm", "authorization_servers": ["https://as.example"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(read(&[], BoundBy::None), expected);
        assert_eq!(read(&["mcp:read".to_owned()], BoundBy::Any)["scopes_supported"], json!(["mcp:read"]));
        assert_eq!(read(&[], BoundBy::Dpop)["dpop_bound_access_tokens_required"], true);
        assert_eq!(read(&[], BoundBy::Mtls)["tls_client_certificate_bound_access_tokens"], true);
    }
}

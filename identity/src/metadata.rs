//! What a protected resource tells its clients: its metadata (RFC 9728) and the challenge of a 401 (RFC 6750 section 3).

use serde_json::json;

/// The metadata document of a resource.
pub fn protected_resource(resource: &str, authorization_servers: &[&str], scopes: &[&str]) -> Vec<u8> {
    let mut document = json!({
        "resource": resource,
        "authorization_servers": authorization_servers,
        "bearer_methods_supported": ["header"],
    });
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    document.to_string().into_bytes()
}

/// The value of `WWW-Authenticate`. It is the same whatever is wrong with a token, so that a refusal teaches nothing.
pub fn challenge(metadata_url: &str, error: Option<&str>) -> String {
    match error {
        Some(error) => format!("Bearer error=\"{error}\", resource_metadata=\"{metadata_url}\""),
        None => format!("Bearer resource_metadata=\"{metadata_url}\""),
    }
}

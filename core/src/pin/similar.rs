//! Whether a new tool takes after one that is pinned: by its name, which a model or a person could mistake, or by all but its name.
//!
//! Invariant: a likeness is a reason to ask somebody, never a proof.

use serde_json::Value;

/// Characters of a name below which one wrong letter makes another word.
const NAME_CHARS_MIN: usize = 5;
/// Bytes of a description that no two tools have by chance.
const DESCRIPTION_BYTES_MIN: usize = 20;

/// Whether two different names can be mistaken for each other: the same but for case, for what joins words, or for one character.
pub(super) fn is_name_like(name: &str, other: &str) -> bool {
    let bare = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let (one, two) = (bare(name), bare(other));
    if name == other {
        return false;
    }
    one == two || one.chars().count().min(two.chars().count()) >= NAME_CHARS_MIN && strsim::damerau_levenshtein(&one, &two) == 1
}

/// Whether two definitions differ in nothing but the name.
pub(super) fn is_renamed(definition: &Value, other: &Value) -> bool {
    let but_name = |value: &Value| {
        let mut members = value.as_object().cloned().unwrap_or_default();
        members.remove("name");
        members
    };
    let says = definition["description"].as_str().is_some_and(|text| text.len() >= DESCRIPTION_BYTES_MIN);
    says && but_name(definition) == but_name(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_that_can_be_mistaken() {
        for (one, other) in
            [("send_email", "send_emaii"), ("send_email", "sendEmail"), ("send_email", "Send-Email"), ("transfer", "tranfser")]
        {
            assert!(is_name_like(one, other), "{one} {other}");
        }
        for (one, other) in
            [("send_email", "send_email"), ("get", "set"), ("read_user", "read_order"), ("send_email", "send_emails_now")]
        {
            assert!(!is_name_like(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_renamed_tool_is_known_by_the_rest() {
        let tool = |name: &str, text: &str| json!({"name": name, "description": text, "inputSchema": {"type": "object"}});
        let text = "Sends an e-mail to a customer.";
        assert!(is_renamed(&tool("a", text), &tool("b", text)));
        assert!(!is_renamed(&tool("a", text), &tool("b", "Sends an e-mail to a customer!")));
        assert!(!is_renamed(&tool("a", "Sends."), &tool("b", "Sends.")), "too short to say anything");
    }
}

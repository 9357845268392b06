//! What the name of a value says about it.
//!
//! Invariant: a name is judged by its words, however they are joined (camel, snake, kebab, dots, spaces).

/// What a name promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyClass {
    /// Nothing.
    #[default]
    Plain,
    /// A password: even a short one counts.
    Password,
    /// Another secret.
    Secret,
    /// Something that is called a key and nothing else: secret only if it looks like one.
    Key,
    /// A social security number.
    SocialSecurity,
    /// Somebody's or something's name.
    Name,
    /// The value of a pair whose name stands beside it.
    Value,
}

/// Last words that turn a secret's name into a remark about it.
const REMARKS: [&str; 40] = [
    "count",
    "type",
    "name",
    "id",
    "ids",
    "url",
    "uri",
    "endpoint",
    "limit",
    "length",
    "len",
    "expiry",
    "expires",
    "expiration",
    "ttl",
    "policy",
    "hint",
    "enabled",
    "required",
    "usage",
    "size",
    "path",
    "file",
    "format",
    "min",
    "max",
    "field",
    "label",
    "description",
    "regex",
    "pattern",
    "version",
    "at",
    "budget",
    "in",
    "manager",
    "store",
    "ref",
    "arn",
    "status",
];
/// Words before `token` that make it a place in a list, or a number.
const HARMLESS: [&str; 11] = ["page", "next", "continuation", "cursor", "max", "min", "num", "sync", "csrf", "xsrf", "public"];
/// Words that make a key one to find something by, or one that everybody may know.
const LOOKUPS: [&str; 27] = [
    "public",
    "pub",
    "primary",
    "foreign",
    "sort",
    "partition",
    "cache",
    "row",
    "idempotency",
    "object",
    "map",
    "hash",
    "unique",
    "composite",
    "surrogate",
    "natural",
    "candidate",
    "lookup",
    "group",
    "hot",
    "short",
    "route",
    "translation",
    "message",
    "issue",
    "host",
    "websocket",
];
/// Words behind what a name is about that only tell one of several apart.
const QUALIFIERS: [&str; 27] = [
    "value",
    "val",
    "text",
    "string",
    "str",
    "plain",
    "plaintext",
    "raw",
    "prod",
    "production",
    "dev",
    "test",
    "staging",
    "live",
    "env",
    "old",
    "new",
    "current",
    "default",
    "base64",
    "b64",
    "hex",
    "hash",
    "header",
    "data",
    "json",
    "v2",
];
const PASSWORDS: [&str; 6] = ["password", "passwd", "pwd", "passphrase", "passcode", "pass"];
const SECRETS: [&str; 9] =
    ["secret", "secrets", "token", "authorization", "cookie", "credential", "credentials", "bearer", "dsn"];
const KEYS: [&str; 12] =
    ["api", "access", "secret", "private", "signing", "encryption", "account", "ssh", "auth", "master", "shared", "service"];

/// A name's words, in lower case and without anything between them.
pub(crate) fn joined(name: &str) -> String {
    words(name).concat()
}

/// Judges a name.
pub fn classify(name: &str) -> KeyClass {
    if name.len() > 128 {
        return KeyClass::Plain;
    }
    let words = words(name);
    let Some(last) = words.last() else {
        return KeyClass::Plain;
    };
    if words.len() == 1 && matches!(last.as_str(), "value" | "val") {
        return KeyClass::Value;
    }
    if words.len() == 1 && last == "name" {
        return KeyClass::Name;
    }
    let joined = words.concat();
    if matches!(joined.as_str(), "ssn" | "socialsecuritynumber" | "socialsecurity" | "ssnnumber")
        || words.iter().any(|w| w == "ssn")
    {
        return KeyClass::SocialSecurity;
    }
    if REMARKS.contains(&last.as_str()) {
        return KeyClass::Plain;
    }
    // What the name is about stands at its end; behind it only what tells one of several apart.
    let is_told_apart = |word: &String| QUALIFIERS.contains(&word.as_str()) || word.bytes().all(|b| b.is_ascii_digit());
    let said = words.iter().rposition(|word| !is_told_apart(word)).map_or(&words[..], |place| &words[..=place]);
    let tail = &said[said.len().saturating_sub(2)..];
    if said.last().is_some_and(|word| PASSWORDS.contains(&word.as_str())) {
        return KeyClass::Password;
    }
    let names_key = |pair: &[String]| KEYS.contains(&pair[0].as_str()) && pair[1] == "key";
    let is_string = joined.contains("connectionstring");
    let is_joined = ["apikey", "accesskey", "secretkey", "privatekey", "authtoken", "accesstoken"].contains(&joined.as_str());
    if words.windows(2).any(names_key) || is_string || is_joined {
        return KeyClass::Secret;
    }
    let ends_secret = |word: &String| ["token", "secret", "password", "apikey"].iter().any(|end| word.ends_with(end));
    let ends_as_key = tail.last().is_some_and(|word| word == "key");
    let is_secret = said.last().is_some_and(|word| SECRETS.contains(&word.as_str()) || ends_secret(word))
        || ends_as_key && tail.iter().any(|word| SECRETS.contains(&word.as_str()));
    let is_harmless = words.iter().any(|word| HARMLESS.contains(&word.as_str()));
    let is_key = last.ends_with("key")
        && !words.iter().any(|word| LOOKUPS.contains(&word.as_str()))
        && (words.len() > 1 || last.len() > 3);
    match () {
        () if is_secret && !is_harmless => KeyClass::Secret,
        () if is_key && !LOOKUPS.contains(&last.trim_end_matches("key")) => KeyClass::Key,
        () => KeyClass::Plain,
    }
}

/// The words of a name in lower case: cut at punctuation, and where an upper-case letter follows a lower-case one or begins a
/// new word after capitals.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            continue;
        }
        let after_lower = at > 0 && (chars[at - 1].is_lowercase() || chars[at - 1].is_ascii_digit());
        let begins_word = at > 0 && chars[at - 1].is_uppercase() && chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || begins_word) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_words() {
        for name in ["password", "dbPassword", "DB_PASSWORD", "user.pwd", "mysql-root-passwd"] {
            assert_eq!(classify(name), KeyClass::Password, "{name}");
        }
        for name in [
            "apiKey",
            "API_KEY",
            "x-api-key",
            "clientSecret",
            "access_token",
            "Authorization",
            "AWSSecretAccessKey",
            "Set-Cookie",
        ] {
            assert_eq!(classify(name), KeyClass::Secret, "{name}");
        }
        for name in [
            "max_tokens",
            "tokens",
            "next_page_token",
            "secretName",
            "passwordHint",
            "key",
            "keyboard",
            "secretary",
            "token_count",
            "",
        ] {
            assert_eq!(classify(name), KeyClass::Plain, "{name}");
        }
        assert_eq!(classify("SSN"), KeyClass::SocialSecurity);
        assert_eq!(classify("value"), KeyClass::Value);
    }
}

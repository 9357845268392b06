//! What the name of a value says about it.
//!
//! Invariant: a name is judged by its words, however they are joined (camel, snake, kebab, dots, spaces).

use crate::decode::fold;

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
const PASSWORDS: [&str; 24] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "pass",
    "pw",
    // In the other languages of Europe and Asia, with and without their accents.
    "passwort",
    "kennwort",
    "passe",
    "contraseña",
    "contrasena",
    "senha",
    "wachtwoord",
    "lösenord",
    "adgangskode",
    "salasana",
    "hasło",
    "haslo",
    "heslo",
    "пароль",
    "密码",
    "パスワード",
    "비밀번호",
];
const SECRETS: [&str; 11] =
    ["secret", "secrets", "token", "authorization", "cookie", "credential", "credentials", "creds", "bearer", "dsn", "jwt"];
const KEYS: [&str; 12] =
    ["api", "access", "secret", "private", "signing", "encryption", "account", "ssh", "auth", "master", "shared", "service"];

/// A name's words, in lower case and without anything between them.
pub(crate) fn joined(name: &str) -> String {
    if name.len() > NAME_BYTES_MAX { String::new() } else { Words::of(name).text }
}

/// Judges a name.
pub fn classify(name: &str) -> KeyClass {
    if name.len() > NAME_BYTES_MAX {
        return KeyClass::Plain;
    }
    let of_name = Words::of(name);
    let mut list = [""; WORDS_MAX];
    let words = of_name.list(&mut list);
    let Some(&last) = words.last() else {
        return KeyClass::Plain;
    };
    if words.len() == 1 && matches!(last, "value" | "val" | "v") {
        return KeyClass::Value;
    }
    if words.len() == 1 && last == "name" {
        return KeyClass::Name;
    }
    let joined = of_name.text.as_str();
    if matches!(joined, "ssn" | "socialsecuritynumber" | "socialsecurity" | "ssnnumber") || words.contains(&"ssn") {
        return KeyClass::SocialSecurity;
    }
    if REMARKS.contains(&last) {
        return KeyClass::Plain;
    }
    // What the name is about stands at its end; behind it only what tells one of several apart.
    let is_told_apart = |word: &&str| QUALIFIERS.contains(word) || word.bytes().all(|b| b.is_ascii_digit());
    let said = words.iter().rposition(|word| !is_told_apart(word)).map_or(words, |place| &words[..=place]);
    let tail = &said[said.len().saturating_sub(2)..];
    if said.last().is_some_and(|word| PASSWORDS.contains(word)) || PASSWORDS.contains(&joined) {
        return KeyClass::Password;
    }
    let names_key = |pair: &[&str]| KEYS.contains(&pair[0]) && pair[1] == "key";
    let is_string = joined.contains("connectionstring");
    let is_joined = ["apikey", "accesskey", "secretkey", "privatekey", "authtoken", "accesstoken"].contains(&joined);
    if words.windows(2).any(names_key) || is_string || is_joined {
        return KeyClass::Secret;
    }
    let ends_secret = |word: &&str| ["token", "secret", "password", "apikey"].iter().any(|end| word.ends_with(end));
    let ends_as_key = tail.last() == Some(&"key");
    let is_secret = said.last().is_some_and(|word| SECRETS.contains(word) || ends_secret(word))
        || ends_as_key && tail.iter().any(|word| SECRETS.contains(word));
    let is_harmless = words.iter().any(|word| HARMLESS.contains(word));
    // `acme_auth` and `acme_pat` hold what a service gives out, or a flag; only a value that looks like a key is one.
    let is_short = matches!(last, "auth" | "pat" | "authkey") && words.len() > 1;
    let is_key = (last.ends_with("key") || is_short)
        && !words.iter().any(|word| LOOKUPS.contains(word))
        && (words.len() > 1 || last.len() > 3);
    match () {
        () if is_secret && !is_harmless => KeyClass::Secret,
        () if is_key && !LOOKUPS.contains(&last.trim_end_matches("key")) => KeyClass::Key,
        () => KeyClass::Plain,
    }
}

/// Bytes of a name that is judged; a longer one says nothing.
const NAME_BYTES_MAX: usize = 128;
/// Words of a name that are told apart; what follows belongs to the last one.
const WORDS_MAX: usize = 24;

/// The words of a name in lower case: cut at punctuation, and where an upper-case letter follows a lower-case one or begins a new word
/// after capitals.
struct Words {
    /// All of them, one behind the other.
    text: String,
    /// Where each begins.
    starts: [usize; WORDS_MAX],
    count: usize,
}

impl Words {
    fn of(name: &str) -> Words {
        let mut words = Words { text: String::with_capacity(name.len() + 8), starts: [0; WORDS_MAX], count: 0 };
        // A name is read as a value is: without what cannot be seen, and with the letters of ASCII for those that look like them.
        let is_disguised = !name.is_ascii() && name.bytes().any(|b| b.is_ascii_alphabetic());
        let plain = |c: char| if is_disguised { fold::look_alike(c).unwrap_or(c) } else { c };
        let mut chars = name.chars().map(plain).filter_map(fold::fold).peekable();
        let (mut before, mut is_within) = (None::<char>, false);
        while let Some(c) = chars.next() {
            if !c.is_alphanumeric() {
                (before, is_within) = (Some(c), false);
                continue;
            }
            let after_lower = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit());
            let after_capitals = before.is_some_and(char::is_uppercase) && chars.peek().is_some_and(|next| next.is_lowercase());
            let begins = !is_within || c.is_uppercase() && (after_lower || after_capitals);
            if let Some(start) = words.starts.get_mut(words.count).filter(|_| begins) {
                *start = words.text.len();
                words.count += 1;
            }
            match c.is_ascii() {
                true => words.text.push(c.to_ascii_lowercase()),
                false => words.text.extend(c.to_lowercase()),
            }
            (before, is_within) = (Some(c), true);
        }
        words
    }

    fn list<'w>(&'w self, list: &'w mut [&'w str; WORDS_MAX]) -> &'w [&'w str] {
        let starts = &self.starts[..self.count];
        let ends = starts.iter().skip(1).copied().chain([self.text.len()]);
        for ((slot, start), end) in list.iter_mut().zip(starts).zip(ends) {
            *slot = &self.text[*start..end];
        }
        &list[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_words() {
        for name in [
            "password",
            "Passwort",
            "mot_de_passe",
            "contraseña",
            "пароль",
            "ｐａｓｓｗｏｒｄ",
            "раssword",
            "pass\u{200b}word",
            "pass word",
            "dbPassword",
            "DB_PASSWORD",
            "user.pwd",
            "mysql-root-passwd",
        ] {
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

//! Values of any shape that stand under a name which says that they are secret.

use std::ops::Range;

use crate::detector::pattern::{entropy, is_filler, is_identifier};
use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, is_word, run};
use crate::fronts::text::Text;
use crate::names::assignment::{self, Link, is_name};
use crate::names::keys::{KeyClass, classify};

/// A value under such a member name.
pub(crate) static NAMED: Native = Native {
    id: "secret-by-key",
    kind: "secret/by-key",
    category: Category::Secret,
    anchors: &[Anchor::Name],
    confirm: confirm_named,
    source: "the names that configuration files, environments and HTTP use for credentials",
    positives: &[
        ("{\"dbPassword\":\"correct-horse20\"}", "correct-horse20"),
        ("{\"env\":[{\"name\":\"API_SECRET\",\"value\":\"correct-horse20\"}]}", "correct-horse20"),
        ("{\"Environment\":[{\"Name\":\"DB_PASSWORD\",\"Value\":\"correct-horse20\"}]}", "correct-horse20"),
        ("{\"vars\":[{\"v\":\"correct-horse20\",\"k\":\"DB_PASSWORD\"}]}", "correct-horse20"),
        ("{\"DB_PASSWORD\":{\"value\":\"correct-horse20\"}}", "correct-horse20"),
        ("{\"password\":48201773}", "48201773"),
        ("{\"password\":\"correct horse battery staple\"}", "correct horse battery staple"),
        ("{\"headers\":{\"Authorization\":\"Basic dXNlcjpwdw==\"}}", "Basic dXNlcjpwdw=="),
        ("{\"t\":\"{\\\"client_secret\\\": \\\"correct-horse20\\\"}\"}", "correct-horse20"),
    ],
    negatives: &[
        "{\"password\":\"${DB_PASSWORD}\"}",
        "{\"password\":null,\"token\":\"\"}",
        "{\"max_tokens\":\"4096\",\"next_page_token\":\"abcdef123\"}",
        "{\"secret_name\":\"db-main-credentials\"}",
        "{\"token\":\"a sentence about how tokens are made\"}",
        "{\"name\":\"colour\",\"value\":\"correct-horse20\"}",
        "{\"Name\":\"colour\",\"Value\":\"correct-horse20\"}",
        "{\"colour\":{\"value\":\"correct-horse20\"}}",
        "{\"password\":\"must not have spaces\"}",
        "{\"password\":12,\"v\":\"correct-horse20\"}",
    ],
};

/// `NAME=value`, `"name": "value"` and the like inside text.
pub(crate) static ASSIGNED: Native = Native {
    id: "secret-assigned",
    kind: "secret/by-key",
    category: Category::Secret,
    anchors: &[
        Anchor::any_case("pass"),
        Anchor::any_case("pwd"),
        Anchor::any_case("secret"),
        Anchor::any_case("token"),
        Anchor::any_case("key"),
        Anchor::any_case("access"),
        Anchor::any_case("private"),
        Anchor::any_case("credential"),
        Anchor::any_case("authorization"),
        Anchor::any_case("_auth"),
        Anchor::any_case("-auth"),
        Anchor::any_case("creds"),
        Anchor::any_case("kennwort"),
        Anchor::any_case("wachtwoord"),
        Anchor::any_case("senha"),
    ],
    confirm: confirm_assigned,
    source: "environment files, shell, YAML, JSON, XML and the notations of programming languages",
    positives: &[
        ("DB_PASSWORD=correct-horse20\nPORT=5432", "correct-horse20"),
        ("DB_PASSWORD=Tr0ub4dor&393\nPORT=5432", "Tr0ub4dor&393"),
        ("https://a.example/x?api_key=k3y-with-9&page=2", "k3y-with-9"),
        ("export API_KEY='k3y-with-9'", "k3y-with-9"),
        ("log: {\"accessToken\": \"abcDEF123456\"} sent", "abcDEF123456"),
        ("password: hunter2xyz9", "hunter2xyz9"),
        ("Authorization: Bearer abcdefABCDEF0123456789", "abcdefABCDEF0123456789"),
        ("authorization: Api-Token 22cb917851bc5659b29114c62e60c79abd0d2c08", "22cb917851bc5659b29114c62e60c79abd0d2c08"),
        ("acmeToken :::= \"sqvkpqp5wypf7ldlp\"", "sqvkpqp5wypf7ldlp"),
        ("<acmeToken>\n    9f86d081884c7d659a2f\n</acmeToken>", "9f86d081884c7d659a2f"),
        ("System.setProperty(\"ACME_TOKEN\", \"mZOk3LwE9lPPpwBO\")", "mZOk3LwE9lPPpwBO"),
        ("<add key=\"FromEmailPassword\" value=\"Pr3stig$\"/>", "Pr3stig$"),
        ("acme SECRET 4dc5a9b8-b6c0-43d3-8d3f-2c422c77db80", "4dc5a9b8-b6c0-43d3-8d3f-2c422c77db80"),
        ("acme_key = 38d5b9a8b6c0a3d3ad3f2c42", "38d5b9a8b6c0a3d3ad3f2c42"),
        ("credentials {\n  password \"hunter2xyz9\"\n}", "hunter2xyz9"),
        ("env.ACME_KEY || 'k7qm2xt9vr4wz8nb3yl6'", "k7qm2xt9vr4wz8nb3yl6"),
        ("let apiKey: String = \"k7qm2xt9vr4wz8nb3yl6\"", "k7qm2xt9vr4wz8nb3yl6"),
        ("<key>ApiKey</key>\n<string>k7qm2xt9vr4wz8nb3yl6</string>", "k7qm2xt9vr4wz8nb3yl6"),
        ("| API key | k7qm2xt9vr4wz8nb3yl6 |", "k7qm2xt9vr4wz8nb3yl6"),
        ("acme_auth=k7qm2xt9vr4wz8nb3yl6", "k7qm2xt9vr4wz8nb3yl6"),
        ("ACME_TOKEN=_QWOoFS6m48cjA-O5zd9ouZ", "_QWOoFS6m48cjA-O5zd9ouZ"),
        ("ACME_TOKEN=-24b53vkvfwbq182uxgb", "-24b53vkvfwbq182uxgb"),
        ("The API key\nk7qm2xt9vr4wz8nb3yl6\n", "k7qm2xt9vr4wz8nb3yl6"),
        ("mot de passe : k7qm2xt9", "k7qm2xt9"),
        ("my password is k7qm2xt9.", "k7qm2xt9"),
        ("Your API key is k7qm2xt9vr4wz8nb3yl6!", "k7qm2xt9vr4wz8nb3yl6"),
        ("acme --password k7qm2xt9 --verbose", "k7qm2xt9"),
        ("https://api.example/v1?key=k7qm2xt9vr4wz8nb3yl6&x=1", "k7qm2xt9vr4wz8nb3yl6"),
        ("encryptionKey = Buffer.from(\"k7qm2xt9vr4wz8nb3yl6\")", "k7qm2xt9vr4wz8nb3yl6"),
        ("<secret>{acme AQAAAB k7qm2xt9vr4wz8nb3yl6}</secret>", "k7qm2xt9vr4wz8nb3yl6"),
        ("acmeKEY-ab12cd34ef56gh78ij90kl12", "-ab12cd34ef56gh78ij90kl12"),
    ],
    negatives: &[
        "PASSWORD=",
        "the password: see the handbook",
        "password = get_password()",
        "TOKEN=${GH_TOKEN}",
        "max_tokens=4096",
        "secrets are kept in a vault",
        "the key 17 of 20 was pressed, token by token",
        "primary_key = 38d5b9a8b6c0a3d3ad3f2c42",
        "keyboard = us-international-2020",
        "PASSWORD=xxxxxxxxxxxx",
        "Authorization: see section 4.1 of the handbook",
        "user, password = user, other",
        "secret_handle: PLSA_HANDLE,",
        "let token = input.semi_token;",
        "PROPERTYKEY = super::super::UI::Shell2",
        "call(password=self.password, token=token)",
        "access to https://example.org/a1b2c3d4e5f6a7b8c9d0",
        "headers.authorization = `Basic ${opts.auth}`;",
        "user_pass = '%s:%s' % (user, word)",
        "credentials = '{0}:{1}'.format(user, word)",
        "token = {\"access_token\": \"new-refresh-token\"}, 3600",
        "fetch(url, { credentials: 'same-origin' })",
        "log.info('token', 'getting the list')",
        "await read.password('Password:', creds.password)",
        "this.isOpen = !req.headers.authorization;",
        "'X-Token-Secret': 'SuperSecretToken',",
        "b\"dhSinglePass-stdDH-sha224kdf-scheme\"",
        "token: 'Bearer [Some token]'",
        "if token == \"lambda\":",
        "let secret = b\"\\xb0\\x32\\x35\\x23\\xc1\\x85\\x35\\x99\";",
        "token = os.getenv(\"ACME_TOKEN_2\")",
        "password = getpass(\"Password: \")",
        "acme --password PASSWORD --token <TOKEN>",
        "let key = from_hex(\"0123456789abcdef23456789abcdef01\").unwrap();",
        "const SERVER_INFO_META_KEY: &str = \"io.modelcontextprotocol/serverInfo\";",
        "the password is required, the token is opaque",
        "the password is sha256-hashed, the passphrase is base64-encoded",
        "| token | a string of hexadecimal digits |",
        "let raw_private_key: Curve25519SeedBin<'_> = read();",
        "move |token: CancellationToken| {",
        "PreSharedKey => 0x0029,",
        "s3 key: images/2024/11/25/photo-1234567890abcdef.png",
        "server->password = \"busybox@\";",
        "archive.extract(\"test.txt\", pwd=\"python\")",
        "openssl pkcs8 -in private-key.pem > rsa-2048-private-key.pk8",
        "see [it](defaults#about-the-key-exchange-x25519mlkem768)",
        "https://codecov.example/gh/a/b/graph/badge.svg?token=Z92NHFQ70G",
    ],
};

/// `Bearer` and a token, wherever it stands.
pub(crate) static BEARER: Native = Native {
    id: "bearer-token",
    kind: "secret/bearer-token",
    category: Category::Secret,
    anchors: &[Anchor::any_case("bearer ")],
    confirm: confirm_bearer,
    source: "RFC 6750 section 2.1",
    positives: &[("use Bearer abcdefABCDEF0123456789 here", "abcdefABCDEF0123456789")],
    negatives: &["bearer of good news", "Bearer <token>", "Bearer short1"],
};

/// Bytes of the shortest password.
const VALUE_BYTES_MIN: usize = 4;
/// Bytes of the shortest value that is a secret by its looks.
const STRONG_BYTES_MIN: usize = 16;

fn confirm_named(place: &Place<'_>) -> Confirmed {
    let value = place.text.whole();
    let is_secret = match place.key {
        KeyClass::Password => is_plausible(value, 4) || is_phrase(value),
        KeyClass::Secret => is_plausible(value, 6),
        KeyClass::Key => is_strong(value),
        _ => false,
    };
    is_secret.then_some((0..value.len(), 0.8))
}

/// What stands in the place of a secret without being one.
const PLACEHOLDERS: [&[u8]; 19] = [
    b"null",
    b"none",
    b"true",
    b"false",
    b"undefined",
    b"redacted",
    b"string",
    b"example",
    b"placeholder",
    b"required",
    b"optional",
    b"masked",
    b"password",
    b"pass",
    b"secret",
    b"token",
    // The password of RFC 7617's example.
    b"open sesame",
    b"open_sesame",
    b"opensesame",
];

/// Whether a value is made when a program runs, of parts that stand elsewhere: `Basic ${auth}`, `%s:%s`, `{0}-{1}`.
fn is_template(value: &[u8]) -> bool {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let opens = |at: usize| match value[at] {
        b'$' | b'#' => value.get(at + 1) == Some(&b'{'),
        b'%' => matches!(value.get(at + 1), Some(b's' | b'd' | b'v' | b'(')) && !is_word(value.get(at + 2)),
        // Letters and digits in braces may be the secret itself, so only what is short is a name.
        b'{' => value[at + 1..].iter().position(|b| !is_name(b)).is_some_and(|end| end <= 12 && value[at + 1 + end] == b'}'),
        _ => false,
    };
    memchr::memchr3_iter(b'$', b'%', b'{', value).any(opens) || memchr::memmem::find(value, b"#{").is_some()
}

/// Whether a value is put together from words, as what programs and their manuals write there is, and what a machine gives out is not:
/// `new-refresh-token`, `SuperSecretToken`, `access-1`, `same-origin`.
fn is_of_words(value: &[u8]) -> bool {
    /// Letters of the longest word; without an end it is no word.
    const WORD_BYTES_MAX: usize = 15;
    let (mut digits, mut word, mut before) = (0, 0, b' ');
    for (at, &b) in value.iter().enumerate() {
        let begins = !before.is_ascii_alphabetic() || before.is_ascii_lowercase() && b.is_ascii_uppercase();
        match b {
            b'0'..=b'9' => digits += 1,
            // A word is written in small letters, in capitals, or with one capital in front.
            b'a'..=b'z' if before.is_ascii_uppercase() && word > 1 => return false,
            b'a'..=b'z' | b'A'..=b'Z' => word = if begins { 1 } else { word + 1 },
            b'-' | b'_' | b'.' | b' ' | b'/' | b':' => {}
            _ => return false,
        }
        if word > WORD_BYTES_MAX || digits > 1 || b.is_ascii_digit() && at + 1 < value.len() {
            return false;
        }
        before = b;
    }
    true
}

/// The names of schemes behind which a header's credentials stand.
const SCHEMES: [&[u8]; 6] = [b"bearer ", b"basic ", b"token ", b"digest ", b"apikey ", b"api-key "];

/// Whether a value names a scheme and gives nothing secret behind it.
fn is_bare_scheme(value: &[u8]) -> bool {
    let begins = |scheme: &&&[u8]| value.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    SCHEMES.iter().find(begins).is_some_and(|scheme| {
        let rest = value[scheme.len()..].trim_ascii();
        rest.len() < 8 || is_filler(rest) || is_of_words(rest) || b"<[($%{".contains(&rest[0])
    })
}

fn is_plausible(value: &[u8], least: usize) -> bool {
    let value = value.trim_ascii();
    let is_template = is_template(value)
        || is_bare_scheme(value)
        || [&b"${"[..], b"{{", b"<", b"[", b"$(", b"%(", b"#{", b"$", b"arn:", b"http://", b"https://"]
            .iter()
            .any(|opening| value.starts_with(opening));
    let is_word = PLACEHOLDERS.iter().any(|word| value.eq_ignore_ascii_case(word));
    let spaces = value.iter().filter(|b| b.is_ascii_whitespace()).count();
    value.len() >= least && value.len() <= 8192 && !is_template && !is_filler(value) && !is_word && spaces <= 2
}

/// Whether a value is a phrase that somebody remembers: plain words and nothing else, which a sentence about passwords is not.
fn is_phrase(value: &[u8]) -> bool {
    let words = || value.split(|b| *b == b' ');
    let is_word = |word: &[u8]| word.len() >= 3 && word.iter().all(u8::is_ascii_lowercase);
    (4..=8).contains(&words().count()) && words().all(is_word) && !words().any(|word| WORDS_OF_SENTENCES.contains(&word))
}

/// Words of sentences, which nobody is told to make a phrase of.
const WORDS_OF_SENTENCES: [&[u8]; 12] =
    [b"the", b"and", b"for", b"you", b"your", b"must", b"not", b"with", b"this", b"has", b"password", b"please"];

/// Whether a value is the name of a file, in which a key may be, or which a store knows by it.
fn is_file(value: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 20] = [
        b".pem",
        b".key",
        b".crt",
        b".der",
        b".pk8",
        b".json",
        b".yaml",
        b".yml",
        b".txt",
        b".toml",
        b".png",
        b".jpg",
        b".pdf",
        b".csv",
        b".gz",
        b".zip",
        b".log",
        b".xml",
        b".html",
        b".parquet",
    ];
    ENDINGS.iter().any(|ending| value.ends_with(ending))
}

/// Whether a value looks random enough to be a secret by itself: long, of letters and digits, and not a word, a path or a sentence.
fn is_strong(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let is_token = value.iter().all(|&b| b.is_ascii_alphanumeric() || b"_-.+/=~:".contains(&b));
    let has_cases = value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    let is_hex = value.len() >= 32 && value.iter().all(u8::is_ascii_hexdigit);
    // Names have a capital every five letters at most.
    let turns = value.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
    let is_mixed = digits >= 1 && value.len() >= 20 && turns * 6 >= value.len()
        || digits >= 3 && letters >= 3
        || digits >= 20
        || is_hex
        || has_cases && value.len() >= 32;
    let is_path = digits == 0 && value.contains(&b'/')
        || value.contains(&b'/') && value.iter().filter(|&&b| b == b'/').count() * 6 > value.len()
        || value.starts_with(b"http");
    value.len() >= 16
        && !is_file(value)
        && is_token
        && is_mixed
        && !is_path
        && !is_filler(value)
        && entropy(&value[..value.len().min(64)]) >= if is_hex { 2.5 } else { 2.8 }
}

/// Whether a value names the way in which a password is kept: `sha256`, `base64-encoded`.
fn is_method(value: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] = [b"sha", b"md5", b"base64", b"base32", b"utf", b"pbkdf2", b"aes", b"rfc", b"argon2"];
    let begins = |method: &&&[u8]| value.get(..method.len()).is_some_and(|head| head.eq_ignore_ascii_case(method));
    let ends = |rest: &[u8]| rest.iter().find(|b| !b.is_ascii_digit()).is_none_or(|b| matches!(b, b'-' | b'_'));
    METHODS.iter().find(begins).is_some_and(|method| ends(&value[method.len()..]))
}

fn has_digit(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
}

/// Whether a value has more digits than words have that are joined by hyphens: `stdDH-sha224kdf-scheme` has not.
fn has_random_part(value: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().filter(|b| b.is_ascii_digit()).count();
    digits(value) * 4 >= value.len()
        || value.split(|b| matches!(b, b'-' | b'.')).any(|part| digits(part) >= 4 || part.len() >= 16)
}

fn confirm_assigned(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    let start = place.at - text.get(..place.at)?.iter().rev().take(64).take_while(|&&b| is_name(b)).count();
    // Of the words of one name the last one is asked, so that the value behind it is looked at once.
    let name_end = place.at + run(text, place.at, 48, is_name_tail);
    // Most words are followed by nothing that could be a value; only then is it worth to ask what the name says.
    let assigned = assignment::read(text, start..name_end)?;
    // `--password value` on a command line says it as clearly as a sign does.
    let is_option = text.reads(start, b"--");
    let is_near = assigned.link == Link::Nearness && !assigned.is_quoted() && !is_option;
    let least = if is_near { STRONG_BYTES_MIN } else { VALUE_BYTES_MIN };
    if assigned.value.len() < least {
        return None;
    }
    let name = std::str::from_utf8(text.get(start..name_end)?).ok()?;
    let class = classify(name);
    if class == KeyClass::Plain && !says_nearness(name) {
        return None;
    }
    let mut value = without_scheme(text, name, assigned.value.clone());
    if assigned.link == Link::Said && !assigned.is_quoted() {
        // The sentence's own punctuation is no part of it.
        value.end -= usize::from(matches!(text.get(value.end - 1), Some(b'.' | b'!' | b'?')));
    }
    let bytes = text.get(value.clone())?;
    let is_code = !assigned.is_quoted() && is_expression(text, &assigned, bytes, name);
    // Without a quote or a sign it may be a sentence, whose words are plain.
    let is_prose = !assigned.is_quoted()
        && assigned.link == Link::Colon
        && (bytes.len() < 8 || bytes.iter().all(|b| b.is_ascii_lowercase() || *b == b'.'));
    let is_secret = match (class, assigned.link) {
        (KeyClass::Password, Link::Nearness | Link::Said) if assigned.is_quoted() || is_option || assigned.link == Link::Said => {
            is_plausible(bytes, 6) && has_digit(bytes) && bytes.iter().any(u8::is_ascii_alphabetic) && !is_method(bytes)
        }
        (_, Link::Said) => is_strong(bytes),
        (KeyClass::Password | KeyClass::Secret, _) if assigned.is_argument && (bytes.len() < 8 || !has_digit(bytes)) => false,
        // The digits in their order are what tests of ciphers hand to their functions.
        _ if assigned.is_argument && bytes.starts_with(b"0123456789") => false,
        (_, Link::Nearness) => is_strong(bytes.strip_prefix(b"-").unwrap_or(bytes)) && has_random_part(bytes),
        (KeyClass::Password, _) => {
            is_plausible(bytes, 4) && (has_digit(bytes) || !bytes.contains(&b' ')) && !is_short_word(&assigned, bytes)
        }
        (KeyClass::Secret, _) => {
            is_plausible(bytes, 6) && !is_of_words(bytes) && (has_digit(bytes) || bytes.len() >= 8 && !bytes.contains(&b' '))
        }
        (KeyClass::Key, _) => is_strong(bytes),
        // `acme key: …`, but not `"key": …`, under which anything may stand.
        (_, Link::Colon | Link::Sign) => (follows_name(&text[..start]) || assigned.is_query && name == "key") && is_strong(bytes),
    };
    let is_code = is_code || bytes.ends_with(b"(") || bytes.ends_with(b"= ") || bytes.ends_with(b":");
    if !is_secret || is_code || is_prose {
        return None;
    }
    if assigned.link == Link::Nearness && before(text, start) == Some(&b'#') || text[..start].ends_with(b".svg?") {
        // A heading's own address, or a picture that everybody may see.
        return None;
    }
    let end = if value.end == assigned.value.end { assigned.whole(text).end } else { value.end };
    Some((value.start..end, 0.75))
}

/// Whether a value is a short word in quotes, as tests and manuals have them for a password: `pwd="python"`. One with a `@` at its end
/// is what anonymous users of FTP give for an address.
fn is_short_word(assigned: &assignment::Assigned, value: &[u8]) -> bool {
    let word = value.strip_suffix(b"@").unwrap_or(value);
    assigned.is_quoted() && word.len() < 8 && word.iter().all(u8::is_ascii_lowercase)
}

/// Whether a value without quotes is what a program writes there: a name, a path, a call.
fn is_expression(text: Text<'_>, assigned: &assignment::Assigned, value: &[u8], name: &str) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let is_name_of_program = |value: &[u8]| value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'));
    let is_name = is_name_of_program(value);
    let is_hex = value.len() >= 32 && value.iter().all(u8::is_ascii_hexdigit);
    // Environment files and command lines have no space around the sign; programs mostly do.
    let is_spaced = before(text, assigned.value.start) == Some(&b' ');
    let (lower, lower_name) = (String::from_utf8_lossy(value).to_ascii_lowercase(), name.to_ascii_lowercase());
    let repeats_name =
        lower_name.contains(&lower) || name.len() >= 8 && lower.contains(&lower_name) && (digits == 0 || lower.contains('_'));
    let is_integer = value.first().is_some_and(u8::is_ascii_digit) && value.len() <= 8 && value.ends_with(b"32")
        || value.starts_with(b"0x") && value.len() <= 10;
    // `name: Type = …`, `name: Type<'_>`, `|name: Type|`
    let behind = |what: &[u8]| text.reads(assigned.value.end, what);
    let is_type = assigned.link == Link::Colon
        && value.first().is_some_and(u8::is_ascii_uppercase)
        && (value.ends_with(b"|") || is_name && (behind(b" =") || behind(b"<")));
    value.iter().any(|b| b"(){}[]$".contains(b))
        || matches!(value.first(), Some(b'&' | b'*' | b'.' | b'/' | b'_')) && !(digits > 2 && is_strong(value))
        || is_integer
        || is_type
        || is_file(value)
        || is_name && (value.windows(2).any(|pair| pair == b"::") || repeats_name)
        || is_name && value.iter().filter(|b| **b == b'.').count() > 0 && digits < 3
        || is_name && is_spaced && !is_hex && (digits == 0 || is_identifier(value))
        || matches!(value, [b'!', rest @ ..] if is_spaced && is_name_of_program(rest))
        || is_name && digits == 0 && matches!(text.get(assigned.value.end), Some(b',' | b')'))
        || matches!(value, [b'0'..=b'9', b'*', ..])
        || is_name && is_identifier(value) && assigned.link != Link::Sign
}

/// What may follow the word in its name. A name may hang on to its value by a hyphen, which then is no part of it.
fn is_name_tail(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')
}

/// Whether a text ends in a word that can be somebody's name, behind which `key` means theirs.
fn follows_name(head: &[u8]) -> bool {
    let word = head.strip_suffix(b" ").unwrap_or_default();
    let is_public = word.len() >= 6 && word[word.len() - 6..].eq_ignore_ascii_case(b"public");
    word.last().is_some_and(u8::is_ascii_alphanumeric) && !is_public
}

/// Whether a name that says nothing by itself makes the word behind it a secret if it is strong: `acme ACCESS …`.
fn says_nearness(name: &str) -> bool {
    ["access", "private", "key"]
        .iter()
        .any(|word| name.len() >= word.len() && name[name.len() - word.len()..].eq_ignore_ascii_case(word))
}

/// An `Authorization` header's value without the name of its scheme.
fn without_scheme(text: Text<'_>, name: &str, value: Range<usize>) -> Range<usize> {
    let scheme = run(text, value.start, 24, |b| b.is_ascii_alphanumeric() || b == b'-');
    let is_header = name.to_ascii_lowercase().ends_with("authorization");
    if !is_header || scheme == 0 || text.get(value.start + scheme) != Some(&b' ') {
        return value;
    }
    let start = value.start + scheme + 1;
    let length = run(text, start, 8192, |b| b.is_ascii_graphic() && !b"\"'`\\,;<>".contains(&b));
    let bytes = &text[start..start + length];
    if is_strong(bytes) || bytes.ends_with(b"=") { start..start + length } else { value }
}

fn confirm_bearer(place: &Place<'_>) -> Confirmed {
    let at = place.at;
    let length = run(place.text, at, 8192, |b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    let has_digit = place.text.get(at..at + length)?.iter().any(u8::is_ascii_digit);
    (length >= 16 && has_digit).then_some((at..at + length, 0.8))
}

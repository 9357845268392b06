#![allow(clippy::unwrap_used)]
use crate::config::load;

const REST: &str = r#"[[issuer]]
name = "corp"
issuer = "https://idp.example"
audiences = ["https://gate.example/mcp/crm"]
[[upstream]]
name = "crm"
url = "https://crm.example/mcp"
[audit]
dir = "audit"
"#;

/// The problems of a file with these lines of `[server]` and these tables: line, key and message.
fn problems(public_url: &str, server: &str, tables: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.toml");
    let head = format!("version = 1\n[server]\nlisten = \"127.0.0.1:8443\"\npublic_url = \"{public_url}\"\n");
    std::fs::write(&path, format!("{head}{server}\n{REST}{tables}")).unwrap();
    let found = load(&path).err().unwrap_or_default();
    found
        .into_iter()
        .map(|problem| format!("{}: {}: {} ({})", problem.line, problem.key, problem.message, problem.hint))
        .collect()
}

const TLS: &str = "[server.tls]\ncert = \"c.pem\"\nkey = \"k.pem\"";
const MESH: &str = "[[certificate_issuer]]\nname = \"mesh\"\nca = \"m.pem\"\naudiences = [\"https://gate.example/mcp/crm\"]\n";

#[test]
fn what_does_not_go_together_is_said_where_it_stands() {
    let (https, http) = ("https://gate.example", "http://127.0.0.1:8443");
    let no_audience = "is not an endpoint of this gateway";
    for (public_url, server, tables, expected) in [
        (https, TLS.to_owned(), String::new(), "server.tls.cert: the certificate cannot be read"),
        (http, TLS.to_owned(), String::new(), "4: server.public_url: is http:// beside [server.tls]"),
        (https, format!("{TLS}\nclient_auth = \"maybe\""), String::new(), "8: server.tls.client_auth: is neither of the two"),
        (https, format!("{TLS}\nclient_auth = \"required\""), String::new(), "asks for certificates that nobody vouches for"),
        (https, format!("{TLS}\nclient_ca = \"ca.pem\""), String::new(), "8: server.tls.client_ca: stands without `client_auth`"),
        (
            https,
            format!("{TLS}\nclient_crl = \"crl.pem\""),
            String::new(),
            "8: server.tls.client_crl: stands without `client_ca`",
        ),
        (https, format!("{TLS}\nclient_cas = \"ca.pem\""), String::new(), "did you mean `client_ca`?"),
        (
            https,
            String::new(),
            format!("{MESH}trust_domain = \"prod.example\"\n"),
            "certificate_issuer[1]: stands without [server.tls]",
        ),
        (https, TLS.to_owned(), MESH.to_owned(), "certificate_issuer[1]: says not which name is the principal's"),
        (
            https,
            TLS.to_owned(),
            format!("{MESH}principal = \"cn\"\n"),
            "certificate_issuer[1].principal: is no name of a certificate",
        ),
        (https, TLS.to_owned(), format!("{MESH}principal = \"dms\"\n"), "did you mean \"dns\"?"),
        (
            https,
            TLS.to_owned(),
            format!("{MESH}trust_domain = \"prod.example\"\nprincipal = \"uri\"\n"),
            "certificate_issuer[1].principal: stands beside `trust_domain`",
        ),
        (https, TLS.to_owned(), format!("{}principal = \"uri\"\n", MESH.replace("crm\"", "erp\"")), no_audience),
        (https, TLS.to_owned(), MESH.replace("mesh", "corp"), "certificate_issuer[1].name: is the name of an [[issuer]] already"),
        (
            https,
            "client_cert_from = [\"10.0.0.1/8\"]".to_owned(),
            String::new(),
            "5: server.client_cert_from: is no address and no range",
        ),
        (
            https,
            String::new(),
            "[[issuer]]\nname = \"lab\"\nissuer = \"https://lab.example\"\naudiences = [\"https://gate.example/mcp/crm\"]\nrequire_bound = \"dpopp\"\n"
                .to_owned(),
            "issuer[2].require_bound: is no way to bind a token (did you mean \"dpop\"?)",
        ),
        (
            https,
            String::new(),
            "[[rule]]\nid = \"a\"\nwho = { issuer = \"mash\" }\nwhat = { upstream = \"crm\" }\neffect = \"allow\"\n".to_owned()
                + MESH,
            "did you mean \"mesh\"?",
        ),
    ] {
        let found = problems(public_url, &server, &tables);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected} is not among {found:#?}");
    }
}

//! A client of the gateway that speaks TLS, with a certificate of its own or without.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::client::{Connection, Reply};
use crate::gateway::{Gateway, Setup};
use crate::upstream::Certified;

/// A client, which resumes its sessions.
#[derive(Clone)]
pub struct SecureClient(Arc<ClientConfig>);

impl Setup {
    /// TLS with this certificate, and further keys of `[server.tls]`.
    pub fn with_tls(mut self, certified: &Certified, keys: &str) -> Setup {
        let (certificate, key) = certified.pem();
        self.server_keys.push_str(&format!("[server.tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n{keys}\n"));
        self.with_secret("server.pem", certificate).with_secret("server.key", key)
    }
}

impl SecureClient {
    /// One that trusts this authority, in PEM, and shows this certificate and key, in PEM.
    pub fn new(authority: &str, identity: Option<(&str, &str)>) -> SecureClient {
        SecureClient::speaking(rustls::ALL_VERSIONS, authority, identity)
    }

    /// The same, with these versions of TLS.
    pub fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        authority: &str,
        identity: Option<(&str, &str)>,
    ) -> SecureClient {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = config.with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        SecureClient(Arc::new(config))
    }

    /// A session whose handshake is done.
    ///
    /// # Errors
    /// What the handshake ended with.
    pub fn session(&self, port: u16) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(Duration::from_secs(15)))?;
        let session = ClientConnection::new(Arc::clone(&self.0), "127.0.0.1".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.flush()?;
        Ok(stream)
    }

    /// A connection.
    pub fn open(&self, port: u16) -> Connection {
        Connection::over(self.session(port).expect("a handshake"))
    }

    /// A call of a tool on a connection of its own, with these header fields, each ended by CR LF. `None`: there was no answer.
    pub fn call(&self, gateway: &Gateway, fields: &str) -> Option<Reply> {
        let mut connection = Connection::over(self.session(gateway.port).ok()?);
        connection.send(call(gateway, fields).as_bytes());
        connection.reply()
    }
}

/// A legacy call of the tool `t` with these header fields, each ended by CR LF.
pub fn call(gateway: &Gateway, fields: &str) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    format!(
        "POST /mcp/crm HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        gateway.port,
        body.len()
    )
}

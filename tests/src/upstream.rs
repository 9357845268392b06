//! An upstream that does exactly what it is told, and remembers what it was sent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::head_end;

/// A connection, plain or over TLS.
trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// What makes an upstream speak TLS: the authority to trust, in PEM, and the server's side.
pub struct Certified {
    /// The authority's certificate.
    pub authority: String,
    /// The SubjectPublicKeyInfo of the certificate.
    pub public_key: Vec<u8>,
    certificate: String,
    key: String,
    server: Arc<rustls::ServerConfig>,
}

type Authority = rcgen::CertifiedIssuer<'static, rcgen::KeyPair>;

fn new_authority() -> Authority {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // A name of its own: to OpenSSL a certificate with its authority's name is one that vouches for itself.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority of tests");
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}

/// An authority that vouches for clients.
pub struct ClientAuthority(Authority);

impl ClientAuthority {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> ClientAuthority {
        ClientAuthority(new_authority())
    }

    /// A new certificate and its private key, in PEM, and the certificate as it goes over the wire.
    pub fn identity(&self, name: &str) -> (String, String, Vec<u8>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (leaf.pem(), key.serialize_pem(), leaf.der().to_vec())
    }

    /// The same for a workload, by its SPIFFE ID (SPIFFE X.509-SVID).
    pub fn workload(&self, id: &str) -> (String, String, Vec<u8>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![rcgen::SanType::URI(id.try_into().unwrap())];
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (leaf.pem(), key.serialize_pem(), leaf.der().to_vec())
    }

    /// The authority's certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

impl Certified {
    /// A new authority and a certificate of it for this name.
    pub fn new(name: &str) -> Certified {
        Certified::with(name, Arc::new(rustls::server::NoClientAuth))
    }

    /// The same, for a server that takes clients of this authority only.
    pub fn demanding(name: &str, clients: &ClientAuthority) -> Certified {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(clients.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        Certified::with(name, verifier)
    }

    fn with(name: &str, clients: Arc<dyn rustls::server::danger::ClientCertVerifier>) -> Certified {
        let authority = new_authority();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let public_key = rcgen::PublicKeyData::subject_public_key_info(&key);
        let (certificate, key) = (leaf.pem(), key.serialize_pem());
        Certified { authority: authority.pem(), public_key, certificate, key, server: Arc::new(server) }
    }

    /// The server's side.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The certificate and its key, in PEM, for a server that is not of these tests.
    pub fn pem(&self) -> (String, String) {
        (self.certificate.clone(), self.key.clone())
    }
}

/// What it does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits.
    Pause(u64),
    /// Waits until the test says so.
    Until(Arc<AtomicBool>),
    /// Ends the connection; over TLS without saying so.
    Close,
}

/// A whole JSON reply.
pub fn json(status: u16, body: &str) -> Vec<Step> {
    vec![Step::Send(
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes(),
    )]
}

/// A whole reply of server-sent events.
pub fn events(body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Step::Send(head.into_bytes()), Step::Send(body.as_bytes().to_vec())]
}

/// A request as it arrived: head and body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head, as text.
    pub head: String,
    /// The body.
    pub body: String,
    /// The certificate that the client proved to have; empty where none was demanded.
    pub client: Vec<u8>,
}

impl Request {
    /// Method and target of the first line.
    pub fn line(&self) -> (&str, &str) {
        let mut words = self.head.split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The raw JSON of the message's id.
    pub fn id(&self) -> String {
        let message: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        message.get("id").map_or_else(|| "null".to_owned(), ToString::to_string)
    }
}

/// The upstream, running.
pub struct Upstream {
    /// Its MCP endpoint.
    pub url: String,
    /// All requests, in the order they were read whole.
    pub requests: Arc<Mutex<Vec<Request>>>,
    /// Connections that have ended.
    pub ended: Arc<Mutex<usize>>,
}

impl Upstream {
    /// Starts it; `plan` says what to do about each request.
    pub fn start(plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
        Upstream::listen(None, 0, plan)
    }

    /// The same at a port.
    pub fn start_at(port: u16, plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
        Upstream::listen(None, port, plan)
    }

    /// The same over TLS, at `localhost`.
    pub fn start_tls(certified: &Certified, plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
        Upstream::listen(Some(Arc::clone(&certified.server)), 0, plan)
    }

    fn listen(
        tls: Option<Arc<rustls::ServerConfig>>,
        port: u16,
        plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> Upstream {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = if tls.is_some() { format!("https://localhost:{port}/mcp") } else { format!("http://127.0.0.1:{port}/mcp") };
        let (requests, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let plan = Arc::new(plan);
        let (all, over) = (Arc::clone(&requests), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (plan, all, over, tls) = (Arc::clone(&plan), Arc::clone(&all), Arc::clone(&over), tls.clone());
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let below = stream.try_clone().unwrap();
                    let mut client = Vec::new();
                    let mut wire: Box<dyn Wire> = match tls {
                        Some(tls) => {
                            let mut session = rustls::StreamOwned::new(rustls::ServerConnection::new(tls).unwrap(), stream);
                            // A client that is refused is told so, and nothing of it is read.
                            let is_taken = session.conn.complete_io(&mut session.sock).is_ok();
                            let own = session.conn.peer_certificates().and_then(|chain| chain.first());
                            client = own.map(|own| own.to_vec()).unwrap_or_default();
                            if !is_taken {
                                return;
                            }
                            Box::new(session)
                        }
                        None => Box::new(stream),
                    };
                    serve(&mut *wire, &below, &client, &*plan, &all);
                    *over.lock().unwrap() += 1;
                });
            }
        });
        Upstream { url, requests, ended }
    }

    /// One that answers every call with an echo of its arguments.
    pub fn echo() -> Upstream {
        Upstream::start(|request| {
            let message: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
            if message.get("id").is_none() {
                return vec![Step::Send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec())];
            }
            let text = message["params"]["arguments"].to_string();
            let result = serde_json::json!({"content": [{"type": "text", "text": text}]});
            json(200, &serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
        })
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The newest request.
    pub fn last(&self) -> Request {
        self.requests.lock().unwrap().last().cloned().expect("a request has arrived")
    }
}

fn serve(
    stream: &mut dyn Wire,
    below: &TcpStream,
    client: &[u8],
    plan: &dyn Fn(&Request) -> Vec<Step>,
    all: &Mutex<Vec<Request>>,
) {
    let mut bytes = Vec::new();
    while let Some(mut request) = read(stream, &mut bytes) {
        request.client = client.to_vec();
        let steps = plan(&request);
        all.lock().unwrap().push(request);
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() {
                        return;
                    }
                }
                Step::Pause(ms) => std::thread::sleep(Duration::from_millis(ms)),
                Step::Until(holds) => crate::wait_until("the word to go on", || holds.load(Ordering::SeqCst)),
                Step::Close => {
                    let _ = below.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }
}

fn read(stream: &mut dyn Wire, bytes: &mut Vec<u8>) -> Option<Request> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = head_end(bytes) {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.trim().parse().ok());
            let length: usize = length.unwrap_or(0);
            if bytes.len() >= end + length {
                let body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
                bytes.drain(..end + length);
                return Some(Request { head, body, client: Vec::new() });
            }
        }
        match stream.read(&mut buffer) {
            Ok(got @ 1..) => bytes.extend_from_slice(&buffer[..got]),
            _ => return None,
        }
    }
}

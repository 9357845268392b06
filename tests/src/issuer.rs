//! An issuer of our own with faults: it can be silent, slow, broken, of another name or lead elsewhere, and it changes its keys.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;

/// How the issuer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// With 500.
    Failing,
    /// With bytes that are no JSON.
    Garbage,
    /// With a discovery document of another issuer.
    WrongIssuer,
    /// Well, a byte at a time and far too slowly.
    Slow,
    /// Not at all, and it does not hang up.
    Hanging,
    /// By hanging up in the middle of its answer.
    Reset,
    /// With a key set that does not end.
    Huge,
    /// With a key set that is empty.
    Empty,
    /// With a key set in which no key can be used.
    Unusable,
    /// Well, but says that it is HTML.
    WrongContentType,
    /// By two redirects to another place of its own.
    Redirecting,
    /// By a redirect to another origin.
    RedirectingAway,
    /// By redirects without end.
    RedirectingForever,
    /// With a discovery document that names keys at another origin.
    ForeignKeys,
}

/// What it says beside its answers, and what it was asked.
#[derive(Default)]
struct Said {
    cache_control: Option<String>,
    has_etag: bool,
    fetches: usize,
    unchanged: usize,
    connections: usize,
    authorization: Option<String>,
}

struct State {
    url: String,
    keys: Mutex<Vec<SigningKey>>,
    mood: Mutex<Mood>,
    said: Mutex<Said>,
    /// Keys that cannot be used, which stand in the set beside the good ones.
    odd: Mutex<Vec<Value>>,
}

/// The issuer, running.
pub struct Issuer {
    /// Its identifier.
    pub url: String,
    state: Arc<State>,
}

/// Now, in Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Issuer {
    /// Starts it with one key of this algorithm, named `k1`.
    pub fn start(algorithm: Algorithm) -> Issuer {
        Issuer::start_in(algorithm, Mood::Well)
    }

    /// Starts it in a mood.
    pub fn start_in(algorithm: Algorithm, mood: Mood) -> Issuer {
        Issuer::serve(algorithm, mood, "http", |stream| Some(Box::new(stream)))
    }

    /// Starts it behind TLS, with a certificate for `localhost`.
    pub fn start_with_tls(algorithm: Algorithm, config: Arc<rustls::ServerConfig>) -> Issuer {
        Issuer::serve(algorithm, Mood::Well, "https", move |stream| {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).ok()?;
            Some(Box::new(rustls::StreamOwned::new(session, stream)))
        })
    }

    fn serve(
        algorithm: Algorithm,
        mood: Mood,
        scheme: &str,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Channel>> + Send + Sync + 'static,
    ) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = if scheme == "http" { "127.0.0.1" } else { "localhost" };
        let url = format!("{scheme}://{host}:{}", listener.local_addr().unwrap().port());
        let keys = Mutex::new(vec![SigningKey::generate(algorithm, "k1").unwrap()]);
        let (mood, said, odd) = (Mutex::new(mood), Mutex::default(), Mutex::default());
        let state = Arc::new(State { url: url.clone(), keys, mood, said, odd });
        let (shared, wrap) = (Arc::clone(&state), Arc::new(wrap));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, wrap) = (Arc::clone(&shared), Arc::clone(&wrap));
                state.said.lock().unwrap().connections += 1;
                std::thread::spawn(move || {
                    let socket = stream.try_clone().unwrap();
                    if let Some(channel) = wrap(stream) {
                        state.answer(channel, &socket);
                    }
                });
            }
        });
        Issuer { url, state }
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.state.said.lock().unwrap().fetches
    }

    /// How often it answered that its keys have not changed.
    pub fn unchanged(&self) -> usize {
        self.state.said.lock().unwrap().unchanged
    }

    /// Connections that were made to it.
    pub fn connections(&self) -> usize {
        self.state.said.lock().unwrap().connections
    }

    /// The `Authorization` field of the last request for keys.
    pub fn authorization(&self) -> Option<String> {
        self.state.said.lock().unwrap().authorization.clone()
    }

    /// Changes its mood.
    pub fn set_mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// The `Cache-Control` field of its answers from now on.
    pub fn set_cache_control(&self, value: &str) {
        self.state.said.lock().unwrap().cache_control = Some(value.to_owned());
    }

    /// Names the versions of its key set from now on, and says where one has not changed.
    pub fn name_versions(&self) {
        self.state.said.lock().unwrap().has_etag = true;
    }

    /// Adds a key, which signs from now on.
    pub fn add_key(&self, algorithm: Algorithm, kid: &str) {
        self.state.keys.lock().unwrap().insert(0, SigningKey::generate(algorithm, kid).unwrap());
    }

    /// Takes a key out of the set.
    pub fn drop_key(&self, kid: &str) {
        self.state.keys.lock().unwrap().retain(|key| key.jwk()["kid"] != kid);
    }

    /// Puts a key that cannot be used into the set.
    pub fn add_odd_key(&self, key: Value) {
        self.state.odd.lock().unwrap().push(key);
    }

    /// Claims that are good for an audience.
    pub fn claims(&self, audience: &str) -> Value {
        json!({"iss": self.url, "aud": audience, "sub": "agent-a", "client_id": "agent-a", "iat": now(), "exp": now() + 600,
            "roles": ["reader"]})
    }

    /// A good token.
    pub fn token(&self, audience: &str) -> String {
        self.sign(&self.claims(audience))
    }

    /// Signs claims with the newest key under a header of the test's own.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.state.keys.lock().unwrap()[0].sign_with(header, claims).unwrap()
    }

    /// Signs claims with the newest key.
    pub fn sign(&self, claims: &Value) -> String {
        self.state.keys.lock().unwrap()[0].sign(claims).unwrap()
    }

    /// Its key set.
    pub fn jwks(&self) -> String {
        self.state.jwks()
    }
}

/// A connection, plain or not.
trait Channel: Read + Write {}
impl<T: Read + Write> Channel for T {}

impl State {
    fn jwks(&self) -> String {
        let mut keys: Vec<Value> = self.keys.lock().unwrap().iter().map(SigningKey::jwk).collect();
        keys.extend(self.odd.lock().unwrap().iter().cloned());
        json!({ "keys": keys }).to_string()
    }

    fn answer(&self, mut stream: Box<dyn Channel>, socket: &TcpStream) {
        let Some(head) = read_head(&mut stream) else { return };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let is_keys = path.starts_with("/jwks");
        if is_keys {
            let mut said = self.said.lock().unwrap();
            said.fetches += 1;
            said.authorization = field(&head, "authorization");
        }
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Hanging => {
                let _ = stream.read(&mut [0; 1]);
            }
            Mood::Redirecting if is_keys && path != "/jwks-2" => {
                let next = if path == "/jwks" { "/jwks-1".to_owned() } else { format!("{}/jwks-2", self.url) };
                redirect(&mut stream, &next);
            }
            Mood::RedirectingForever if is_keys => redirect(&mut stream, "/jwks"),
            Mood::RedirectingAway if is_keys => redirect(&mut stream, &self.url.replace("127.0.0.1", "localhost")),
            Mood::Huge if is_keys => {
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{{\"keys\":[");
                while stream.write_all(&[b' '; 4096]).is_ok() {}
            }
            mood => self.send(&mut stream, socket, mood, is_keys, &head),
        }
    }

    fn send(&self, stream: &mut impl Write, socket: &TcpStream, mood: Mood, is_keys: bool, head: &str) {
        let body = match mood {
            Mood::Garbage => "<html>".to_owned(),
            Mood::Empty if is_keys => json!({"keys": []}).to_string(),
            Mood::Unusable if is_keys => json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}).to_string(),
            _ if is_keys => self.jwks(),
            Mood::WrongIssuer => {
                json!({"issuer": "https://elsewhere.example", "jwks_uri": format!("{}/jwks", self.url)}).to_string()
            }
            Mood::ForeignKeys => json!({"issuer": self.url, "jwks_uri": "http://169.254.169.254/jwks"}).to_string(),
            _ => json!({"issuer": self.url, "jwks_uri": format!("{}/jwks", self.url)}).to_string(),
        };
        let mut status = if mood == Mood::Failing { "500 Oops" } else { "200 OK" };
        let mut fields = String::new();
        let (mut body, mut said) = (body, self.said.lock().unwrap());
        if let Some(cache_control) = &said.cache_control {
            fields.push_str(&format!("Cache-Control: {cache_control}\r\n"));
        }
        if said.has_etag && is_keys && mood == Mood::Well {
            let etag = format!("\"{:x}\"", body.bytes().fold(5381u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte)));
            fields.push_str(&format!("ETag: {etag}\r\n"));
            if field(head, "if-none-match") == Some(etag) {
                (status, body) = ("304 Not Modified", String::new());
                said.unchanged += 1;
            }
        }
        drop(said);
        let kind = if mood == Mood::WrongContentType { "text/html" } else { "application/json" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        match mood {
            Mood::Reset => {
                let _ = write!(stream, "{head}{}", &body[..body.len() / 2]);
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            Mood::Slow => {
                for byte in format!("{head}{body}").bytes() {
                    if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            _ => {
                let _ = write!(stream, "{head}{body}").and_then(|()| stream.flush());
            }
        }
    }
}

fn redirect(stream: &mut impl Write, location: &str) {
    let _ = write!(stream, "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.flush();
}

fn field(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while crate::head_end(&bytes).is_none() {
        match stream.read(&mut buffer) {
            Ok(got @ 1..) => bytes.extend_from_slice(&buffer[..got]),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

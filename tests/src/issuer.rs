//! An issuer of our own with faults: it can be silent, broken, of another name, and change its keys.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

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
}

/// The issuer, running.
pub struct Issuer {
    /// Its identifier.
    pub url: String,
    keys: Arc<Mutex<Vec<SigningKey>>>,
    mood: Arc<Mutex<Mood>>,
    fetches: Arc<AtomicUsize>,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(vec![SigningKey::generate(algorithm, "k1").unwrap()]));
        let mood = Arc::new(Mutex::new(mood));
        let fetches = Arc::new(AtomicUsize::new(0));
        let shared = (url.clone(), Arc::clone(&keys), Arc::clone(&mood), Arc::clone(&fetches));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (url, keys, mood, fetches) = shared.clone();
                std::thread::spawn(move || answer(stream, &url, &keys, &mood, &fetches));
            }
        });
        Issuer { url, keys, mood, fetches }
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// Changes its mood.
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Adds a key, which signs from now on.
    pub fn add_key(&self, algorithm: Algorithm, kid: &str) {
        self.keys.lock().unwrap().insert(0, SigningKey::generate(algorithm, kid).unwrap());
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

    /// Signs claims with the newest key.
    pub fn sign(&self, claims: &Value) -> String {
        self.keys.lock().unwrap()[0].sign(claims).unwrap()
    }
}

fn answer(mut stream: std::net::TcpStream, url: &str, keys: &Mutex<Vec<SigningKey>>, mood: &Mutex<Mood>, fetches: &AtomicUsize) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while crate::head_end(&bytes).is_none() {
        match stream.read(&mut buffer) {
            Ok(got @ 1..) => bytes.extend_from_slice(&buffer[..got]),
            _ => return,
        }
    }
    let is_keys = bytes.starts_with(b"GET /jwks");
    if is_keys {
        fetches.fetch_add(1, Ordering::SeqCst);
    }
    let mood = *mood.lock().unwrap();
    let named = if mood == Mood::WrongIssuer { "https://elsewhere.example" } else { url };
    let body = match mood {
        Mood::Garbage => "<html>".to_owned(),
        _ if is_keys => String::from_utf8(SigningKey::jwks(&keys.lock().unwrap().iter().collect::<Vec<_>>())).unwrap(),
        _ => json!({"issuer": named, "jwks_uri": format!("{url}/jwks")}).to_string(),
    };
    let status = if mood == Mood::Failing { "500 Oops" } else { "200 OK" };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
}

//! Answers of a provider that is reached through a CONNECT proxy, as `HTTPS_PROXY` and `NO_PROXY` say: the program as a
//! process, and on loopback a proxy and a provider with TLS. The provider's certificate, for `api.far.example`, is in `tls`
//! with its key; nothing else trusts it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::rotation::with_key;
use super::serving::Serving;
use super::support::{Place, Ran};

const CERTIFICATE: &[u8] = include_bytes!("tls/provider.pem");
const KEY: &[u8] = include_bytes!("tls/provider.key.der");
const USAGE: &str = r#""usage":{"prompt_tokens":10,"completion_tokens":5}"#;
const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
const OPENED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// The head of a request, and its body.
fn read_request(stream: impl Read) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// A provider that speaks TLS: its address.
fn provider() -> String {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || {
                answer(StreamOwned::new(ServerConnection::new(config).unwrap(), socket))
            });
        }
    });
    address
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    let Some((head, body)) = read_request(&mut stream) else { return };
    let (kind, answer) = if head.starts_with("GET ") {
        ("application/json", r#"{"data":[{"id":"gpt-5-mini"}]}"#.to_owned())
    } else if body.contains("\"stream\":true") {
        let text = r#"data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
        ("text/event-stream", format!("{text}\n\ndata: {{\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n"))
    } else {
        ("application/json", format!(r#"{{"choices":[{{"message":{{"content":"Hello"}}}}],{USAGE}}}"#))
    };
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(format!("{head}{answer}").as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// A proxy: what it was asked, each time.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Answers `says`, and where that opens a tunnel, it leads to this address, whatever the name is.
    fn saying(says: &'static str, to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, to) = (asked.clone(), to.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (noted, to) = (noted.clone(), to.clone());
                std::thread::spawn(move || tunnel(client, says, &to, &noted));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(mut client: TcpStream, says: &str, to: &str, noted: &Mutex<Vec<String>>) {
    // Byte by byte: what follows the head belongs into the tunnel.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    noted.lock().unwrap().push(String::from_utf8(head).unwrap());
    client.write_all(says.as_bytes()).unwrap();
    if says != OPENED {
        return;
    }
    let mut server = TcpStream::connect(to).unwrap();
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upwards = std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = upwards.join();
}

/// An installation whose provider is at `https://api.far.example`, and a key.
async fn installation() -> (Place, String) {
    let place = Place::sqlite();
    let key = with_key(&place, false).await;
    place.done(&["providers", "add", "Far", "--url", "https://api.far.example", "--no-credential"]);
    place.done(&["models", "route", "gpt-5-mini", "--to", "Far"]);
    (place, key)
}

/// The variables of a process that uses the proxy and trusts the provider.
fn environment(proxy: &Proxy, folder: &Path) -> Vec<(&'static str, String)> {
    let certificate = folder.join("provider.pem");
    std::fs::write(&certificate, CERTIFICATE).unwrap();
    vec![
        ("HTTPS_PROXY", format!("http://ana:hunter2@{}", proxy.address)),
        ("SSL_CERT_FILE", certificate.display().to_string()),
    ]
}

/// A chat's answer: everything, as it arrives.
fn chat(serving: &Serving, key: &str, streams: bool) -> String {
    let body = format!(
        r#"{{"model":"gpt-5-mini","stream":{streams},"messages":[{{"role":"user","content":"Hi"}}]}}"#
    );
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn tested(place: &Place, environment: &[(&'static str, String)]) -> Ran {
    place.command(&["providers", "test", "Far"]).envs(environment.iter().cloned()).output().unwrap().into()
}

#[tokio::test]
async fn whole_answers_and_streams_come_through_a_proxy() {
    let proxy = Proxy::saying(OPENED, &provider());
    let (place, key) = installation().await;
    let environment = environment(&proxy, place.folder());
    let serving = Serving::start_with(&place, &environment);
    let whole = chat(&serving, &key, false);
    assert!(whole.starts_with("HTTP/1.1 200 ") && whole.contains(r#""content":"Hello""#), "{whole}");
    let streamed = chat(&serving, &key, true);
    assert!(streamed.starts_with("HTTP/1.1 200 "), "{streamed}");
    assert!(streamed.contains(r#"{"content":"Hello"}"#) && streamed.contains("data: [DONE]"), "{streamed}");
    // Both are charged what the provider reports.
    let told = "SELECT COUNT(*) FROM usage WHERE status = 200 AND input_tokens = 10 AND output_tokens = 5 AND estimated = 0";
    assert_eq!(place.number(told).await, 2);
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for head in asked {
        assert!(head.starts_with("CONNECT api.far.example:443 HTTP/1.1\r\n"), "{head}");
        assert!(
            head.to_lowercase()
                .contains("proxy-authorization: basic yw5hOmh1bnRlcjI=".to_lowercase().as_str()),
            "{head}"
        );
        assert!(!head.contains(&key), "{head}");
    }
    let ran = tested(&place, &environment);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("Far is connected: gpt-5-mini answered."), "{ran:?}");
    serving.terminate();
    assert!(!serving.ended().err.contains("hunter2"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_to_the_operator_alone() {
    let proxy = Proxy::saying(REFUSED, "");
    let (place, key) = installation().await;
    let environment = environment(&proxy, place.folder());
    let serving = Serving::start_with(&place, &environment);
    for streams in [false, true] {
        let refused = chat(&serving, &key, streams);
        assert!(refused.starts_with("HTTP/1.1 502 "), "{refused}");
        assert!(refused.contains("The provider Far cannot be reached. Retry later."), "{refused}");
        assert!(!refused.contains("127.0.0.1") && !refused.contains("proxy"), "{refused}");
    }
    // Nothing was sent, so nothing is charged.
    assert_eq!(place.number("SELECT COUNT(*) FROM usage WHERE status = 502 AND cost = 0").await, 2);
    assert_eq!(proxy.asked().len(), 2);
    let ran = tested(&place, &environment);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let says = format!("No connection could be made through the proxy {} of HTTPS_PROXY.", proxy.address);
    assert!(ran.out.contains(&says), "{ran:?}");
    serving.terminate();
    let log = serving.ended().err;
    assert!(log.contains("request to a provider failed") && log.contains("tunnel error"), "{log}");
    assert!(!format!("{log}{ran:?}").contains("hunter2"), "{log}");
}

#[tokio::test]
async fn what_is_in_no_proxy_is_called_without_the_proxy() {
    let proxy = Proxy::saying(OPENED, &provider());
    let (place, key) = installation().await;
    let mut environment = environment(&proxy, place.folder());
    environment.push(("NO_PROXY", "other.example,.far.example".into()));
    let serving = Serving::start_with(&place, &environment);
    // The name leads nowhere but through the proxy.
    let refused = chat(&serving, &key, false);
    assert!(refused.starts_with("HTTP/1.1 502 "), "{refused}");
    assert!(proxy.asked().is_empty());
}

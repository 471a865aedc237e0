//! What arrives on a connection that is not as it should be: answered or closed, never a 500 and never waited for.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::*;

const BODY: &str = r#"{"model":"demo/echo","messages":[{"role":"user","content":"Hi"}]}"#;

/// The first line of what comes back for these bytes, behind which nothing more is sent, and nothing more is meant to be
/// when the connection is closed.
async fn first_line(address: std::net::SocketAddr, bytes: &[u8], closes: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Whoever is refused early stops reading.
    let _ = stream.write_all(bytes).await;
    if closes {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
    let _ = read.await.expect("it is answered or closed");
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_in_any_state_is_answered_or_closed() {
    let desk = installation().await;
    let key = desk.every_key().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = desk.router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let paths = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1beta/models/demo/echo:generateContent",
        "/v1beta/models/demo/echo:streamGenerateContent",
        "/gateway/authorize",
        "/gateway/forward-auth",
    ];
    for path in paths {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
        );
        let whole = BODY.len();
        let flood: String = (0..400).map(|n| format!("x-{n}: {}\r\n", "y".repeat(900))).collect();
        let cases: Vec<(&str, String, &[&str])> = vec![
            ("no length", format!("{head}\r\n"), &["200", "400", "403"]),
            (
                "chunked",
                format!("{head}transfer-encoding: chunked\r\n\r\n{whole:x}\r\n{BODY}\r\n0\r\n\r\n"),
                &["200", "400", "403"],
            ),
            (
                "another type",
                format!("{head}content-type: image/png\r\ncontent-length: {whole}\r\n\r\n{BODY}"),
                &["200", "400", "403"],
            ),
            ("no type", format!("{head}content-length: {whole}\r\n\r\n{BODY}"), &["200", "400", "403"]),
            ("half a body", format!("{head}content-length: 9000\r\n\r\n{BODY}"), &["", "200", "400", "403"]),
            (
                "half a chunk",
                format!("{head}transfer-encoding: chunked\r\n\r\nfff\r\n{BODY}"),
                &["", "200", "400", "403"],
            ),
            (
                "no chunk",
                format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{BODY}"),
                &["", "200", "400", "403"],
            ),
            (
                "two lengths",
                format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\n{BODY}"),
                &["", "400"],
            ),
            ("a length that is none", format!("{head}content-length: -1\r\n\r\n{BODY}"), &["", "400"]),
            ("a flood of headers", format!("{head}{flood}\r\n"), &["", "431"]),
            ("half a head", head.clone(), &["", "400"]),
            ("no HTTP", "\u{16}\u{3}\u{1}\r\n\r\n".into(), &["", "400"]),
        ];
        for (what, bytes, statuses) in cases {
            let line = first_line(address, bytes.as_bytes(), statuses.contains(&"")).await;
            let status = line.split(' ').nth(1).unwrap_or_default();
            assert!(statuses.contains(&status), "{path}, {what}: {line}");
        }
    }
    server.abort();
    assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0);
}

/// The whole answer to a request whose body is sent to its end before anything is read.
async fn answer_after_all(address: std::net::SocketAddr, head: &str, bytes: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}content-length: {bytes}\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = vec![b' '; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(chunk.len());
        stream.write_all(&chunk[..part]).await.expect("the connection stays open while the body is sent");
        left -= part;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("it ends").expect("it is not reset");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_refusal_arrives_although_the_body_was_not_wanted() {
    let desk = installation().await;
    let key = desk.every_key().await;
    let revoked = desk.plain_key().await;
    desk.revoke(&revoked).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = desk.router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let revoked = revoked.secret.reveal();
    for (request, key, status) in [
        ("POST /v1/chat/completions", revoked, "401"),
        ("POST /v1/messages", "nothing", "401"),
        ("POST /v1beta/models/x:generateContent", "", "401"),
        ("POST /v1/files", key.as_str(), "404"),
        ("PUT /v1/chat/completions", key.as_str(), "405"),
        ("POST /gateway/authorize", key.as_str(), "403"),
    ] {
        for bytes in [100_000, 8 << 20] {
            let head = format!(
                "{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
            );
            let answer = answer_after_all(address, &head, bytes).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}, {bytes}: {answer}");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{request}, {bytes}: {answer}");
        }
    }
    // Larger than what is accepted.
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
    );
    let answer = answer_after_all(address, &head, 40 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // The connection is kept for the next request.
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        let body = " ".repeat(100_000);
        let request = format!("POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed");
        }
        assert!(answer.starts_with(b"HTTP/1.1 404"));
    }
    // Who asks whether to send is told at once.
    let head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 8000000\r\n\r\n";
    let line = first_line(address, head.as_bytes(), false).await;
    assert!(line.starts_with("HTTP/1.1 401 "), "{line}");
    // With a good key it is told to send, and answered.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut told));
    read.await.expect("it is told to send").unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(BODY.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.abort();
}

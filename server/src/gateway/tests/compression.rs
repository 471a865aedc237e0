//! Compressed bodies in both directions.

use std::io;

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::support::*;
use super::upstream::Upstream;
use crate::gateway::compression::Compression;

const WAYS: [(&str, Compression); 4] = [
    ("gzip", Compression::Gzip),
    ("deflate", Compression::Deflate),
    ("br", Compression::Brotli),
    ("zstd", Compression::Zstd),
];

async fn compressed(way: Compression, text: &[u8]) -> Vec<u8> {
    let encoder: Box<dyn AsyncRead + Send + Unpin + '_> = match way {
        Compression::Gzip => Box::new(GzipEncoder::new(text)),
        Compression::Deflate => Box::new(ZlibEncoder::new(text)),
        Compression::Brotli => Box::new(BrotliEncoder::new(text)),
        Compression::Zstd => Box::new(ZstdEncoder::new(text)),
    };
    ReaderStream::new(encoder).map(|part| part.unwrap()).collect::<Vec<Bytes>>().await.concat()
}

/// What `bytes` become when they arrive one by one.
async fn inflated(way: Compression, bytes: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let parts: Vec<io::Result<Bytes>> =
        bytes.iter().map(|byte| Ok(Bytes::copy_from_slice(&[*byte]))).collect();
    let parts: Vec<io::Result<Bytes>> = way.inflate(stream::iter(parts), max).collect().await;
    Ok(parts.into_iter().collect::<io::Result<Vec<Bytes>>>()?.concat())
}

#[tokio::test]
async fn a_body_is_read_whole_or_refused_when_it_is_cut_or_too_long() {
    let text = b"some words and ".repeat(40);
    for (_, way) in WAYS {
        let bytes = compressed(way, &text).await;
        assert_eq!(inflated(way, &bytes, text.len()).await.unwrap(), text, "{way:?}");
        assert!(inflated(way, &bytes, text.len() - 1).await.is_err(), "{way:?}");
        for cut in 1..bytes.len() {
            // The last bytes of some are a checksum.
            let read = inflated(way, &bytes[..cut], text.len()).await;
            assert!(read.is_err() || read.unwrap() == text, "{way:?} cut at {cut}");
        }
        assert!(inflated(way, b"no such bytes", 1_000).await.is_err(), "{way:?}");
    }
}

const ANSWER: &str =
    r#"{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":1000,"completion_tokens":500}}"#;

fn answer(way: &'static str, body: Vec<u8>, content_type: &'static str) -> Response {
    let builder = Response::builder().header("content-type", content_type).header("content-encoding", way);
    builder.body(Body::from(body)).unwrap()
}

/// Byte by byte, and without a word of how it is compressed.
fn unlabelled(body: &[u8], content_type: &'static str) -> Response {
    let bytes: Vec<io::Result<Bytes>> =
        body.iter().map(|byte| Ok(Bytes::copy_from_slice(&[*byte]))).collect();
    let builder = Response::builder().header("content-type", content_type);
    builder.body(Body::from_stream(stream::iter(bytes))).unwrap()
}

#[tokio::test]
async fn a_provider_that_compresses_and_does_not_say_so_is_read_and_paid() {
    let stream = format!("data: {ANSWER}\n\ndata: [DONE]\n\n");
    for (kind, text) in [("application/json", ANSWER), ("text/event-stream", stream.as_str())] {
        let gzip = compressed(Compression::Gzip, text.as_bytes()).await;
        // What is too short to be anything goes on as it is.
        for (bytes, status, shown) in
            [(gzip, 200, text), (text.as_bytes().to_vec(), 200, text), (vec![0x1f], 200, "\u{1f}")]
        {
            let desk = installation().await;
            let upstream = Upstream::answering(move || unlabelled(&bytes, kind)).await;
            desk.served_by("openai", &upstream.base_url, "").await;
            let key = desk.every_key().await;
            let body = json!({"model": "routed", "stream": kind != "application/json", "stream_options": {"include_usage": true}});
            let answer = desk.pass(post("/v1/chat/completions", &body).bearer(&key)).await;
            assert_eq!((answer.status, answer.text.as_str()), (status, shown), "{kind}");
            if shown == text {
                assert_eq!(desk.settled().await[0].5, 1_500_000, "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_provider_that_compresses_is_read_and_paid() {
    let stream = format!("data: {ANSWER}\n\ndata: [DONE]\n\n");
    for (name, way) in WAYS {
        let whole = compressed(way, ANSWER.as_bytes()).await;
        let events = compressed(way, stream.as_bytes()).await;
        for (bytes, kind, text) in
            [(whole, "application/json", ANSWER), (events, "text/event-stream", stream.as_str())]
        {
            let desk = installation().await;
            let upstream = Upstream::answering(move || answer(name, bytes.clone(), kind)).await;
            desk.served_by("openai", &upstream.base_url, "").await;
            let key = desk.every_key().await;
            let options = json!({"include_usage": true});
            let body =
                json!({"model": "routed", "stream": kind != "application/json", "stream_options": options});
            let answer = desk.pass(post("/v1/chat/completions", &body).bearer(&key)).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, text), "{name} {kind}");
            assert_eq!(answer.find_header("content-encoding"), None);
            let settled = desk.settled().await;
            // A chunk with text that has no end is not final.
            assert_eq!((settled[0].1, settled[0].2, settled[0].5), (1000, 500, 1_500_000), "{name} {kind}");
        }
    }
}

#[tokio::test]
async fn a_client_that_compresses_is_understood() {
    let desk = installation().await;
    let key = desk.every_key().await;
    let body = json!({"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let send = |encoding: &str, body: Vec<u8>| {
        let asked = post("/v1/chat/completions", &json!({})).bearer(&key).body(body);
        desk.pass(asked.header("content-encoding", encoding))
    };
    for (name, way) in WAYS {
        let answer = send(name, compressed(way, body.as_bytes()).await).await;
        assert!(answer.status == 200 && answer.text.contains("You said: Hi"), "{name}: {}", answer.text);
        let long = compressed(way, &vec![b' '; (32 << 20) + 1]).await;
        assert!(long.len() < 1 << 20);
        assert_eq!(send(name, long).await.status, 413, "{name}");
        let wrong = send(name, body.clone().into_bytes()).await;
        assert_eq!(wrong.status, 400, "{name}");
        assert!(wrong.text.contains("not compressed as its content-encoding says"), "{}", wrong.text);
    }
    assert_eq!(send("identity", body.clone().into_bytes()).await.status, 200);
    for unknown in ["compress", "gzip, br"] {
        let answer = send(unknown, body.clone().into_bytes()).await;
        assert!(answer.status == 400 && answer.text.contains("unknown way"), "{}", answer.text);
    }
}

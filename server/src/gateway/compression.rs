//! Compressed bodies: of clients that compress their requests, and of providers that compress although they were asked not
//! to. What a body becomes is bounded, because a small one can become very large.

use std::io;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

/// 8 MiB, the most that a decoder has to support (RFC 9659). A body decides how much memory its decoder takes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// A body is compressed in another way, or in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCompression;

impl Compression {
    /// # Errors
    /// When it is none of these.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, UnknownCompression> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(UnknownCompression);
        }
        match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Compression::Gzip)),
            "deflate" => Ok(Some(Compression::Deflate)),
            "br" => Ok(Some(Compression::Brotli)),
            "zstd" => Ok(Some(Compression::Zstd)),
            _ => Err(UnknownCompression),
        }
    }

    /// The body as it was before, as soon as its bytes arrive. It ends with an error when it is not what it should be, or
    /// longer than `max` bytes.
    pub fn inflate<S>(self, body: S, max: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + use<S>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let body = StreamReader::new(body);
        let inflated: Box<dyn AsyncRead + Send + Unpin> = match self {
            Compression::Gzip => {
                let mut decoder = GzipDecoder::new(body);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Compression::Deflate => Box::new(ZlibDecoder::new(body)),
            Compression::Brotli => Box::new(BrotliDecoder::new(body)),
            Compression::Zstd => {
                let parameters = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
                let mut decoder = ZstdDecoder::with_params(body, &parameters);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
        };
        let mut length = 0;
        ReaderStream::with_capacity(inflated, 16 << 10).map(move |bytes| {
            let bytes = bytes?;
            length += bytes.len();
            if length > max { Err(io::Error::other("too long once it is inflated")) } else { Ok(bytes) }
        })
    }
}

//! The browser's files, carried in the program: script, wasm, style and icon, compressed when it was built. Their path
//! contains a version made from their content, so browsers keep them for ever and never mix two builds.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../target/site/pkg"]
#[allow_missing = true]
struct Site;

const ICON: &str = include_str!("icon.svg");

/// Twelve hex digits that change when any file does.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Site::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        if let Some(file) = Site::get(&name) {
            hash.update(file.metadata.sha256_hash());
        }
    }
    hash.update(ICON);
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The first path segments of all assets, without slashes at the ends.
pub fn folder() -> String {
    format!("pkg/{}", *VERSION)
}

/// No search engine has anything to find here.
pub async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

/// For browsers that ask for an icon before they have a page.
pub async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "public, max-age=86400")], ICON)
        .into_response()
}

/// `/pkg/{version}/{file}`. An older version's address is not found: its page is gone with it.
pub async fn serve(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if version != *VERSION {
        return StatusCode::NOT_FOUND.into_response();
    }
    if name == "icon.svg" {
        return answer("icon.svg", ICON.as_bytes().into(), None);
    }
    // The precompressed files are answers, not addresses.
    if name.ends_with(".br") || name.ends_with(".gz") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let accepted =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (encoding, suffix) in [("br", ".br"), ("gzip", ".gz")] {
        let takes = accepted
            .split(',')
            .any(|part| part.split(';').next().is_some_and(|name| name.trim() == encoding));
        if takes && let Some(file) = Site::get(&format!("{name}{suffix}")) {
            return answer(&name, file.data.into_owned().into(), Some(encoding));
        }
    }
    match Site::get(&name) {
        Some(file) => answer(&name, file.data.into_owned().into(), None),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(name: &str, body: Body, encoding: Option<&'static str>) -> Response {
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let response = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(header::VARY, "accept-encoding");
    let response = match encoding {
        Some(encoding) => response.header(header::CONTENT_ENCODING, encoding),
        None => response,
    };
    response.body(body).unwrap_or_default()
}

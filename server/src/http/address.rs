//! Addresses that no page and no client has, refused before anyone reads them.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};

/// Far more than any page has. What reads parameters compares each with the others.
const MAX_PARAMETERS: usize = 100;

pub async fn require(request: Request, next: Next) -> Response {
    match problem(request.uri()) {
        Some(words) => (StatusCode::BAD_REQUEST, words).into_response(),
        None => next.run(request).await,
    }
}

fn problem(address: &Uri) -> Option<&'static str> {
    let query = address.query().unwrap_or_default();
    // A zero character, which no database takes in a text.
    if address.path().contains("%00") || query.contains("%00") {
        return Some("The address contains a character that is not allowed.\n");
    }
    (query.bytes().filter(|byte| *byte == b'&').count() >= MAX_PARAMETERS)
        .then_some("The address has too many parameters.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_character_and_a_hundred_parameters_are_refused() {
        let many = format!("/a?{}", "b=&".repeat(MAX_PARAMETERS));
        for (address, fine) in [
            ("/a%00", false),
            ("/a?b=%00", false),
            (many.as_str(), false),
            ("/a?b=%2500", true),
            ("/a?b&c", true),
        ] {
            assert_eq!(problem(&address.parse().unwrap()).is_none(), fine, "{address}");
        }
    }
}

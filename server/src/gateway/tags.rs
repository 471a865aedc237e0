//! The tags of a client's request: its own header, or what the protocols have for the same purpose. They are stored for
//! reports and decide nothing; whatever is no tag is left out. The header is not forwarded.

use axum::http::HeaderMap;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::tags::read_tags;
use serde_json::Value;

use super::parsed_request::ParsedRequest;

/// Tags, separated by commas.
const TAGS: &str = "x-keydesk-tags";

/// Those of the header; without any, OpenAI's `user` and `metadata`, or Anthropic's `metadata.user_id`.
pub fn tags_of(headers: &HeaderMap, parsed: &ParsedRequest) -> Vec<String> {
    let lines = headers.get_all(TAGS).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let lines: Vec<_> = lines.collect();
    let sent = read_tags(lines.iter().flat_map(|line| line.split(',')));
    if !sent.is_empty() {
        return sent;
    }
    let metadata = parsed.get("metadata").unwrap_or_default();
    let said: Vec<String> = match parsed.route.kind() {
        ProviderKind::OpenAi => {
            let user = parsed.get("user").unwrap_or_default();
            let named = metadata.as_object().into_iter().flatten();
            let named = named.filter_map(|(name, value)| pair(name, value));
            pair("user", &user).into_iter().chain(named).collect()
        }
        ProviderKind::Anthropic => pair("user", &metadata["user_id"]).into_iter().collect(),
        ProviderKind::Gemini => Vec::new(),
    };
    read_tags(said.iter().map(String::as_str))
}

/// `name=value`, of texts, numbers and truth values.
fn pair(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(format!("{name}={text}")),
        Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use bytes::Bytes;
    use keydesk_core::domain::route::Route;

    use super::*;

    fn tags(route: Route, header: &str, body: &'static str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(TAGS, HeaderValue::from_bytes(header.as_bytes()).unwrap());
        }
        tags_of(&headers, &ParsedRequest::parse(route, None, Bytes::from_static(body.as_bytes())).unwrap())
    }

    #[test]
    fn the_header_goes_before_what_the_protocol_says() {
        let body =
            r#"{"model":"m","user":"u-7","metadata":{"job":"nightly","try":2,"x":null,"deep":{"a":1}}}"#;
        assert_eq!(tags(Route::ChatCompletions, "team a, café, job=1,,a\tb", body), ["team a", "job=1"]);
        assert_eq!(tags(Route::ChatCompletions, "", body), ["user=u-7", "job=nightly", "try=2"]);
        let body = r#"{"model":"m","user":"not this","metadata":{"user_id":"u-8","job":"no"}}"#;
        assert_eq!(tags(Route::Messages, "", body), ["user=u-8"]);
    }

    #[test]
    fn no_tag_fails_a_request_and_no_secret_is_one() {
        for body in [
            r#"{"model":"m"}"#,
            r#"{"model":"m","user":["a"],"metadata":"text"}"#,
            r#"{"model":"m","user":"sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa","metadata":{"a\nb":"c"}}"#,
        ] {
            assert!(tags(Route::Responses, "", body).is_empty(), "{body}");
        }
    }
}

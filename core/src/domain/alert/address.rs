//! A webhook's address as people type it. Who knows it can post into a room, so it is a secret: it is stored sealed, and
//! pages show its host. What its name resolves to is asked when a connection is made.

use std::net::IpAddr;

use url::{Host, Url};

use crate::domain::key_format::refuse_secret;
use crate::domain::live_test::is_public;
use crate::domain::parse_error::ParseError;

const MAX_URL: usize = 1_000;

/// An address that passed the rules.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    /// All of it.
    pub url: String,
    /// What may be shown, with its port where that is not the usual one.
    pub host: String,
}

impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.host)
    }
}

/// Https, or http on this machine and private networks; without a user, a password and a fragment.
///
/// # Errors
/// A sentence that says which rule it breaks.
pub fn parse_webhook_url(text: &str) -> Result<WebhookUrl, ParseError> {
    let wrong = |sentence: &'static str| Err(ParseError::new(sentence));
    let text = text.trim();
    refuse_secret(text)?;
    if text.len() > MAX_URL {
        return Err(ParseError::new(format!("An address has {MAX_URL} characters or fewer.")));
    }
    let Ok(url) = Url::parse(text) else {
        return wrong("Enter a whole web address, such as https://hooks.slack.com/services/….");
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return wrong("Leave out the user, the password and what follows #.");
    }
    let private = match url.host() {
        Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
        Some(Host::Domain(name)) => name == "localhost",
        None => return wrong("This address has no host."),
    };
    match url.scheme() {
        "https" => {}
        "http" if private => {}
        _ => return wrong("The address must begin with https://."),
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    Ok(WebhookUrl { url: url.into(), host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        let slack = parse_webhook_url(" https://hooks.slack.com/services/T0/B0/xyz ").unwrap();
        assert_eq!(
            (slack.host.as_str(), format!("{slack:?}").as_str()),
            ("hooks.slack.com", "hooks.slack.com")
        );
        assert_eq!(parse_webhook_url("http://127.0.0.1:9000/a").unwrap().host, "127.0.0.1:9000");
        for refused in [
            "",
            "hooks.slack.com",
            "http://example.com/a",
            "ftp://127.0.0.1/a",
            "https://me:pass@example.com/",
            "https://example.com/#a",
            "https://example.com/sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE",
        ] {
            assert!(parse_webhook_url(refused).is_err(), "{refused}");
        }
    }
}

//! The base URL of a live test as people paste it: bare, with a version, with a slash, as the path of one call, without a
//! scheme. It is this gateway's own, or one of the hosts that an operator allows; never an address of a private network.

use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::public::is_public;
use crate::domain::base_url::is_local_name;
use crate::domain::key_format::has_secret;
use crate::domain::parse_error::ParseError;

const MAX: usize = 200;
const VERSIONS: [&str; 2] = ["v1", "v1beta"];
const CALLS: [&[&str]; 7] = [
    &["chat", "completions"],
    &["completions"],
    &["responses"],
    &["messages"],
    &["embeddings"],
    &["models"],
    &["key"],
];
const NOT_WHOLE: &str = "This is not a web address. Write it as https://api.example.com.";
const PRIVATE: &str = "This is an address of a private network, which is not called from here.";

/// A host that an operator allows, with its port if that is not 80 or 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: Option<u16>,
}

impl FromStr for AllowedHost {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(format!(
                "{text:?} is not a public host. Write it as api.openai.com or api.example.com:8443."
            ))
        };
        let url = Url::parse(&format!("https://{text}")).map_err(|_| wrong())?;
        let plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && !text.contains(['@', '/', '\\']);
        let host = url.host().filter(|host| plain && is_public_host(host)).ok_or_else(wrong)?;
        Ok(Self { host: host.to_string(), port: url.port() })
    }
}

impl std::fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// A base URL that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestBase {
    /// Without a version and without a slash at its end.
    pub url: String,
    /// This installation's own.
    pub own: bool,
    /// What was made of the typed text, when that is not the same; or empty.
    pub read_as: String,
}

/// Reads a base URL. `own` are this installation's addresses, the gateway's first; an empty text is that one.
///
/// # Errors
/// A sentence that says why it is not called.
pub fn read_base(text: &str, own: &[String], allowed: &[AllowedHost]) -> Result<TestBase, ParseError> {
    let wrong = |sentence: &'static str| Err(ParseError::new(sentence));
    let text = text.trim();
    let gateway = own.first().map(String::as_str).unwrap_or_default();
    let text = if text.is_empty() { gateway } else { text };
    if text.len() > MAX {
        return Err(ParseError::new(format!("A base URL has at most {MAX} characters.")));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return wrong("The URL has a space, a line break or a backslash. Remove it.");
    }
    let own: Vec<Url> = own.iter().filter_map(|own| Url::parse(own).ok()).collect();
    let url = parse(text, &own)?;
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', '?', '#']).next();
    if authority.is_some_and(|authority| authority.contains('@')) {
        return wrong("The URL has a user name or a password. Remove it.");
    }
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    if has_secret(&decoded) {
        return wrong("The URL has a secret in it. Remove it and paste it into the field above.");
    }
    let Some(host) = url.host() else { return wrong(NOT_WHOLE) };
    let is_own = own.iter().any(|own| own.origin() == url.origin());
    if !is_own {
        if own.iter().any(|own| own.host() == Some(host.clone())) {
            return Err(ParseError::new(format!(
                "This gateway’s base URL is {gateway}. Yours has another scheme or port."
            )));
        }
        check_foreign(&url, &host, gateway, allowed)?;
    }
    let path = base_path(&url);
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let base = format!("{}://{host}{port}{path}", url.scheme());
    let read_as = explain(text, &url, &base, &path);
    Ok(TestBase { url: base, own: is_own, read_as })
}

/// Without a scheme it is the installation's own, or https.
fn parse(text: &str, own: &[Url]) -> Result<Url, ParseError> {
    let not_whole = || ParseError::new(NOT_WHOLE);
    let Some((scheme, rest)) = text.split_once("://") else {
        let with = |scheme: &str| Url::parse(&format!("{scheme}://{text}")).ok();
        let same = own.iter().find_map(|own| with(own.scheme()).filter(|url| url.origin() == own.origin()));
        return same.or_else(|| with("https")).ok_or_else(not_whole);
    };
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    // A parser skips further slashes: what it then reads is not what a person sees.
    if !http || rest.starts_with('/') {
        return Err(not_whole());
    }
    Url::parse(text).map_err(|_| not_whole())
}

fn is_public_host(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => !is_local_name(name),
        Host::Ipv4(address) => is_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(*address)),
    }
}

fn check_foreign(
    url: &Url,
    host: &Host<&str>,
    gateway: &str,
    allowed: &[AllowedHost],
) -> Result<(), ParseError> {
    if !is_public_host(host) {
        return Err(ParseError::new(PRIVATE));
    }
    let host = host.to_string();
    let same_host: Vec<_> = allowed.iter().filter(|allowed| allowed.host == host).collect();
    if same_host.is_empty() {
        return Err(ParseError::new(match allowed {
            [] => format!("Only this gateway is tested here: {gateway}. An operator can allow other hosts."),
            hosts => {
                let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                format!("This host is not among those that an operator allows: {}.", hosts.join(", "))
            }
        }));
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if !matches!(port, 80 | 443) && !same_host.iter().any(|allowed| allowed.port == Some(port)) {
        return Err(ParseError::new("This port is not allowed. Leave it out."));
    }
    if url.scheme() != "https" {
        return Err(ParseError::new("Plain http sends the secret unencrypted. Use https."));
    }
    Ok(())
}

/// The path without the version and the call, which the test adds.
fn base_path(url: &Url) -> String {
    let mut parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let version = parts.iter().rposition(|part| VERSIONS.contains(part));
    let call_behind = version.is_some_and(|at| CALLS.iter().any(|call| parts[at + 1..].starts_with(call)));
    if let (Some(at), true) = (version, call_behind) {
        parts.truncate(at);
    } else if let Some(call) = CALLS.iter().find(|call| parts.ends_with(call)) {
        parts.truncate(parts.len() - call.len());
    }
    while parts.last().is_some_and(|part| VERSIONS.contains(part)) {
        parts.pop();
    }
    parts.iter().map(|part| format!("/{part}")).collect()
}

fn explain(text: &str, url: &Url, base: &str, path: &str) -> String {
    if text == base {
        return String::new();
    }
    let mut words = format!("Your URL was read as {base}.");
    if url.path().trim_end_matches('/') != path {
        words.push_str(" The version and the path of a call are added to each request.");
    }
    if url.query().is_some() || url.fragment().is_some() {
        words.push_str(" What follows the path was left out.");
    }
    words
}

#[cfg(test)]
mod tests;

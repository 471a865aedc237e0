//! A provider's address as an operator types it. Requests go there with a credential and with what people ask, so it is
//! https, or a host of one's own network; never an address that a machine's own cloud answers at. Only what is written is
//! looked at: what a name resolves to is asked when a connection is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::key_format::refuse_secret;
use super::parse_error::ParseError;

const MAX_BASE_URL: usize = 300;

const NOT_WHOLE: &str =
    "This is not a whole web address. Write it with its beginning, such as https://api.openai.com.";
const ONE_CALL: &str =
    "This is the address of one call. Leave out everything from the version on: https://api.openai.com.";
const LINK_LOCAL: &str = "This is a link-local address, where a machine's own cloud answers with its secrets. Write the address of the provider.";
const NO_HOST: &str = "This URL has no host. Enter the URL of the provider.";
const PLAIN: &str = "Plain http sends the API key and the requests unencrypted, so it is allowed only for this machine or your own network. Use https.";

/// What every client adds by itself.
const VERSIONS: [&str; 2] = ["/v1", "/v1beta"];
/// Ends of addresses that people copy from a provider's examples.
const CALLS: [&str; 5] = ["/chat/completions", "/completions", "/responses", "/messages", "/embeddings"];

/// The address without a slash and without a version at its end: `https://api.openai.com`.
///
/// # Errors
/// A sentence that says which rule it breaks.
pub fn parse_base_url(text: &str) -> Result<String, ParseError> {
    let wrong = |sentence: &'static str| Err(ParseError::new(sentence));
    let text = text.trim();
    refuse_secret(text)?;
    if text.is_empty() {
        return wrong("The address is empty. Type one such as https://api.openai.com.");
    }
    if text.len() > MAX_BASE_URL {
        return Err(ParseError::new(format!("An address has at most {MAX_BASE_URL} characters.")));
    }
    // A parser takes line breaks out and turns backslashes round: what it then reads is not what a person sees.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return wrong("The URL has a space, a line break or a backslash. Remove it.");
    }
    let Ok(url) = Url::parse(text) else { return wrong(NOT_WHOLE) };
    if !matches!(url.scheme(), "https" | "http")
        || text.split_once("://").is_none_or(|(_, rest)| rest.starts_with('/'))
    {
        return wrong(NOT_WHOLE);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(
            "The URL has a user name or a password. Remove it: the API key comes from the credential variable.",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("The URL has a ? or a #. Remove it and everything after it.");
    }
    let own = match url.host() {
        Some(Host::Domain(name)) if is_metadata_name(name) => return wrong(LINK_LOCAL),
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => own_address(IpAddr::V4(address))?,
        Some(Host::Ipv6(address)) => own_address(IpAddr::V6(address))?,
        None => return wrong(NOT_WHOLE),
    };
    if url.scheme() == "http" && !own {
        return wrong(PLAIN);
    }
    let mut path = url.path().trim_end_matches('/');
    if CALLS.iter().any(|call| path.ends_with(call)) || path.contains(":generateContent") {
        return wrong(ONE_CALL);
    }
    if let Some(version) = VERSIONS.iter().find(|version| path.ends_with(*version)) {
        path = path[..path.len() - version.len()].trim_end_matches('/');
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default()))
}

/// Whether a cloud answers with its secrets at this name.
fn is_metadata_name(name: &str) -> bool {
    matches!(
        name.trim_end_matches('.'),
        "metadata" | "metadata.google.internal" | "instance-data" | "instance-data.ec2.internal"
    )
}

/// Whether a name can only be of one's own network.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let own = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
    !name.contains('.') || own.iter().any(|end| name.ends_with(end))
}

fn own_address(address: IpAddr) -> Result<bool, ParseError> {
    const CLOUD_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    const CLOUD_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_link_local() || v4 == CLOUD_V4 => Err(ParseError::new(LINK_LOCAL)),
        IpAddr::V6(v6) if v6.is_unicast_link_local() || v6 == CLOUD_V6 => Err(ParseError::new(LINK_LOCAL)),
        address if address.is_unspecified() || address.is_multicast() => Err(ParseError::new(NO_HOST)),
        IpAddr::V4(v4) if v4.is_broadcast() => Err(ParseError::new(NO_HOST)),
        IpAddr::V4(v4) => Ok(v4.is_loopback() || v4.is_private()),
        IpAddr::V6(v6) => Ok(v6.is_loopback() || v6.is_unique_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slash_and_a_version_at_the_end_are_taken_off() {
        for (typed, stored) in [
            ("https://api.openai.com", "https://api.openai.com"),
            ("  https://api.openai.com/ ", "https://api.openai.com"),
            ("https://api.openai.com/v1", "https://api.openai.com"),
            ("https://api.openai.com/v1/", "https://api.openai.com"),
            ("https://api.openai.com//v1//", "https://api.openai.com"),
            ("HTTPS://API.OpenAI.com:443/v1", "https://api.openai.com"),
            ("https://generativelanguage.googleapis.com/v1beta", "https://generativelanguage.googleapis.com"),
            ("https://openrouter.ai/api/v1", "https://openrouter.ai/api"),
            ("https://proxy.example.com:8443/openai/", "https://proxy.example.com:8443/openai"),
            // A version in the middle is part of the way.
            ("https://gateway.example.com/v1/acme/openai", "https://gateway.example.com/v1/acme/openai"),
            ("https://example.com/xv1", "https://example.com/xv1"),
            ("https://10.1.2.3/v1", "https://10.1.2.3"),
            ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]"),
        ] {
            assert_eq!(parse_base_url(typed).as_deref(), Ok(stored), "{typed}");
            assert_eq!(parse_base_url(stored).as_deref(), Ok(stored), "what is stored reads back");
        }
    }

    #[test]
    fn plain_http_is_for_hosts_of_ones_own_network_only() {
        for own in [
            "http://localhost:11434",
            "http://127.0.0.1:8000",
            "http://127.9.9.9",
            "http://[::1]:8000",
            "http://10.0.0.7",
            "http://172.16.0.1",
            "http://192.168.1.20:1234",
            "http://[fd12:3456::1]",
            "http://[::ffff:10.0.0.7]",
            "http://vllm:8000",
            "http://models.internal",
            "http://box.local",
        ] {
            assert!(parse_base_url(own).is_ok(), "{own}");
        }
        for far in [
            "http://api.openai.com",
            "http://8.8.8.8",
            "http://172.32.0.1",
            "http://[2606:4700::1111]",
            "http://localhost.example.com",
            "http://internal.example.com",
            // Written as one number, or in octal, it is still that address.
            "http://134744072",
            "http://010.8.8.8",
        ] {
            assert_eq!(parse_base_url(far).unwrap_err().sentence(), PLAIN, "{far}");
        }
    }

    #[test]
    fn addresses_that_a_cloud_answers_at_are_refused_however_they_are_written() {
        for inside in [
            "http://169.254.169.254",
            "https://169.254.169.254/latest",
            "http://169.254.0.1",
            "http://2852039166",
            "http://0xa9fea9fe",
            "http://0251.0376.0251.0376",
            "http://[fe80::1]",
            "https://[febf::1]",
            "http://[::ffff:169.254.169.254]",
            "http://[::ffff:a9fe:a9fe]",
            "http://metadata.google.internal",
            "http://metadata.google.internal.",
            "http://METADATA/computeMetadata",
            "http://100.100.100.200",
            "http://[fd00:ec2::254]",
        ] {
            assert_eq!(parse_base_url(inside).unwrap_err().sentence(), LINK_LOCAL, "{inside}");
        }
        for unusable in ["http://0.0.0.0", "http://[::]", "https://255.255.255.255", "https://224.0.0.1"] {
            assert_eq!(parse_base_url(unusable).unwrap_err().sentence(), NO_HOST, "{unusable}");
        }
    }

    #[test]
    fn every_other_mistake_has_its_own_sentence() {
        for (text, says) in [
            ("", "is empty"),
            ("   ", "is empty"),
            ("api.openai.com", "not a whole web address"),
            ("api.openai.com:443", "not a whole web address"),
            ("//api.openai.com", "not a whole web address"),
            ("https:api.openai.com", "not a whole web address"),
            ("https:///api.openai.com", "not a whole web address"),
            ("https://", "not a whole web address"),
            ("ftp://api.openai.com", "not a whole web address"),
            ("file:///etc/passwd", "not a whole web address"),
            ("https://api openai.com", "a space"),
            ("https://api.openai.com\n.evil.example", "a line break"),
            ("https://api.openai.com\\@evil.example", "backslash"),
            ("https://ana:secret@api.openai.com", "user name or a password"),
            ("https://ana@api.openai.com", "user name or a password"),
            ("https://api.openai.com?key=x", "a ? or a #"),
            ("https://api.openai.com/v1?", "a ? or a #"),
            ("https://api.openai.com/#x", "a ? or a #"),
            ("https://api.openai.com/v1/chat/completions", "address of one call"),
            ("https://api.anthropic.com/v1/messages/", "address of one call"),
            ("https://g.example/v1beta/models/gemini:generateContent", "address of one call"),
        ] {
            let sentence = parse_base_url(text).unwrap_err().to_string();
            assert!(sentence.contains(says), "{text}: {sentence}");
        }
        let long = format!("https://{}.example", "a".repeat(MAX_BASE_URL));
        assert!(parse_base_url(&long).unwrap_err().sentence().contains("at most"));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_stored_reads_back(text: String, near in "https?://[a-z0-9.:/@?#%\\[\\]v-]{0,40}") {
            for text in [text, near] {
                if let Ok(stored) = parse_base_url(&text) {
                    prop_assert!(!stored.ends_with('/'), "{}", stored);
                    prop_assert!(parse_base_url(&stored).is_ok(), "{}", stored);
                }
            }
        }
    }
}

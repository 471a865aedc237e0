//! A provider's address as an operator types it, in any shape that providers publish, and the URLs that requests go to.
//! Requests go there with a credential and with what people ask, so it is https, or a host of one's own network; never an
//! address that a machine's own cloud answers at. What is written is looked at here; what a name resolves to is looked at
//! with `is_refused` when a connection is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::key_format::{looks_like_secret, refuse_secret};
use super::parse_error::ParseError;
use super::provider_kind::ProviderKind;

const MAX_BASE_URL: usize = 300;
const MAX_PARAMETERS: usize = 5;
const MAX_PARAMETER: usize = 100;

/// Where the provider's name of a model stands in an address whose path names the model.
pub const MODEL_PLACE: &str = "{model}";
/// Stands for it while the address is read, because a parser would escape the braces.
const READ_PLACE: &str = "keydesk-model-place";

const NOT_WHOLE: &str =
    "This is not a whole web address. Write it with its beginning, such as https://api.openai.com/v1.";
const LINK_LOCAL: &str = "This is a link-local address, where a machine's own cloud answers with its secrets. Write the address of the provider.";
const NO_HOST: &str = "This URL has no host. Enter the URL of the provider.";
const PLAIN: &str = "Plain http sends the API key and the requests unencrypted, so it is allowed only for this machine or your own network. Use https.";

/// Ends of addresses that people copy from a provider's examples: they are taken off, and what is left is used as it is.
const CALLS: [&str; 8] = [
    "/chat/completions",
    "/completions",
    "/responses",
    "/messages/count_tokens",
    "/messages",
    "/embeddings",
    "/models",
    "/deployments",
];

/// Hosts of Azure, which take the credential in a header of their own and want `api-version` in some paths.
const AZURE: [&str; 3] = [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"];

/// An address in the parts that a URL is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderAddress {
    /// `https://api.openai.com`: without the version and without a slash at the end. May contain `{model}`.
    pub base_url: String,
    /// What stands between it and a call: `/v1`, `/v4`, `/v1beta/openai`, or nothing.
    pub api_path: String,
    /// Parameters of every request, such as `api-version=2024-10-21`; empty for none.
    pub query: String,
}

impl ProviderAddress {
    /// As one text that reads back as the same address, `exactly` where it has no version.
    pub fn typed(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("{}{}{query}", self.base_url, self.api_path)
    }

    /// Whether it reads back only when it is taken exactly as it is.
    pub fn is_exact(&self) -> bool {
        self.api_path.is_empty()
    }

    /// The URL of a call, which begins with a slash; `model` is the provider's name of it, escaped for a path.
    pub fn url(&self, call: &str, model: &str) -> String {
        let base = self.base_url.trim_end_matches('/').replace(MODEL_PLACE, model);
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("{base}{}{call}{query}", self.api_path)
    }

    /// The URL of the list of models: where the path names a model, it is beside that.
    pub fn models_url(&self) -> String {
        let place = format!("/deployments/{MODEL_PLACE}");
        let base = self.base_url.replace(&place, "");
        Self { base_url: base, ..self.clone() }.url("/models", "")
    }

    /// Whether its path names the model, so that a list of models says nothing about what is served.
    pub fn names_model(&self) -> bool {
        self.base_url.contains(MODEL_PLACE)
    }
}

/// Whether an address is one of Azure's.
pub fn is_azure(base_url: &str) -> bool {
    let host = Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| AZURE.iter().any(|end| host.ends_with(end)))
}

/// Reads an address. Where its path has no version and is not taken `exactly`, the protocol's own is added.
///
/// # Errors
/// A sentence that says which rule it breaks.
pub fn parse_address(text: &str, kind: ProviderKind, exactly: bool) -> Result<ProviderAddress, ParseError> {
    let wrong = |sentence: &'static str| Err(ParseError::new(sentence));
    let text = text.trim();
    refuse_secret(text)?;
    if text.is_empty() {
        return wrong("The address is empty. Type one such as https://api.openai.com/v1.");
    }
    if text.len() > MAX_BASE_URL {
        return Err(ParseError::new(format!("An address has at most {MAX_BASE_URL} characters.")));
    }
    // A parser takes line breaks out and turns backslashes round: what it then reads is not what a person sees.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') || text.contains(READ_PLACE)
    {
        return wrong("The URL has a space, a line break or a backslash. Remove it.");
    }
    let Ok(url) = Url::parse(&text.replace(MODEL_PLACE, READ_PLACE)) else { return wrong(NOT_WHOLE) };
    if !matches!(url.scheme(), "https" | "http")
        || text.split_once("://").is_none_or(|(_, rest)| rest.starts_with('/'))
    {
        return wrong(NOT_WHOLE);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(
            "The URL has a user name or a password. Remove it: the API key has a field of its own.",
        );
    }
    if url.fragment().is_some() {
        return wrong("The URL has a #. Remove it and everything after it.");
    }
    let query = parse_parameters(&url)?;
    let own = match url.host() {
        Some(Host::Domain(name)) if name.contains(READ_PLACE) => return wrong(NOT_WHOLE),
        Some(Host::Domain(name)) if is_metadata_name(name) => return wrong(LINK_LOCAL),
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => own_address(IpAddr::V4(address))?,
        Some(Host::Ipv6(address)) => own_address(IpAddr::V6(address))?,
        None => return wrong(NOT_WHOLE),
    };
    if url.scheme() == "http" && !own {
        return wrong(PLAIN);
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let origin = format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default());
    let azure = is_azure(&origin);
    let path = url.path().replace(READ_PLACE, MODEL_PLACE);
    let mut path = path.trim_end_matches('/');
    let mut exactly = exactly;
    if let Some(call) = without_call(path) {
        (path, exactly) = (call, true);
    }
    let mut path = path.to_owned();
    if azure {
        path = with_azure_path(&path, !query.is_empty());
    }
    let (path, api_path) = match version_of(&path) {
        Some(at) => (&path[..at], &path[at..]),
        None if exactly || path.contains(MODEL_PLACE) => (path.as_str(), ""),
        None => (path.as_str(), kind.version_path()),
    };
    let base_url = format!("{origin}{}", path.trim_end_matches('/'));
    Ok(ProviderAddress { base_url, api_path: api_path.to_owned(), query })
}

/// The path before a call that was copied with it; `None` where it ends with none.
fn without_call(path: &str) -> Option<&str> {
    let action = path.rfind(':').filter(|at| path[*at..].ends_with("enerateContent"));
    if let Some(models) = action.and_then(|at| path[..at].rfind("/models/")) {
        return Some(path[..models].trim_end_matches('/'));
    }
    let call = CALLS.iter().find(|call| path.ends_with(*call))?;
    Some(path[..path.len() - call.len()].trim_end_matches('/'))
}

/// Where Azure's address names one deployment, every model has its own; where it names nothing, the API is at `/openai`: with
/// a version in the query the older one, else the newer one.
fn with_azure_path(path: &str, has_query: bool) -> String {
    const DEPLOYMENTS: &str = "/deployments/";
    if let Some(at) = path.find(DEPLOYMENTS) {
        let rest = &path[at + DEPLOYMENTS.len()..];
        let after = rest.find('/').map_or("", |end| &rest[end..]);
        return format!("{}{DEPLOYMENTS}{MODEL_PLACE}{after}", &path[..at]);
    }
    match (path.trim_end_matches('/'), has_query) {
        ("" | "/openai", true) => format!("/openai{DEPLOYMENTS}{MODEL_PLACE}"),
        ("" | "/openai", false) => "/openai/v1".into(),
        _ => path.to_owned(),
    }
}

/// Where the version at the end of a path begins: `/v1`, `/v4`, `/v1beta`, also with `/openai` behind it.
fn version_of(path: &str) -> Option<usize> {
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'.')
    };
    let last = path.rfind('/')?;
    if is_version(&path[last + 1..]) {
        return Some(last);
    }
    let before = path[..last].rfind('/')?;
    (&path[last..] == "/openai" && is_version(&path[before + 1..last])).then_some(before)
}

/// The parameters of an address: few, plain, and none that looks like a credential.
fn parse_parameters(url: &Url) -> Result<String, ParseError> {
    const SECRET_NAMES: [&str; 7] = ["key", "token", "secret", "password", "sig", "code", "auth"];
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in url.query_pairs() {
        let lower = name.to_ascii_lowercase();
        if SECRET_NAMES.iter().any(|secret| lower.contains(secret)) || looks_like_secret(&value) {
            return Err(ParseError::new(format!(
                "The URL has what looks like a credential after the ?. Remove it: the API key has a field of its own{}.",
                if name.len() <= 20 && name.bytes().all(plain) {
                    format!(" (?{name}=)")
                } else {
                    String::new()
                }
            )));
        }
        let fits = |text: &str| text.len() <= MAX_PARAMETER && text.bytes().all(plain);
        if name.is_empty()
            || !fits(&name)
            || !fits(&value)
            || parameters.iter().any(|(known, _)| *known == name)
        {
            return Err(ParseError::new(
                "What stands after the ? is not understood. Write parameters such as ?api-version=2024-10-21, each once.",
            ));
        }
        parameters.push((name.into_owned(), value.into_owned()));
    }
    if parameters.len() > MAX_PARAMETERS {
        return Err(ParseError::new(format!("An address has at most {MAX_PARAMETERS} parameters.")));
    }
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

/// Whether no provider can be at this address: a machine's own cloud is, or no one.
pub fn is_refused(address: IpAddr) -> bool {
    own_address(address).is_err()
}

/// Whether a host of this name or address is one's own network's, so that no proxy stands before it.
pub fn is_own_host(host: &str) -> bool {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    match plain.parse::<IpAddr>() {
        Ok(address) => own_address(address).unwrap_or(true),
        Err(_) => is_local_name(host),
    }
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

    const OPENAI: ProviderKind = ProviderKind::OpenAi;

    fn read(text: &str) -> Result<ProviderAddress, ParseError> {
        parse_address(text, OPENAI, false)
    }

    #[test]
    fn an_address_of_any_shape_becomes_the_url_that_requests_go_to() {
        let chat = "/chat/completions";
        for (typed, url) in [
            ("https://api.openai.com", "https://api.openai.com/v1/chat/completions"),
            ("  https://api.openai.com/ ", "https://api.openai.com/v1/chat/completions"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("https://api.openai.com//v1//", "https://api.openai.com/v1/chat/completions"),
            ("HTTPS://API.OpenAI.com:443/v1", "https://api.openai.com/v1/chat/completions"),
            ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
            (
                "https://proxy.example.com:8443/openai/",
                "https://proxy.example.com:8443/openai/v1/chat/completions",
            ),
            ("https://open.bigmodel.cn/api/paas/v4", "https://open.bigmodel.cn/api/paas/v4/chat/completions"),
            ("https://ark.example.com/api/v3/", "https://ark.example.com/api/v3/chat/completions"),
            (
                "https://generativelanguage.googleapis.com/v1beta/openai/",
                "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            ),
            // A call is taken off, and what is left has no version unless it has one.
            ("https://api.perplexity.ai/chat/completions", "https://api.perplexity.ai/chat/completions"),
            (
                "https://models.github.ai/inference/chat/completions/",
                "https://models.github.ai/inference/chat/completions",
            ),
            ("https://api.openai.com/v1/responses", "https://api.openai.com/v1/chat/completions"),
            // A version in the middle is part of the way.
            (
                "https://gateway.example.com/v1/acme/openai",
                "https://gateway.example.com/v1/acme/openai/v1/chat/completions",
            ),
            ("https://example.com/xv1", "https://example.com/xv1/v1/chat/completions"),
            ("https://acme.openai.azure.com", "https://acme.openai.azure.com/openai/v1/chat/completions"),
            (
                "https://acme.openai.azure.com/openai/v1/",
                "https://acme.openai.azure.com/openai/v1/chat/completions",
            ),
            (
                "https://acme.openai.azure.com?api-version=2024-10-21",
                "https://acme.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21",
            ),
            (
                "https://acme.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
                "https://acme.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21",
            ),
            (
                "https://gw.example.com/d/{model}/openai",
                "https://gw.example.com/d/m%2F1/openai/chat/completions",
            ),
            ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]/v1/chat/completions"),
        ] {
            let address = read(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!(address.url(chat, "m%2F1"), url, "{typed}");
            let again = parse_address(&address.typed(), OPENAI, address.is_exact());
            assert_eq!(again.as_ref(), Ok(&address), "what is stored reads back");
        }
        let exact = parse_address("https://api.example.com/llm", OPENAI, true).unwrap();
        assert_eq!(exact.url(chat, ""), "https://api.example.com/llm/chat/completions");
        assert_eq!(exact.models_url(), "https://api.example.com/llm/models");
        let azure = read("https://acme.openai.azure.com?api-version=2024-10-21").unwrap();
        assert!(
            azure.names_model() && is_azure(&azure.base_url) && !is_azure("https://azure.com.example.com")
        );
        assert_eq!(azure.models_url(), "https://acme.openai.azure.com/openai/models?api-version=2024-10-21");
    }

    #[test]
    fn each_protocol_has_a_version_of_its_own() {
        for (kind, typed, url) in [
            (ProviderKind::Anthropic, "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
            (
                ProviderKind::Anthropic,
                "https://api.anthropic.com/v1/messages/",
                "https://api.anthropic.com/v1/messages",
            ),
            (
                ProviderKind::Anthropic,
                "https://api.deepseek.com/anthropic",
                "https://api.deepseek.com/anthropic/v1/messages",
            ),
            (ProviderKind::Gemini, "https://g.example", "https://g.example/v1beta/messages"),
            (
                ProviderKind::Gemini,
                "https://g.example/v1beta/models/gemini-3:generateContent",
                "https://g.example/v1beta/messages",
            ),
            (
                ProviderKind::Gemini,
                "https://g.example/v1beta/models/gemini-3:streamGenerateContent",
                "https://g.example/v1beta/messages",
            ),
        ] {
            assert_eq!(parse_address(typed, kind, false).unwrap().url("/messages", ""), url, "{typed}");
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
            assert!(read(own).is_ok(), "{own}");
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
            assert_eq!(read(far).unwrap_err().sentence(), PLAIN, "{far}");
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
            assert_eq!(read(inside).unwrap_err().sentence(), LINK_LOCAL, "{inside}");
        }
        for unusable in ["http://0.0.0.0", "http://[::]", "https://255.255.255.255", "https://224.0.0.1"] {
            assert_eq!(read(unusable).unwrap_err().sentence(), NO_HOST, "{unusable}");
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
            ("https://{model}.example.com", "not a whole web address"),
            ("ftp://api.openai.com", "not a whole web address"),
            ("file:///etc/passwd", "not a whole web address"),
            ("https://api openai.com", "a space"),
            ("https://api.openai.com\n.evil.example", "a line break"),
            ("https://api.openai.com\\@evil.example", "backslash"),
            ("https://ana:secret@api.openai.com", "user name or a password"),
            ("https://ana@api.openai.com", "user name or a password"),
            ("https://api.openai.com?key=x", "(?key=)"),
            ("https://api.openai.com?API-Key=x", "looks like a credential"),
            ("https://api.openai.com?a=1&a=2", "not understood"),
            ("https://api.openai.com?a=%0a", "not understood"),
            ("https://api.openai.com?a=1&b=1&c=1&d=1&e=1&f=1", "at most 5"),
            ("https://api.openai.com/#x", "a #"),
        ] {
            let sentence = read(text).unwrap_err().to_string();
            assert!(sentence.contains(says), "{text}: {sentence}");
        }
        let long = format!("https://{}.example", "a".repeat(MAX_BASE_URL));
        assert!(read(&long).unwrap_err().sentence().contains("at most"));
        assert_eq!(read("https://api.openai.com/v1?").unwrap().query, "");
    }

    #[test]
    fn what_a_name_may_not_resolve_to_and_what_no_proxy_stands_before() {
        for (address, refused) in [
            ("169.254.169.254", true),
            ("fe80::1", true),
            ("0.0.0.0", true),
            ("10.0.0.1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(is_refused(address.parse().unwrap()), refused, "{address}");
        }
        for (host, own) in [
            ("localhost", true),
            ("10.1.2.3", true),
            ("[::1]", true),
            ("vllm", true),
            ("api.openai.com", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(is_own_host(host), own, "{host}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_stored_reads_back(
            text: String,
            near in "https?://[a-z0-9.:/@?#%=&{}\\[\\]v-]{0,40}",
            azure in "https://a.openai.azure.com[a-z0-9/{}?=v-]{0,30}",
            exactly: bool,
        ) {
            for text in [text, near, azure] {
                if let Ok(stored) = parse_address(&text, OPENAI, exactly) {
                    prop_assert!(!stored.base_url.ends_with('/'), "{:?}", stored);
                    let again = parse_address(&stored.typed(), OPENAI, stored.is_exact());
                    prop_assert!(again.is_ok(), "{:?}", stored);
                }
            }
        }
    }
}

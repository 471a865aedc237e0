//! How requests to one provider differ from what its protocol usually sends: the header with the credential, headers beside
//! it, and members of the body that it does not take. Operators choose them; nothing in here is a secret.

use super::base_url::is_azure;
use super::key_format::has_secret;
use super::parse_error::ParseError;
use super::provider_kind::ProviderKind;

const MAX_HEADERS: usize = 20;
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 300;

/// The header that carries the credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CredentialHeader {
    /// The protocol's own, and `api-key` at Azure.
    #[default]
    Auto,
    /// `Authorization: Bearer`.
    Bearer,
    /// `api-key`, as Azure takes it.
    ApiKey,
    /// `x-api-key`, as Anthropic takes it.
    XApiKey,
    /// `x-goog-api-key`, as Google takes it.
    XGoogApiKey,
}

impl CredentialHeader {
    /// Every choice, in the order of forms.
    pub const ALL: [CredentialHeader; 5] = [
        CredentialHeader::Auto,
        CredentialHeader::Bearer,
        CredentialHeader::ApiKey,
        CredentialHeader::XApiKey,
        CredentialHeader::XGoogApiKey,
    ];

    /// The word in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            CredentialHeader::Auto => "auto",
            CredentialHeader::Bearer => "bearer",
            CredentialHeader::ApiKey => "api-key",
            CredentialHeader::XApiKey => "x-api-key",
            CredentialHeader::XGoogApiKey => "x-goog-api-key",
        }
    }

    /// Reads the word that [`CredentialHeader::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }

    /// On pages and in the audit.
    pub const fn label(self) -> &'static str {
        match self {
            CredentialHeader::Auto => "The protocol’s own",
            CredentialHeader::Bearer => "Authorization: Bearer",
            CredentialHeader::ApiKey => "api-key",
            CredentialHeader::XApiKey => "x-api-key",
            CredentialHeader::XGoogApiKey => "x-goog-api-key",
        }
    }

    /// Its name and what stands before the credential, at this address in this protocol.
    pub fn at(self, kind: ProviderKind, base_url: &str) -> (&'static str, &'static str) {
        match (self, kind) {
            (CredentialHeader::Auto, ProviderKind::OpenAi) if is_azure(base_url) => ("api-key", ""),
            (CredentialHeader::Auto, ProviderKind::OpenAi) | (CredentialHeader::Bearer, _) => {
                ("authorization", "Bearer ")
            }
            (CredentialHeader::Auto, ProviderKind::Anthropic) | (CredentialHeader::XApiKey, _) => {
                ("x-api-key", "")
            }
            (CredentialHeader::Auto, ProviderKind::Gemini) | (CredentialHeader::XGoogApiKey, _) => {
                ("x-goog-api-key", "")
            }
            (CredentialHeader::ApiKey, _) => ("api-key", ""),
        }
    }
}

/// # Errors
/// When it is no word of [`CredentialHeader`]; empty is the protocol's own.
pub fn parse_credential_header(text: &str) -> Result<CredentialHeader, ParseError> {
    match text {
        "" => Ok(CredentialHeader::Auto),
        text => CredentialHeader::parse(text).ok_or_else(|| ParseError::new("Choose one of these headers.")),
    }
}

/// A member of a request's body that a provider may not take. Leaving one out changes no answer's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OmittedMember {
    /// The gateway asks with it for the usage of a stream; without it, usage that is not told is estimated.
    StreamOptions,
    /// Whether the provider keeps the answer.
    Store,
    /// The client's own words about the request.
    Metadata,
    /// The client's name of its user.
    User,
    /// The client's newer name of its user.
    SafetyIdentifier,
    /// What the provider groups its cache by.
    PromptCacheKey,
    /// Whether tools may be called side by side.
    ParallelToolCalls,
}

impl OmittedMember {
    /// Every one, in the order of forms.
    pub const ALL: [OmittedMember; 7] = [
        OmittedMember::StreamOptions,
        OmittedMember::Store,
        OmittedMember::Metadata,
        OmittedMember::User,
        OmittedMember::SafetyIdentifier,
        OmittedMember::PromptCacheKey,
        OmittedMember::ParallelToolCalls,
    ];

    /// The member's name, also in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            OmittedMember::StreamOptions => "stream_options",
            OmittedMember::Store => "store",
            OmittedMember::Metadata => "metadata",
            OmittedMember::User => "user",
            OmittedMember::SafetyIdentifier => "safety_identifier",
            OmittedMember::PromptCacheKey => "prompt_cache_key",
            OmittedMember::ParallelToolCalls => "parallel_tool_calls",
        }
    }

    /// Reads the name that [`OmittedMember::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.as_str() == text)
    }

    /// Several, as the database stores them: in order, separated by commas.
    pub fn join(members: &[OmittedMember]) -> String {
        members.iter().map(|member| member.as_str()).collect::<Vec<_>>().join(",")
    }

    /// What `join` writes; `None` for anything else.
    pub fn split(text: &str) -> Option<Vec<OmittedMember>> {
        text.split(',').filter(|name| !name.is_empty()).map(Self::parse).collect()
    }
}

/// # Errors
/// When one is no name of [`OmittedMember`].
pub fn parse_omitted(names: &[String]) -> Result<Vec<OmittedMember>, ParseError> {
    let found: Option<Vec<_>> = names.iter().map(|name| OmittedMember::parse(name)).collect();
    let mut found = found.ok_or_else(|| ParseError::new("Choose from these members."))?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Headers that the gateway sets itself, that belong to one connection, or that carry a credential.
const OWN_HEADERS: [&str; 22] = [
    "accept-encoding",
    "authorization",
    "api-key",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-forwarded-for",
    "x-goog-api-key",
    "x-real-ip",
];

/// Headers as lines of `Name: value`, each on its own, as they are stored.
///
/// # Errors
/// A sentence that names the line.
pub fn parse_extra_headers(text: &str) -> Result<String, ParseError> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let number = lines.len() + 1;
        let wrong = |what: &str| Err(ParseError::new(format!("Header {number}: {what}")));
        let Some((name, value)) = line.split_once(':') else {
            return wrong("write it as Name: value.");
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let is_token = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_token) {
            return wrong("its name has letters, digits, - and _ only.");
        }
        if OWN_HEADERS.contains(&name.as_str()) {
            return wrong(&format!(
                "{name} is set by the gateway or carries a credential. The API key has a field of its own."
            ));
        }
        if has_secret(line) {
            return wrong("this looks like a secret. Headers are shown to operators, so put no secret here.");
        }
        let is_visible = |c: u8| c.is_ascii_graphic() || c == b' ';
        if value.is_empty() || value.len() > MAX_VALUE || !value.bytes().all(is_visible) {
            return wrong(&format!(
                "its value has 1 to {MAX_VALUE} characters, without line breaks and accents."
            ));
        }
        if lines.iter().any(|(known, _)| *known == name) {
            return wrong("there is one of this name already.");
        }
        lines.push((name, value.to_owned()));
    }
    if lines.len() > MAX_HEADERS {
        return Err(ParseError::new(format!("A provider has at most {MAX_HEADERS} headers of its own.")));
    }
    let lines: Vec<String> = lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Ok(lines.join("\n"))
}

/// Names and values of stored headers.
pub fn extra_headers(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    lines.lines().filter_map(|line| line.split_once(": "))
}

/// An API key as it was pasted.
///
/// # Errors
/// A sentence, which does not contain it.
pub fn parse_api_key(text: &str) -> Result<&str, ParseError> {
    const MAX_KEY: usize = 2_000;
    let key = text.trim();
    let key = key.strip_prefix("Bearer ").unwrap_or(key).trim();
    // First, because a masked key is short, too, and is masked with characters that no key has.
    if key.contains(['"', '\'', '`', '•', '…']) || key.contains("...") || key.contains("***") {
        return Err(ParseError::new(
            "This is not the key itself: it is masked or has quotes around it. Copy the whole key.",
        ));
    }
    if key.len() < 8 {
        return Err(ParseError::new("This is too short to be an API key. Paste the whole key."));
    }
    if key.len() > MAX_KEY || !key.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(ParseError::new(
            "This cannot be sent as an API key: it is too long, or has a space, a line break or a character that no key has.",
        ));
    }
    Ok(key)
}

/// The last four characters of an API key; of a short one fewer, so that most of it stays unknown.
pub fn last_four(key: &str) -> String {
    let shown = if key.len() < 16 { 2 } else { 4 };
    key.chars().skip(key.chars().count().saturating_sub(shown)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_and_azure_has_its_own_header() {
        let auto = CredentialHeader::Auto;
        assert_eq!(auto.at(ProviderKind::OpenAi, "https://api.openai.com"), ("authorization", "Bearer "));
        assert_eq!(auto.at(ProviderKind::OpenAi, "https://a.openai.azure.com/openai"), ("api-key", ""));
        assert_eq!(auto.at(ProviderKind::Anthropic, "https://x"), ("x-api-key", ""));
        assert_eq!(auto.at(ProviderKind::Gemini, "https://x"), ("x-goog-api-key", ""));
        assert_eq!(CredentialHeader::Bearer.at(ProviderKind::Anthropic, "https://x").1, "Bearer ");
        for choice in CredentialHeader::ALL {
            assert_eq!(parse_credential_header(choice.as_str()), Ok(choice));
        }
        assert!(parse_credential_header("cookie").is_err());
    }

    #[test]
    fn headers_are_plain_and_carry_no_credential() {
        let stored =
            parse_extra_headers(" HTTP-Referer: https://acme.example \n\nX-Title:  Acme: desk").unwrap();
        assert_eq!(stored, "http-referer: https://acme.example\nx-title: Acme: desk");
        assert_eq!(parse_extra_headers(&stored).as_deref(), Ok(&*stored));
        let read: Vec<_> = extra_headers(&stored).collect();
        assert_eq!(read, [("http-referer", "https://acme.example"), ("x-title", "Acme: desk")]);
        for (text, says) in [
            ("X-Title", "Header 1: write it as"),
            ("x y: z", "letters, digits"),
            ("Authorization: Bearer x", "has a field of its own"),
            ("Host: x", "set by the gateway"),
            ("x-one: 1\nX-ONE: 2", "Header 2: there is one"),
            ("x-one:", "1 to 300"),
            ("x-one: é", "1 to 300"),
            ("x-one: sk-proj-0123456789abcdef0123", "looks like a secret"),
        ] {
            let sentence = parse_extra_headers(text).unwrap_err().to_string();
            assert!(sentence.contains(says), "{text}: {sentence}");
        }
    }

    #[test]
    fn members_are_stored_in_order_and_once() {
        let names = ["store", "stream_options", "store"].map(str::to_owned);
        let members = parse_omitted(&names).unwrap();
        assert_eq!(OmittedMember::join(&members), "stream_options,store");
        assert_eq!(OmittedMember::split("stream_options,store"), Some(members));
        assert_eq!((OmittedMember::split(""), OmittedMember::split("model")), (Some(vec![]), None));
        assert!(parse_omitted(&["model".to_owned()]).is_err());
    }

    #[test]
    fn a_pasted_key_is_whole_and_little_of_it_is_kept_readable() {
        assert_eq!(parse_api_key(" Bearer sk-proj-abcdefgh \n"), Ok("sk-proj-abcdefgh"));
        for (wrong, says) in [
            ("", "too short"),
            ("tiny1", "too short"),
            ("sk-proj abc def", "cannot be sent"),
            ("sk-…", "masked"),
            ("sk-…abcdefgh", "masked"),
            ("••••••••", "masked"),
            ("sk-proj-...abcd", "masked"),
            ("\"sk-proj-abcdef\"", "quotes"),
            ("sk-\u{e9}aaaaaaa", "cannot be sent"),
        ] {
            let sentence = parse_api_key(wrong).unwrap_err().to_string();
            assert!(sentence.contains(says), "{wrong}: {sentence}");
            assert!(wrong.is_empty() || !sentence.contains(wrong), "{sentence}");
        }
        assert_eq!((&*last_four("sk-proj-0123456789abcd"), &*last_four("shortkey")), ("abcd", "ey"));
    }
}

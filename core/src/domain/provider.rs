//! Where models are served: a provider's protocol, its address, and where its credential is: in an environment variable, or
//! sealed in the database. In the clear it is never here.

use std::collections::BTreeMap;

use super::audit::{Change, ChangeValue};
use super::base_url::ProviderAddress;
use super::edit::{EditField, Editable, edit_field};
use super::hidden::Hidden;
use super::ids::ProviderId;
use super::moment::Moment;
use super::numbers::{grouped, read_billionths};
use super::parse_error::ParseError;
use super::person::visible_name;
pub use super::provider_kind::ProviderKind;
use super::provider_outcome::ProviderTest;
use super::provider_wire::{CredentialHeader, OmittedMember};

/// What happens to a provider's stream when its client leaves before the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It is read to its end, so that what the provider charges is what is recorded.
    #[default]
    ReadOn,
    /// It is closed at once, and the request is charged what was reserved for it.
    Stop,
}

impl OnDisconnect {
    /// Both, in the order of forms.
    pub const ALL: [OnDisconnect; 2] = [OnDisconnect::ReadOn, OnDisconnect::Stop];

    /// The word in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnDisconnect::ReadOn => "read_on",
            OnDisconnect::Stop => "stop",
        }
    }

    /// Reads the word that [`OnDisconnect::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }

    /// On pages and in the audit.
    pub const fn label(self) -> &'static str {
        match self {
            OnDisconnect::ReadOn => "Read on to the end",
            OnDisconnect::Stop => "Stop and charge the reservation",
        }
    }
}

/// A provider's API key as the database has it: only the installation's key opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// What was sealed.
    pub sealed: Vec<u8>,
    /// The tag of the key that it was sealed with.
    pub sealed_with: String,
    /// The key's last characters, to tell it from others.
    pub last_four: String,
}

impl std::fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedKey")
    }
}

/// A provider, in use or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The provider's id.
    pub id: ProviderId,
    /// What operators decided about it.
    pub spec: ProviderSpec,
    /// The key that is stored here; `None` when it was not pasted yet.
    pub sealed_key: Option<SealedKey>,
    /// When it first answered, in a test or to a client; `None` until then.
    pub connected_at: Option<Moment>,
}

/// The name of the variable that contains a credential. It must say that it is one for a provider, so that no one can have
/// another secret of this program's environment sent to an address of theirs.
///
/// # Errors
/// When it is not empty and not up to 64 capitals, digits and `_`, no digit in front and `_API_KEY` at the end.
pub fn check_credential_env(text: &str) -> Result<(), ParseError> {
    let plain = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
    let fits = text.bytes().all(plain) && text.ends_with("_API_KEY") && text.len() <= 64;
    if text.is_empty() || (fits && !text.starts_with(|c: char| c.is_ascii_digit())) {
        return Ok(());
    }
    Err(ParseError::new(
        "This is not the name of an API key variable. Use capitals, digits and _, with _API_KEY at the end, such as OPENAI_API_KEY.",
    ))
}

/// A model may think for minutes before its first byte, and a stream that is given up is paid for all the same.
const DEFAULT_IDLE_MS: i64 = 300_000;

const MAX_PROVIDER_NAME: usize = 60;

/// # Errors
/// When nothing of it is visible, it is too long, or it looks like a secret.
pub fn parse_provider_name(text: &str) -> Result<String, ParseError> {
    visible_name(text, "Name", MAX_PROVIDER_NAME)
}

/// # Errors
/// When the installation speaks no such protocol.
pub fn parse_protocol(text: &str) -> Result<ProviderKind, ParseError> {
    ProviderKind::parse(text).ok_or_else(|| ParseError::new("Choose one of these protocols."))
}

/// # Errors
/// When it is no word of [`OnDisconnect`]. Commands write a hyphen in it.
pub fn parse_on_disconnect(text: &str) -> Result<OnDisconnect, ParseError> {
    OnDisconnect::parse(&text.replace('-', "_")).ok_or_else(|| ParseError::new("Choose read-on or stop."))
}

/// # Errors
/// Like `check_credential_env`.
pub fn parse_credential_env(text: &str) -> Result<String, ParseError> {
    let name = text.trim();
    check_credential_env(name).map(|()| name.to_owned())
}

/// Milliseconds, from 1 to 60 seconds.
///
/// # Errors
/// When it is no number of seconds in these bounds, with three decimals at most.
pub fn parse_connect_timeout(text: &str) -> Result<i64, ParseError> {
    parse_seconds(text, 60)
}

/// Milliseconds, from 1 to 600 seconds.
///
/// # Errors
/// Like `parse_connect_timeout`.
pub fn parse_idle_timeout(text: &str) -> Result<i64, ParseError> {
    parse_seconds(text, 600)
}

/// Milliseconds, from 1 to 3,600 seconds.
///
/// # Errors
/// Like `parse_connect_timeout`.
pub fn parse_total_timeout(text: &str) -> Result<i64, ParseError> {
    parse_seconds(text, 3_600)
}

fn parse_seconds(text: &str, max: i64) -> Result<i64, ParseError> {
    const PER_MS: u128 = 1_000_000;
    let wrong = || ParseError::new(format!("Enter a number of seconds from 1 to {}.", grouped(max)));
    let billionths = read_billionths(text).map_err(|_| wrong())?;
    let ms = i64::try_from(billionths / PER_MS).map_err(|_| wrong())?;
    let fits = billionths % PER_MS == 0 && (1_000..=max * 1_000).contains(&ms);
    if fits { Ok(ms) } else { Err(wrong()) }
}

/// Both in milliseconds.
///
/// # Errors
/// When the idle timeout is the longer one.
pub fn check_timeouts(idle_ms: i64, total_ms: i64) -> Result<(), ParseError> {
    if idle_ms <= total_ms {
        return Ok(());
    }
    Err(ParseError::new(format!(
        "The total timeout is {} seconds, so a longer idle timeout has no effect. Enter {} or more for the total timeout.",
        seconds(total_ms),
        seconds(idle_ms)
    )))
}

/// A provider in use.
#[derive(Clone, Debug)]
pub struct ListedProvider {
    /// The provider.
    pub provider: Provider,
    /// Counts changes; an edit names the version that it was drawn from.
    pub version: i64,
    /// How many models are routed to it.
    pub models: i64,
    /// The newest test of its connection as it is now; `None` when there was none.
    pub test: Option<ProviderTest>,
}

/// A provider without its id: what an operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSpec {
    /// The provider's name, 1 to 60 characters.
    pub name: String,
    /// The protocol that it speaks.
    pub kind: ProviderKind,
    /// `https://api.openai.com`: without the version and without a slash at the end. May contain `{model}`.
    pub base_url: String,
    /// What stands between it and a call: `/v1`, `/v4`, `/v1beta/openai`, or nothing.
    pub api_path: String,
    /// Parameters of every request; empty for none.
    pub query: String,
    /// The name of the variable that contains its credential; empty when it needs none, or when its key is stored.
    pub credential_env: String,
    /// Whether its key is stored here, sealed.
    pub stored_key: bool,
    /// The header that carries the credential.
    pub credential_header: CredentialHeader,
    /// Headers of its own, as lines of `name: value`.
    pub headers: String,
    /// Members of bodies that it does not take.
    pub omitted: Vec<OmittedMember>,
    /// The longest wait for a connection, in milliseconds.
    pub connect_ms: i64,
    /// The longest wait for its next byte, in milliseconds.
    pub idle_ms: i64,
    /// The longest wait for the whole answer, in milliseconds.
    pub whole_ms: i64,
    /// What happens to a stream whose client leaves.
    pub on_disconnect: OnDisconnect,
}

impl ProviderSpec {
    /// With the default timeouts and the protocol's own paths, and no credential.
    pub fn new(name: String, kind: ProviderKind, base_url: String) -> Self {
        Self {
            name,
            kind,
            base_url,
            api_path: kind.version_path().to_owned(),
            query: String::new(),
            credential_env: String::new(),
            stored_key: false,
            credential_header: CredentialHeader::default(),
            headers: String::new(),
            omitted: Vec::new(),
            connect_ms: 5_000,
            idle_ms: DEFAULT_IDLE_MS,
            whole_ms: 600_000,
            on_disconnect: OnDisconnect::default(),
        }
    }

    /// Where it is.
    pub fn address(&self) -> ProviderAddress {
        ProviderAddress {
            base_url: self.base_url.clone(),
            api_path: self.api_path.clone(),
            query: self.query.clone(),
        }
    }

    /// The same at another address.
    pub fn set_address(&mut self, address: ProviderAddress) {
        let ProviderAddress { base_url, api_path, query } = address;
        (self.base_url, self.api_path, self.query) = (base_url, api_path, query);
    }

    /// Whether it is sent a credential.
    pub fn has_credential(&self) -> bool {
        self.stored_key || !self.credential_env.is_empty()
    }

    /// Whether requests go elsewhere than those of `before`, or are made otherwise, so that a test of it says nothing.
    pub fn is_elsewhere(&self, before: &ProviderSpec) -> bool {
        let of = |spec: &ProviderSpec| Self {
            name: String::new(),
            connect_ms: 0,
            idle_ms: 0,
            whole_ms: 0,
            on_disconnect: OnDisconnect::default(),
            ..spec.clone()
        };
        of(self) != of(before)
    }

    /// What is different from `before`, or all of a new provider, for the audit.
    pub fn changes_since(&self, before: Option<&ProviderSpec>) -> Vec<Change> {
        let field = |field: &str, value: fn(&ProviderSpec) -> ChangeValue| Change {
            field: field.into(),
            before: before.map(value),
            after: Some(value(self)),
        };
        // What most providers leave as it is stands in the event only where it is not.
        let special = |name: &str, value: fn(&ProviderSpec) -> ChangeValue| {
            let usual = Self::new(String::new(), self.kind, String::new());
            let is_listed = before.is_some() || value(self) != value(&usual);
            is_listed.then(|| field(name, value))
        };
        let changes = [
            Some(field("name", |spec| spec.name.as_str().into())),
            Some(field("kind", |spec| spec.kind.label().into())),
            Some(field("base_url", |spec| spec.address().typed().into())),
            Some(field("credential_env", |spec| spec.credential_env.as_str().into())),
            special("stored_key", |spec| stored_words(spec.stored_key).into()),
            special("credential_header", |spec| spec.credential_header.label().into()),
            special("headers", |spec| ChangeValue::List(spec.headers.lines().map(str::to_owned).collect())),
            special("omitted", |spec| {
                ChangeValue::List(spec.omitted.iter().map(|member| member.as_str().to_owned()).collect())
            }),
            Some(field("connect", |spec| ChangeValue::Milliseconds(spec.connect_ms))),
            Some(field("idle", |spec| ChangeValue::Milliseconds(spec.idle_ms))),
            Some(field("whole", |spec| ChangeValue::Milliseconds(spec.whole_ms))),
            Some(field("on_disconnect", |spec| spec.on_disconnect.label().into())),
        ];
        changes.into_iter().flatten().filter(|change| change.before != change.after).collect()
    }

    /// The provider with this id, which was not connected yet.
    pub fn with_id(self, id: ProviderId) -> Provider {
        Provider { id, spec: self, sealed_key: None, connected_at: None }
    }
}

fn stored_words(stored: bool) -> &'static str {
    if stored { "stored here" } else { "not stored here" }
}

/// An edit of a provider.
#[derive(Clone, Debug)]
pub struct EditProvider {
    /// The provider's id.
    pub id: String,
    /// The version that the operator saw.
    pub version: i64,
    /// The provider as the operator saw it; `None` is as it stands now.
    pub base: Option<ProviderSpec>,
    /// The provider as the operator submitted it.
    pub mine: ProviderSpec,
    /// The API key that was pasted; `None` keeps the one that is stored.
    pub key: Option<Hidden>,
}

/// Which of the models on a page a provider serves from now on.
#[derive(Clone, Debug)]
pub struct RouteModels {
    /// The provider's id.
    pub provider: String,
    /// The models on the page, each with the provider that served it then.
    pub was: BTreeMap<String, Option<ProviderId>>,
    /// Those that this provider is to serve.
    pub models: Vec<String>,
}

impl Editable for ProviderSpec {
    type Names = ();

    const FIELDS: &'static [EditField<Self>] = &[
        edit_field!("name", name, |provider, _| provider.name.as_str().into()),
        edit_field!("kind", kind, |provider, _| provider.kind.label().into()),
        edit_field!("base_url", base_url, |provider, _| provider.address().typed().into()),
        edit_field!("base_url", api_path, |provider, _| provider.address().typed().into()),
        edit_field!("base_url", query, |provider, _| provider.address().typed().into()),
        edit_field!("credential_env", credential_env, |provider, _| match provider.credential_env.as_str() {
            "" => "no variable".into(),
            name => name.into(),
        }),
        edit_field!("credential", stored_key, |provider, _| stored_words(provider.stored_key).into()),
        edit_field!("credential_header", credential_header, |provider, _| provider
            .credential_header
            .label()
            .into()),
        edit_field!("headers", headers, |provider, _| match provider.headers.as_str() {
            "" => "no headers".into(),
            lines => lines.replace('\n', ", ").into(),
        }),
        edit_field!(
            "omitted",
            omitted,
            |provider, _| match OmittedMember::join(&provider.omitted).as_str() {
                "" => "none left out".into(),
                members => members.replace(',', ", ").into(),
            }
        ),
        edit_field!("connect", connect_ms, |provider, _| format!("{} seconds", seconds(provider.connect_ms))
            .into()),
        edit_field!("idle", idle_ms, |provider, _| format!("{} seconds", seconds(provider.idle_ms)).into()),
        edit_field!("whole", whole_ms, |provider, _| format!("{} seconds", seconds(provider.whole_ms))
            .into()),
        edit_field!("on_disconnect", on_disconnect, |provider, _| provider.on_disconnect.label().into()),
    ];
}

/// Milliseconds in seconds: `5`, `2.5`.
pub fn seconds(ms: i64) -> String {
    match ms % 1_000 {
        0 => (ms / 1_000).to_string(),
        rest => format!("{}.{rest:03}", ms / 1_000).trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Zone;

    #[test]
    fn each_keeps_what_only_one_changed_and_both_values_are_named_where_both_did() {
        let new = ProviderSpec::new("OpenAI".into(), ProviderKind::OpenAi, "https://api.openai.com".into());
        let was = ProviderSpec { idle_ms: 60_000, ..new };
        let mine =
            ProviderSpec { name: "OpenAI EU".into(), connect_ms: 9_000, idle_ms: 30_000, ..was.clone() };
        let now = ProviderSpec { connect_ms: 7_000, whole_ms: 300_000, idle_ms: 30_000, ..was.clone() };
        let merged = now.merged(&was, &mine);
        assert_eq!((merged.name.as_str(), merged.connect_ms, merged.whole_ms), ("OpenAI EU", 9_000, 300_000));
        let errors = now.conflicts(&was, &mine, &(), &Zone::utc());
        let said: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.problem.sentence())).collect();
        assert_eq!(said, [("connect", "Now: 7 seconds. You entered: 9 seconds.")]);
    }
}

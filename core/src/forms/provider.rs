//! The form of a provider: text as it was typed, and the checked provider that it becomes. Times are seconds in the form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{Take, drawn};
use crate::domain::base_url::parse_address;
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::ProviderId;
use crate::domain::key_format::{has_secret, looks_like_secret};
use crate::domain::provider::{
    EditProvider, ProviderKind, ProviderSpec, RouteModels, check_timeouts, parse_connect_timeout,
    parse_credential_env, parse_idle_timeout, parse_on_disconnect, parse_protocol, parse_provider_name,
    parse_total_timeout, seconds,
};
use crate::domain::provider_wire::{
    OmittedMember, parse_api_key, parse_credential_header, parse_extra_headers, parse_omitted,
};

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderForm {
    /// The provider's name, of 1 to 60 characters.
    pub name: String,
    /// One of `ProviderKind::ALL`.
    pub kind: String,
    /// Where requests are sent, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// `yes`: nothing is added to the address.
    pub exact: String,
    /// Where the credential is: `stored`, `env` or `none`; empty is `env` with a variable, else `none`.
    pub credential: String,
    /// The variable that contains it, for `env`.
    pub credential_env: String,
    /// One of `CredentialHeader::ALL`; empty is the protocol's own.
    pub credential_header: String,
    /// Further headers, a line each.
    pub headers: String,
    /// Members of bodies that it does not take, of `OmittedMember::ALL`.
    pub omitted: Vec<String>,
    /// The longest wait for a connection, from 1 to 60 seconds.
    pub connect: String,
    /// The longest wait for the next byte, from 1 to 600 seconds.
    pub idle: String,
    /// The longest wait for the whole answer, from 1 to 3,600 seconds; not below `idle`.
    pub whole: String,
    /// One of `OnDisconnect::ALL`.
    pub on_disconnect: String,
}

impl ProviderForm {
    /// What a new one starts with.
    pub fn with_defaults() -> Self {
        Self::of(&ProviderSpec::new(String::new(), ProviderKind::OpenAi, String::new()))
    }

    /// The form that would change nothing.
    pub fn of(spec: &ProviderSpec) -> Self {
        Self {
            name: spec.name.clone(),
            kind: spec.kind.as_str().into(),
            base_url: if spec.base_url.is_empty() { String::new() } else { spec.address().typed() },
            exact: if spec.address().is_exact() { "yes".into() } else { String::new() },
            credential: match (spec.stored_key, spec.credential_env.is_empty()) {
                (true, _) => "stored".into(),
                (false, false) => "env".into(),
                (false, true) => "none".into(),
            },
            credential_env: spec.credential_env.clone(),
            credential_header: spec.credential_header.as_str().into(),
            headers: spec.headers.clone(),
            omitted: spec.omitted.iter().map(|member| OmittedMember::as_str(*member).to_owned()).collect(),
            connect: seconds(spec.connect_ms),
            idle: seconds(spec.idle_ms),
            whole: seconds(spec.whole_ms),
            on_disconnect: spec.on_disconnect.as_str().into(),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<ProviderSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = errors.take("name", parse_provider_name(&self.name));
        let kind = errors.take("kind", parse_protocol(&self.kind));
        let read_as = kind.unwrap_or(ProviderKind::OpenAi);
        let address = errors.take("base_url", parse_address(&self.base_url, read_as, self.exact == "yes"));
        let credential = self.parse_credential(&mut errors);
        let credential_header =
            errors.take("credential_header", parse_credential_header(&self.credential_header));
        let headers = errors.take("headers", parse_extra_headers(&self.headers));
        let omitted = errors.take("omitted", parse_omitted(&self.omitted));
        let connect_ms = errors.take("connect", parse_connect_timeout(&self.connect));
        let idle_ms = errors.take("idle", parse_idle_timeout(&self.idle));
        let whole_ms = errors.take("whole", parse_total_timeout(&self.whole));
        let on_disconnect = errors.take("on_disconnect", parse_on_disconnect(&self.on_disconnect));
        if let (Some(idle_ms), Some(whole_ms)) = (idle_ms, whole_ms) {
            errors.take("whole", check_timeouts(idle_ms, whole_ms));
        }
        let spec = || {
            let (address, (stored_key, credential_env)) = (address?, credential?);
            Some(ProviderSpec {
                name: name?,
                kind: kind?,
                base_url: address.base_url,
                api_path: address.api_path,
                query: address.query,
                credential_env,
                stored_key,
                credential_header: credential_header?,
                headers: headers?,
                omitted: omitted?,
                connect_ms: connect_ms?,
                idle_ms: idle_ms?,
                whole_ms: whole_ms?,
                on_disconnect: on_disconnect?,
            })
        };
        if errors.is_empty() { spec().ok_or(errors) } else { Err(errors) }
    }

    /// Whether the key is stored, and the variable's name.
    fn parse_credential(&self, errors: &mut Vec<FieldError>) -> Option<(bool, String)> {
        let variable = errors.take("credential_env", parse_credential_env(&self.credential_env))?;
        match self.credential.as_str() {
            "stored" => Some((true, String::new())),
            "none" => Some((false, String::new())),
            "env" if variable.is_empty() => {
                errors.push(FieldError::say("credential_env", "Enter the name of the variable."));
                None
            }
            "env" | "" => Some((false, variable)),
            _ => {
                errors.push(FieldError::say("credential", "Choose where the API key is."));
                None
            }
        }
    }

    /// For a page that shows what was typed: without what may be a credential that landed in the wrong field.
    pub fn without_secrets(mut self) -> Self {
        if !self.credential_env.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_') {
            self.credential_env.clear();
        }
        let is_plain_query =
            self.base_url.split_once('?').is_none_or(|(_, query)| query.starts_with("api-version="));
        if self.base_url.contains('@') || !is_plain_query || has_secret(&self.base_url) {
            self.base_url.clear();
        }
        if has_secret(&self.headers) || self.headers.to_ascii_lowercase().contains("authorization") {
            self.headers.clear();
        }
        if looks_like_secret(&self.name) {
            self.name.clear();
        }
        self
    }
}

/// Adds a provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddForm {
    /// The new provider.
    pub provider: ProviderForm,
    /// Its API key, where that is stored.
    pub secret: Hidden,
}

impl AddForm {
    /// The provider, and its API key where that is stored.
    ///
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<(ProviderSpec, Option<Hidden>), Vec<FieldError>> {
        let (spec, key) = (self.provider.parse(), pasted(&self.provider, &self.secret));
        let mut errors = spec.as_ref().err().cloned().unwrap_or_default();
        match key {
            Ok(None) if self.provider.credential == "stored" => {
                errors.push(FieldError::say("secret", "Paste the API key."));
            }
            Err(error) => errors.push(error),
            Ok(key) => {
                if let (Ok(spec), []) = (spec, errors.as_slice()) {
                    return Ok((spec, key));
                }
            }
        }
        Err(errors)
    }
}

/// The API key that was pasted, if one was and the form wants it stored.
fn pasted(form: &ProviderForm, secret: &Hidden) -> Result<Option<Hidden>, FieldError> {
    if form.credential != "stored" || secret.as_str().trim().is_empty() {
        return Ok(None);
    }
    let key = parse_api_key(secret.as_str()).map_err(|error| FieldError::new("secret", error))?;
    Ok(Some(Hidden::new(key)))
}

/// Edits a provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveForm {
    /// The provider's id.
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    /// The form as it was sent.
    pub provider: ProviderForm,
    /// An API key in the place of the one that is stored; empty keeps that.
    pub secret: Hidden,
}

impl SaveForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditProvider, Vec<FieldError>> {
        let base = drawn::<ProviderForm>(&self.was, "name")?.parse().ok();
        let (id, version) = (self.id.clone(), self.version);
        let mine = self.provider.parse()?;
        let key = pasted(&self.provider, &self.secret).map_err(|error| vec![error])?;
        Ok(EditProvider { id, version, base, mine, key })
    }
}

/// Tests the connection to a provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestForm {
    /// The provider's id.
    pub id: String,
    /// The provider's name of the model to ask; empty for one of its list.
    pub model: String,
}

/// Takes a provider out of use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetireForm {
    /// The provider's id.
    pub id: String,
}

/// Chooses the models that a provider serves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteForm {
    /// The provider's id.
    pub id: String,
    /// The models that the form was drawn with, as JSON: each one's id, and the id of its provider or nothing.
    pub was: String,
    /// Those that are ticked.
    pub models: Vec<String>,
}

impl RouteForm {
    /// # Errors
    /// A sentence when the page's list is missing.
    pub fn parse(&self) -> Result<RouteModels, Vec<FieldError>> {
        let was: BTreeMap<String, String> = drawn(&self.was, "models")?;
        let was = was.into_iter().map(|(model, route)| (model, ProviderId::parse(&route))).collect();
        Ok(RouteModels { provider: self.id.clone(), was, models: self.models.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ProviderForm {
        ProviderForm {
            name: " OpenAI ".into(),
            base_url: "https://api.openai.com/v1/".into(),
            credential_env: "OPENAI_API_KEY".into(),
            ..ProviderForm::with_defaults()
        }
    }

    fn wrong(form: &ProviderForm) -> Vec<String> {
        form.parse().unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_form_becomes_a_provider_and_reads_back() {
        let spec = form().parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.base_url.as_str()), ("OpenAI", "https://api.openai.com"));
        assert_eq!((spec.connect_ms, spec.idle_ms, spec.whole_ms), (5_000, 300_000, 600_000));
        assert_eq!(ProviderForm::of(&spec).parse().unwrap(), spec);
        let own = ProviderForm { credential_env: String::new(), connect: "2.5".into(), ..form() };
        let own = own.parse().unwrap();
        assert_eq!((own.credential_env.as_str(), own.connect_ms), ("", 2_500));
        assert_eq!(ProviderForm::of(&spec).base_url, "https://api.openai.com/v1");
        assert_eq!(ProviderForm::of(&own).connect, "2.5");
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        assert_eq!(
            wrong(&ProviderForm::default()),
            ["name", "kind", "base_url", "connect", "idle", "whole", "on_disconnect"]
        );
        let all = ProviderForm {
            name: "x".repeat(61),
            kind: "azure".into(),
            base_url: "http://169.254.169.254".into(),
            credential_env: "sk-proj-abc".into(),
            credential_header: "cookie".into(),
            headers: "Host: x".into(),
            omitted: vec!["model".into()],
            connect: "61".into(),
            idle: "0".into(),
            whole: "an hour".into(),
            on_disconnect: "wait".into(),
            ..ProviderForm::default()
        };
        assert_eq!(
            wrong(&all),
            [
                "name",
                "kind",
                "base_url",
                "credential_env",
                "credential_header",
                "headers",
                "omitted",
                "connect",
                "idle",
                "whole",
                "on_disconnect"
            ]
        );
    }

    #[test]
    fn a_time_is_within_its_bounds() {
        for (value, fits) in [
            ("1", true),
            ("60", true),
            ("60.001", false),
            ("0.5", false),
            ("1.0001", false),
            ("-1", false),
            ("", false),
        ] {
            let form = ProviderForm { connect: value.into(), ..form() };
            assert_eq!(form.parse().is_ok(), fits, "{value:?}");
        }
        assert_eq!(wrong(&ProviderForm { idle: "600".into(), whole: "30".into(), ..form() }), ["whole"]);
        assert!(ProviderForm { idle: "600".into(), whole: "3600".into(), ..form() }.parse().is_ok());
    }

    #[test]
    fn a_credential_in_the_wrong_field_is_not_shown_again() {
        let pasted = ProviderForm {
            credential_env: "sk-proj-0123456789abcdef".into(),
            base_url: "https://ana:hunter2@api.openai.com".into(),
            ..form()
        };
        let shown = format!("{:?}", pasted.without_secrets());
        assert!(!shown.contains("sk-proj") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(form().without_secrets(), form());
    }

    #[test]
    fn a_key_that_is_stored_is_pasted_whole_and_a_variable_is_named() {
        let stored = ProviderForm { credential: "stored".into(), ..form() };
        let add = |provider: &ProviderForm, secret: &str| {
            let form = AddForm { provider: provider.clone(), secret: Hidden::new(secret) };
            form.parse().map_err(|errors| errors.into_iter().map(|error| error.field).collect::<Vec<_>>())
        };
        let (spec, key) = add(&stored, " sk-proj-0123456789abcdef\n").unwrap();
        assert_eq!((spec.stored_key, spec.credential_env.as_str()), (true, ""));
        assert_eq!(key.unwrap().as_str(), "sk-proj-0123456789abcdef");
        assert_eq!(add(&stored, " "), Err(vec!["secret".into()]));
        assert_eq!(add(&stored, "sk-…cdef"), Err(vec!["secret".into()]));
        // What is pasted beside another choice is not taken.
        assert!(add(&form(), "sk-proj-0123456789abcdef").unwrap().1.is_none());
        let named = ProviderForm { credential: "env".into(), ..form() };
        assert_eq!(add(&named, "").unwrap().0.credential_env, "OPENAI_API_KEY");
        let unnamed = ProviderForm { credential_env: String::new(), ..named };
        assert_eq!(add(&unnamed, ""), Err(vec!["credential_env".into()]));
        let none = ProviderForm { credential: "none".into(), ..form() };
        assert_eq!(add(&none, "").unwrap().0.credential_env, "");
        assert_eq!(
            add(&ProviderForm { credential: "x".into(), ..form() }, ""),
            Err(vec!["credential".into()])
        );
        // An edit keeps the key that is there.
        let save = SaveForm { was: "{}".into(), provider: stored, ..SaveForm::default() };
        let edit = save.parse().unwrap();
        assert!(edit.mine.stored_key && edit.key.is_none());
    }

    #[test]
    fn the_name_of_a_variable_says_that_it_is_for_an_api_key() {
        for (name, fits) in [
            ("OPENAI_API_KEY", true),
            ("MY_2ND_API_KEY", true),
            ("", true),
            ("KEYDESK_DATABASE_URL", false),
            ("openai_api_key", false),
            ("2ND_API_KEY", false),
            ("PATH", false),
        ] {
            let form = ProviderForm { credential_env: name.into(), ..form() };
            assert_eq!(form.parse().is_ok(), fits, "{name}");
        }
    }
}

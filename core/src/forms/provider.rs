//! The form of a provider: text as it was typed, and the checked provider that it becomes. Times are seconds in the form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{Take, drawn};
use crate::domain::base_url::parse_base_url;
use crate::domain::field_error::FieldError;
use crate::domain::ids::ProviderId;
use crate::domain::key_format::looks_like_secret;
use crate::domain::provider::{
    EditProvider, ProviderKind, ProviderSpec, RouteModels, check_timeouts, parse_connect_timeout,
    parse_credential_env, parse_idle_timeout, parse_on_disconnect, parse_protocol, parse_provider_name,
    parse_total_timeout, seconds,
};

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderForm {
    /// The provider's name, of 1 to 60 characters.
    pub name: String,
    /// One of `ProviderKind::ALL`.
    pub kind: String,
    /// Where requests are sent, such as `https://api.openai.com`.
    pub base_url: String,
    /// Empty: no credential is sent.
    pub credential_env: String,
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
            base_url: spec.base_url.clone(),
            credential_env: spec.credential_env.clone(),
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
        let base_url = errors.take("base_url", parse_base_url(&self.base_url));
        let credential_env = errors.take("credential_env", parse_credential_env(&self.credential_env));
        let connect_ms = errors.take("connect", parse_connect_timeout(&self.connect));
        let idle_ms = errors.take("idle", parse_idle_timeout(&self.idle));
        let whole_ms = errors.take("whole", parse_total_timeout(&self.whole));
        let on_disconnect = errors.take("on_disconnect", parse_on_disconnect(&self.on_disconnect));
        if let (Some(idle_ms), Some(whole_ms)) = (idle_ms, whole_ms) {
            errors.take("whole", check_timeouts(idle_ms, whole_ms));
        }
        let spec = || {
            Some(ProviderSpec {
                name: name?,
                kind: kind?,
                base_url: base_url?,
                credential_env: credential_env?,
                connect_ms: connect_ms?,
                idle_ms: idle_ms?,
                whole_ms: whole_ms?,
                on_disconnect: on_disconnect?,
            })
        };
        if errors.is_empty() { spec().ok_or(errors) } else { Err(errors) }
    }

    /// For a page that shows what was typed: without what may be a credential that landed in the wrong field.
    pub fn without_secrets(mut self) -> Self {
        if !self.credential_env.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_') {
            self.credential_env.clear();
        }
        if self.base_url.contains(['@', '?']) || looks_like_secret(&self.base_url) {
            self.base_url.clear();
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
}

impl SaveForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditProvider, Vec<FieldError>> {
        let base = drawn::<ProviderForm>(&self.was, "name")?.parse().ok();
        let (id, version) = (self.id.clone(), self.version);
        Ok(EditProvider { id, version, base, mine: self.provider.parse()? })
    }
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
            connect: "61".into(),
            idle: "0".into(),
            whole: "an hour".into(),
            on_disconnect: "wait".into(),
        };
        assert_eq!(
            wrong(&all),
            ["name", "kind", "base_url", "credential_env", "connect", "idle", "whole", "on_disconnect"]
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

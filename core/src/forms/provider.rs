//! The form of a provider: text as it was typed, and the checked provider that it becomes. Times are seconds in the form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{Take, drawn};
use crate::domain::base_url::parse_base_url;
use crate::domain::field_error::FieldError;
use crate::domain::ids::ProviderId;
use crate::domain::key_format::{looks_like_secret, refuse_secret};
use crate::domain::numbers::{grouped, read_billionths};
use crate::domain::parse_error::ParseError;
use crate::domain::person::visible_name;
use crate::domain::provider::{
    EditProvider, ProviderKind, ProviderSpec, RouteModels, check_credential_env, seconds,
};

pub const MAX_PROVIDER_NAME: usize = 60;

/// Seconds: the fewest is 1 everywhere.
const MAX_CONNECT: i64 = 60;
const MAX_IDLE: i64 = 600;
const MAX_WHOLE: i64 = 3_600;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderForm {
    pub name: String,
    /// One of `ProviderKind::ALL`.
    pub kind: String,
    pub base_url: String,
    /// Empty: no credential is sent.
    pub credential_env: String,
    pub connect: String,
    pub idle: String,
    pub whole: String,
}

impl ProviderForm {
    /// What a new one starts with.
    pub fn with_defaults() -> Self {
        let kind = ProviderKind::OpenAi.as_str().to_owned();
        Self { kind, connect: "5".into(), idle: "60".into(), whole: "600".into(), ..Self::default() }
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
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<ProviderSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name =
            errors.take("name", visible_name(&self.name, "Name", MAX_PROVIDER_NAME).and_then(refuse_secret));
        let kind =
            ProviderKind::parse(&self.kind).ok_or_else(|| ParseError::new("Choose one of these protocols."));
        let kind = errors.take("kind", kind);
        let base_url = errors.take("base_url", parse_base_url(&self.base_url));
        let credential_env = self.credential_env.trim();
        let credential = errors.take("credential_env", check_credential_env(credential_env));
        let connect = errors.take("connect", parse_seconds(&self.connect, MAX_CONNECT));
        let idle = errors.take("idle", parse_seconds(&self.idle, MAX_IDLE));
        let whole = errors.take("whole", parse_seconds(&self.whole, MAX_WHOLE));
        if let (Some(idle), Some(whole)) = (idle, whole)
            && idle > whole
        {
            let sentence = format!(
                "The total timeout is {} seconds, so a longer idle timeout has no effect. Enter {} or more for the total timeout.",
                seconds(whole),
                seconds(idle)
            );
            errors.push(FieldError::new("whole", ParseError::new(sentence)));
        }
        match (name, kind, base_url, credential, connect, idle, whole) {
            (
                Some(name),
                Some(kind),
                Some(base_url),
                Some(()),
                Some(connect_ms),
                Some(idle_ms),
                Some(whole_ms),
            ) if errors.is_empty() => {
                let credential_env = credential_env.to_owned();
                Ok(ProviderSpec { name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms })
            }
            _ => Err(errors),
        }
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

/// Milliseconds, from seconds with up to three decimals.
fn parse_seconds(text: &str, max: i64) -> Result<i64, ParseError> {
    const PER_MS: u128 = 1_000_000;
    let wrong = || ParseError::new(format!("Enter a number of seconds from 1 to {}.", grouped(max)));
    let billionths = read_billionths(text).map_err(|_| wrong())?;
    let ms = i64::try_from(billionths / PER_MS).map_err(|_| wrong())?;
    let fits = billionths % PER_MS == 0 && (1_000..=max * 1_000).contains(&ms);
    if fits { Ok(ms) } else { Err(wrong()) }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddForm {
    pub provider: ProviderForm,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveForm {
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
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

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetireForm {
    pub id: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteForm {
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
        assert_eq!((spec.connect_ms, spec.idle_ms, spec.whole_ms), (5_000, 60_000, 600_000));
        assert_eq!(ProviderForm::of(&spec).parse().unwrap(), spec);
        let own = ProviderForm { credential_env: String::new(), connect: "2.5".into(), ..form() };
        let own = own.parse().unwrap();
        assert_eq!((own.credential_env.as_str(), own.connect_ms), ("", 2_500));
        assert_eq!(ProviderForm::of(&own).connect, "2.5");
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        assert_eq!(wrong(&ProviderForm::default()), ["name", "kind", "base_url", "connect", "idle", "whole"]);
        let all = ProviderForm {
            name: "x".repeat(61),
            kind: "azure".into(),
            base_url: "http://169.254.169.254".into(),
            credential_env: "sk-proj-abc".into(),
            connect: "61".into(),
            idle: "0".into(),
            whole: "an hour".into(),
        };
        assert_eq!(wrong(&all), ["name", "kind", "base_url", "credential_env", "connect", "idle", "whole"]);
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

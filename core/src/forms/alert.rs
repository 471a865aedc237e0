//! The forms of alerts: what an organisation sets, what a person wants, and webhooks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::alert::{
    AlertKind, ChannelForm, Choices, OrgChoices, Thresholds, Way, WebhookUrl, parse_channel_name,
    parse_webhook_url,
};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::parse_error::ParseError;
use crate::domain::reauth::Reauth;

/// Thresholds and one way for each kind. An empty field is as the organisation has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChoicesForm {
    /// The organisation's slug.
    pub org: String,
    /// Percents.
    pub thresholds: String,
    /// `off`, `inbox` or `mail`; as are those that follow.
    pub budget: String,
    /// The prepaid balance.
    pub balance: String,
    /// Keys that expire.
    pub expiry: String,
    /// Keys that are due for rotation.
    pub rotation: String,
    /// Repeated rejections.
    pub rejections: String,
    /// Unusual spend.
    pub spike: String,
    /// Providers that refuse the installation; a person's alone.
    pub provider: String,
}

impl ChoicesForm {
    /// A person's choices as the form shows them.
    pub fn of(org: &str, choices: &Choices) -> Self {
        let thresholds = choices.thresholds.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut form = Self { org: org.to_owned(), thresholds, ..Self::default() };
        for (kind, way) in &choices.ways {
            *form.field(*kind) = way.as_str().to_owned();
        }
        form
    }

    /// An organisation's choices as the form shows them: complete.
    pub fn of_org(org: &str, choices: &OrgChoices) -> Self {
        let mut form =
            Self { org: org.to_owned(), thresholds: choices.thresholds().to_string(), ..Self::default() };
        for kind in AlertKind::of_org() {
            *form.field(kind) = choices.way(kind).as_str().to_owned();
        }
        form
    }

    /// The field of a kind.
    pub fn way(&self, kind: AlertKind) -> &str {
        match kind {
            AlertKind::Budget => &self.budget,
            AlertKind::Balance => &self.balance,
            AlertKind::Expiry => &self.expiry,
            AlertKind::Rotation => &self.rotation,
            AlertKind::Rejections => &self.rejections,
            AlertKind::Spike => &self.spike,
            AlertKind::Provider => &self.provider,
        }
    }

    fn field(&mut self, kind: AlertKind) -> &mut String {
        match kind {
            AlertKind::Budget => &mut self.budget,
            AlertKind::Balance => &mut self.balance,
            AlertKind::Expiry => &mut self.expiry,
            AlertKind::Rotation => &mut self.rotation,
            AlertKind::Rejections => &mut self.rejections,
            AlertKind::Spike => &mut self.spike,
            AlertKind::Provider => &mut self.provider,
        }
    }

    /// A person's choices.
    ///
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<Choices, Vec<FieldError>> {
        let mut errors = Vec::new();
        let thresholds = match self.thresholds.trim() {
            "" => None,
            text => errors.take("thresholds", Thresholds::parse(text)),
        };
        let mut ways = BTreeMap::new();
        for kind in AlertKind::ALL {
            let way = self.way(kind);
            if way.is_empty() {
                continue;
            }
            let parsed = Way::parse(way).ok_or_else(|| ParseError::new("Choose one of the list."));
            if let Some(way) = errors.take(kind.as_str(), parsed) {
                ways.insert(kind, way);
            }
        }
        if errors.is_empty() { Ok(Choices { thresholds, ways }) } else { Err(errors) }
    }

    /// An organisation's choices: nothing may be left open.
    ///
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse_org(&self) -> Result<OrgChoices, Vec<FieldError>> {
        let mut errors = Vec::new();
        errors.take("thresholds", Thresholds::parse(&self.thresholds));
        for kind in AlertKind::of_org() {
            let chosen = Way::parse(self.way(kind)).ok_or_else(|| ParseError::new("Choose one of the list."));
            errors.take(kind.as_str(), chosen);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut choices = self.parse()?;
        choices.ways.retain(|kind, _| kind.is_of_org());
        Ok(OrgChoices(choices))
    }
}

/// Adds a webhook.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookForm {
    /// The organisation's slug.
    pub org: String,
    /// The name that people give it.
    pub name: String,
    /// `slack` or `signed`.
    pub form: String,
    /// Its address, which is a secret of its own.
    pub url: Hidden,
    /// Proof of who adds it, where the last one is older than ten minutes.
    pub reauth: Reauth,
}

impl WebhookForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<(String, ChannelForm, WebhookUrl), Vec<FieldError>> {
        let mut errors = Vec::new();
        let form = ChannelForm::parse(&self.form).ok_or_else(|| ParseError::new("Choose a form."));
        let name = errors.take("webhook_name", parse_channel_name(&self.name));
        let form = errors.take("webhook_form", form);
        let url = errors.take("webhook_url", parse_webhook_url(self.url.as_str()));
        match (name, form, url) {
            (Some(name), Some(form), Some(url)) => Ok((name, form, url)),
            _ => Err(errors),
        }
    }
}

/// One webhook of an organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookRef {
    /// The organisation's slug.
    pub org: String,
    /// The webhook's id.
    pub id: String,
}

/// One entry of the caller's inbox, or all of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadForm {
    /// The organisation's slug.
    pub org: String,
    /// The entry's id; empty is all.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_may_leave_open_what_an_organisation_may_not() {
        let form = ChoicesForm { budget: "inbox".into(), ..ChoicesForm::default() };
        let choices = form.parse().unwrap();
        assert_eq!((choices.thresholds.clone(), choices.ways.len()), (None, 1));
        assert_eq!(ChoicesForm::of("", &choices), form);
        assert_eq!(form.parse_org().unwrap_err().len(), 6);
        let whole = ChoicesForm::of_org("northwind", &OrgChoices::default());
        assert_eq!(ChoicesForm::of_org("northwind", &whole.parse_org().unwrap()), whole);
        let wrong = ChoicesForm { thresholds: "much".into(), spike: "loud".into(), ..form };
        let fields: Vec<String> = wrong.parse().unwrap_err().into_iter().map(|one| one.field).collect();
        assert_eq!(fields, ["thresholds", "spike"]);
    }

    #[test]
    fn every_mistake_in_a_webhook_is_found_at_once() {
        let fields = |form: WebhookForm| -> Vec<String> {
            form.parse().unwrap_err().into_iter().map(|error| error.field).collect()
        };
        assert_eq!(fields(WebhookForm::default()), ["webhook_name", "webhook_form", "webhook_url"]);
    }
}

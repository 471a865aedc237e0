//! A support ticket as the form takes it: all fields are optional, but a request or a key must be named. Any field may
//! contain a whole secret, because people paste what they were sent.

use serde::{Deserialize, Serialize};

use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::RequestId;
use crate::domain::key_format::{self, has_secret, unmask};
use crate::domain::org::parse_zone;
use crate::domain::ticket::{PastedSecret, Ticket, TicketTime};

/// Characters of a field that are read.
const MAX_FIELD: usize = 200;

/// The fields of a ticket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TicketForm {
    /// `req_…`
    pub request: Hidden,
    /// A key's name, last four characters, hint or id.
    pub key: Hidden,
    /// The model that was asked for.
    pub model: Hidden,
    /// `2026-11-26 15:00`, or `15:00` for the last time that it was three.
    pub time: Hidden,
    /// The zone of `time`; empty is the organisation's.
    pub zone: Hidden,
    /// The path, with or without its method.
    pub endpoint: Hidden,
    /// What the client has as its base URL.
    pub base_url: Hidden,
    /// The program that sent the request.
    pub client: Hidden,
    /// Whether `GET /v1/models` works: `yes`, `no` or empty.
    pub models_work: Hidden,
}

impl TicketForm {
    /// Its fields by the names that they are sent under.
    pub fn fields(&self) -> [(&'static str, &str); 9] {
        [
            ("request", self.request.as_str()),
            ("key", self.key.as_str()),
            ("model", self.model.as_str()),
            ("time", self.time.as_str()),
            ("zone", self.zone.as_str()),
            ("endpoint", self.endpoint.as_str()),
            ("base_url", self.base_url.as_str()),
            ("client", self.client.as_str()),
            ("models_work", self.models_work.as_str()),
        ]
    }

    /// The form with each field changed.
    pub fn map(&self, change: impl Fn(&str, &str) -> String) -> Self {
        let field = |name: &str, text: &Hidden| Hidden::new(change(name, text.as_str()));
        Self {
            request: field("request", &self.request),
            key: field("key", &self.key),
            model: field("model", &self.model),
            time: field("time", &self.time),
            zone: field("zone", &self.zone),
            endpoint: field("endpoint", &self.endpoint),
            base_url: field("base_url", &self.base_url),
            client: field("client", &self.client),
            models_work: field("models_work", &self.models_work),
        }
    }

    /// Whether nothing is filled in.
    pub fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, text)| text.trim().is_empty())
    }

    /// Whether a field may contain a whole secret. A masked one is none.
    fn has_secret(&self) -> bool {
        self.fields().iter().any(|(_, text)| has_secret(unmask(text)))
    }

    /// What may be a secret in any field: the first that is whole.
    pub fn pasted(&self) -> PastedSecret {
        let between = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        let words = self.fields().into_iter().flat_map(|(_, text)| text.split(between));
        match words.into_iter().find_map(|word| key_format::read(word).ok()) {
            Some(secret) => PastedSecret::Whole(secret),
            None if self.has_secret() => PastedSecret::Malformed,
            None => PastedSecret::None,
        }
    }

    /// The form as it may stand in an address: short, and empty where a secret was.
    pub fn shown(&self) -> Self {
        self.map(|_, text| {
            let text = if has_secret(unmask(text)) { "" } else { text.trim() };
            text.chars().filter(|c| !c.is_control()).take(MAX_FIELD).collect()
        })
    }

    /// # Errors
    /// A sentence for each field that cannot be read.
    pub fn parse(&self) -> Result<Ticket, Vec<FieldError>> {
        let mut errors = Vec::new();
        let [request, key, model, time, zone] =
            [&self.request, &self.key, &self.model, &self.time, &self.zone]
                .map(|field| field.as_str().trim());
        let request_id = RequestId::parse(request);
        if !request.is_empty() && request_id.is_none() {
            let sentence =
                "This is not a request ID. It is req_ and 32 characters, as in the header x-request-id.";
            errors.push(FieldError::say("request", sentence));
        }
        if request.is_empty() && key.is_empty() {
            errors.push(FieldError::say("request", "Enter a request ID, or a key below."));
        }
        let read_time = TicketTime::parse(time);
        if !time.is_empty() && read_time.is_none() {
            let sentence = "This is not a time. Write it as 2026-11-26 15:00, or 15:00.";
            errors.push(FieldError::say("time", sentence));
        }
        let read_zone = (!zone.is_empty()).then(|| parse_zone(zone)).transpose();
        let zone = read_zone.unwrap_or_else(|problem| {
            errors.push(FieldError::new("zone", problem));
            None
        });
        let models_work = match self.models_work.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Ticket {
            request: request_id,
            key: unmask(key).to_owned(),
            model: model.to_owned(),
            time: read_time,
            zone,
            endpoint: self.endpoint.as_str().trim().to_owned(),
            base_url: self.base_url.as_str().trim().to_owned(),
            client: self.client.as_str().trim().to_owned(),
            models_work,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key_format::PlainSecret;

    #[test]
    fn a_secret_in_any_field_is_found_and_not_shown() {
        let secret = PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(5)).unwrap();
        for text in [
            secret.reveal().to_owned(),
            format!("Authorization: Bearer {}", secret.reveal()),
            format!("https://desk.example/v1/models?key={}", secret.reveal()),
            format!("/v1/{}/x", secret.reveal()),
        ] {
            for field in TicketForm::default().fields().map(|(name, _)| name) {
                let form = TicketForm::default()
                    .map(|name, _| if name == field { text.clone() } else { String::new() });
                assert!(form.has_secret());
                let PastedSecret::Whole(pasted) = form.pasted() else { panic!("not found") };
                assert_eq!(pasted.reveal(), secret.reveal());
                assert!(form.shown().is_empty(), "{field}: {text}");
            }
        }
        let hint = TicketForm { key: Hidden::new("sk-…a1B2"), ..TicketForm::default() };
        assert!(!hint.has_secret());
        assert_eq!(hint.shown().parse().unwrap().key, "a1B2");
    }
}

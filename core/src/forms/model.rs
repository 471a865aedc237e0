//! The form of a model: text as it was typed, and the checked model that it becomes. Prices are dollars for a million
//! tokens, exact to nine decimals.

use serde::{Deserialize, Serialize};

use super::parts::{Take, drawn};
use crate::domain::field_error::FieldError;
use crate::domain::ids::ProviderId;
use crate::domain::meter::Meter;
use crate::domain::model::{
    DEFAULT_OUTPUT_TOKENS, EditModel, Model, parse_model_id, parse_output_tokens, parse_upstream_name,
    parse_vendor,
};
use crate::domain::money::Money;
use crate::domain::numbers::grouped;
use crate::domain::parse_error::ParseError;
use crate::domain::price::Price;
use crate::domain::tariff::Tariff;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelForm {
    /// The model's id, which clients send, such as gpt-5.
    pub id: String,
    /// Whose model it is, in words.
    pub vendor: String,
    /// The id of the provider that serves it; empty means not served.
    pub route: String,
    /// Empty: the same name.
    pub upstream: String,
    /// Dollars for a million input tokens.
    pub input: String,
    /// Dollars for a million output tokens.
    pub output: String,
    /// Dollars for a million cached input tokens.
    pub cached: String,
    /// Output tokens reserved for a request that sets no maximum.
    pub default_output_tokens: String,
}

impl ModelForm {
    /// What a new one starts with.
    pub fn with_defaults() -> Self {
        Self { default_output_tokens: grouped(DEFAULT_OUTPUT_TOKENS), ..Self::default() }
    }

    /// The form that would change nothing.
    pub fn of(model: &Model) -> Self {
        let dollars = |meter| model.rate(meter).map(Money::input).unwrap_or_default();
        Self {
            id: model.id.clone(),
            vendor: model.provider.clone(),
            route: model.route.as_ref().map(ProviderId::to_string).unwrap_or_default(),
            upstream: model.upstream_name.clone(),
            input: dollars(Meter::Input),
            output: dollars(Meter::Output),
            cached: dollars(Meter::CachedInput),
            default_output_tokens: grouped(model.default_output_tokens),
        }
    }

    /// Whether the provider that it names is there, the operation finds out.
    ///
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<Model, Vec<FieldError>> {
        let mut errors = Vec::new();
        let id = errors.take("id", parse_model_id(&self.id));
        let provider = errors.take("vendor", parse_vendor(&self.vendor));
        let route = match self.route.as_str() {
            "" => Some(None),
            text => match ProviderId::parse(text) {
                Some(id) => Some(Some(id)),
                None => errors
                    .take("route", Err(ParseError::new("Choose one of these providers, or Not served."))),
            },
        };
        let upstream_name = errors.take("upstream", parse_upstream_name(&self.upstream));
        let input = errors.take("input", Money::parse(&self.input));
        let output = errors.take("output", Money::parse(&self.output));
        let cached = errors.take("cached", Money::parse(&self.cached));
        let default_output_tokens =
            errors.take("default_output_tokens", parse_output_tokens(&self.default_output_tokens));
        let model = || {
            let id = id?;
            Some(Model {
                upstream_name: upstream_name.filter(|name| *name != id).unwrap_or_default(),
                id,
                provider: provider?,
                price: Some(Price::unrecorded(Tariff::flat(input?, cached?, output?).ok()?)),
                route: route?,
                default_output_tokens: default_output_tokens?,
            })
        };
        if errors.is_empty() { model().ok_or(errors) } else { Err(errors) }
    }
}

/// Adds a model to the catalogue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddForm {
    /// The new model.
    pub model: ModelForm,
}

/// Edits a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveForm {
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    /// The form as it was sent. Its id names the model to edit.
    pub model: ModelForm,
}

impl SaveForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditModel, Vec<FieldError>> {
        let base = drawn::<ModelForm>(&self.was, "vendor")?.parse().ok();
        Ok(EditModel { version: self.version, base, mine: self.model.parse()? })
    }
}

/// Takes a model out of the catalogue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetireForm {
    /// The model's id.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;

    fn form() -> ModelForm {
        ModelForm {
            id: "gpt-5".into(),
            vendor: "OpenAI".into(),
            input: "1.25".into(),
            output: "$10".into(),
            cached: "0.125".into(),
            ..ModelForm::with_defaults()
        }
    }

    fn wrong(form: &ModelForm) -> Vec<String> {
        form.parse().unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_form_becomes_a_model_and_reads_back() {
        let model = form().parse().unwrap();
        assert_eq!(model.default_output_tokens, 1_000);
        assert_eq!(model.rate(Meter::Input).unwrap().nanos(), 1_250_000_000);
        assert_eq!(ModelForm::of(&model).parse().unwrap(), model);
        let id = ProviderId::new(Moment::from_ms(1), [1; 10]);
        let routed = ModelForm {
            id: "meta/llama-4".into(),
            route: id.to_string(),
            upstream: "accounts/x/llama-4".into(),
            default_output_tokens: "4k".into(),
            cached: "0.000000001".into(),
            ..form()
        };
        let model = routed.parse().unwrap();
        assert_eq!((model.route.as_ref(), model.default_output_tokens), (Some(&id), 4_000));
        assert_eq!(
            (model.name_upstream(), model.rate(Meter::CachedInput).unwrap().nanos()),
            ("accounts/x/llama-4", 1)
        );
        assert_eq!(ModelForm::of(&model).parse().unwrap(), model);
    }

    #[test]
    fn the_same_name_upstream_is_no_other_name() {
        let model = ModelForm { upstream: " gpt-5 ".into(), ..form() }.parse().unwrap();
        assert_eq!((model.upstream_name.as_str(), model.name_upstream()), ("", "gpt-5"));
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        assert_eq!(
            wrong(&ModelForm::default()),
            ["id", "vendor", "input", "output", "cached", "default_output_tokens"]
        );
        let all = ModelForm {
            id: "gpt-*".into(),
            vendor: "Open\u{202e}AI".into(),
            route: "prov_0".into(),
            upstream: "a b".into(),
            input: "-1".into(),
            output: "1,5".into(),
            cached: "0.0000000001".into(),
            default_output_tokens: "0".into(),
        };
        assert_eq!(
            wrong(&all),
            ["id", "vendor", "route", "upstream", "input", "output", "cached", "default_output_tokens"]
        );
        for default_output_tokens in ["", "1.5", "1000001", "many"] {
            assert_eq!(
                wrong(&ModelForm { default_output_tokens: default_output_tokens.into(), ..form() }),
                ["default_output_tokens"],
                "{default_output_tokens}"
            );
        }
    }
}

//! Files with models and prices: Keydesk's own form (`catalogue_file`), LiteLLM's `model_prices_and_context_window.json` and models.dev's
//! `api.json`. Each reader is a pure function from text to models; what a format says that a tariff cannot, it names.

mod decimal;
mod draft;
mod litellm;
mod models_dev;
#[cfg(test)]
mod shipped;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::catalogue_file;
use super::imported::Imported;
use super::parse_error::ParseError;

/// The catalogue that comes with the program. `scripts/catalogue.py` makes it.
pub const SHIPPED: &str = include_str!("../../../models.json");

/// What a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Its models, each once.
    pub models: Vec<Imported>,
    /// What of it is not taken over.
    pub left_out: Vec<LeftOut>,
}

/// Something in a file that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The field or the provider in the file.
    pub what: String,
    /// Why, as a part of a sentence.
    pub why: String,
    /// The models that it concerns, as the file names them.
    pub models: BTreeSet<String>,
}

impl LeftOut {
    /// In one line, with a few of its models.
    pub fn words(&self) -> String {
        const SHOWN: usize = 3;
        let named: Vec<&str> = self.models.iter().take(SHOWN).map(String::as_str).collect();
        let more = match self.models.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("Left out: {} ({}{more}): {}", self.what, named.join(", "), self.why)
    }
}

/// Reads a file in any of the three forms.
///
/// # Errors
/// When it has none of them, with a sentence; in Keydesk's own form also when an entry is wrong, with its name.
pub fn read(text: &str) -> Result<Catalogue, ParseError> {
    match form(text)? {
        Form::Own(list) => {
            let models = catalogue_file::read(list).map_err(ParseError::new)?;
            Ok(Catalogue { models, left_out: Vec::new() })
        }
        Form::LiteLlm => litellm::read(text),
        Form::ModelsDev => models_dev::read(text),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form<'a> {
    /// With its list of models.
    Own(&'a str),
    LiteLlm,
    ModelsDev,
}

fn form(text: &str) -> Result<Form<'_>, ParseError> {
    #[derive(Deserialize)]
    struct Entry {
        litellm_provider: Option<IgnoredAny>,
        models: Option<IgnoredAny>,
    }
    if text.trim_start().starts_with('[') {
        return Ok(Form::Own(text));
    }
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    if let Some(models) = members.get("models").filter(|models| models.get().starts_with('[')) {
        return Ok(Form::Own(models.get()));
    }
    let has = |test: fn(Entry) -> bool| {
        members.values().filter_map(|entry| serde_json::from_str(entry.get()).ok()).any(test)
    };
    if has(|entry| entry.litellm_provider.is_some()) {
        Ok(Form::LiteLlm)
    } else if has(|entry| entry.models.is_some()) {
        Ok(Form::ModelsDev)
    } else {
        Err(ParseError::new(
            "The file is no list of models. Give one as `keydesk models list` writes it, LiteLLM's model_prices_and_context_window.json or models.dev's api.json.",
        ))
    }
}

fn unreadable(error: &serde_json::Error) -> ParseError {
    ParseError::new(format!(
        "The file is not a list of models: line {}, column {}: {error}.",
        error.line(),
        error.column()
    ))
}

/// Collects what is left out, each thing once for all the models that it concerns.
#[derive(Default)]
struct Omissions(BTreeMap<(String, String), BTreeSet<String>>);

impl Omissions {
    fn add(&mut self, what: &str, why: &str, model: &str) {
        self.0.entry((what.to_owned(), why.to_owned())).or_default().insert(model.to_owned());
    }

    fn into_list(self) -> Vec<LeftOut> {
        let all = self.0.into_iter();
        all.map(|((what, why), models)| LeftOut { what, why, models }).collect()
    }
}

/// The vendors whose models the gateway can serve under the names that their clients send: as LiteLLM and models.dev write
/// them, and as they are shown.
const VENDORS: [(&str, &str, &str); 12] = [
    ("openai", "openai", "OpenAI"),
    ("anthropic", "anthropic", "Anthropic"),
    ("gemini", "google", "Google"),
    ("deepseek", "deepseek", "DeepSeek"),
    ("moonshot", "moonshotai", "Moonshot AI"),
    ("mistral", "mistral", "Mistral"),
    ("xai", "xai", "xAI"),
    ("groq", "groq", "Groq"),
    ("meta", "meta", "Meta"),
    ("zai", "zai", "Z.ai"),
    ("minimax", "minimax", "MiniMax"),
    ("cerebras", "cerebras", "Cerebras"),
];

const OTHER_VENDOR: &str = "its models are not read; set their prices with `keydesk models set`";
const TWICE: &str = "another model of the file has the same name at another price";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_by_its_form() {
        for (text, expected) in [
            ("[]", Form::Own("[]")),
            (r#" {"about": {}, "models": []}"#, Form::Own("[]")),
            (r#"{"sample_spec": {}, "gpt-5": {"litellm_provider": "openai"}}"#, Form::LiteLlm),
            (r#"{"openai": {"id": "openai", "models": {}}}"#, Form::ModelsDev),
        ] {
            assert_eq!(form(text), Ok(expected), "{text}");
        }
        for wrong in ["", "7", "{}", "nonsense", r#"{"a": 1}"#] {
            assert!(form(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_is_told_in_one_line() {
        let mut omissions = Omissions::default();
        for model in ["a", "b", "c", "d"] {
            omissions.add("input_cost_per_second", "no price for tokens", model);
        }
        let [left_out] = &omissions.into_list()[..] else { panic!("one thing") };
        assert_eq!(
            left_out.words(),
            "Left out: input_cost_per_second (a, b, c and 1 more): no price for tokens"
        );
    }
}

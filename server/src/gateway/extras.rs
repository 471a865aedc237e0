//! What a request asks for that needs a price of its own, besides the tokens of its text: a service tier, a region, a speed,
//! other modalities, and the provider's own tools. Where a model has no such price, the request is refused before it is
//! sent. Pure.

use keydesk_core::domain::meter::{Dimension, Meter, ServedAs};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::parse_error::ParseError;
use serde_json::Value;

use super::usage::word;

const TWO_WORDS: &str =
    "The request selects a service tier, region or speed in more than one place. Select it once.";

/// What a request asks for beyond its text.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// How the request wants to be served.
    pub served_as: ServedAs,
    /// What it may use, in words, and what to remove so that it does not. `None` is what no meter counts.
    uses: Vec<(Option<Meter>, &'static str, &'static str)>,
}

/// Some providers read names in both spellings.
fn is_called(name: &str, wanted: &str) -> bool {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).eq(wanted.chars())
}

impl Extras {
    /// Reads a member of the request, or of Gemini's configuration in it.
    ///
    /// # Errors
    /// When it selects how to be served in two ways.
    pub fn read(&mut self, name: &str, value: impl FnOnce() -> Option<Value>) -> Result<(), ParseError> {
        match name {
            name if is_called(name, "servicetier") => select(&mut self.served_as.tier, value()),
            name if is_called(name, "inferencegeo") => select(&mut self.served_as.region, value()),
            name if is_called(name, "speed") => select(&mut self.served_as.speed, value()),
            name if is_called(name, "modalities") || is_called(name, "responsemodalities") => {
                self.read_modalities(&value().unwrap_or_default());
                Ok(())
            }
            "web_search_options" => {
                if value().is_some_and(|options| !options.is_null()) {
                    self.uses.push((Some(Meter::Searches), "web searches", "web_search_options"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_modalities(&mut self, modalities: &Value) {
        for modality in modalities.as_array().into_iter().flatten().filter_map(Value::as_str) {
            match modality.to_ascii_lowercase().as_str() {
                "audio" => self.uses.push((Some(Meter::AudioOutput), "audio output", "that modality")),
                "image" => self.uses.push((Some(Meter::ImageOutput), "image output", "that modality")),
                _ => {}
            }
        }
    }

    /// Reads one tool. Gemini's have a member with the tool's name, the others a type.
    pub fn read_tool(&mut self, tool: &Value) {
        const TOOL: &str = "that tool";
        let kind = tool["type"].as_str();
        let is = |wanted: &[&str]| match (kind, tool) {
            (Some(kind), _) => wanted.iter().any(|wanted| kind.starts_with(wanted)),
            (None, Value::Object(tool)) => {
                tool.keys().any(|key| wanted.iter().any(|wanted| is_called(key, wanted)))
            }
            _ => false,
        };
        if is(&["web_search", "googlesearch", "googlesearchretrieval", "enterprisewebsearch"]) {
            self.uses.push((Some(Meter::Searches), "web searches", TOOL));
        }
        if is(&["file_search"]) {
            self.uses.push((Some(Meter::ToolUses), "file search", TOOL));
        }
        if is(&["code_interpreter"]) {
            self.uses.push((None, "the code interpreter", TOOL));
        }
        if is(&["googlemaps"]) {
            self.uses.push((Some(Meter::ToolUses), "maps", TOOL));
        }
    }

    /// Refuses what the model has no price for, unless that is allowed. A model without any price is not looked at here.
    ///
    /// # Errors
    /// When something has no price.
    pub fn check_priced(&self, model: &Model, allow_unpriced: bool) -> Result<(), ParseError> {
        let Some(price) = model.price.as_ref().filter(|_| !allow_unpriced) else { return Ok(()) };
        let refused = |what: &str, remove: &str| {
            Err(ParseError::new(format!(
                "The model {} has no price for {what}. Remove {remove}, or ask your administrator to add the price.",
                model.id
            )))
        };
        for (dimension, what, member) in [
            (Dimension::Tier, "the service tier", "service_tier"),
            (Dimension::Region, "the region", "inference_geo"),
            (Dimension::Speed, "the speed", "speed"),
        ] {
            let word = self.served_as.word(dimension);
            if !price.tariff.knows(dimension, word) {
                return refused(&format!("{what} {word}"), member);
            }
        }
        for (meter, what, remove) in &self.uses {
            match meter {
                Some(meter) if price.tariff.prices_meter(*meter) => {}
                Some(_) => return refused(what, remove),
                None => {
                    return Err(ParseError::new(format!(
                        "What {what} costs cannot be counted. Remove {remove}, or ask an owner of your organisation to allow requests without a price."
                    )));
                }
            }
        }
        Ok(())
    }
}

fn select(there: &mut String, value: Option<Value>) -> Result<(), ParseError> {
    let asked = value.as_ref().map(word).unwrap_or_default();
    if asked.is_empty() || *there == asked {
        return Ok(());
    }
    if !there.is_empty() {
        return Err(ParseError::new(TWO_WORDS));
    }
    *there = asked;
    Ok(())
}

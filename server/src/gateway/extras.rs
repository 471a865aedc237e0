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
    uses: Vec<Use>,
}

/// What a request may use that costs more than its tokens.
#[derive(Clone, Debug)]
struct Use {
    /// `None` when no meter counts it.
    meter: Option<Meter>,
    /// In words.
    what: String,
    /// What to remove so that it is not used.
    remove: &'static str,
}

const TOOL: &str = "that tool";
/// The longest name of a tool that a sentence shows.
const MAX_NAME: usize = 40;

/// Members that let a provider use tools of its own.
const MEMBERS: [(&str, Option<Meter>, &str); 4] = [
    ("web_search_options", Some(Meter::Searches), "web searches"),
    ("search_parameters", None, "the provider's own search"),
    ("enable_search", None, "the provider's own search"),
    ("plugins", None, "a plugin"),
];

/// How the names of tools begin that cost the tokens that they add, and no more. Most kinds end with a version.
const FREE_TOOLS: [&str; 6] =
    ["mcp", "webfetch", "toolsearch", "computer", "urlcontext", "functiondeclarations"];
/// The same of Gemini, whose tools are members.
const FREE_MEMBERS: [&str; 2] = ["codeexecution", "filesearch"];
const SEARCHES: [&str; 3] = ["websearch", "googlesearch", "enterprisewebsearch"];

/// Whether the client runs the tool. Its provider may run another one several times and add what it finds to the input.
pub fn is_clients(tool: &Value) -> bool {
    match tool.get("type") {
        Some(Value::String(kind)) => {
            ["function", "custom", "namespace", "local_shell", "apply_patch"].contains(&kind.as_str())
                || ["bash_", "text_editor_", "computer_", "memory_"].iter().any(|own| kind.starts_with(own))
        }
        Some(_) => false,
        None => tool.as_object().is_some_and(|tool| {
            let gemini = |name: &String| name == "functionDeclarations" || name == "function_declarations";
            tool.keys().all(gemini) || tool.contains_key("input_schema") || tool.contains_key("function")
        }),
    }
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
            name => {
                if let Some((member, meter, what)) = MEMBERS.into_iter().find(|(member, ..)| *member == name)
                    && is_on(&value().unwrap_or_default())
                {
                    self.uses(meter, what, member);
                }
                Ok(())
            }
        }
    }

    /// Notes what may be used beyond text.
    pub fn uses(&mut self, meter: Option<Meter>, what: &str, remove: &'static str) {
        self.uses.push(Use { meter, what: what.to_owned(), remove });
    }

    fn read_modalities(&mut self, modalities: &Value) {
        for modality in modalities.as_array().into_iter().flatten().filter_map(Value::as_str) {
            match modality.to_ascii_lowercase().as_str() {
                "audio" => self.uses(Some(Meter::AudioOutput), "audio output", "that modality"),
                "image" => self.uses(Some(Meter::ImageOutput), "image output", "that modality"),
                _ => {}
            }
        }
    }

    /// Reads one tool. Gemini's have members with the tools' names, the others a type. One that is not known may cost
    /// anything.
    pub fn read_tool(&mut self, tool: &Value) {
        if is_clients(tool) {
            return;
        }
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        if let Some(kind) = tool["type"].as_str() {
            // Without a container of its provider's, the client runs it.
            let is_local = matches!(tool["environment"]["type"].as_str(), None | Some("local"));
            match plain(kind).as_str() {
                "filesearch" => self.uses(Some(Meter::ToolUses), "file search", TOOL),
                "shell" if is_local => {}
                plain => self.read_named(kind, plain),
            }
            return;
        }
        let members = tool.as_object().into_iter().flatten();
        for (name, plain) in members.map(|(name, _)| (name, plain(name))) {
            match plain.as_str() {
                "googlemaps" => self.uses(Some(Meter::ToolUses), "maps", TOOL),
                free if FREE_MEMBERS.contains(&free) => {}
                plain => self.read_named(name, plain),
            }
        }
        if !tool.is_object() {
            self.uses(None, "a tool without a type", TOOL);
        }
    }

    fn read_named(&mut self, name: &str, plain: &str) {
        let is_of = |kinds: &[&str]| kinds.iter().any(|kind| plain.starts_with(kind));
        if is_of(&SEARCHES) {
            self.uses(Some(Meter::Searches), "web searches", TOOL);
        } else if !is_of(&FREE_TOOLS) {
            let name: String = name.chars().filter(char::is_ascii_graphic).take(MAX_NAME).collect();
            self.uses(None, &format!("the tool {name}"), TOOL);
        }
    }

    /// Whether a request that is let through may use something that the model has no price for, and that its response
    /// need not tell.
    pub fn has_uncounted(&self, model: &Model) -> bool {
        let is_priced = |meter| model.price.as_ref().is_some_and(|price| price.tariff.prices_meter(meter));
        self.uses.iter().any(|used| !used.meter.is_some_and(is_priced))
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
        for Use { meter, what, remove } in &self.uses {
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

fn is_on(member: &Value) -> bool {
    let is_empty = member.as_array().is_some_and(Vec::is_empty);
    !matches!(member, Value::Null | Value::Bool(false)) && !is_empty && member["mode"] != "off"
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

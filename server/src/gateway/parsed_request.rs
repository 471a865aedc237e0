//! A client's request as read: its route, model and size. The body is one JSON object; its members are forwarded as the
//! client's own bytes, except for the few that the gateway has to change.
//!
//! It rejects bodies that name a model in a second way, because gate 6 checks one name, and background responses, because
//! their usage cannot be measured. Pure.

use std::fmt;

use bytes::Bytes;
use keydesk_core::domain::parse_error::ParseError;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::route::Route;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::estimate::{self, MAX_TOKENS};

const NOT_AN_OBJECT: &str = "The request's body is not a JSON object.";
const NO_MODEL: &str = "The request's body has no model. Set \"model\" to a model's id.";
const TWO_MODELS: &str = "The request names models in more than one way. Set \"model\" to one id, without models, route or fallbacks.";
const BACKGROUND: &str =
    "Background responses are not supported, because their usage cannot be measured. Remove \"background\".";
const OTHER_PRICE: &str =
    "The request selects another price than the model's. Remove service_tier, speed and inference_geo.";
const TOOL_WITH_MODEL: &str =
    "A tool in the request names its own model, which is not supported. Remove that tool.";

/// The members of an object in their order, the last of each name.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Vec<(String, Box<RawValue>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                    if members.len() > MAX_MEMBERS {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Read).map(Self)
    }
}

/// No protocol has a tenth of these members.
const MAX_MEMBERS: usize = 500;

/// A request as read.
#[derive(Debug)]
pub struct ParsedRequest {
    pub route: Route,
    pub model: String,
    pub streams: bool,
    /// Estimated input tokens.
    pub input: i64,
    /// The maximum output that the request sets for each of its answers; `None` when it sets none.
    pub max_output: Option<i64>,
    /// How many answers it requests.
    pub answers: i64,
    /// Whether the gateway requested the usage at the end of a stream, and hides it from the client.
    pub hides_usage: bool,
    members: Vec<(String, Box<RawValue>)>,
    is_rewritten: bool,
    body: Bytes,
}

impl ParsedRequest {
    /// `path_model` is the model in a Gemini path.
    ///
    /// # Errors
    /// When the body is not a JSON object, names no model or several, or requests what cannot be measured.
    pub fn parse(route: Route, path_model: Option<&str>, body: Bytes) -> Result<Self, ParseError> {
        let Members(all) = serde_json::from_slice(&body).map_err(|_| ParseError::new(NOT_AN_OBJECT))?;
        let input = estimate::of_request(&body).map_err(|_| ParseError::new(NOT_AN_OBJECT))?;
        let before = all.len();
        let mut members: Vec<(String, Box<RawValue>)> = Vec::with_capacity(before);
        for (name, value) in all {
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((name, value)),
            }
        }
        let is_rewritten = members.len() != before;
        let mut parsed = Self {
            route,
            model: String::new(),
            streams: route == Route::StreamGenerate,
            input,
            max_output: None,
            answers: 1,
            hides_usage: false,
            members,
            is_rewritten,
            body,
        };
        parsed.check()?;
        parsed.model = parsed.single_model(path_model)?;
        parsed.check_requests()?;
        if matches!(route, Route::ChatCompletions | Route::Completions | Route::Responses | Route::Messages) {
            parsed.streams = parsed.get("stream") == Some(Value::Bool(true));
        }
        parsed.measure();
        Ok(parsed)
    }

    fn raw(&self, name: &str) -> Option<&RawValue> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn get(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    fn check(&self) -> Result<(), ParseError> {
        let is_there = |name| self.raw(name).is_some_and(|value| value.get() != "null");
        if ["models", "route", "fallbacks"].into_iter().any(is_there) {
            return Err(ParseError::new(TWO_MODELS));
        }
        // Some providers ignore the case of names.
        if self.members.iter().any(|(name, _)| name != "model" && name.eq_ignore_ascii_case("model")) {
            return Err(ParseError::new(TWO_MODELS));
        }
        if self.route == Route::Responses && self.get("background") == Some(Value::Bool(true)) {
            return Err(ParseError::new(BACKGROUND));
        }
        let at_list_price = match self.get("service_tier") {
            Some(Value::String(tier)) => {
                matches!(tier.as_str(), "auto" | "default" | "flex" | "standard_only")
            }
            _ => true,
        };
        if !at_list_price || is_there("speed") || is_there("inference_geo") {
            return Err(ParseError::new(OTHER_PRICE));
        }
        // No gate checks the model of a tool.
        if let Some(Value::Array(tools)) = self.get("tools")
            && tools.iter().any(|tool| tool.get("model").is_some() || tool["type"] == "image_generation")
        {
            return Err(ParseError::new(TOOL_WITH_MODEL));
        }
        Ok(())
    }

    fn single_model(&self, path_model: Option<&str>) -> Result<String, ParseError> {
        let in_body = self.get("model");
        match (path_model, in_body) {
            (Some(model), _) if model.contains(char::is_control) => Err(ParseError::new(NO_MODEL)),
            (Some(model), None | Some(Value::Null)) => Ok(model.to_owned()),
            (Some(model), Some(Value::String(other))) => {
                let same = other.strip_prefix("models/").unwrap_or(&other) == model;
                if same { Ok(model.to_owned()) } else { Err(ParseError::new(TWO_MODELS)) }
            }
            (None, Some(Value::String(model))) if !model.is_empty() && !model.contains(char::is_control) => {
                Ok(model)
            }
            _ => Err(ParseError::new(NO_MODEL)),
        }
    }

    /// Each request of a batch names the model again.
    fn check_requests(&self) -> Result<(), ParseError> {
        if self.route != Route::BatchEmbedContents {
            return Ok(());
        }
        let Some(Value::Array(requests)) = self.get("requests") else {
            return Err(ParseError::new("The request's body has no list of requests."));
        };
        let is_other = |request: &Value| match request.get("model") {
            None | Some(Value::Null) => false,
            Some(Value::String(name)) => name.strip_prefix("models/").unwrap_or(name) != self.model,
            Some(_) => true,
        };
        if requests.iter().any(is_other) { Err(ParseError::new(TWO_MODELS)) } else { Ok(()) }
    }

    /// Limits the numbers of a client, so that they are not negative and their sums do not overflow.
    fn measure(&mut self) {
        if self.route.is_free() {
            self.input = 0;
        }
        if !self.route.has_output() {
            self.max_output = Some(0);
            return;
        }
        let config = self.get("generationConfig").into_iter().chain(self.get("generation_config"));
        let config: Vec<Value> = config.collect();
        let in_config =
            |name: &str| config.iter().filter_map(|config| config.get(name).cloned()).collect::<Vec<_>>();
        let max = |values: Vec<Value>| {
            let numbers =
                values.iter().filter_map(|value| value.as_i64().or_else(|| value.as_f64().map(|n| n as i64)));
            numbers.filter(|number| *number > 0).max().map(|number| number.min(MAX_TOKENS))
        };
        let body = |names: &[&str]| names.iter().filter_map(|name| self.get(name)).collect::<Vec<_>>();
        let output = if self.route.kind() == ProviderKind::Gemini {
            max([in_config("maxOutputTokens"), in_config("max_output_tokens")].concat())
        } else {
            max(body(&["max_tokens", "max_completion_tokens", "max_output_tokens"]))
        };
        let answers = if self.route.kind() == ProviderKind::Gemini {
            max([in_config("candidateCount"), in_config("candidate_count")].concat())
        } else {
            max(body(&["n", "best_of"]))
        };
        // Completions take several prompts at once, each with its own answers.
        let prompts = match self.get("prompt") {
            Some(Value::Array(list)) if self.route == Route::Completions => {
                list.iter().filter(|prompt| !prompt.is_number()).count().max(1)
            }
            _ => 1,
        };
        let prompts = i64::try_from(prompts).unwrap_or(MAX_TOKENS);
        self.answers = answers.unwrap_or(1).saturating_mul(prompts).clamp(1, MAX_TOKENS);
        self.max_output = output;
    }

    /// The most output tokens of all answers together; `default` applies to each answer without a maximum.
    pub fn output(&self, default: i64) -> i64 {
        self.max_output.unwrap_or(default).max(0).saturating_mul(self.answers).min(MAX_TOKENS)
    }

    /// Whether the model may reason without a word of it in the answer.
    pub fn may_reason(&self) -> bool {
        let says = |member: &str, path: &str, word: &str| {
            self.get(member).is_some_and(|value| value.pointer(path).is_some_and(|found| found == word))
        };
        match self.route {
            Route::ChatCompletions | Route::Responses => {
                !(says("reasoning_effort", "", "none")
                    || says("reasoning", "/effort", "none")
                    || says("thinking", "/type", "disabled"))
            }
            // Claude reasons when it is asked to.
            Route::Messages => self.get("thinking").is_some() && !says("thinking", "/type", "disabled"),
            Route::Generate | Route::StreamGenerate => self
                .get("generationConfig")
                .is_none_or(|config| config.pointer("/thinkingConfig/thinkingBudget") != Some(&json!(0))),
            _ => false,
        }
    }

    /// The body for a provider that calls the model `upstream`, and whether its usage is hidden: the client's own bytes,
    /// unless something has to change.
    pub fn into_upstream(mut self, upstream: &str) -> (Bytes, bool) {
        if upstream != self.model && self.raw("model").is_some() {
            let name = match self.route.kind() {
                ProviderKind::Gemini => format!("models/{upstream}"),
                _ => upstream.to_owned(),
            };
            self.set("model", &json!(name));
        }
        if upstream != self.model
            && self.route == Route::BatchEmbedContents
            && let Some(Value::Array(mut requests)) = self.get("requests")
        {
            for request in requests.iter_mut().filter_map(Value::as_object_mut) {
                request.insert("model".into(), json!(format!("models/{upstream}")));
            }
            self.set("requests", &Value::Array(requests));
        }
        if self.streams && matches!(self.route, Route::ChatCompletions | Route::Completions) {
            let mut options = match self.get("stream_options") {
                Some(Value::Object(options)) => options,
                _ => Map::new(),
            };
            if options.get("include_usage") != Some(&Value::Bool(true)) {
                options.insert("include_usage".into(), Value::Bool(true));
                self.set("stream_options", &Value::Object(options));
                self.hides_usage = true;
            }
        }
        let hides = self.hides_usage;
        if !self.is_rewritten {
            return (self.body, hides);
        }
        let mut text = String::with_capacity(self.body.len() + 64);
        text.push('{');
        for (position, (name, value)) in self.members.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(&Value::String(name.clone()).to_string());
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        (text.into(), hides)
    }

    /// The body as sent, for the demonstration model.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    fn set(&mut self, name: &str, value: &Value) {
        let Ok(raw) = RawValue::from_string(value.to_string()) else { return };
        self.is_rewritten = true;
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, there)) => *there = raw,
            None => self.members.push((name.to_owned(), raw)),
        }
    }
}

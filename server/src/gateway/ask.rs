//! What a request asks for: its route, its model and its size, read from its body. The body is one JSON object; its parts
//! are looked at one by one and never written anew, but for the few that a gateway has to.
//!
//! It refuses what names a model in a second way, because only the first would be asked about at gate 6, and what a
//! provider would go on with after its answer, because nobody would see what that uses. Pure.

use std::fmt;

use bytes::Bytes;
use keydesk_core::domain::provider::ProviderKind;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::estimate::{self, MAX_TOKENS};
use super::usage::Shape;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    ChatCompletions,
    Completions,
    Embeddings,
    Responses,
    Messages,
    CountMessageTokens,
    Generate,
    StreamGenerate,
    CountTokens,
}

impl Route {
    /// What Gemini writes behind a model's name.
    pub fn of_action(action: &str) -> Option<Self> {
        [Route::Generate, Route::StreamGenerate, Route::CountTokens]
            .into_iter()
            .find(|route| route.action() == action)
    }

    fn action(self) -> &'static str {
        match self {
            Route::Generate => "generateContent",
            Route::StreamGenerate => "streamGenerateContent",
            Route::CountTokens => "countTokens",
            _ => "",
        }
    }

    pub fn kind(self) -> ProviderKind {
        match self {
            Route::ChatCompletions | Route::Completions | Route::Embeddings | Route::Responses => {
                ProviderKind::OpenAi
            }
            Route::Messages | Route::CountMessageTokens => ProviderKind::Anthropic,
            Route::Generate | Route::StreamGenerate | Route::CountTokens => ProviderKind::Gemini,
        }
    }

    /// The path for a model; only Gemini's names it.
    pub fn path(self, model: &str) -> String {
        match self {
            Route::ChatCompletions => "/v1/chat/completions".into(),
            Route::Completions => "/v1/completions".into(),
            Route::Embeddings => "/v1/embeddings".into(),
            Route::Responses => "/v1/responses".into(),
            Route::Messages => "/v1/messages".into(),
            Route::CountMessageTokens => "/v1/messages/count_tokens".into(),
            Route::Generate | Route::StreamGenerate | Route::CountTokens => {
                format!("/v1beta/models/{model}:{}", self.action())
            }
        }
    }

    pub fn shape(self) -> Shape {
        match self {
            Route::ChatCompletions | Route::Completions | Route::Embeddings => Shape::OpenAi,
            Route::Responses => Shape::Responses,
            Route::Messages | Route::CountMessageTokens => Shape::Anthropic,
            Route::Generate | Route::StreamGenerate | Route::CountTokens => Shape::Gemini,
        }
    }

    /// Counting costs nothing.
    pub fn is_free(self) -> bool {
        matches!(self, Route::CountMessageTokens | Route::CountTokens)
    }

    fn has_output(self) -> bool {
        !self.is_free() && self != Route::Embeddings
    }
}

/// A body that cannot be read, with the sentence for whoever sent it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

const NO_OBJECT: Wrong = Wrong("The request's body is not a JSON object.");
const NO_MODEL: Wrong = Wrong("The request's body names no model. Give its id as \"model\".");
const TWO_MODELS: Wrong = Wrong(
    "The request names models in more than one way. Give one id as \"model\", without models, route or fallbacks.",
);
const BACKGROUND: Wrong = Wrong(
    "Responses in the background are not served: what they use could not be counted. Leave background out.",
);

const OTHER_PRICE: Wrong = Wrong(
    "The request asks for another price than the model's. Leave service_tier, speed and inference_geo out.",
);
const TOOL_WITH_MODEL: Wrong =
    Wrong("The request has a tool that uses a model of its own, which is not served.");

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

/// No protocol has a tenth of this.
const MAX_MEMBERS: usize = 500;

/// A request as it was read.
#[derive(Debug)]
pub struct Ask {
    pub route: Route,
    pub model: String,
    pub streams: bool,
    /// Estimated.
    pub input: i64,
    /// What the request names as its most, for all its answers together; `None` when it names none.
    pub max_output: Option<i64>,
    /// How many answers it wants at once.
    pub answers: i64,
    /// The usage at the end of a stream was asked for on our own account, and is hidden from the client.
    pub hides_usage: bool,
    members: Vec<(String, Box<RawValue>)>,
    is_rewritten: bool,
    body: Bytes,
}

impl Ask {
    /// `path_model` is the model in a Gemini path.
    ///
    /// # Errors
    /// When the body is no JSON object, names no model or several, or wants what cannot be counted.
    pub fn read(route: Route, path_model: Option<&str>, body: Bytes) -> Result<Self, Wrong> {
        let Members(all) = serde_json::from_slice(&body).map_err(|_| NO_OBJECT)?;
        let input = estimate::of_request(&body).map_err(|_| NO_OBJECT)?;
        let before = all.len();
        let mut members: Vec<(String, Box<RawValue>)> = Vec::with_capacity(before);
        for (name, value) in all {
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((name, value)),
            }
        }
        let is_rewritten = members.len() != before;
        let mut ask = Self {
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
        ask.check()?;
        ask.model = ask.named(path_model)?;
        if matches!(route, Route::ChatCompletions | Route::Completions | Route::Responses | Route::Messages) {
            ask.streams = ask.get("stream") == Some(Value::Bool(true));
        }
        ask.measure();
        Ok(ask)
    }

    fn raw(&self, name: &str) -> Option<&RawValue> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn get(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    fn check(&self) -> Result<(), Wrong> {
        let is_there = |name| self.raw(name).is_some_and(|value| value.get() != "null");
        if ["models", "route", "fallbacks"].into_iter().any(is_there) {
            return Err(TWO_MODELS);
        }
        // Some providers read names without minding their case.
        if self.members.iter().any(|(name, _)| name != "model" && name.eq_ignore_ascii_case("model")) {
            return Err(TWO_MODELS);
        }
        if self.route == Route::Responses && self.get("background") == Some(Value::Bool(true)) {
            return Err(BACKGROUND);
        }
        let at_list_price = match self.get("service_tier") {
            Some(Value::String(tier)) => {
                matches!(tier.as_str(), "auto" | "default" | "flex" | "standard_only")
            }
            _ => true,
        };
        if !at_list_price || is_there("speed") || is_there("inference_geo") {
            return Err(OTHER_PRICE);
        }
        // A tool that names a model of its own would be asked about at no gate.
        if let Some(Value::Array(tools)) = self.get("tools")
            && tools.iter().any(|tool| tool.get("model").is_some() || tool["type"] == "image_generation")
        {
            return Err(TOOL_WITH_MODEL);
        }
        Ok(())
    }

    fn named(&self, path_model: Option<&str>) -> Result<String, Wrong> {
        let in_body = self.get("model");
        match (path_model, in_body) {
            (Some(model), _) if model.contains(char::is_control) => Err(NO_MODEL),
            (Some(model), None | Some(Value::Null)) => Ok(model.to_owned()),
            (Some(model), Some(Value::String(other))) => {
                let same = other.strip_prefix("models/").unwrap_or(&other) == model;
                if same { Ok(model.to_owned()) } else { Err(TWO_MODELS) }
            }
            (None, Some(Value::String(model))) if !model.is_empty() && !model.contains(char::is_control) => {
                Ok(model)
            }
            _ => Err(NO_MODEL),
        }
    }

    /// Whatever a client writes there, the numbers are neither below zero nor so large that sums of them break.
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

    /// The most output tokens the answers may have together; `held` is the model's, for each answer without a maximum.
    pub fn output(&self, held: i64) -> i64 {
        self.max_output.unwrap_or(held).max(0).saturating_mul(self.answers).min(MAX_TOKENS)
    }

    /// The body for a provider that calls the model `upstream`: the client's own bytes wherever nothing has to differ.
    pub fn into_upstream(mut self, upstream: &str) -> (Bytes, bool) {
        if upstream != self.model && self.raw("model").is_some() {
            let name = match self.route.kind() {
                ProviderKind::Gemini => format!("models/{upstream}"),
                _ => upstream.to_owned(),
            };
            self.set("model", &json!(name));
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
        for (place, (name, value)) in self.members.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            text.push_str(&Value::String(name.clone()).to_string());
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        (text.into(), hides)
    }

    /// For the demonstration: what was sent, to answer about.
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

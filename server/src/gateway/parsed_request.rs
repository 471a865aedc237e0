//! A client's request as read: its route, model and size. The body is one JSON object; its members are forwarded as the
//! client's own bytes, except for the few that the gateway has to change.
//!
//! It rejects bodies that name a model in a second way, because gate 6 checks one name, and background responses, because
//! their usage cannot be measured. Pure.

use std::fmt;

use bytes::Bytes;
use keydesk_core::admission::Lately;
use keydesk_core::domain::expected_use::{AskedUse, InputTokens, whole_context};
use keydesk_core::domain::meter::{Meter, ServedAs};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::parse_error::ParseError;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::provider_wire::OmittedMember;
use keydesk_core::domain::route::Route;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::estimate::{self, MAX_TOKENS};
use super::extras::{Extras, is_clients};
use super::readable::is_readable;

const NOT_AN_OBJECT: &str = "The request's body is not a JSON object.";
const UNREADABLE: &str =
    "A number in the request's body is too large, a text is no Unicode, or it is nested too deeply.";
const NO_MODEL: &str = "The request's body has no model. Set \"model\" to a model's id.";
const TWO_MODELS: &str = "The request names models in more than one way. Set \"model\" to one id, without models, route or fallbacks.";
const BACKGROUND: &str =
    "Background responses are not supported, because their usage cannot be measured. Remove \"background\".";
const NOT_A_NUMBER: &str =
    "The request's maximum of tokens, or its number of answers, is not a number. Send it as a number.";
const STREAMED_IMAGES: &str =
    "Streams of images are not supported, because their usage cannot be measured. Remove \"stream\".";
/// What a moderation uses that names no model.
const USUAL_MODERATION: &str = "omni-moderation-latest";
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

/// What providers say to a model about its tools, at most.
const TOOLS: i64 = 4_000;

/// A number that limits or multiplies the output, as providers read it: some take a text for a number.
fn number_of(value: &Value) -> Option<i64> {
    let text = || value.as_str().and_then(|text| text.trim().parse::<f64>().ok());
    let float = || value.as_f64().or_else(text).filter(|number| number.is_finite());
    let number = value.as_i64().or_else(|| float().map(|number| number.ceil() as i64))?;
    Some(number.min(MAX_TOKENS))
}

/// A request as read.
#[derive(Clone, Debug)]
pub struct ParsedRequest {
    pub route: Route,
    pub model: String,
    pub streams: bool,
    /// Its input tokens.
    pub input: InputTokens,
    /// What it takes over from its provider's store, by its id; empty where it has no id that is known to this gateway.
    pub stored: Vec<String>,
    /// The maximum output that the request sets for each of its answers; `None` when it sets none.
    pub max_output: Option<i64>,
    /// How many answers it requests.
    pub answers: i64,
    /// How many inputs it has, each of which has to fit into the model's context.
    pub inputs: i64,
    /// Whether the gateway requested the usage at the end of a stream, and hides it from the client.
    pub hides_usage: bool,
    /// Whether the provider takes no `stream_options`, so that the usage of a stream cannot be requested.
    omits_stream_options: bool,
    extras: Extras,
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
        let before = all.len();
        let mut members: Vec<(String, Box<RawValue>)> = Vec::with_capacity(before);
        for (name, value) in all {
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((name, value)),
            }
        }
        if !members.iter().all(|(_, value)| is_readable(value)) {
            return Err(ParseError::new(UNREADABLE));
        }
        let is_rewritten = members.len() != before;
        let mut parsed = Self {
            route,
            model: String::new(),
            streams: route == Route::StreamGenerate,
            input: InputTokens::default(),
            stored: Vec::new(),
            max_output: None,
            answers: 1,
            inputs: 1,
            hides_usage: false,
            omits_stream_options: false,
            extras: Extras::default(),
            members,
            is_rewritten,
            body,
        };
        parsed.check()?;
        parsed.extras = parsed.read_extras()?;
        parsed.model = parsed.single_model(path_model)?;
        parsed.check_requests()?;
        let input = estimate::of_request(&parsed.model, &parsed.body);
        parsed.input = input.ok_or_else(|| ParseError::new(NOT_AN_OBJECT))?;
        if matches!(route, Route::ChatCompletions | Route::Completions | Route::Responses | Route::Messages) {
            parsed.streams = parsed.get("stream") == Some(Value::Bool(true));
        }
        parsed.measure()?;
        Ok(parsed)
    }

    fn raw(&self, name: &str) -> Option<&RawValue> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Whether the member is there and not null.
    fn has(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|value| value.get() != "null")
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    fn check(&self) -> Result<(), ParseError> {
        let is_there = |name| self.has(name);
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
        if self.route == Route::GenerateImages && self.get("stream") == Some(Value::Bool(true)) {
            return Err(ParseError::new(STREAMED_IMAGES));
        }
        Ok(())
    }

    /// What needs a price of its own.
    fn read_extras(&self) -> Result<Extras, ParseError> {
        let mut extras = Extras::default();
        for (name, value) in &self.members {
            extras.read(name, || serde_json::from_str(value.get()).ok())?;
        }
        for config in self.configs() {
            for (name, value) in config.as_object().into_iter().flatten() {
                extras.read(name, || Some(value.clone()))?;
            }
        }
        if self.route == Route::GenerateImages {
            extras.uses(Some(Meter::ImageOutput), "image output", "the image");
        }
        read_tools(&self.get("tools").unwrap_or_default(), &mut extras)?;
        Ok(extras)
    }

    /// Gemini's configuration, in both spellings.
    fn configs(&self) -> Vec<Value> {
        self.get("generationConfig").into_iter().chain(self.get("generation_config")).collect()
    }

    /// How the request wants to be served.
    pub fn served_as(&self) -> &ServedAs {
        &self.extras.served_as
    }

    /// Refuses what the model has no price for, unless that is allowed.
    ///
    /// # Errors
    /// When something has no price; the sentence says what.
    pub fn check_priced(&self, model: &Model, allow_unpriced: bool) -> Result<(), ParseError> {
        if self.route.is_free() { Ok(()) } else { self.extras.check_priced(model, allow_unpriced) }
    }

    /// Whether it may use something that the model has no price for, and that its response need not tell.
    pub fn has_uncounted(&self, model: &Model) -> bool {
        self.extras.has_uncounted(model)
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
            (None, None | Some(Value::Null)) if self.route == Route::Moderations => {
                Ok(USUAL_MODERATION.to_owned())
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
    ///
    /// # Errors
    /// When one of them is no number.
    fn measure(&mut self) -> Result<(), ParseError> {
        if self.route.is_free() {
            self.input = InputTokens::default();
        } else {
            self.measure_stored();
        }
        if !self.route.has_output() {
            self.max_output = Some(0);
            self.inputs = match self.route {
                Route::Embeddings => self.texts_of("input"),
                Route::BatchEmbedContents => self.texts_of("requests"),
                _ => 1,
            };
            return Ok(());
        }
        let config = self.configs();
        let in_config =
            |name: &str| config.iter().filter_map(|config| config.get(name).cloned()).collect::<Vec<_>>();
        let max = |values: Vec<Value>| -> Result<Option<i64>, ParseError> {
            let mut largest = None;
            for value in values.iter().filter(|value| !value.is_null()) {
                let number = number_of(value).ok_or_else(|| ParseError::new(NOT_A_NUMBER))?;
                largest = largest.max(Some(number).filter(|number| *number > 0));
            }
            Ok(largest)
        };
        let body = |names: &[&str]| names.iter().filter_map(|name| self.get(name)).collect::<Vec<_>>();
        let output = if self.route.kind() == ProviderKind::Gemini {
            max([in_config("maxOutputTokens"), in_config("max_output_tokens")].concat())?
        } else {
            max(body(&["max_tokens", "max_completion_tokens", "max_output_tokens"]))?
        };
        let answers = if self.route.kind() == ProviderKind::Gemini {
            max([in_config("candidateCount"), in_config("candidate_count")].concat())?
        } else {
            max(body(&["n", "best_of"]))?
        };
        // Completions take several prompts at once, each with its own answers.
        let prompts = if self.route == Route::Completions { self.texts_of("prompt") } else { 1 };
        // Its provider reads the whole context once more, and writes a summary of it.
        let passes = if self.is_compacted() { 2 } else { 1 };
        self.inputs = prompts.saturating_mul(passes);
        self.answers = answers.unwrap_or(1).saturating_mul(self.inputs).clamp(1, MAX_TOKENS);
        // What is predicted and not used is charged as output, too, and no maximum is one of a summary.
        self.max_output = output.filter(|_| !self.has("prediction") && passes == 1);
        Ok(())
    }

    /// How many texts are in a list; a list of numbers is one text.
    fn texts_of(&self, name: &str) -> i64 {
        let Some(Value::Array(list)) = self.get(name) else { return 1 };
        let texts = list.iter().filter(|text| !text.is_number()).count().max(1);
        i64::try_from(texts).unwrap_or(MAX_TOKENS).min(MAX_TOKENS)
    }

    fn is_compacted(&self) -> bool {
        // Read, because its text may be written with escapes.
        self.get("context_management").is_some_and(|value| value.to_string().contains("compact"))
    }

    /// What the provider adds to the input: from its store, or with tools that it runs itself.
    fn measure_stored(&mut self) {
        // A response never changes. What else has a name may have grown through another gateway.
        if let Some(previous) = self.get("previous_response_id").filter(|id| !id.is_null()) {
            self.stored.push(previous.as_str().unwrap_or_default().to_owned());
        }
        for name in ["conversation", "cachedContent", "cached_content"] {
            if self.has(name) {
                self.stored.push(String::new());
            }
        }
        if self.route == Route::Responses && matches!(self.get("prompt"), Some(Value::Object(_))) {
            self.stored.push(String::new());
        }
        let tools = match self.get("tools") {
            Some(Value::Array(tools)) => tools,
            // Of a shape that is not known.
            _ if self.has("tools") => vec![Value::Null],
            _ => Vec::new(),
        };
        let others = ["web_search_options", "search_parameters", "enable_search", "mcp_servers", "plugins"];
        let is_providers =
            tools.iter().any(|tool| !is_clients(tool)) || others.into_iter().any(|name| self.has(name));
        if is_providers || self.is_compacted() {
            self.input.max = MAX_TOKENS;
        } else if !tools.is_empty() || self.has("functions") {
            self.input = self.input.and(0, TOOLS);
        }
    }

    /// What the request asks for.
    pub fn asked(&self) -> AskedUse {
        let served_as = self.served_as().clone();
        let Self { input, max_output: output, answers, inputs, .. } = *self;
        AskedUse { input, output, answers, inputs, served_as }
    }

    /// Adds what it takes over from its provider's store: as large as it is known to be, or the model's whole context.
    pub fn add_stored(&mut self, lately: &Lately, model: &Model) {
        for id in &self.stored {
            self.input = match lately.stored(id) {
                Some(tokens) => self.input.and(tokens, tokens),
                None => self.input.and(whole_context(model), MAX_TOKENS),
            };
        }
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
        if upstream != self.model && (self.raw("model").is_some() || self.route == Route::Moderations) {
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
        let can_request = !self.omits_stream_options;
        if self.streams && can_request && matches!(self.route, Route::ChatCompletions | Route::Completions) {
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

    /// Leaves out what the provider does not take.
    pub fn omit(&mut self, members: &[OmittedMember]) {
        self.omits_stream_options = members.contains(&OmittedMember::StreamOptions);
        let before = self.members.len();
        self.members.retain(|(name, _)| !members.iter().any(|member| member.as_str() == name));
        self.is_rewritten |= self.members.len() != before;
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

/// Reads tools, and those in namespaces of tools.
fn read_tools(tools: &Value, extras: &mut Extras) -> Result<(), ParseError> {
    for tool in tools.as_array().into_iter().flatten() {
        // No gate checks the model of a tool.
        if tool.get("model").is_some() || tool["type"] == "image_generation" {
            return Err(ParseError::new(TOOL_WITH_MODEL));
        }
        extras.read_tool(tool);
        read_tools(&tool["tools"], extras)?;
    }
    Ok(())
}

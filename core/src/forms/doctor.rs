//! The key doctor's form: a secret or a key, and the request that fails.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::doctor::{Described, KeyPlace, RequestSize};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::key_format::looks_like_secret;
use crate::domain::parse_error::ParseError;
use crate::domain::route::Route;

/// Characters of a text that are read.
const MAX_TEXT: usize = 300;
/// Characters of the headers that are read: what is sealed must fit into a cookie.
const MAX_RAW: usize = 1_000;
/// Tokens of a request.
const MAX_TOKENS: i64 = 100_000_000;

/// Asks the key doctor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoctorForm {
    /// The organisation's slug; empty on the public page.
    pub org: String,
    /// The id of a key that was picked.
    pub key: String,
    /// A pasted secret.
    pub secret: Hidden,
    /// The headers as the client sends them.
    pub raw: Hidden,
    /// The request.
    pub request: RequestFields,
}

/// The request that fails, as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestFields {
    /// A word of [`route_word`]; empty for the list of models.
    pub route: String,
    /// The model's name.
    pub model: String,
    /// A word of [`KeyPlace`].
    pub place: String,
    /// The client's IP address; empty when it is not known.
    pub address: String,
    /// The `Origin` of a browser.
    pub origin: String,
    /// The client's base URL.
    pub base: String,
    /// Input tokens.
    pub input: String,
    /// The most output tokens.
    pub output: String,
}

impl Default for RequestFields {
    fn default() -> Self {
        let size = RequestSize::default();
        Self {
            route: route_word(Some(Route::ChatCompletions)).into(),
            model: String::new(),
            place: KeyPlace::Bearer.as_str().into(),
            address: String::new(),
            origin: String::new(),
            base: String::new(),
            input: size.input.to_string(),
            output: size.output.to_string(),
        }
    }
}

/// A route's word in the form; empty for the list of models.
pub fn route_word(route: Option<Route>) -> &'static str {
    match route {
        None => "",
        Some(Route::ChatCompletions) => "chat",
        Some(Route::Completions) => "completions",
        Some(Route::Embeddings) => "embeddings",
        Some(Route::Responses) => "responses",
        Some(Route::CompactResponse) => "compact",
        Some(Route::CountResponseTokens) => "count-response-tokens",
        Some(Route::GenerateImages) => "images",
        Some(Route::Moderations) => "moderations",
        Some(Route::Messages) => "messages",
        Some(Route::CountMessageTokens) => "count-message-tokens",
        Some(Route::Generate) => "generate",
        Some(Route::StreamGenerate) => "stream-generate",
        Some(Route::CountTokens) => "count-tokens",
        Some(Route::EmbedContent) => "embed",
        Some(Route::BatchEmbedContents) => "batch-embed",
    }
}

/// The route of a word; the inner `None` is the list of models.
fn read_route(word: &str) -> Option<Option<Route>> {
    let all = Route::ALL.into_iter().map(Some).chain([None]);
    all.into_iter().find(|route| route_word(*route) == word)
}

impl RequestFields {
    /// The fields with their words in an address. What looks like a secret is left out.
    pub fn query(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("route", &self.route),
            ("model", &self.model),
            ("place", &self.place),
            ("address", &self.address),
            ("origin", &self.origin),
            ("base", &self.base),
            ("input", &self.input),
            ("output", &self.output),
        ];
        let blank = Self::default();
        let same = |name: &str, value: &str| match name {
            "route" => value == blank.route,
            "place" => value == blank.place,
            "input" => value == blank.input,
            "output" => value == blank.output,
            _ => value.is_empty(),
        };
        let plain = all.into_iter().map(|(name, value)| (name, value.as_str()));
        plain.filter(|(name, value)| !same(name, value) && !looks_like_secret(value)).collect()
    }

    /// Reads an address that `query` made. `find` answers a parameter.
    pub fn of_query(find: impl Fn(&str) -> Option<String>) -> Self {
        let blank = Self::default();
        let text = |name: &str, default: String| {
            let found = find(name).filter(|text| !looks_like_secret(text));
            found.map_or(default, |text| text.chars().take(MAX_TEXT).collect())
        };
        Self {
            route: text("route", blank.route),
            model: text("model", blank.model),
            place: text("place", blank.place),
            address: text("address", blank.address),
            origin: text("origin", blank.origin),
            base: text("base", blank.base),
            input: text("input", blank.input),
            output: text("output", blank.output),
        }
    }

    /// As it may be shown again: what looks like a secret is left out.
    pub fn without_secrets(&self) -> Self {
        let query = self.query();
        Self::of_query(|name| {
            query.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// # Errors
    /// A sentence beside each wrong field.
    pub fn parse(&self) -> Result<Described, Vec<FieldError>> {
        let mut errors = Vec::new();
        let route = read_route(&self.route).ok_or_else(|| ParseError::new("Choose a route."));
        let route = errors.take("route", route);
        let place =
            KeyPlace::parse(&self.place).ok_or_else(|| ParseError::new("Choose where the key is sent."));
        let place = errors.take("place", place);
        let model = match self.model.trim() {
            "" if route.flatten().is_some() => {
                Err(ParseError::new("Enter the model, or choose GET /v1/models as the route."))
            }
            model => fits(model),
        };
        let model = errors.take("model", model);
        let address = match self.address.trim() {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| ParseError::new("Enter an IP address such as 203.0.113.7, or leave it empty.")),
        };
        let address = errors.take("address", address);
        let origin = errors.take("origin", fits(self.origin.trim()));
        let base_url = errors.take("base", fits(self.base.trim()));
        let input = errors.take("input", tokens(&self.input));
        let output = errors.take("output", tokens(&self.output));
        match (route, place, model, address, origin, base_url, input, output) {
            (
                Some(route),
                Some(place),
                Some(model),
                Some(address),
                Some(origin),
                Some(base_url),
                Some(input),
                Some(output),
            ) => Ok(Described {
                route,
                model,
                place,
                address,
                origin,
                base_url,
                size: RequestSize { input, max_input: input, output },
            }),
            _ => Err(errors),
        }
    }
}

fn fits(text: &str) -> Result<String, ParseError> {
    if text.chars().count() > MAX_TEXT || text.contains(char::is_control) {
        return Err(ParseError::new("This is too long, or has a line break. Shorten it to 300 characters."));
    }
    Ok(text.to_owned())
}

fn tokens(text: &str) -> Result<i64, ParseError> {
    let count = text.trim().parse::<i64>().ok().filter(|count| (0..=MAX_TOKENS).contains(count));
    count.ok_or_else(|| ParseError::new("Enter a whole number of tokens, such as 16."))
}

impl DoctorForm {
    /// Whether a picked key is examined, and no secret.
    pub fn is_of_key(&self) -> bool {
        !self.key.is_empty() && self.secret.as_str().is_empty() && self.raw.as_str().trim().is_empty()
    }

    /// # Errors
    /// A sentence beside each wrong field.
    pub fn parse(&self) -> Result<Described, Vec<FieldError>> {
        let mut errors = Vec::new();
        let (secret, raw) = (self.secret.as_str(), self.raw.as_str());
        if self.key.is_empty() && secret.is_empty() && raw.trim().is_empty() {
            errors.push(FieldError::new("secret", ParseError::new("Paste the key, or pick one above.")));
        }
        if secret.chars().count() > MAX_TEXT {
            errors.push(FieldError::new(
                "secret",
                ParseError::new("This is too long to be a key. Paste only the key."),
            ));
        }
        if raw.chars().count() > MAX_RAW {
            errors.push(FieldError::new(
                "raw",
                ParseError::new("These are too many headers. Paste only those with a key."),
            ));
        }
        match self.request.parse() {
            Ok(described) if errors.is_empty() => Ok(described),
            Ok(_) => Err(errors),
            Err(more) => Err(errors.into_iter().chain(more).collect()),
        }
    }
}

//! A high estimate of the tokens of a text: for the reservation of a request, and for its usage when the provider reports
//! none. Pure.
//!
//! Three ASCII characters are one token, and every other character is one. A message adds eight tokens. An image or other
//! file is 1,500 tokens, or one for each 200 characters, whichever is more.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

const MESSAGE: u64 = 8;
const FILE: u64 = 1_500;
/// More than any model accepts or produces. Sums and prices of such numbers do not overflow.
pub const MAX_TOKENS: i64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    ascii: u64,
    tokens: u64,
}

impl Counted {
    pub fn text(&mut self, text: &str) {
        let ascii = text.bytes().filter(u8::is_ascii).count();
        // In UTF-8, what is neither ASCII nor the first byte of a character continues one.
        let others = text.bytes().filter(|byte| *byte >= 0b1100_0000).count();
        self.ascii += ascii as u64;
        self.tokens += others as u64;
    }

    pub fn tokens(self) -> i64 {
        i64::try_from(self.ascii.div_ceil(3) + self.tokens).unwrap_or(MAX_TOKENS).min(MAX_TOKENS)
    }
}

pub fn of_text(text: &str) -> i64 {
    let mut counted = Counted::default();
    counted.text(text);
    counted.tokens()
}

/// The tokens of a request's whole body.
///
/// # Errors
/// When it is not JSON, or is nested too deeply.
pub fn of_request(body: &[u8]) -> Result<i64, serde_json::Error> {
    let mut counted = Counted::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    Walk { counted: &mut counted, under: Under::Text, in_list: false }.deserialize(&mut json)?;
    json.end()?;
    Ok(counted.tokens())
}

/// What a member's name says about its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Under {
    Text,
    /// The speaker: its object is a message.
    Role,
    /// A file, if it looks like one; some documents are plain text.
    Data,
    /// The address of a file.
    Link,
}

struct Walk<'a> {
    counted: &'a mut Counted,
    under: Under,
    in_list: bool,
}

/// Checks all of it, because a text can begin like a file.
fn is_encoded(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte))
}

fn is_data_url(text: &str) -> bool {
    let inside = text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    inside.is_some_and(|(kind, data)| kind.len() < 128 && is_encoded(data))
}

fn file(text: &str) -> u64 {
    FILE.max(text.len() as u64 / 200)
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.under {
            Under::Data if is_encoded(text) => self.counted.tokens += file(text),
            _ if is_data_url(text) => self.counted.tokens += file(text),
            Under::Link => self.counted.tokens += FILE.max(of_text(text).unsigned_abs()),
            _ => self.counted.text(text),
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    /// A text can be a list of token numbers.
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.counted.tokens += u64::from(self.in_list);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.counted.tokens += u64::from(self.in_list);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { counted, under, .. } = self;
        while list.next_element_seed(Walk { counted: &mut *counted, under, in_list: true })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(under) = map.next_key_seed(Name)? {
            if under == Under::Role {
                self.counted.tokens += MESSAGE;
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Walk { counted: &mut *self.counted, under, in_list: false })?;
            }
        }
        Ok(())
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Under;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Under, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Under;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Under, E> {
        Ok(match name {
            "role" => Under::Role,
            "data" | "b64_json" | "file_data" | "bytesBase64Encoded" => Under::Data,
            "image_url" | "url" | "file_url" | "file_id" | "file_uri" | "fileUri" => Under::Link,
            _ => Under::Text,
        })
    }
}

/// Adds the text that a model wrote, anywhere in a response or a part of one.
pub fn add_output(value: &Value, counted: &mut Counted) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| add_output(value, counted)),
        Value::Object(object) => {
            for (name, value) in object {
                match (name.as_str(), value) {
                    (
                        "content" | "text" | "arguments" | "partial_json" | "thinking" | "reasoning_content"
                        | "reasoning" | "refusal" | "delta",
                        Value::String(text),
                    ) => counted.text(text),
                    // The arguments of a Gemini function call are an object.
                    ("args" | "input", Value::Object(_)) => counted.text(&value.to_string()),
                    _ => add_output(value, counted),
                }
            }
        }
        _ => {}
    }
}

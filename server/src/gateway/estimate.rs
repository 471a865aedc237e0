//! How many tokens a request's input has: what is likely, for its reservation and for its usage when the provider reports
//! none, and at most. Pure.
//!
//! Of OpenAI's models their own tokenizer counts the texts. Of others a token is likely to be three ASCII characters or one
//! other character, and no tokenizer makes more tokens than a text has bytes. Every byte of the body counts, names and
//! numbers too, except for real files: those count by their kind and size. A file is one only where a provider takes it
//! for one, as a part of a message, and not in an argument or a schema, which models read as text.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use keydesk_core::domain::expected_use::InputTokens;
use serde_json::Value;
use tiktoken_rs::o200k_base_singleton;

/// More than any model accepts or produces. Sums and prices of such numbers do not overflow.
pub const MAX_TOKENS: i64 = keydesk_core::domain::meter::MAX_COUNT;
/// A body of so many bytes has at least one token, whatever its shape.
const FLOOR_BYTES: u64 = 8;
/// Nested more deeply, a body is refused.
const MAX_DEPTH: usize = 128;
/// So much of a body's text is tokenized; what follows is counted by its bytes.
const MAX_TOKENIZED: usize = 1 << 20;
/// Tokenized at once, so that no text takes more than its length.
const PIECE: usize = 4_096;

const IMAGE: u64 = 1_600;
/// More than 48,169, which gpt-4o-mini makes of the largest picture.
const MAX_IMAGE: u64 = 50_000;
/// What the provider fetches or unpacks: its size is unknown.
const WHOLE_CONTEXT: u64 = MAX_TOKENS as u64;

/// Counts texts by their characters.
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
        bounded(self.ascii.div_ceil(3) + self.tokens)
    }
}

fn bounded(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(MAX_TOKENS).min(MAX_TOKENS)
}

pub fn of_text(text: &str) -> i64 {
    let mut counted = Counted::default();
    counted.text(text);
    counted.tokens()
}

/// Whether the model's texts are tokenized as OpenAI's newer models do it.
fn is_tokenized(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    let families = ["gpt-4o", "gpt-4.1", "gpt-5", "gpt-6", "gpt-oss", "gpt-audio", "chatgpt-4o", "codex-"];
    families.iter().any(|family| name.starts_with(family))
        || name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The tokens of a request's whole body, which is JSON. `None` when it is nested too deeply or a text in it is none.
pub fn of_request(model: &str, body: &[u8]) -> Option<InputTokens> {
    let body = std::str::from_utf8(body).ok()?;
    let mut scan = Scan { tokenizes: is_tokenized(model), ..Scan::default() };
    scan.run(body)?;
    Some(scan.result())
}

/// Where a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A member of the request.
    #[default]
    Top,
    /// Messages and their parts, where files are.
    Part,
    /// Everything else.
    Text,
}

impl Place {
    fn of_member(self, name: &str) -> Self {
        let is_part = match self {
            Place::Top => matches!(
                name,
                "messages"
                    | "contents"
                    | "input"
                    | "system"
                    | "systemInstruction"
                    | "system_instruction"
                    // Of embeddings.
                    | "content"
                    | "requests"
            ),
            Place::Part => matches!(
                name,
                "content"
                    | "parts"
                    | "output"
                    | "source"
                    | "image_url"
                    | "input_audio"
                    | "file"
                    | "inlineData"
                    | "inline_data"
                    | "fileData"
                    | "file_data"
                    | "functionResponse"
                    | "function_response"
            ),
            Place::Text => false,
        };
        if is_part { Place::Part } else { Place::Text }
    }
}

/// An object or list that is not closed yet.
#[derive(Default)]
struct Open<'a> {
    is_object: bool,
    place: Place,
    /// Whether it is in a member `image_url`.
    is_image: bool,
    /// Whether it is a message's `audio`, which names an earlier answer.
    is_spoken: bool,
    /// Whether it is the list `input` of the request.
    is_input: bool,
    /// An element of that list.
    item: Option<Item>,
    /// The name of the member whose value comes next.
    name: Cow<'a, str>,
    /// Whether a name comes next.
    expects_name: bool,
    /// Its files, which its other members tell the kind of.
    files: Vec<(Cow<'a, str>, &'a str)>,
    /// Its media type, as far as it says one.
    media_type: Cow<'a, str>,
    /// What it says that it is.
    kind: Cow<'a, str>,
}

/// An item of a response's input: some are only names of what the provider stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Item {
    has_id: bool,
    has_content: bool,
    /// Whether it has what is read in place of a content, by a model or its provider.
    has_packed: bool,
}

impl Item {
    /// Notes a member, and whether it is an empty text or none.
    fn note(&mut self, name: &str, is_empty: bool) {
        match name {
            "id" => self.has_id = true,
            "content" => self.has_content = true,
            "encrypted_content" | "result" => self.has_packed |= !is_empty,
            _ => {}
        }
    }

    /// Whether the provider takes what belongs to it from its store.
    fn is_stored(self, kind: &str) -> bool {
        const WHOLE: &[&str] = &[
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "custom_tool_call_output",
            "local_shell_call",
            "local_shell_call_output",
            "shell_call",
            "shell_call_output",
            "apply_patch_call",
            "apply_patch_call_output",
            "computer_call",
            "computer_call_output",
            "mcp_list_tools",
            "mcp_approval_request",
            "mcp_approval_response",
        ];
        self.has_id
            && match kind {
                "" | "message" => !self.has_content,
                "reasoning" | "compaction" | "image_generation_call" => !self.has_packed,
                kind => !WHOLE.contains(&kind),
            }
    }
}

#[derive(Default)]
struct Scan {
    tokenizes: bool,
    /// Bytes of the body without its files.
    bytes: u64,
    /// Bytes outside of strings, without white space.
    structure: u64,
    counted: Counted,
    /// By the tokenizer.
    tokens: u64,
    tokenized: usize,
    /// What it did not count.
    rest: u64,
    files: u64,
    max_files: u64,
}

impl Scan {
    fn run(&mut self, body: &str) -> Option<()> {
        let mut open: Vec<Open<'_>> = Vec::new();
        let bytes = body.as_bytes();
        self.bytes = bytes.len() as u64;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = end_of_string(bytes, at)?;
                    let raw = body.get(at..end)?;
                    self.string(open.last_mut(), raw)?;
                    at = end;
                    continue;
                }
                b'{' | b'[' => {
                    if open.len() >= MAX_DEPTH {
                        return None;
                    }
                    let is_object = *byte == b'{';
                    if let Some(outer) = open.last_mut()
                        && let Some(item) = &mut outer.item
                    {
                        item.note(&outer.name, true);
                    }
                    let inner = match open.last() {
                        None => Open { is_object, expects_name: is_object, ..Open::default() },
                        Some(outer) => Open {
                            is_object,
                            expects_name: is_object,
                            // Elements of a list are where the list is.
                            place: if outer.is_object {
                                outer.place.of_member(&outer.name)
                            } else {
                                outer.place
                            },
                            is_image: outer.is_image || outer.name == "image_url",
                            is_spoken: is_object && outer.place == Place::Part && outer.name == "audio",
                            is_input: !is_object && open.len() == 1 && outer.name == "input",
                            item: (is_object && outer.is_input).then(Item::default),
                            ..Open::default()
                        },
                    };
                    open.push(inner);
                }
                b'}' | b']' => {
                    if let Some(closed) = open.pop() {
                        for (name, data) in &closed.files {
                            self.file(&closed, name, data);
                        }
                        if closed.item.is_some_and(|item| item.is_stored(&closed.kind)) {
                            self.add_unknown_size();
                        }
                    }
                }
                b',' => {
                    if let Some(inner) = open.last_mut() {
                        inner.expects_name = inner.is_object;
                    }
                }
                _ => {}
            }
            self.structure += u64::from(!byte.is_ascii_whitespace());
            at += 1;
        }
        Some(())
    }

    /// A name or a text, with its quotes.
    fn string<'a>(&mut self, open: Option<&mut Open<'a>>, raw: &'a str) -> Option<()> {
        let text: Cow<'a, str> = if raw.contains('\\') {
            Cow::Owned(serde_json::from_str(raw).ok()?)
        } else {
            Cow::Borrowed(raw.get(1..raw.len() - 1)?)
        };
        let Some(open) = open else {
            self.text(&text);
            return Some(());
        };
        if open.expects_name {
            self.text(&text);
            (open.name, open.expects_name) = (text, false);
            return Some(());
        }
        if let Some(item) = &mut open.item {
            item.note(&open.name, text.is_empty());
        }
        if open.is_spoken && open.name == "id" {
            self.add_unknown_size();
        }
        if open.is_object && open.place == Place::Part {
            match &*open.name {
                "data" | "url" | "image_url" | "file_data" if encoded(&text).is_some() => {
                    // Its object says at its end what it is. A base64 text has no escapes to speak of.
                    open.files.push((open.name.clone(), raw));
                    return Some(());
                }
                "url" | "image_url" | "file_url" | "file_id" | "file_uri" | "fileUri" => {
                    let is_image = open.is_image || open.name == "image_url";
                    self.files += IMAGE;
                    self.max_files += if is_image { MAX_IMAGE } else { WHOLE_CONTEXT };
                }
                "media_type" | "mime_type" | "mimeType" => open.media_type = text.clone(),
                "type" => open.kind = text.clone(),
                _ => {}
            }
        }
        self.text(&text);
        Some(())
    }

    /// What the provider reads besides the body: its size is unknown.
    fn add_unknown_size(&mut self) {
        self.files += IMAGE;
        self.max_files += WHOLE_CONTEXT;
    }

    fn text(&mut self, text: &str) {
        self.counted.text(text);
        // The quotes.
        self.structure += 1;
        if !self.tokenizes {
            return;
        }
        let mut rest = text;
        while !rest.is_empty() && self.tokenized < MAX_TOKENIZED {
            let mut end = rest.len().min(PIECE);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (piece, later) = rest.split_at(end);
            self.tokens += o200k_base_singleton().count_ordinary(piece) as u64 + u64::from(!later.is_empty());
            self.tokenized += end;
            rest = later;
        }
        self.rest += rest.len() as u64;
    }

    /// A file, once its object is known.
    fn file(&mut self, object: &Open<'_>, name: &str, raw: &str) {
        let text = raw.trim_matches('"').replace("\\/", "/");
        // What a model reasoned comes back as it was given out, and counts as text.
        let is_text = ["text", "redacted_thinking"].contains(&&*object.kind);
        let Some((kind, data)) = encoded(&text).filter(|_| !is_text) else {
            return self.text(&text);
        };
        let media_type = if kind.is_empty() { &*object.media_type } else { kind };
        let start: String = data.chars().filter(|c| !c.is_ascii_whitespace()).take(40).collect();
        let start = start.trim_end_matches('=');
        let engine =
            if start.contains(['-', '_']) { &BASE64_URL_SAFE_NO_PAD } else { &BASE64_STANDARD_NO_PAD };
        let whole = start.get(..start.len() / 4 * 4).unwrap_or_default();
        let start = engine.decode(whole).unwrap_or_default();
        let size = data.len() as u64 / 4 * 3 + 3;
        let may_be_image = name != "file_data"
            && (object.is_image || name == "image_url" || media_type.starts_with("image/"));
        let (likely, max) = if may_be_image && is_image(&start) {
            (IMAGE, MAX_IMAGE)
        } else if is_audio(&start) {
            // A minute of silence may be a few packed bytes.
            ((size / 200).max(100), if is_plain_wav(&start) { size } else { WHOLE_CONTEXT })
        } else if media_type.starts_with("text/") {
            (size.div_ceil(3), size)
        } else {
            // Such as PDF, which is packed.
            ((size / 16).max(IMAGE).max(if is_packed(&start) { 0 } else { size.div_ceil(3) }), WHOLE_CONTEXT)
        };
        self.bytes = self.bytes.saturating_sub(raw.len() as u64);
        self.files += likely;
        self.max_files += max;
    }

    fn result(&self) -> InputTokens {
        let floor = self.bytes.div_ceil(FLOOR_BYTES);
        let (likely, max) = if self.tokenizes {
            (self.tokens + self.rest / 3 + self.structure / 2, self.tokens + self.rest + self.structure)
        } else {
            let ascii = self.counted.ascii + self.structure;
            (ascii.div_ceil(3) + self.counted.tokens, self.bytes)
        };
        let likely = bounded(likely.max(floor) + self.files);
        InputTokens { likely, max: bounded(max.max(floor) + self.max_files).max(likely) }
    }
}

/// The end of the string that begins at `start`, behind its quote.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The media type, where it is a data URL, and the data, if all of it is base64.
fn encoded(text: &str) -> Option<(&str, &str)> {
    let is_base64 =
        |data: &str| data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte));
    let (kind, data) = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").filter(|(kind, _)| kind.len() < 128)?,
        None => ("", text),
    };
    is_base64(data).then_some((kind, data))
}

fn is_image(start: &[u8]) -> bool {
    let riff = start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP");
    riff || [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"GIF87a", b"GIF89a"]
        .iter()
        .any(|magic| start.starts_with(magic))
}

fn is_audio(start: &[u8]) -> bool {
    let riff = start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WAVE");
    let frame = start.first() == Some(&0xff) && start.get(1).is_some_and(|byte| byte & 0xe0 == 0xe0);
    riff || frame || [&b"ID3"[..], b"OggS", b"fLaC"].iter().any(|magic| start.starts_with(magic))
}

/// Samples as they are, at least 4,000 a second: no model makes as many tokens of them as they have bytes.
fn is_plain_wav(start: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = start.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map_or(0, u32::from_le_bytes)
    };
    start.starts_with(b"RIFF")
        && start.get(8..16) == Some(b"WAVEfmt ")
        && start.get(20..22) == Some(&[1, 0])
        && number(24) >= 4_000
}

fn is_packed(start: &[u8]) -> bool {
    start.starts_with(b"%PDF-") || start.starts_with(b"PK\x03\x04") || start.get(4..8) == Some(b"ftyp")
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

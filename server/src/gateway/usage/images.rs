//! OpenAI's images. All output is images, also where the details do not say so.

use serde_json::Value;

use super::number::{Figure, Figures};
use super::responses;

/// One large image of a high quality.
pub const TOKENS: i64 = 4_160;

pub fn usage(usage: &Value) -> Figures {
    let mut figures = responses::usage(usage);
    let details = usage.get("output_tokens_details").or_else(|| usage.get("completion_tokens_details"));
    if details.is_none_or(Value::is_null) {
        figures.note(Figure::ImageOutput, figures.get(Figure::Output));
    }
    figures
}

/// Of a response that tells no usage: by the number of its images.
pub fn estimate(response: &Value) -> i64 {
    let images = response.get("data").and_then(Value::as_array).map_or(0, Vec::len);
    i64::try_from(images).unwrap_or(i64::MAX).saturating_mul(TOKENS)
}

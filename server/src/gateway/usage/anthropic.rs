//! Anthropic's messages. Their input is reported in three parts that leave each other out, and what other passes used
//! beside the answer stands apart.

use serde_json::Value;

use super::Report;
use super::number::{Figure, Figures, Number};

pub fn usage(usage: &Value) -> Figures {
    let mut figures = Figures::default();
    let number = |path: &str| Number::read(usage.pointer(path));
    figures.note(Figure::Input, number("/input_tokens"));
    figures.note(Figure::Output, number("/output_tokens"));
    figures.note(Figure::Cached, number("/cache_read_input_tokens"));
    figures.note(Figure::Written, number("/cache_creation_input_tokens"));
    figures.note(Figure::WrittenShort, number("/cache_creation/ephemeral_5m_input_tokens"));
    figures.note(Figure::WrittenLong, number("/cache_creation/ephemeral_1h_input_tokens"));
    figures.note(Figure::Reasoning, number("/output_tokens_details/thinking_tokens"));
    figures.note(Figure::Searches, number("/server_tool_use/web_search_requests"));
    figures
}

/// The passes that the totals leave out, such as a compaction. Those of the answer itself are in the totals.
pub fn other_passes(reported: &Value, report: &mut Report) {
    let passes = reported.get("iterations").and_then(Value::as_array).into_iter().flatten();
    for pass in passes {
        let kind = pass.get("type").and_then(Value::as_str).unwrap_or("message");
        if kind == "message" || kind == "fallback_message" {
            continue;
        }
        // An adviser is another model, whose price is not known here.
        report.is_uncertain |= kind == "advisor_message";
        report.other_passes.plus(&usage(pass));
    }
}

/// Searches, in case the usage does not tell them.
pub fn beside(value: &Value, report: &mut Report) {
    let whole = value.get("content").and_then(Value::as_array).into_iter().flatten();
    let is_search = |block: &&Value| block["type"] == "server_tool_use" && block["name"] == "web_search";
    let blocks = whole.chain(value.get("content_block")).filter(is_search);
    report.seen.searches += i64::try_from(blocks.count()).unwrap_or(0);
}

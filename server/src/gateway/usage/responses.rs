//! OpenAI's responses.

use serde_json::Value;

use super::number::{Figure, Figures, Number};
use super::{Report, openai};

pub fn usage(usage: &Value) -> Figures {
    let mut figures = Figures::default();
    let number = |name: &str| Number::read(usage.get(name));
    figures.note(Figure::Input, number("input_tokens"));
    figures.note(Figure::Output, number("output_tokens"));
    figures.note(Figure::Total, number("total_tokens"));
    openai::details(&mut figures, usage.get("input_tokens_details"), usage.get("output_tokens_details"));
    figures
}

/// The calls of the provider's own tools: all of them in the response, and each in an event of its own.
pub fn beside(value: &Value, report: &mut Report) {
    let response = value.get("response").unwrap_or(value);
    if let Some(Value::Array(items)) = response.get("output")
        && !items.is_empty()
    {
        let count = |of: fn(&Value) -> bool| items.iter().filter(|item| of(item)).count();
        let number = |count: usize| Number::of(i64::try_from(count).unwrap_or(i64::MAX));
        report.figures.note(Figure::Searches, number(count(is_search)));
        report.figures.note(Figure::ToolUses, number(count(is_tool_use)));
        report.uncounted |= items.iter().any(is_uncounted);
    }
    if value["type"] == "response.output_item.done"
        && let Some(item) = value.get("item")
    {
        report.seen.searches += i64::from(is_search(item));
        report.seen.tool_uses += i64::from(is_tool_use(item));
        report.uncounted |= is_uncounted(item);
    }
}

/// To open a page that was found, or to look for a word in it, costs nothing.
fn is_search(item: &Value) -> bool {
    item["type"] == "web_search_call"
        && item.pointer("/action/type").is_none_or(|action| action.is_null() || action == "search")
}

fn is_tool_use(item: &Value) -> bool {
    item["type"] == "file_search_call"
}

/// Calls that the client answers, or that cost their tokens alone, or have a meter.
const PRICED_CALLS: [&str; 10] = [
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "tool_search_call",
    "mcp_call",
    "web_search_call",
    "file_search_call",
];

/// A call of any other tool of the provider's, such as the code interpreter, whose container is charged by time.
fn is_uncounted(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.ends_with("_call") && !PRICED_CALLS.contains(&kind))
}

/// Under which id the provider stores what a response continues; a later request names it. A conversation changes with
/// every response to it, also through other gateways, so that its size is not known.
pub fn stored_ids(value: &Value) -> Vec<String> {
    let response = value.get("response").unwrap_or(value);
    let id = response.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    id.map(str::to_owned).into_iter().collect()
}

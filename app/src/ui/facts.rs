//! Names with their values, as entries of a `<dl>` of class `facts` or `tiles`.

use keydesk_core::domain::numbers::grouped;
use leptos::prelude::*;

use super::icon::{Icon, icon};

/// Entries of a longer list are shown on request.
const MAX_SHOWN: usize = 8;

pub fn fact(name: impl Into<String>, value: impl IntoView) -> impl IntoView {
    view! {
        <div>
            <dt>{name.into()}</dt>
            <dd>{value}</dd>
        </div>
    }
}

/// Entries in code, with what many of them are called: "121 models".
pub fn code_list(entries: impl IntoIterator<Item = String>, many: &str) -> AnyView {
    let entries: Vec<_> = entries.into_iter().map(|entry| view! { <li><code>{entry}</code></li> }).collect();
    let count = entries.len();
    let list = view! { <ul>{entries}</ul> };
    if count <= MAX_SHOWN {
        return list.into_any();
    }
    let summary = format!("{} {many}", grouped(i64::try_from(count).unwrap_or(i64::MAX)));
    view! {
        <details class="more">
            <summary>{icon(Icon::Right)} {summary}</summary>
            {list}
        </details>
    }
    .into_any()
}

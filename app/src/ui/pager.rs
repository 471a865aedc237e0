//! How much is shown of how much, and the way on and back.

use leptos::prelude::*;

use super::icon::{Icon, icon};

pub fn pager(range: String, previous: Option<String>, next: Option<String>) -> impl IntoView {
    let back = match previous {
        Some(href) => {
            view! { <a class="btn" href=href rel="prev">{icon(Icon::Left)} "Previous"</a> }.into_any()
        }
        None => {
            view! { <span class="btn" aria-disabled="true">{icon(Icon::Left)} "Previous"</span> }.into_any()
        }
    };
    let on = match next {
        Some(href) => view! { <a class="btn" href=href rel="next">"Next" {icon(Icon::Right)}</a> }.into_any(),
        None => view! { <span class="btn" aria-disabled="true">"Next" {icon(Icon::Right)}</span> }.into_any(),
    };
    view! {
        <nav class="pager" aria-label="Pages">
            <p>{range}</p>
            <div class="actions">{back} {on}</div>
        </nav>
    }
}

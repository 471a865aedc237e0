//! Code to take away, with a copy button where script runs.

use leptos::prelude::*;

use super::icon::{Icon, icon};

/// The button's words, and the id of the element whose text it copies.
pub fn copy_button(words: &'static str, class: &'static str, from: String) -> impl IntoView {
    view! {
        <button class=format!("btn needs-script {class}") type="button" data-copy=from>
            {icon(Icon::Copy)} <span aria-live="polite">{words}</span>
        </button>
    }
}

/// A secret that is shown this one time, with what to do with it.
pub fn shown_once(
    heading: &'static str,
    copy: &'static str,
    secret: String,
    advice: String,
) -> impl IntoView {
    view! {
        <section class="stack">
            <h2 class="sr">{heading}</h2>
            <div class="secret">
                <code id="secret">{secret}</code>
                {copy_button(copy, "primary", "secret".into())}
            </div>
            <p class="warn-line">
                {icon(Icon::Warn)} <span>
                    <b>"This is the only time it is shown."</b>
                    {advice}
                </span>
            </p>
        </section>
    }
}

/// Snippets behind tabs that work without script. The first is shown. Each has a name, and its code.
pub fn tabs(snippets: Vec<(&'static str, String)>) -> impl IntoView {
    let labels = snippets
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            view! {
                <label>
                    <input type="radio" name="snippet" checked=at == 0 />
                    {*name}
                </label>
            }
        })
        .collect_view();
    let panels = snippets
        .into_iter()
        .enumerate()
        .map(|(at, (name, text))| {
            let id = format!("snippet-{at}");
            view! {
                <div class="tab">
                    <div class="code">
                        <pre tabindex="0" role="region" aria-label=name>
                            <code id=id.clone()>{text}</code>
                        </pre>
                        {copy_button("Copy", "copy", id)}
                    </div>
                </div>
            }
        })
        .collect_view();
    view! {
        <div class="tabs">
            <div class="tablist segmented" role="group" aria-label="Snippet">
                {labels}
            </div>
            {panels}
        </div>
    }
}

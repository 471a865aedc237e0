//! A page's head: breadcrumbs, title, what stands under it, and actions at the right.

use leptos::prelude::*;

/// Title, a sentence or count under it, and what can be done at the right.
pub fn page_head(crumbs: Vec<(String, String)>, title: AnyView, under: AnyView, actions: AnyView) -> AnyView {
    let crumbs = (!crumbs.is_empty()).then(|| {
        let items = crumbs
            .into_iter()
            .map(|(href, label)| view! { <li><a href=href>{label}</a></li> })
            .collect_view();
        view! {
            <nav class="crumbs" aria-label="Breadcrumb">
                <ol>{items}</ol>
            </nav>
        }
    });
    view! {
        <div class="page-head">
            <div>
                {crumbs} <h1>{title}</h1> {under}
            </div>
            {actions}
        </div>
    }
    .into_any()
}

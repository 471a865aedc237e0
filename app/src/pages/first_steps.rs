//! What to do in a new organisation, with what is done ticked off; and for operators, what stops every model.

use keydesk_core::domain::policy::{Action, On};
use keydesk_core::ops::access::OrgContext;
use keydesk_core::ops::overview::Begun;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};

/// The steps, each with its way. `operates`: the person may connect a provider. `leads`: the next step is what the page is
/// for, and its button the page's first.
pub fn first_steps(context: &OrgContext, begun: Begun, operates: bool, leads: bool) -> AnyView {
    let slug = &context.org.slug;
    let mut button = if leads { "btn primary" } else { "btn" };
    let mut step =
        |done: bool, words: &'static str, why: &'static str, to: Option<(String, &'static str)>| {
            let sign = if done { icon(Icon::Check).into_any() } else { ().into_any() };
            let state = if done { "Done: " } else { "" };
            let link = to.filter(|_| !done).map(|(href, words)| {
                let class = std::mem::replace(&mut button, "btn");
                view! { <a class=class href=href>{words}</a> }
            });
            view! {
                <li class=if done { "step done" } else { "step" }>
                    <span class="number" aria-hidden="true">{sign}</span>
                    <div>
                        <p><span class="sr">{state}</span> <b>{words}</b></p>
                        <p class="muted">{why}</p>
                    </div>
                    {link}
                </li>
            }
        };
    let create = context
        .may(Action::CreateKey, On::Org)
        .then(|| (LocalPath::keys(slug).with_id("new").as_str().to_owned(), "Create key"));
    let provider = operates.then(|| (LocalPath::providers().as_str().to_owned(), "Connect a provider"));
    let invite = context
        .may(Action::Invite, On::Org)
        .then(|| (LocalPath::invite(slug).as_str().to_owned(), "Invite people"));
    let why = match operates {
        true => "Where the models are served. Until a provider has answered, demo/echo answers.",
        false => "Your administrator connects the providers that serve the models.",
    };
    view! {
        <section class="card">
            <header>
                <h2>"First steps"</h2>
                <p>"From a new organisation to a model’s first answer."</p>
            </header>
            <ol class="steps">
                {step(begun.keys, "Create a key", "For an app, a job or a person, with its own models, budget and end date.", create)}
                {step(begun.provider, "Connect a provider", why, provider)}
                {step(begun.people, "Invite people", "Each sees their own keys and what they spend.", invite)}
            </ol>
        </section>
    }
    .into_any()
}

/// For operators, as long as no provider has answered: without one, every model but the demonstration fails.
pub fn nothing_served(served: bool, operates: bool) -> Option<AnyView> {
    (operates && !served).then(|| {
        view! {
            <p class="warn-line" data-nothing-served>
                {icon(Icon::Warn)} <span>
                    <b>"No model is served yet: only demo/echo answers. "</b>
                    <a href=LocalPath::providers().as_str().to_owned()>"Connect a provider"</a>
                </span>
            </p>
        }
        .into_any()
    })
}

//! How requests to a provider go: whether it answers, since when not, and what it said to this installation, in its own
//! words. Clients never see those.

use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::provider_failure::{FailureCount, HealthState, ProviderHealth};
use keydesk_core::ops::providers::ProviderView;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::list::{self, Column};
use crate::ui::when;

/// In a few words, for the list.
pub(super) fn words(health: &ProviderHealth, now: Moment) -> AnyView {
    let state = health.state();
    match state {
        HealthState::Unknown => view! { <span class="muted">{state.label()}</span> }.into_any(),
        HealthState::Healthy => badge(BadgeTone::Good, state.label().into(), String::new()).into_any(),
        HealthState::Failing => {
            let failure = health.failure.map_or("", |failure| failure.label());
            view! {
                {badge(BadgeTone::Bad, state.label().into(), failure.into())}
                <span class="sub">{format!("{failure}, since ")} {when::ago(health.failing_since, now, &Zone::utc())}</span>
            }
            .into_any()
        }
    }
}

/// The section of a provider's page.
pub(super) fn section(view: &ProviderView) -> AnyView {
    let (health, now) = (&view.health, view.now);
    let zone = Zone::utc();
    let state = health.state();
    let sentence = match state {
        HealthState::Unknown => view! { <p class="muted">"No request was sent to it yet."</p> }.into_any(),
        HealthState::Healthy => view! {
            <p class="pairs">
                {badge(BadgeTone::Good, state.label().into(), String::new())}
                <span>"It last answered " {when::ago(health.answered_at, now, &zone)} "."</span>
            </p>
        }
        .into_any(),
        HealthState::Failing => {
            let failure = health.failure.map(|failure| format!("{}. {}", failure.label(), failure.advice()));
            view! {
                <p class="pairs">
                    {badge(BadgeTone::Bad, state.label().into(), String::new())}
                    <span>
                        "Since " {when::ago(health.failing_since, now, &zone)} ", last "
                        {when::ago(health.failed_at, now, &zone)} "."
                    </span>
                </p>
                <p>{failure.unwrap_or_default()}</p>
                <p class="muted">
                    "For up to a minute at a time, other providers of a model are asked first. Then it is tried again."
                </p>
            }
            .into_any()
        }
    };
    view! {
        <section class="stack ruled">
            <h2>"Health"</h2>
            {sentence}
            {table(&view.failures, now)}
        </section>
    }
    .into_any()
}

fn table(failures: &[FailureCount], now: Moment) -> Option<AnyView> {
    if failures.is_empty() {
        return None;
    }
    let columns = vec![
        Column::new("Error"),
        Column::new("Times").num(),
        Column::new("Last"),
        Column::new("What the provider said"),
    ];
    let rows = failures.iter().map(|one| row(one, now)).collect_view();
    Some(list::table(true, "What went wrong, the newest first".into(), columns, rows))
}

fn row(one: &FailureCount, now: Moment) -> impl IntoView + use<> {
    let zone = Zone::utc();
    let status =
        (one.status > 0).then(|| view! { <span class="sub">{format!("HTTP {}", one.status)}</span> });
    let said = match one.words.as_str() {
        "" => view! { <span class="muted">"Nothing"</span> }.into_any(),
        words => view! { <q>{words.to_owned()}</q> }.into_any(),
    };
    let model = (!one.model.is_empty())
        .then(|| view! { <a class="sub" href=LocalPath::model("show", &one.model)>{one.model.clone()}</a> });
    let request = (!one.request.is_empty()).then(|| view! { <code class="sub">{one.request.clone()}</code> });
    let since = (one.times > 1)
        .then(|| view! { <span class="sub">"since " {when::ago(one.first_at, now, &zone)}</span> });
    view! {
        <tr>
            <th scope="row">{one.failure.label()} {status}</th>
            <td data-label="Times" class="num">{grouped(one.times)} {since}</td>
            <td data-label="Last">{when::ago(one.last_at, now, &zone)} {model}</td>
            <td data-label="What the provider said" class="full">{said} {request}</td>
        </tr>
    }
}

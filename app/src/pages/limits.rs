//! What stops requests next, in one line, and the card of limits that only report. Keys, teams and the organisation are drawn
//! alike.

use keydesk_core::domain::limit_use::HolderKind;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::shadow_limit::{CHOICES, ShadowReport, choice_words};
use keydesk_core::forms::shadow_limit::SetShadowForm;
use keydesk_core::ops::limits::{LimitsView, ShadowView};
use leptos::prelude::*;

use crate::layout::{post_button, post_form};
use crate::pages::{field_errors, typed};
use crate::ui::field::{TextField, select_field};
use crate::ui::icon::{Icon, icon};

/// What stops the requests of a team or of all keys next; `None` where nothing can.
pub fn next_stop_line(view: &LimitsView) -> Option<AnyView> {
    view.line().map(|line| view! { <span data-next-stop>{line}</span> }.into_any())
}

/// The limits of a key or a team that only report. `None` where there are none and the caller may set none.
pub fn shadow_card(
    shadows: &ShadowView,
    org: &str,
    (holder, id): (HolderKind, &str),
    zone: &Zone,
) -> Option<AnyView> {
    if shadows.reports.is_empty() && !shadows.may_edit {
        return None;
    }
    let rows = shadows
        .reports
        .iter()
        .map(|(report, stops)| {
            let hidden = vec![
                ("org", org.to_owned()),
                ("holder", holder.as_str().to_owned()),
                ("id", id.to_owned()),
                ("what", report.limit.what.as_str().to_owned()),
            ];
            let acts = shadows.may_edit.then(|| acts(report, stops.as_deref(), hidden));
            view! {
                <li class="shadow">
                    <div>
                        <b>{report.limit.summary()}</b>
                        <p>{report.sentence(zone)}</p>
                        <p class="help">{format!("Set by {}.", report.created_by)}</p>
                    </div>
                    {acts}
                </li>
            }
        })
        .collect_view();
    let list = match shadows.reports.is_empty() {
        true => view! { <p class="muted">"None. A limit that only reports shows what it would have rejected, before you enforce it."</p> }
            .into_any(),
        false => view! { <ul class="shadows">{rows}</ul> }.into_any(),
    };
    let add = shadows.may_edit.then(|| add(org, holder, id));
    let view = view! {
        <section class="card" id="shadow-limits">
            <header>
                <h2>"Limits that only report"</h2>
                <p>"They reject nothing"</p>
            </header>
            {list}
            {add}
        </section>
    };
    Some(view.into_any())
}

/// Enforce and remove. What stops requests at once is confirmed.
fn acts(report: &ShadowReport, stops: Option<&str>, hidden: Vec<(&'static str, String)>) -> AnyView {
    let what = report.limit.summary();
    let named = |verb: &str| view! { {verb.to_owned()} <span class="sr">{format!(": {what}")}</span> };
    let enforce = match stops {
        None => post_button("/api/limits/enforce", hidden.clone(), "btn", named("Enforce this limit")),
        Some(why) => {
            let confirmed = [hidden.clone(), vec![("confirmed", "yes".to_owned())]].concat();
            view! {
                <details class="more">
                    <summary>{icon(Icon::Right)} {named("Enforce this limit")}</summary>
                    <p>{format!("{why}. If you enforce it, requests stop immediately.")}</p>
                    {post_button("/api/limits/enforce", confirmed, "btn danger", named("Enforce and stop now"))}
                </details>
            }
            .into_any()
        }
    };
    let remove = post_button("/api/limits/remove", hidden, "btn quiet", named("Remove"));
    view! { <div class="actions">{enforce} {remove}</div> }.into_any()
}

fn add(org: &str, holder: HolderKind, id: &str) -> AnyView {
    let (errors, sent) = (field_errors(), typed::<SetShadowForm>());
    let open = sent.is_some();
    let sent = sent.unwrap_or_default();
    let choices = CHOICES.map(|what| (what.as_str().to_owned(), choice_words(what).to_owned()));
    let what = if sent.what.is_empty() { CHOICES[0].as_str() } else { &sent.what };
    let what = select_field(
        "shadow_what",
        "form[what]",
        "Limit",
        "Replaces a limit on the same thing that only reports.",
        choices.into(),
        what,
        &errors,
    );
    let amount = TextField::new("shadow_amount", "form[amount]", "Amount")
        .help("Dollars of a budget, otherwise a number. You can type 10k or 1.5m.")
        .inputmode("decimal")
        .draw(sent.amount, &errors);
    let hidden = vec![("org", org.to_owned()), ("holder", holder.as_str().to_owned()), ("id", id.to_owned())];
    let inside = view! {
        {what}
        {amount}
        <div class="actions">
            <button class="btn">"Set to report only"</button>
        </div>
    };
    view! {
        <details class="more" open=open>
            <summary>{icon(Icon::Right)} "Try a limit"</summary>
            {post_form("/api/limits/try", hidden, inside)}
        </details>
    }
    .into_any()
}

//! One ask: what is asked for and why, how the budget stands, and the answer or the forms that give it.

use keydesk_core::domain::ask::{Ask, AskState, Wanted};
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::forms::ask::{GrantForm, RefuseForm};
use keydesk_core::forms::prefill::Prefill;
use keydesk_core::ops::asks::{self, AskView};
use leptos::prelude::*;

use super::{crumb, state_badge, title_of, until_field};
use crate::ask::{caller, desk, param};
use crate::key_status::status_badge;
use crate::layout::{Page, Width, post_button, post_form};
use crate::pages::keys::contacts;
use crate::pages::meters::meters;
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::ui::facts::fact;
use crate::ui::field::{FieldErrors, TextField, UnitField};
use crate::ui::icon::{Icon, icon};
use crate::ui::when;

#[component]
pub fn AskPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = asks::show(&desk, &caller, &slug, &id).await?;
        let (org, ask) = (&view.context.org, &view.ask);
        let heading = view! {
            <span class="words">{title_of(ask)}</span>
            {state_badge(ask, &org.zone)}
        };
        let under = view! {
            <p class="muted">{format!("{} asked ", ask.person.name)} {when::ago(ask.asked_at, view.now, &org.zone)} "."</p>
        };
        let body = view! {
            <div class="columns">
                <div class="stack">{budget_card(&view)} {answer_card(&view)}</div>
                {about_card(&view)}
            </div>
        };
        let (asks, words) = crumb(&org.slug);
        Ok(Page::new(title_of(ask), Width::Wide).crumb(asks, words).heading(heading).under(under).in_org(
            &view.context,
            &caller,
            body,
        ))
    })
}

/// How the budget stands now.
fn budget_card(view: &AskView) -> Option<AnyView> {
    let budget = view.budget.as_ref()?;
    let zone = &view.context.org.zone;
    Some(
        view! {
            <section class="card">
                <header>
                    <h2>"Budget"</h2>
                    <p>{format!("{}, {}", budget.holder_name, budget.used.budget.period.label())}</p>
                </header>
                <div class="meters">{meters(std::slice::from_ref(&budget.used), view.now, zone)}</div>
            </section>
        }
        .into_any(),
    )
}

fn answer_card(view: &AskView) -> AnyView {
    let body = match view.ask.state {
        AskState::Open if view.may_answer => answer_forms(view),
        AskState::Open => waiting(view),
        AskState::Granted | AskState::Refused | AskState::Withdrawn => answer(view),
    };
    view! {
        <section class="card">
            <header>
                <h2>"Answer"</h2>
            </header>
            <div class="stack">{body}</div>
        </section>
    }
    .into_any()
}

/// For the person who asked, until there is an answer.
fn waiting(view: &AskView) -> AnyView {
    let org = &view.context.org;
    let withdraw = view.may_withdraw.then(|| {
        let hidden = vec![("org", org.slug.clone()), ("id", view.ask.id.to_string())];
        post_button("/api/asks/withdraw", hidden, "btn", "Withdraw")
    });
    view! {
        <p>"Not answered yet. " {contacts(&view.contacts)} " can answer."</p>
        {withdraw}
    }
    .into_any()
}

fn answer(view: &AskView) -> AnyView {
    let (org, ask, zone) = (&view.context.org, &view.ask, &view.context.org.zone);
    let by = ask.answered_by.clone().unwrap_or_default();
    let words = match (ask.state, &ask.grant) {
        (AskState::Granted, Some(grant)) if grant.until <= view.now => {
            format!("{by} granted {} until {}. It has ended.", grant.amount, grant.until.last_day(zone))
        }
        (AskState::Granted, Some(grant)) => {
            format!("{by} granted {} until {}.", grant.amount, grant.until.last_day(zone))
        }
        (AskState::Granted, None) => format!("{by} agreed to the new key."),
        (AskState::Refused, _) => format!("{by} refused it."),
        (AskState::Open | AskState::Withdrawn, _) => format!("{by} withdrew it."),
    };
    let done = if ask.state == AskState::Withdrawn { "Withdrawn " } else { "Answered " };
    let at =
        ask.answered_at.map(|at| view! { <p class="help">{done} {when::ago(at, view.now, zone)} "."</p> });
    let note = (!ask.note.is_empty()).then(|| view! { <blockquote>{ask.note.clone()}</blockquote> });
    let create = view.may_create.then(|| {
        let href = LocalPath::new_key(&org.slug, &Prefill::of_ask(ask).unwrap_or_default());
        view! {
            <div class="actions">
                <a class="btn primary" href=href>"Create the key"</a>
            </div>
        }
    });
    view! {
        <p>{words}</p>
        {note}
        {at}
        {create}
    }
    .into_any()
}

/// Granting first, as asked or less; refusing is folded below it.
fn answer_forms(view: &AskView) -> AnyView {
    let (org, ask, field_errors) = (&view.context.org, &view.ask, field_errors());
    let hidden = || vec![("org", org.slug.clone()), ("id", ask.id.to_string())];
    let grant = match &ask.wanted {
        Wanted::Budget { amount, .. } => grant_fields(view, amount.input(), &field_errors),
        Wanted::Key { .. } => view! {
            <p>"Granting leads to the form of the new key, filled in."</p>
            <div class="actions">
                <button class="btn primary">"Grant and create the key"</button>
            </div>
        }
        .into_any(),
    };
    let refuse = typed::<RefuseForm>();
    let refused = refuse.is_some() || field_errors.of("why").is_some();
    let why = TextField::new("why", "form[why]", "Reason")
        .help("The person who asked reads it.")
        .draw(refuse.map(|form| form.why).unwrap_or_default(), &field_errors);
    let refuse = view! {
        {why}
        <div class="actions">
            <button class="btn danger-quiet">"Refuse"</button>
        </div>
    };
    view! {
        {post_form("/api/asks/grant", hidden(), grant)}
        <details class="more" open=refused>
            <summary>{icon(Icon::Right)} "Refuse it"</summary>
            {post_form("/api/asks/refuse", hidden(), refuse)}
        </details>
    }
    .into_any()
}

fn grant_fields(view: &AskView, wanted: String, field_errors: &FieldErrors) -> AnyView {
    let zone = &view.context.org.zone;
    let sent: GrantForm = typed().unwrap_or_else(|| GrantForm {
        amount: wanted,
        until: "asked".into(),
        ..GrantForm::default()
    });
    let Wanted::Budget { until, .. } = &view.ask.wanted else { return ().into_any() };
    let passed = *until <= view.now;
    let first = if passed {
        ("asked", format!("{} (has passed)", until.last_day(zone)))
    } else {
        ("asked", until.last_day(zone))
    };
    let chosen = if passed { "date" } else { sent.until.as_str() };
    let amount = UnitField {
        field: "amount",
        name: "form[amount]",
        label: "Grant",
        before: "$",
        help: "As much as is asked for, or less.",
        ..Default::default()
    };
    let note = TextField::new("note", "form[note]", "Answer").optional();
    view! {
        {amount.draw(sent.amount.clone(), field_errors)}
        {until_field(Some(first), (chosen, &sent.until_on), (view.now, zone), field_errors)}
        {note.draw(sent.note, field_errors)}
        <p class="help">"It counts immediately and ends by itself. The budget stays as it is."</p>
        <div class="actions">
            <button class="btn primary">"Grant"</button>
        </div>
    }
    .into_any()
}

fn about_card(view: &AskView) -> impl IntoView + use<> {
    let (context, ask) = (&view.context, &view.ask);
    let (slug, zone) = (&context.org.slug, &context.org.zone);
    let person = if context.may(Action::ListMembers, On::Org) {
        view! { <a href=LocalPath::member(slug, &ask.person.id)>{ask.person.name.clone()}</a> }.into_any()
    } else {
        ask.person.name.clone().into_any()
    };
    view! {
        <aside class="card" aria-label="About this ask">
            <header>
                <h2>"About"</h2>
            </header>
            <dl class="facts">
                {fact("From", person)} {fact("Reason", ask.reason.clone())} {wanted(ask, view)}
                {fact("Asked", ask.asked_at.exact(zone))}
            </dl>
        </aside>
    }
}

/// What is asked for, fact by fact.
fn wanted(ask: &Ask, view: &AskView) -> AnyView {
    let (context, zone) = (&view.context, &view.context.org.zone);
    let slug = &context.org.slug;
    match &ask.wanted {
        Wanted::Budget { key: (id, name), period, amount, until, .. } => {
            let seen = view.key.as_ref().filter(|key| context.may(Action::SeeKey, On::Key(key.facts())));
            let link = match seen {
                Some(_) => view! { <a href=LocalPath::key(slug, id)>{name.clone()}</a> }.into_any(),
                None => name.clone().into_any(),
            };
            let state = seen.map(|key| fact("State", status_badge(key, view.now, zone)));
            let asked = format!("{amount} {} until {}", period.label(), until.last_day(zone));
            view! { {fact("Key", link)} {state} {fact("Asked for", asked)} }.into_any()
        }
        Wanted::Key { name, team, month } => {
            let team = match team {
                Some(team) if context.may(Action::SeeTeam, On::Team(&team.id)) => {
                    view! { <a href=LocalPath::team(slug, &team.id)>{team.name.clone()}</a> }.into_any()
                }
                Some(team) => team.name.clone().into_any(),
                None => "No team".into_any(),
            };
            let budget = month.map_or_else(|| "As usual".to_owned(), |amount| format!("{amount} per month"));
            view! { {fact("Key", name.clone())} {fact("Team", team)} {fact("Budget", budget)} }.into_any()
        }
    }
}

//! One key: its state and what stops it next, what it spends, every property, its history, and what can be done.

use std::collections::BTreeSet;

use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key::{Key, State, Status};
use keydesk_core::domain::limit_use::HolderKind;
use keydesk_core::domain::limits::short_count;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::rotation::SecretEnd;
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::ops::keys::{self, KeyView};
use keydesk_core::ops::limits::{self, LimitsView};
use keydesk_core::ops::requests::{self, RequestsQuery, RequestsView};
use leptos::prelude::*;

use super::{contacts, key_hint};
use crate::ask::{caller, cursor, desk, param, query};
use crate::key_status::{status_badge, status_reason};
use crate::layout::{Page, Width, post_button};
use crate::pages::audit::{Links, event_row};
use crate::pages::limits::shadow_card;
use crate::pages::meters::meters_or_month;
use crate::pages::page;
use crate::pages::requests::{not_priced_line, requests_card};
use crate::pages::spend::spend_part;
use crate::path::LocalPath;
use crate::ui::acts;
use crate::ui::code::copy_button;
use crate::ui::facts::{code_list, fact};
use crate::ui::icon::{Icon, icon};
use crate::ui::when;

#[component]
pub fn KeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::show(&desk, &caller, &slug, &id).await?;
        let asked = query("request").and_then(|text| RequestId::parse(&text));
        let at = cursor();
        let not_priced = query("priced").as_deref() == Some("no");
        let requests_query = RequestsQuery { from: asked.as_ref(), not_priced, page: at.as_ref() };
        let requests = requests::of_key(&desk, &caller, &slug, &id, requests_query).await?;
        let stops = limits::of_key(&desk, &caller, &slug, &id).await?;
        let shadows = limits::shadows_of_key(&desk, &caller, &slug, &id).await?;
        let (org, key, now) = (&view.context.org, &view.key, view.now);
        let zone = &org.zone;
        let heading = view! {
            <span class="words">{key.name.clone()}</span>
            {status_badge(key, now, zone)}
        };
        let under = view! {
            <p class="facts-line muted">
                {key_hint(key)} <span data-next-stop>{next_stop(key, &stops, now, zone)}</span>
            </p>
        };
        let body = view! {
            <div class="columns">
                <div class="stack">
                    {spend_card(&view, &requests)} {limits_card(key)}
                    {shadow_card(&shadows, &org.slug, (HolderKind::Key, key.id.as_str()), zone)} {requests_card(&requests)}
                    {history_card(&view)}
                </div>
                {about_card(&view)}
            </div>
        };
        Ok(Page::new(key.name.clone(), Width::Wide)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .heading(heading)
            .under(under)
            .actions(actions(&view))
            .in_org(&view.context, &caller, body))
    })
}

/// What will stop this key next, or what stops it now.
fn next_stop(key: &Key, limits: &LimitsView, now: Moment, zone: &Zone) -> String {
    match key.state(now) {
        State::Active | State::ExpiresSoon { .. } => {
            limits.line().unwrap_or_else(|| "No budget applies, and it never expires.".into())
        }
        State::OverBudget { .. }
        | State::TeamOverBudget { .. }
        | State::OrgOverBudget { .. }
        | State::OutOfBalance
        | State::TeamArchived
        | State::OrgSuspended
        | State::Disabled
        | State::Expired { .. }
        | State::Revoked => status_reason(key, now, zone),
    }
}

/// The first act as a button, the others in a menu.
fn actions(view: &KeyView) -> AnyView {
    let (org, key) = (&view.context.org.slug, &view.key);
    let may = |action| view.context.may(action, On::Key(key.facts()));
    let live = key.is_live(view.now);
    let base: String = LocalPath::key(org, &key.id).into();
    let post = |action: &'static str, class: &'static str, sign: Icon, words: &'static str| {
        let hidden = vec![("org", org.clone()), ("id", key.id.to_string())];
        post_button(action, hidden, class, view! { {icon(sign)} {words} })
    };
    let first = |href: String, sign: Icon, words: &'static str| {
        view! {
            <a class="btn primary" href=href>
                {icon(sign)}
                {words}
            </a>
        }
        .into_any()
    };
    let is_disabled = key.status == Status::Disabled;
    let enable = live && is_disabled && may(Action::EnableKey);
    let rotate = (live && may(Action::RotateKey)).then(|| {
        let words = if view.secrets.previous.is_some() { "Rotation" } else { "Rotate" };
        (format!("{base}/rotate"), Icon::Rotate, words)
    });
    let extend = key.extendable_until(view.now).is_some() && may(Action::EditKey);
    let (button, rotate) = match (extend, enable, rotate) {
        (true, _, rotate) => {
            (Some(first(LocalPath::extend(org, &key.id).into(), Icon::Play, "Extend")), rotate)
        }
        (_, true, rotate) => (Some(post("/api/keys/enable", "btn primary", Icon::Play, "Enable")), rotate),
        (_, _, Some((href, sign, words))) => (Some(first(href, sign, words)), None),
        (_, _, None) => (None, None),
    };
    let edit = (live && may(Action::EditKey)).then(|| acts::link(format!("{base}/edit"), Icon::Pen, "Edit"));
    let rotate = rotate.map(|(href, sign, words)| acts::link(href, sign, words));
    let disable = (live && !is_disabled && may(Action::DisableKey)).then(|| {
        // In a suspended organisation no one enables a key, so there is no one to ask.
        match may(Action::EnableKey) || key.org_suspended {
            true => post("/api/keys/disable", "item", Icon::Pause, "Disable"),
            false => acts::link(format!("{base}/disable"), Icon::Pause, "Disable"),
        }
    });
    let duplicate = view.context.may(Action::CreateKey, On::Org).then(|| {
        let href = format!("{}/new?from={}", LocalPath::keys(org).as_str(), key.id);
        acts::link(href, Icon::Copy, "Duplicate")
    });
    let revoke = (key.status != Status::Revoked && may(Action::RevokeKey)).then(|| {
        view! {
            <a class="item bad" href=format!("{base}/revoke")>
                {icon(Icon::Ban)}
                "Revoke"
            </a>
        }
        .into_any()
    });
    // A team's admin changes the key's budgets, and not those that it shares.
    let askable = match key.state(view.now) {
        State::TeamOverBudget { .. } | State::OrgOverBudget { .. } => !view.context.principal.runs_org(),
        _ => !may(Action::EditKey) && (!key.budgets.is_empty() || !key.shared.is_empty()),
    };
    let ask = (live && askable && may(Action::AskForMore)).then(|| {
        view! {
            <a class="btn" href=LocalPath::ask_for_more(org, &key.id)>
                {icon(Icon::Plus)}
                "Ask for more"
            </a>
        }
    });
    let items = [edit, rotate, duplicate, disable, revoke].into_iter().flatten().collect();
    let label = format!("More actions for {}", key.name);
    view! { <div class="actions">{ask} {button} {acts::acts("key-acts".into(), label, items)}</div> }
        .into_any()
}

fn spend_card(view: &KeyView, requests: &RequestsView) -> impl IntoView + use<> {
    let KeyView { context, key, spend, card, now, .. } = view;
    let (slug, zone) = (&context.org.slug, &context.org.zone);
    let not_priced = not_priced_line(requests);
    let meters = meters_or_month(&key.budgets, key.month_spent, *now, zone);
    let requests = if spend.requests == 1 { "request" } else { "requests" };
    let (count, tokens) = (grouped(spend.requests), short_count(spend.tokens));
    let total = format!("{} total, {count} {requests}, {tokens} tokens", spend.total);
    view! {
        <section class="card">
            <header>
                <h2>"Spend"</h2>
                <p>{total}</p>
            </header>
            <div class="meters">{meters}</div>
            {not_priced}
            {spend_part(slug, card)}
        </section>
    }
}

fn limits_card(key: &Key) -> impl IntoView + use<> {
    let tile = |name: &'static str, limit: Option<i64>| fact(name, limit.map_or("No limit".into(), grouped));
    view! {
        <section class="card">
            <header>
                <h2>"Limits"</h2>
                <p>"Checked on every request"</p>
            </header>
            <dl class="tiles">
                {tile("Requests per minute", key.limits.rpm)} {tile("Tokens per minute", key.limits.tpm)}
                {tile("Concurrent requests", key.limits.concurrent)}
            </dl>
        </section>
    }
}

fn history_card(view: &KeyView) -> impl IntoView + use<> {
    let (org, now) = (&view.context.org, view.now);
    // The key itself is this page.
    let there = BTreeSet::new();
    let links = Links { slug: &org.slug, there: &there };
    let events = view
        .history
        .iter()
        .map(|event| event_row(event, &links, when::ago(event.at, now, &org.zone).into_any(), &org.zone))
        .collect_view();
    let all = view.context.may(Action::SeeAudit, On::Org).then(|| {
        view! { <a href=format!("/{}/audit?key={}", org.slug, view.key.id)>"All events of this key"</a> }
    });
    view! {
        <section class="card">
            <header>
                <h2>"History"</h2>
                {all}
            </header>
            <ol class="history">{events}</ol>
        </section>
    }
}

fn about_card(view: &KeyView) -> impl IntoView + use<> {
    let (context, key, secrets, now) = (&view.context, &view.key, &view.secrets, view.now);
    let (slug, zone) = (&context.org.slug, &context.org.zone);
    let may = |action| context.may(action, On::Key(key.facts()));
    let works = key.is_live(now) && key.status == Status::Active;
    let models = match &key.models {
        ModelScope::Listed(patterns) if !patterns.is_empty() => {
            code_list(patterns.iter().map(|pattern| pattern.as_str().to_owned()), "models")
        }
        scope @ (ModelScope::Every | ModelScope::Listed(_)) => scope.summary().into_any(),
    };
    let addresses = match key.addresses.is_any() {
        true => "Any".into_any(),
        false => code_list(key.addresses.entries(), "addresses"),
    };
    let note = (!key.note.is_empty()).then(|| fact("Note", key.note.clone()));
    let team = match &key.team {
        Some(team) if context.may(Action::SeeTeam, On::Team(&team.id)) => {
            view! { <a href=LocalPath::team(slug, &team.id)>{team.name.clone()}</a> }.into_any()
        }
        Some(team) => team.name.clone().into_any(),
        None => "No team".into_any(),
    };
    let owner = if context.may(Action::ListMembers, On::Org) {
        view! { <a href=LocalPath::member(slug, &key.owner.id)>{key.owner.name.clone()}</a> }.into_any()
    } else {
        key.owner.name.clone().into_any()
    };
    let ask = (works && !key.org_suspended && !may(Action::EditKey) && !view.contacts.is_empty())
        .then(|| fact("For changes", view! { "Ask " {contacts(&view.contacts)} }));
    let created = view! {
        {when::date(key.created_at, zone)}
        {format!(" by {}", key.created_by)}
    };
    let used = key.last_used_at.map_or_else(|| "Never".into_any(), |at| when::ago(at, now, zone).into_any());
    let expires = key.expires_at.map_or_else(|| "Never".into_any(), |at| when::date(at, zone).into_any());
    let current = &secrets.current;
    let rotated = (current.created_at > key.created_at)
        .then(|| fact("Rotated", when::ago(current.created_at, now, zone)));
    let due = key.rotation_due(&context.org.rules, now).filter(|_| !key.org_suspended).map(|at| {
        let next = if may(Action::RotateKey) {
            let href = format!("{}/rotate", LocalPath::key(slug, &key.id).as_str());
            view! { <a href=href>"Rotate"</a> }.into_any()
        } else {
            view! { "Ask " {contacts(&view.contacts)} }.into_any()
        };
        fact("Rotation due", view! { "Since " {when::date(at, zone)} ". " {next} })
    });
    let itself =
        (key.rotates_itself || context.org.rules.self_rotation).then(|| fact("Self-rotation", "Allowed"));
    let previous = secrets.previous.as_ref().filter(|_| works).map(|previous| {
        let end = match previous.end {
            Some(SecretEnd::At(at)) => view! { ", ends " {when::ago(at, now, zone)} }.into_any(),
            _ => " until the new one is in use".into_any(),
        };
        fact("Previous secret", view! { <span class="hint">{previous.hint()}</span> " works" {end} })
    });
    let id = view! {
        <code id="key-id">{key.id.to_string()}</code>
        " "
        {copy_button("Copy", "quiet", "key-id".into())}
    };
    view! {
        <aside class="card" aria-label="About this key">
            <header>
                <h2>"About"</h2>
            </header>
            <dl class="facts">
                {fact("Owner", owner)} {fact("Team", team)} {ask} {note} {due} {rotated} {previous}
                {fact("Last used", used)} {fact("Expires", expires)} {fact("Created", created)}
            </dl>
            <details class="more">
                <summary>{icon(Icon::Right)} "Models, addresses and ID"</summary>
                <dl class="facts">
                    {fact("Models", models)} {fact("IP addresses", addresses)} {itself} {fact("ID", id)}
                </dl>
            </details>
        </aside>
    }
}

//! One act on several keys: what it will come to for each, and afterwards what it came to. The selection stands in the
//! address. The outcome is drawn in the answer to the form and stored nowhere: sent again, the form says what is so already.

use keydesk_core::domain::bulk::{BulkAct, Outcome, OutcomeRow, Verdict};
use keydesk_core::domain::ids::KeyId;
use keydesk_core::domain::moment::Day;
use keydesk_core::forms::bulk::{BulkForm, NO_TEAM};
use keydesk_core::forms::rotation::GraceField;
use keydesk_core::ops::access::{Caller, OrgContext, read_org};
use keydesk_core::ops::keys::{self, BulkRow, BulkView};
use leptos::prelude::*;

use super::expiry_field::ExpiryField;
use super::{key_hint, last_used};
use crate::actions::bulk::BulkDone;
use crate::ask::{caller, desk, here, param, queries};
use crate::key_status::status_badge;
use crate::layout::reauth::reauth_fields;
use crate::layout::{Page, Width, cancel_or_act};
use crate::lot::Lot;
use crate::pages::{answered, field_errors, page, typed};
use crate::path::LocalPath;
use crate::sealed::Tone;
use crate::ui::field::{FieldErrors, TextField, on_page, select_field};
use crate::ui::icon::Icon;
use crate::ui::list::{self, Column};
use crate::ui::notice::notice;

#[component]
pub fn BulkPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        if let Some(done) = answered::<BulkDone>() {
            let context = read_org(&desk, &caller, &slug).await?;
            let today = Day::of(desk.now(), &context.org.zone).to_string();
            return Ok(outcome(&context, &caller, &done, &today));
        }
        let form: BulkForm = typed().unwrap_or_else(|| from_address(&slug));
        let (Ok(selected), Ok(act)) = (form.selected(), form.act()) else {
            let context = read_org(&desk, &caller, &slug).await?;
            return Ok(nothing(&context, &caller, &form));
        };
        let mut field_errors = field_errors();
        let change = form.change().unwrap_or_else(|errors| {
            field_errors.0.extend(errors);
            None
        });
        let view = keys::preview(&desk, &caller, &slug, &selected, (act, change.as_ref())).await?;
        field_errors.0.extend(view.errors.clone());
        let chosen = change.is_some() && view.errors.is_empty();
        let body = view! {
            <div class="stack roomy">
                {summary(&view, act, chosen)} {choice(&view, act, &form, &field_errors)}
                {table(&view, act, chosen)} {go_on(&view, &caller, act, &form, chosen, &field_errors)}
            </div>
        };
        Ok(Page::new(act.words(selected.len()), Width::Wide).crumb(back(&slug, &form.back), "Keys").in_org(
            &view.context,
            &caller,
            body,
        ))
    })
}

fn from_address(slug: &str) -> BulkForm {
    let mut form = BulkForm { org: slug.to_owned(), ..BulkForm::default() };
    for (name, value) in queries() {
        match name.as_str() {
            "act" => form.act = value,
            "key" => form.keys.push(value),
            "team" => form.team = value,
            "expiry" => form.expiry = value,
            "expires_on" => form.expires_on = value,
            "back" => form.back = value,
            _ => {}
        }
    }
    form
}

/// The list with the filter that the keys were selected in.
fn back(slug: &str, query: &str) -> LocalPath {
    let list = LocalPath::keys(slug);
    LocalPath::parse(list.clone().with_query(query).as_str()).unwrap_or(list)
}

fn nothing(context: &OrgContext, caller: &Caller, form: &BulkForm) -> AnyView {
    let problem =
        form.selected().err().or_else(|| form.act().err()).and_then(|errors| errors.into_iter().next());
    let words = problem.map(|error| error.problem.to_string()).unwrap_or_default();
    let to = back(&context.org.slug, &form.back);
    let link = view! { <a class="btn" href=to>"Back to the keys"</a> };
    let body = list::empty(Icon::Key, "Nothing to do".into(), words, link);
    Page::new("Several keys", Width::Wide).in_org(context, caller, body)
}

/// "9 of 11 keys will be revoked. 2 can’t be; the table says why."
fn summary(view: &BulkView, act: BulkAct, chosen: bool) -> Option<AnyView> {
    let count = |verdict| view.rows.iter().filter(|row| row.verdict == verdict).count();
    let (all, change, already) = (view.rows.len(), count(Verdict::Change), count(Verdict::Already));
    let not = count(Verdict::Not);
    if !chosen && not == 0 {
        return None;
    }
    let keys = if all == 1 { "key" } else { "keys" };
    let mut words = match (chosen, change) {
        (false, _) => String::new(),
        (true, 0) => "No key will change.".to_owned(),
        (true, change) => format!("{change} of {all} {keys} will be {}.", past(act)),
    };
    if already > 0 {
        words += &format!(" {already} already {} so.", if already == 1 { "is" } else { "are" });
    }
    if not > 0 {
        words += &format!(" {not} can’t be {}; the table says why.", past(act));
    }
    let used = if matches!(act, BulkAct::Revoke | BulkAct::Disable) { view.in_use() } else { 0 };
    if chosen && used > 0 {
        words += &match used {
            1 => " 1 of them was used in the last 24 hours.".to_owned(),
            used => format!(" {used} of them were used in the last 24 hours."),
        };
    }
    if act == BulkAct::Revoke {
        words += " This can’t be undone.";
    }
    let tone = if not > 0 || used > 0 || act == BulkAct::Revoke { Tone::Warn } else { Tone::Good };
    Some(notice(tone, words.trim().to_owned()))
}

fn past(act: BulkAct) -> &'static str {
    match act {
        BulkAct::Rotate => "rotated",
        BulkAct::Disable => "disabled",
        BulkAct::Enable => "enabled",
        BulkAct::Move => "moved",
        BulkAct::Expire => "changed",
        BulkAct::Revoke => "revoked",
    }
}

/// What is to be chosen for all keys, in a form that leads back to this page.
fn choice(view: &BulkView, act: BulkAct, form: &BulkForm, field_errors: &FieldErrors) -> Option<AnyView> {
    let org = &view.context.org;
    let field = match act {
        BulkAct::Move => {
            let mut teams = vec![(String::new(), "Choose a team".to_owned())];
            if view.may_go_without_team {
                teams.push((NO_TEAM.into(), "No team".into()));
            }
            teams.extend(view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())));
            let help = "The keys keep their ID, secrets and history. The team’s limits apply to them.";
            select_field("team", "team", "Team", help, teams, &form.team, field_errors)
        }
        BulkAct::Expire => {
            let field = ExpiryField {
                name: "expiry",
                date_name: "expires_on",
                keep: None,
                days: false,
                never: false,
            };
            let expiry = if form.expiry.is_empty() { "date" } else { &form.expiry };
            field.draw((org, view.now), (expiry, &form.expires_on), field_errors)
        }
        BulkAct::Rotate | BulkAct::Disable | BulkAct::Enable | BulkAct::Revoke => return None,
    };
    let ids = view.rows.iter().map(|row| row.id.to_string());
    let ids = ids.map(|id| view! { <input type="hidden" name="key" value=id /> }).collect_view();
    Some(
        view! {
            <form class="form limited" method="get" action=LocalPath::bulk(&org.slug)>
                <input type="hidden" name="act" value=act.as_str() />
                <input type="hidden" name="back" value=form.back.clone() />
                {ids}
                {field}
                <div class="actions">
                    <button class="btn">"Preview"</button>
                </div>
            </form>
        }
        .into_any(),
    )
}

fn table(view: &BulkView, act: BulkAct, chosen: bool) -> AnyView {
    let what = if chosen { "What will happen" } else { "Now" };
    let columns = vec![
        Column::new("Key"),
        Column::new("Owner, team"),
        Column::new("State"),
        Column::new("Last used"),
        Column::new(what),
    ];
    let rows = view.rows.iter().map(|row| preview_row(view, row, what)).collect_view();
    list::table(true, format!("{}: preview", act.words(view.rows.len())), columns, rows)
}

fn preview_row(view: &BulkView, row: &BulkRow, what: &'static str) -> AnyView {
    let (org, now) = (&view.context.org, view.now);
    let words = match row.verdict {
        Verdict::Not => format!("Not possible: {}", row.words),
        Verdict::Change | Verdict::Already => row.words.clone(),
    };
    let class = if row.verdict == Verdict::Change { "full" } else { "full muted" };
    let Some(key) = &row.key else {
        return view! {
            <tr>
                <th scope="row">
                    <code class="clip">{row.id.to_string()}</code>
                </th>
                <td data-label="Owner">"–"</td>
                <td data-label="State">"–"</td>
                <td data-label="Last used">"–"</td>
                <td data-label=what class=class>
                    {words}
                </td>
            </tr>
        }
        .into_any();
    };
    let team = key.team.as_ref().map_or("No team".to_owned(), |team| team.name.clone());
    view! {
        <tr>
            <th scope="row">
                <a href=LocalPath::key(&org.slug, &key.id)>{key.name.clone()}</a>
                <span class="sub">{key_hint(key)}</span>
            </th>
            <td data-label="Owner">
                <span class="clip">{key.owner.name.clone()}</span>
                <span class="sub clip">{team}</span>
            </td>
            <td data-label="State">{status_badge(key, now, &org.zone)}</td>
            <td data-label="Last used">{last_used(key, now, &org.zone)}</td>
            <td data-label=what class=class>
                {words}
            </td>
        </tr>
    }
    .into_any()
}

/// The way back, and the button that does it.
fn go_on(
    view: &BulkView,
    caller: &Caller,
    act: BulkAct,
    form: &BulkForm,
    chosen: bool,
    field_errors: &FieldErrors,
) -> AnyView {
    let slug = &view.context.org.slug;
    let to = back(slug, &form.back);
    let changing: Vec<KeyId> = view.changing().map(|key| key.id.clone()).collect();
    if !chosen || changing.is_empty() {
        return view! {
            <div class="actions">
                <a class="btn quiet" href=to>"Cancel"</a>
            </div>
        }
        .into_any();
    }
    if act == BulkAct::Rotate {
        return rotations(slug, changing, to);
    }
    let hidden = [
        ("org", slug.clone()),
        ("act", act.as_str().to_owned()),
        ("team", form.team.clone()),
        ("expiry", form.expiry.clone()),
        ("expires_on", form.expires_on.clone()),
        ("back", form.back.clone()),
    ];
    let hidden = hidden
        .map(|(name, value)| view! { <input type="hidden" name=format!("form[{name}]") value=value /> });
    let keys = view.rows.iter().map(|row| match &row.key {
        Some(key) => format!("{}.{}", row.id, key.version),
        None => row.id.to_string(),
    });
    let keys = keys.map(|key| view! { <input type="hidden" name="form[keys][]" value=key /> }).collect_view();
    let count = (act == BulkAct::Revoke && view.in_use() > 0).then(|| {
        let count =
            TextField::new("count", "form[count]", "Number of keys that you revoke").inputmode("numeric");
        let help = format!(
            "Type {} to confirm. We ask because some of them were used in the last 24 hours.",
            changing.len()
        );
        count.draw_with(help, String::new(), field_errors)
    });
    let reauth = (changing.len() > 1).then(|| reauth_fields(caller, view.now, field_errors));
    let class = match act {
        BulkAct::Disable | BulkAct::Revoke => "btn danger",
        BulkAct::Rotate | BulkAct::Enable | BulkAct::Move | BulkAct::Expire => "btn primary",
    };
    // Not sent by the script: the answer is a page.
    view! {
        <form class="form" method="post" action="/api/keys/bulk">
            {on_page(here())}
            {hidden.collect_view()}
            {keys}
            <div class="limited form">{count} {reauth}</div>
            {cancel_or_act(to, class, act.words(changing.len()))}
        </form>
    }
    .into_any()
}

/// Each secret is shown once, on a page of its own.
fn rotations(slug: &str, keys: Vec<KeyId>, cancel: LocalPath) -> AnyView {
    let (count, only) = (keys.len(), keys.first().cloned());
    let lot = Lot::new(keys, GraceField::default());
    let first = lot.and_then(|lot| lot.first(slug));
    let first =
        first.or(only.map(|id| LocalPath::rotate(slug, id.as_str()))).unwrap_or_else(|| cancel.clone());
    view! {
        <p class="muted">
            "Each new secret is shown once, on a page of its own that leads to the next key. The first page asks how long current secrets keep working; your choice is kept for the next key."
        </p>
        <div class="actions">
            <a class="btn primary" href=first>
                {format!("Key 1 of {count}: Rotate")}
            </a>
            <a class="btn quiet" href=cancel>"Cancel"</a>
        </div>
    }
    .into_any()
}

fn outcome(context: &OrgContext, caller: &Caller, done: &BulkDone, today: &str) -> AnyView {
    let (slug, outcome) = (&context.org.slug, &done.outcome);
    let (change, already) = (outcome.count(Verdict::Change), outcome.count(Verdict::Already));
    let not = outcome.count(Verdict::Not);
    let keys = |count: usize| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    let mut words = match change {
        0 => "No key was changed.".to_owned(),
        change => format!("{} {}.", keys(change), past(outcome.act)),
    };
    if already > 0 {
        words += &format!(" {} already {} so.", keys(already), if already == 1 { "was" } else { "were" });
    }
    if not > 0 {
        words += &format!(" {} not {}; the table says why.", keys(not), past(outcome.act));
    }
    let tone = if not == 0 { Tone::Good } else { Tone::Warn };
    let columns = vec![Column::new("Key"), Column::new("Owner, team"), Column::new("Outcome")];
    let rows = outcome.rows.iter().map(|row| outcome_row(slug, row)).collect_view();
    let file = format!("keys-{slug}-{}-{today}.csv", outcome.act.as_str());
    let body = view! {
        <div class="stack roomy">
            {notice(tone, words)} {list::table(true, "What happened to each key".into(), columns, rows)}
            <div class="actions">
                <a class="btn primary" href=back(slug, &done.back)>
                    "Back to the keys"
                </a>
                <a class="btn" href=csv_link(outcome) download=file>
                    "Download CSV"
                </a>
            </div>
        </div>
    };
    Page::new("Outcome", Width::Wide)
        .heading(outcome.act.words(outcome.rows.len()))
        .crumb(back(slug, &done.back), "Keys")
        .path(LocalPath::keys(slug))
        .in_org(context, caller, body)
}

fn outcome_row(slug: &str, row: &OutcomeRow) -> impl IntoView + use<> {
    let key = match row.name.as_str() {
        "" => view! { <code class="clip">{row.id.clone()}</code> }.into_any(),
        name => {
            let path = LocalPath::keys(slug).with_id(&row.id);
            view! { <a href=path>{name.to_owned()}</a> }.into_any()
        }
    };
    let (class, words) = match row.verdict {
        Verdict::Change => ("full", row.words.clone()),
        Verdict::Already => ("full muted", row.words.clone()),
        Verdict::Not => ("full", format!("Not done: {}", row.words)),
    };
    let team =
        if row.team.is_empty() && !row.name.is_empty() { "No team".to_owned() } else { row.team.clone() };
    view! {
        <tr>
            <th scope="row">{key}</th>
            <td data-label="Owner">
                <span class="clip">{row.owner.clone()}</span>
                <span class="sub clip">{team}</span>
            </td>
            <td data-label="Outcome" class=class>
                {words}
            </td>
        </tr>
    }
}

/// The file itself, so that no server has to keep it.
fn csv_link(outcome: &Outcome) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let csv: String = outcome.csv().into_iter().map(byte).collect();
    format!("data:text/csv;charset=utf-8,{csv}")
}

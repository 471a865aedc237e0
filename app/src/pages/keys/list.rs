//! The list of keys.

use keydesk_core::domain::bulk::BulkAct;
use keydesk_core::domain::ids::TeamId;
use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_filter::{KeyFilter, SecretAge, Sort, StateFilter};
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::search::is_searched;
use keydesk_core::ops::keys::{self, KeysView, MAX_DUE};
use leptos::prelude::*;

use super::key_hint;
use crate::ask::{self, caller, desk, param, query};
use crate::key_status::status_badge;
use crate::layout::{Width, framed};
use crate::pages::meters::budget_cell;
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address, Column};
use crate::ui::notice::notice;
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;
use crate::ui::when;

/// What the address asks for, as far as it makes sense; the rest is as if it were not there.
fn read() -> KeyFilter {
    let sort = query("sort").and_then(|text| Sort::parse(&text)).unwrap_or(Sort::Created);
    KeyFilter {
        search: ask::search(),
        state: query("state").and_then(|text| StateFilter::parse(&text)).unwrap_or(StateFilter::Live),
        older: query("older").and_then(|text| SecretAge::parse(&text)),
        team: query("team").and_then(|text| TeamId::parse(&text)),
        sort,
        descending: match query("dir").as_deref() {
            Some("asc") => false,
            Some("desc") => true,
            _ => sort.descends_first(),
        },
        page: ask::cursor(),
    }
}

fn address(org: &str, filter: &KeyFilter) -> Address {
    let plain = filter.sort == Sort::Created && filter.descending;
    let turned = filter.descending != filter.sort.descends_first();
    let dir = if filter.descending { "desc" } else { "asc" };
    Address::new(
        LocalPath::keys(org).as_str(),
        [
            ("q", filter.search.clone()),
            ("state", filter.state.as_str().to_owned()),
            ("older", filter.older.map(|age| age.days().to_string()).unwrap_or_default()),
            ("team", filter.team.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("sort", if plain { "" } else { filter.sort.as_str() }.to_owned()),
            ("dir", if turned { dir } else { "" }.to_owned()),
        ],
    )
}

#[component]
pub fn KeysPage() -> impl IntoView {
    let slug = param("org");
    let filter = read();
    let secret_in_address = query("q").is_some_and(|text| looks_like_secret(&text));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::list(&desk, &caller, &slug, &filter).await?;
        let may_create = view.context.may(Action::CreateKey, On::Org);
        let new = format!("/{slug}/keys/new");
        let create = may_create.then(|| list::create(&new, "Create key"));
        let some = !view.none_at_all;
        let heading =
            list::heading("Keys", some.then(|| list::count_words(view.count, view.capped, "key", "keys")));
        let (actions, create) = if some { (create, None) } else { (None, create) };
        let body = view! {
            {title("Keys")}
            {notice_line()}
            {secret_in_address.then(|| notice(
                crate::sealed::Tone::Warn,
                "A whole secret stood in this page's address. It was not searched for; paste it into the search box instead, and take it out of your browser's history.".into(),
            ))}
            {page_head(vec![], heading, ().into_any(), actions.into_any())}
            {if some { listed(&view, &filter) } else { empty(create) }}
        };
        Ok(framed(&view.context, &caller, LocalPath::keys(&slug).as_str(), Width::Wide, body.into_any()))
    })
}

fn empty(create: Option<AnyView>) -> AnyView {
    let words = match create {
        Some(_) => {
            "Each app, job or person gets a key of its own, with its own models, budget and end date. Keys you create are listed here with what they spend."
        }
        None => {
            "Keys that you own are listed here with what they spend. An owner, an admin or your team's admin can create one for you."
        }
    };
    list::empty(Icon::Key, "No keys yet".into(), words, create)
}

fn listed(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let org = &view.context.org;
    let states = StateFilter::ALL.map(|state| {
        (state.label(), address(&org.slug, &KeyFilter { state, ..filter.clone() }), state == filter.state)
    });
    view! {
        {due(view)}
        {toolbar(view, filter)}
        {list::chips("State", states)}
        {if view.page.rows.is_empty() { none_found(view, filter) } else { table(view, filter) }}
        {ended(view, filter)}
    }
    .into_any()
}

/// "3 keys are due for rotation: Show".
fn due(view: &KeysView) -> impl IntoView + use<> {
    (view.due > 0).then(|| {
        let filter = KeyFilter::in_state(StateFilter::RotationDue);
        let to = address(&view.context.org.slug, &filter);
        let many = list::count_words(view.due, view.due > MAX_DUE, "key is", "keys are");
        view! {
            <p class="muted">
                {format!("{many} due for rotation: ")} <a href=to.href()>"Show"</a>
            </p>
        }
    })
}

/// Keys that are over and match the search: "1 revoked key matches: show".
fn ended(view: &KeysView, filter: &KeyFilter) -> impl IntoView + use<> {
    let searched = !filter.search.trim().is_empty();
    let offers = view.ended.iter().filter(|_| searched).map(|(status, count)| {
        let state = StateFilter::Only(*status);
        let to = address(&view.context.org.slug, &KeyFilter { state, page: None, ..filter.clone() });
        let (words, link) = match count {
            None => (format!("The search left out {} keys: ", status.as_str()), "Search them"),
            Some(1) => (format!("1 {} key matches: ", status.as_str()), "Show"),
            Some(count) => (format!("{} {} keys match: ", grouped(*count), status.as_str()), "Show"),
        };
        view! {
            <p class="muted">
                {words}
                <a href=to.href()>{link}</a>
            </p>
        }
    });
    offers.collect_view()
}

/// The search posts, so that a whole secret that is pasted into it never stands in an address.
fn toolbar(view: &KeysView, filter: &KeyFilter) -> impl IntoView + use<> {
    let slug = view.context.org.slug.clone();
    let here = address(&slug, &KeyFilter { older: None, ..filter.clone() });
    let rest = address(&slug, &KeyFilter { search: String::new(), ..filter.clone() }).query();
    let options = view
        .teams
        .iter()
        .map(|team| {
            let selected = filter.team.as_ref() == Some(&team.id);
            view! { <option value=team.id.to_string() selected=selected>{team.name.clone()}</option> }
        })
        .collect_view();
    let teams = (!view.teams.is_empty()).then(|| {
        view! {
            <select class="input" name="team" aria-label="Team">
                <option value="">"All teams"</option>
                {options}
            </select>
        }
    });
    let ages = SecretAge::ALL.map(|age| {
        let selected = filter.older == Some(age);
        view! { <option value=age.days().to_string() selected=selected>{age.label()}</option> }
    });
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="post" action="/api/keys/search">
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[rest]" value=rest />
                {SearchBox { name: "form[q]", placeholder: "Name, owner, team, note, last four or a whole secret", label: "Search keys", max: None }.draw(filter.search.clone())}
            </form>
            <form class="pick" method="get" action=LocalPath::keys(&slug).as_str().to_owned()>
                {here.hidden("team")}
                {teams}
                <select class="input" name="older" aria-label="Age of the secret">
                    <option value="">"Secret of any age"</option>
                    {ages.collect_view()}
                </select>
                <button class="btn">"Apply"</button>
            </form>
        </div>
    }
}

fn none_found(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let what = match filter.state {
        StateFilter::Live => "live key".to_owned(),
        StateFilter::RotationDue => "key due for rotation".to_owned(),
        state => format!("{} key", state.label().to_lowercase()),
    };
    let team = filter
        .team
        .as_ref()
        .and_then(|id| view.teams.iter().find(|team| team.id == *id))
        .map(|team| format!(" in {}", team.name))
        .unwrap_or_default();
    let heading = if filter.search.is_empty() {
        format!("No {what}{team}")
    } else {
        format!("No {what}{team} matches “{}”", filter.search)
    };
    let short = !filter.search.trim().is_empty() && !is_searched(&filter.search);
    let words = if short {
        "Up to two letters find names that begin with them. Type three to look inside names, notes, owners and teams."
    } else if filter.search.is_empty() {
        "Keys in other states or teams are listed under their own filter."
    } else {
        "Each word must be in the key’s name, note, models, owner, email address or team. The last four characters, key ids and whole secrets are found too. Expired and revoked keys are under their own filters."
    };
    let all = LocalPath::keys(&view.context.org.slug);
    list::none_found(heading, words, all.as_str(), "Clear search and filters")
}

fn table(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let org = &view.context.org;
    let head = |sort: Sort, label: &'static str| {
        let current = filter.sort == sort;
        let first = sort.descends_first();
        let to = |descending| address(&org.slug, &KeyFilter { sort, descending, ..filter.clone() });
        match current {
            true => Column::sorted(label, &to(!filter.descending), true, filter.descending),
            false => Column::sorted(label, &to(first), false, first),
        }
    };
    let secrets = shows_secrets(filter);
    let acts = keys::offered(&view.context);
    let ticks = (!acts.is_empty()).then(|| Column::ticks("Select all keys on this page"));
    let columns = ticks.into_iter().chain([
        head(Sort::Name, "Name"),
        Column::new("Key"),
        Column::new("Owner, team"),
        Column::new("State"),
        head(Sort::Spend, "Spent this month").num(),
        Column::new("Budget"),
        if secrets { head(Sort::Rotated, "Secret since") } else { Column::new("Limits") }.class("drop-1"),
        head(Sort::LastUsed, "Last used").class("drop-3"),
        head(Sort::Expires, "Expires").class("drop-2"),
    ]);
    let caption = format!(
        "Keys, sorted by {}, {}",
        filter.sort.as_str(),
        if filter.descending { "descending" } else { "ascending" }
    );
    let may_tick = !acts.is_empty();
    let rows = view.page.rows.iter().map(|key| row(key, view, secrets, may_tick)).collect_view();
    view! {
        {list::table(false, caption, columns.collect(), rows)}
        {may_tick.then(|| selection(&org.slug, acts, address(&org.slug, filter).query()))}
        {list::pages(&view.page, &address(&org.slug, filter), Some((view.count, view.capped)))}
    }
    .into_any()
}

/// Who looks for old secrets is shown their age in place of the limits.
fn shows_secrets(filter: &KeyFilter) -> bool {
    filter.state == StateFilter::RotationDue || filter.older.is_some() || filter.sort == Sort::Rotated
}

/// What to do with the ticked keys, which belong to this form.
fn selection(slug: &str, acts: Vec<BulkAct>, back: String) -> AnyView {
    let label = |act| match act {
        BulkAct::Rotate => "Rotate",
        BulkAct::Disable => "Disable",
        BulkAct::Enable => "Enable",
        BulkAct::Move => "Move to a team",
        BulkAct::Expire => "Set expiration",
        BulkAct::Revoke => "Revoke",
    };
    let options = acts.into_iter().map(|act| view! { <option value=act.as_str()>{label(act)}</option> });
    view! {
        <form class="toolbar selection" id="selection" method="get" action=LocalPath::bulk(slug)>
            <input type="hidden" name="back" value=back />
            <span class="pick">
                <select class="input" name="act" aria-label="Action for the selected keys">
                    {options.collect_view()}
                </select>
                <button class="btn">"Continue"</button>
            </span>
        </form>
    }
    .into_any()
}

fn row(key: &Key, view: &KeysView, secrets: bool, may_tick: bool) -> impl IntoView + use<> {
    let (org, now) = (&view.context.org, view.now);
    let (slug, zone) = (&org.slug, &org.zone);
    let due = key.rotation_due(&org.rules, now).map(|at| {
        let title = format!("Due for rotation since {}", at.exact(zone));
        view! { <span class="sub" title=title>"Rotation due"</span> }
    });
    let middle = match secrets {
        true => {
            let since = when::date(key.secret_created_at, zone);
            view! { <td data-label="Secret since" class="tight drop-1">{since}</td> }.into_any()
        }
        false => view! { <td data-label="Limits" class="full drop-1">{limits(key)}</td> }.into_any(),
    };
    let note = (!key.note.is_empty())
        .then(|| view! { <span class="sub" title=key.note.clone()>{key.note.clone()}</span> });
    let team = key.team.as_ref().map_or_else(|| "No team".to_owned(), |team| team.name.clone());
    let team = view! { <span class="sub clip" title=team.clone()>{team.clone()}</span> };
    let last_used = match key.last_used_at {
        Some(at) => when::ago(at, now, zone).into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    };
    let expires = match key.expires_at {
        Some(at) => when::date(at, zone).into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    };
    let tick = may_tick.then(|| {
        let label = format!("Select {}", key.name);
        view! {
            <td data-label="Select" class="tick">
                <input type="checkbox" name="key" value=key.id.to_string() form="selection" aria-label=label />
            </td>
        }
    });
    view! {
        <tr>
            {tick}
            <th scope="row">
                <a class="row-link" href=LocalPath::key(slug, &key.id).as_str().to_owned() title=key.name.clone()>
                    {key.name.clone()}
                </a>
                {note}
            </th>
            <td data-label="Key">{key_hint(key)}</td>
            <td data-label="Owner">
                <span class="clip" title=key.owner.name.clone()>{key.owner.name.clone()}</span>
                {team}
            </td>
            <td data-label="State">{status_badge(key, now, zone)} {due}</td>
            <td data-label="Spent this month" class="num">{key.month_spent.to_string()}</td>
            <td data-label="Budget">{budget_cell(&key.budgets)}</td>
            {middle}
            <td data-label="Last used" class="tight drop-3">{last_used}</td>
            <td data-label="Expires" class="tight drop-2">{expires}</td>
        </tr>
    }
}

fn limits(key: &Key) -> impl IntoView + use<> {
    // Rates on one line, parallel requests under them.
    let rates = Limits { concurrent: None, ..key.limits };
    let concurrent = key.limits.concurrent.map(|concurrent| format!("{} concurrent", grouped(concurrent)));
    match (rates == Limits::default(), concurrent) {
        (true, Some(concurrent)) => view! { <span class="tight">{concurrent}</span> }.into_any(),
        (_, concurrent) => view! {
            <span class="tight">{rates.summary()}</span>
            {concurrent.map(|concurrent| view! { <span class="sub">{concurrent}</span> })}
        }
        .into_any(),
    }
}

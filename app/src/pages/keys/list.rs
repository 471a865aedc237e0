//! The list of keys: what it shows and in what order, its filters with how many keys each has, and the figures above it.
//! The table itself is `rows`'.

use keydesk_core::domain::bulk::BulkAct;
use keydesk_core::domain::key_filter::{KeyFilter, SecretAge, Sort, StateFilter};
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::numbers::{grouped, grouped_to};
use keydesk_core::domain::policy::{Action, KeyFacts, On, PlatformRole};
use keydesk_core::domain::search::is_searched;
use keydesk_core::ops::access::OrgContext;
use keydesk_core::ops::keys::{self, KeysView, MAX_OFFERED};
use keydesk_core::ops::overview;
use leptos::prelude::*;

use super::list_address::{address, read};
use super::rows;
use crate::ask::{caller, desk, param, query};
use crate::layout::{Width, framed};
use crate::pages::first_steps::{first_steps, nothing_served};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::Icon;
use crate::ui::list;
use crate::ui::notice::notice;
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;
use crate::ui::tiles::{Tile, tiles};

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
        let create = match may_create {
            true => Some(list::create(&new, "Create key")),
            false => ask_for_key(&view.context),
        };
        let some = !view.none_at_all;
        let heading =
            list::heading("Keys", some.then(|| list::count_words(view.count, view.capped, "key", "keys")));
        let (actions, create) = if some { (create, None) } else { (None, create) };
        let operates = caller.person.platform == PlatformRole::Operator;
        let begun = match some && !operates {
            true => None,
            false => Some(overview::begun(&desk, &caller, &slug).await?),
        };
        let steps = begun.filter(|_| may_create).map(|begun| match some {
            true => nothing_served(begun.provider, operates).into_any(),
            false => first_steps(&view.context, begun, operates, false),
        });
        let body = view! {
            {title("Keys")}
            {notice_line()}
            {secret_in_address.then(|| notice(
                crate::sealed::Tone::Warn,
                "A whole secret stood in this page's address. It was not searched for; paste it into the search box instead, and take it out of your browser's history.".into(),
            ))}
            {page_head(vec![], heading, ().into_any(), actions.into_any())}
            {steps}
            {if some { listed(&view, &filter) } else { empty(may_create, create) }}
        };
        Ok(framed(&view.context, &caller, LocalPath::keys(&slug).as_str(), Width::Wide, body.into_any()))
    })
}

/// For those who may not create keys and can ask for one.
fn ask_for_key(context: &OrgContext) -> Option<AnyView> {
    let own = KeyFacts { id: None, team: None, owner: context.principal.person() };
    context.may(Action::AskForMore, On::Key(own)).then(|| {
        let href = LocalPath::ask_for_key(&context.org.slug);
        view! { <a class="btn" href=href>"Ask for a key"</a> }.into_any()
    })
}

fn empty(may_create: bool, create: Option<AnyView>) -> AnyView {
    let words = match may_create {
        true => {
            "Each app, job or person gets a key of its own, with its own models, budget and end date. Keys you create are listed here with what they spend."
        }
        false => {
            "Keys that you own are listed here with what they spend. An owner, an admin or your team's admin can create one for you."
        }
    };
    list::empty(Icon::Key, "No keys yet".into(), words, create)
}

fn listed(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let org = &view.context.org;
    let states = StateFilter::OFFERED.map(|state| {
        let count = view.counts.as_ref().map(|counts| counts.of(state));
        let words = view! { {state.label()} " " {count.map(counted)} };
        (words, address(&org.slug, &KeyFilter { state, page: None, ..filter.clone() }), state == filter.state)
    });
    view! {
        {figures(view, filter)}
        {toolbar(view, filter)}
        {list::chips("State", states)}
        {owned(view, filter)}
        {if view.page.rows.is_empty() { none_found(view, filter) } else { rows::table(view, filter) }}
        {if view.page.rows.is_empty() { ().into_any() } else { under(view, filter) }}
        {ended(view, filter)}
    }
    .into_any()
}

/// `12`, or `1,000+` where counting stopped.
fn counted(count: i64) -> AnyView {
    view! { <small class="many">{count_words(count)}</small> }.into_any()
}

fn count_words(count: i64) -> String {
    grouped_to(count, MAX_OFFERED)
}

/// What all keys did this month, and how many need a look: each figure leads to its keys. Above the whole list only.
fn figures(view: &KeysView, filter: &KeyFilter) -> Option<AnyView> {
    let whole = KeyFilter { state: StateFilter::Live, page: None, ..filter.clone() };
    let counts = view.counts.as_ref().filter(|_| whole.is_plain())?;
    let slug = &view.context.org.slug;
    let sorted = |sort: Sort| {
        address(slug, &KeyFilter { sort, descending: true, ..KeyFilter::in_state(StateFilter::Live) }).href()
    };
    let of = view.month_budget.as_ref().map(|used| format!("of {}", used.limit()));
    let state = |name: &'static str, state: StateFilter, bad: bool| {
        let count = counts.of(state);
        let to = address(slug, &KeyFilter::in_state(state)).href();
        Tile::new(name, count_words(count), to).marked(bad && count > 0)
    };
    Some(tiles(
        "At a glance",
        vec![
            Tile::new("Spent this month", view.month.spent.to_string(), sorted(Sort::Spend)).beside(of),
            Tile::new("Requests this month", grouped(view.month.requests), LocalPath::requests(slug).into()),
            state("Stopped", StateFilter::Stopped, true),
            state("Near a limit", StateFilter::NearLimit, true),
            state("Expiring in 7 days", StateFilter::Expiring, false),
        ],
    ))
}

/// Whose keys the list is narrowed to, and the way back.
fn owned(view: &KeysView, filter: &KeyFilter) -> Option<AnyView> {
    let owner = filter.owner.as_ref()?;
    let found = view.page.rows.iter().find(|key| key.owner.id == *owner);
    let name = found.map_or("one person".to_owned(), |key| key.owner.name.clone());
    let all =
        address(&view.context.org.slug, &KeyFilter { owner: None, page: None, ..filter.clone() }).href();
    Some(
        view! {
            <p class="muted narrowed">
                "Only keys of " <b>{name}</b> ". " <a href=all>"Show all owners"</a>
            </p>
        }
        .into_any(),
    )
}

/// What to do with ticked keys, and the way to the pages beside.
fn under(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let slug = &view.context.org.slug;
    let acts = keys::offered(&view.context);
    let back = address(slug, filter);
    view! {
        {(!acts.is_empty()).then(|| selection(slug, acts, back.query()))}
        {list::pages(&view.page, &back, Some((view.count, view.capped)))}
    }
    .into_any()
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
    let here = address(&slug, &KeyFilter { older: None, owner: None, ..filter.clone() });
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
    let owner = filter.owner.as_ref().map(ToString::to_string).unwrap_or_default();
    // One who is not among the choices stays chosen.
    let other = (!owner.is_empty() && !view.owners.iter().any(|(id, _)| *id == owner)).then(|| owner.clone());
    let owners = view
        .owners
        .iter()
        .map(|(id, name)| {
            let selected = *id == owner;
            view! { <option value=id.clone() selected=selected>{name.clone()}</option> }
        })
        .collect_view();
    let owners = match other {
        Some(owner) => view! { <input type="hidden" name="owner" value=owner /> }.into_any(),
        None if view.owners.len() < 2 => ().into_any(),
        None => view! {
            <select class="input" name="owner" aria-label="Owner">
                <option value="">"All owners"</option>
                {owners}
            </select>
        }
        .into_any(),
    };
    let ages = SecretAge::ALL.map(|age| {
        let selected = filter.older == Some(age);
        view! { <option value=age.days().to_string() selected=selected>{age.label()}</option> }
    });
    let sorts = [
        (Sort::Created, "Newest first"),
        (Sort::Name, "By name"),
        (Sort::Spend, "Spent most first"),
        (Sort::LastUsed, "Last used first"),
        (Sort::Expires, "Expiring first"),
    ];
    let sorts = sorts.map(|(sort, words)| {
        let selected = filter.sort == sort;
        view! { <option value=sort.as_str() selected=selected>{words}</option> }
    });
    let unsorted = address(&slug, &KeyFilter { sort: Sort::Created, descending: true, ..filter.clone() });
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="post" action="/api/keys/search">
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[rest]" value=rest />
                {SearchBox { name: "form[q]", placeholder: "Name, owner, team, note, last four or a whole secret", label: "Search keys", max: None }.draw(filter.search.clone())}
            </form>
            <form class="pick" method="get" action=LocalPath::keys(&slug).as_str().to_owned() data-at-once>
                {here.hidden("team")}
                {teams}
                {owners}
                <select class="input" name="older" aria-label="Age of the secret">
                    <option value="">"Secret of any age"</option>
                    {ages.collect_view()}
                </select>
                <button class="btn">"Apply"</button>
            </form>
            <form class="pick sorts" method="get" action=LocalPath::keys(&slug).as_str().to_owned() data-at-once>
                {unsorted.hidden("sort")}
                <select class="input" name="sort" aria-label="Sort">{sorts.collect_view()}</select>
                <button class="btn">"Sort"</button>
            </form>
        </div>
    }
}

fn none_found(view: &KeysView, filter: &KeyFilter) -> AnyView {
    let what = match filter.state {
        StateFilter::Live => "live key".to_owned(),
        StateFilter::RotationDue => "key due for rotation".to_owned(),
        StateFilter::Stopped => "stopped key".to_owned(),
        StateFilter::NearLimit => "key near a limit".to_owned(),
        StateFilter::Idle => "key idle for 90 days".to_owned(),
        StateFilter::Unlimited => "key without a limit of its own".to_owned(),
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

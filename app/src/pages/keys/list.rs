//! The list. Its whole state is in the address: search, state, team, order and page can be linked and work without
//! script. The search box posts, so that a pasted secret never gets there.

use keydesk_core::domain::ids::TeamId;
use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_filter::{Cursor, KeyFilter, MAX_SEARCH, Sort, StateFilter};
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::window::Period;
use keydesk_core::ops::keys::{self, KeysView};
use keydesk_core::store::key_list::{PAGE_ROWS, SEARCH_INSIDE_FROM};
use leptos::prelude::*;

use super::key_hint;
use crate::ask::{caller, desk, param};
use crate::key_status::status_badge;
use crate::layout::{Width, framed};
use crate::pages::meters::thin_meter;
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::notice::notice;
use crate::ui::page_head::page_head;
use crate::ui::pager::pager;
use crate::ui::search::SearchBox;
use crate::ui::when;

/// The address's parameters, as far as they make sense; the rest is as if it were not there.
#[derive(Clone)]
struct Query {
    filter: KeyFilter,
    /// How many rows stand before this page, for "51–100 of 200".
    before: usize,
    /// Somebody put a whole secret into the address by hand. It is not searched for and not shown again.
    secret_in_address: bool,
}

impl Query {
    fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let search = get("q").unwrap_or_default();
        let secret_in_address = looks_like_secret(&search);
        let sort = get("sort").and_then(|text| Sort::parse(&text)).unwrap_or(Sort::Created);
        let descending = match get("dir").as_deref() {
            Some("asc") => false,
            Some("desc") => true,
            _ => sort.descends_first(),
        };
        let cursor = |name: &str, backwards| {
            let text = get(name)?;
            let (seq, value) = text.split_once('~')?;
            let numeric = sort != Sort::Name;
            let fine = !numeric || value.parse::<i64>().is_ok();
            Some(Cursor { backwards, value: value.to_owned(), seq: seq.parse().ok().filter(|_| fine)? })
        };
        let page = cursor("after", false).or_else(|| cursor("before", true));
        let before = if page.is_some() { get("n").and_then(|n| n.parse().ok()).unwrap_or(0) } else { 0 };
        Self {
            filter: KeyFilter {
                search: if secret_in_address {
                    String::new()
                } else {
                    search.chars().take(MAX_SEARCH).collect()
                },
                state: get("state").and_then(|text| StateFilter::parse(&text)).unwrap_or(StateFilter::Live),
                team: get("team").and_then(|text| TeamId::parse(&text)),
                sort,
                descending,
                page,
            },
            before,
            secret_in_address,
        }
    }

    /// The parameters that say what is listed, without the page.
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let mut pairs = Vec::new();
        if !filter.search.is_empty() {
            pairs.push(("q", filter.search.clone()));
        }
        if filter.state != StateFilter::Live {
            pairs.push(("state", filter.state.as_str().to_owned()));
        }
        if let Some(team) = &filter.team {
            pairs.push(("team", team.to_string()));
        }
        if filter.sort != Sort::Created || !filter.descending {
            pairs.push(("sort", filter.sort.as_str().to_owned()));
        }
        if filter.descending != filter.sort.descends_first() {
            pairs.push(("dir", if filter.descending { "desc" } else { "asc" }.to_owned()));
        }
        pairs
    }

    fn href(&self, org: &str, extra: &[(&'static str, String)]) -> String {
        let pairs: Vec<_> = self.pairs().into_iter().chain(extra.iter().cloned()).collect();
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        LocalPath::keys(org).with_query(&query).as_str().to_owned()
    }

    fn page_href(&self, org: &str, cursor: &Cursor, before: usize) -> String {
        let name = if cursor.backwards { "before" } else { "after" };
        self.href(org, &[(name, format!("{}~{}", cursor.seq, cursor.value)), ("n", before.to_string())])
    }

    fn with(&self, change: impl FnOnce(&mut KeyFilter)) -> Self {
        let mut query = self.clone();
        query.filter.page = None;
        change(&mut query.filter);
        query
    }
}

#[component]
pub fn KeysPage() -> impl IntoView {
    let slug = param("org");
    let query = Query::read(crate::ask::query);
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::list(&desk, &caller, &slug, &query.filter).await?;
        let org = view.context.org.clone();
        let may_create = view.context.may(Action::CreateKey, On::Org);
        let new = format!("/{}/keys/new", org.slug);
        let create = may_create.then(|| {
            view! {
                <a class="btn primary" href=new aria-keyshortcuts="n" data-shortcut="n">
                    {icon(Icon::Plus)}
                    "Create key"
                    <kbd aria-hidden="true">"n"</kbd>
                </a>
            }
        });
        let none_at_all = view.none_at_all;
        let count = count_words(&view);
        let heading = view! {
            "Keys "
            {(!none_at_all).then(|| view! { <small class="count muted">{count}</small> })}
        };
        let body = view! {
            {title("Keys")}
            {notice_line()}
            {query.secret_in_address.then(|| notice(
                crate::sealed::Tone::Warn,
                "A whole secret stood in this page's address. It was not searched for; paste it into the search box instead, and take it out of your browser's history.".into(),
            ))}
            {page_head(vec![], heading.into_any(), ().into_any(), (!none_at_all).then_some(create).flatten().into_any())}
            {if none_at_all { empty(may_create, &org.slug) } else { listed(&view, &query) }}
        };
        Ok(framed(&view.context, &caller, &format!("/{}/keys", org.slug), Width::Wide, body.into_any()))
    })
}

fn count_words(view: &KeysView) -> String {
    match (view.count, view.capped) {
        (1, _) => "1 key".into(),
        (count, false) => format!("{} keys", grouped(count)),
        (count, true) => format!("{}+ keys", grouped(count - 1)),
    }
}

fn empty(may_create: bool, slug: &str) -> AnyView {
    let new = format!("/{slug}/keys/new");
    let (words, action) = if may_create {
        (
            "Each app, job or person gets a key of its own, with its own models, budget and end date. Keys you create are listed here with what they spend.",
            Some(view! {
                <div class="actions">
                    <a class="btn primary" href=new data-shortcut="n">
                        {icon(Icon::Plus)}
                        "Create key"
                    </a>
                </div>
            }),
        )
    } else {
        (
            "Keys that you own are listed here with what they spend. An owner, an admin or your team's admin can create one for you.",
            None,
        )
    };
    view! {
        <section class="empty">
            {icon(Icon::Key)} <h2>"No keys yet"</h2> <p>{words}</p> {action}
        </section>
    }
    .into_any()
}

fn listed(view: &KeysView, query: &Query) -> AnyView {
    let org = &view.context.org;
    let none = view.page.keys.is_empty();
    view! {
        {toolbar(view, query)}
        <nav class="chips" aria-label="State">
            {StateFilter::ALL
                .map(|state| {
                    let href = query.with(|filter| filter.state = state).href(&org.slug, &[]);
                    let current = (state == query.filter.state).then_some("true");
                    view! { <a href=href aria-current=current>{state.label()}</a> }
                })}
        </nav>
        {if none { none_found(view, query) } else { table(view, query) }}
    }
    .into_any()
}

fn toolbar(view: &KeysView, query: &Query) -> impl IntoView {
    let slug = view.context.org.slug.clone();
    let rest = query.with(|filter| filter.search.clear());
    let rest = serde_urlencoded::to_string(rest.pairs()).unwrap_or_default();
    let chosen = query.filter.team.as_ref().map(ToString::to_string).unwrap_or_default();
    let options = view
        .teams
        .iter()
        .map(|team| {
            let id = team.id.to_string();
            let selected = id == chosen;
            view! { <option value=id selected=selected>{team.name.clone()}</option> }
        })
        .collect_view();
    let kept = query
        .with(|filter| filter.team = None)
        .pairs()
        .into_iter()
        .map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
        .collect_view();
    let teams = (!view.teams.is_empty()).then(|| {
        view! {
            <form class="pick" method="get" action=format!("/{slug}/keys")>
                {kept}
                <select class="input" name="team" aria-label="Team">
                    <option value="">"All teams"</option>
                    {options}
                </select>
                <button class="btn">"Apply"</button>
            </form>
        }
    });
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="post" action="/api/keys/search">
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[rest]" value=rest />
                {SearchBox { name: "form[q]", placeholder: "Name, last four, key id or a whole secret", label: "Search keys", max: None }.draw(query.filter.search.clone())}
            </form>
            {teams}
        </div>
    }
}

fn none_found(view: &KeysView, query: &Query) -> AnyView {
    let filter = &query.filter;
    let what = match filter.state {
        StateFilter::Live => "live key".to_owned(),
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
    let short = (1..SEARCH_INSIDE_FROM).contains(&filter.search.trim().chars().count());
    let words = if short {
        "Up to two letters find names that begin with them. Type three to look inside names."
    } else if filter.search.is_empty() {
        "Keys in other states or teams are listed under their own filter."
    } else {
        "The search looks at names, at the last four characters, at key ids and at whole secrets. Revoked keys are under their own filter."
    };
    view! {
        <section class="empty">
            {icon(Icon::Search)} <h2>{heading}</h2> <p>{words}</p> <div class="actions">
                <a class="btn" href=LocalPath::keys(&view.context.org.slug).as_str().to_owned()>
                    "Clear search and filters"
                </a>
            </div>
        </section>
    }
    .into_any()
}

fn table(view: &KeysView, query: &Query) -> AnyView {
    let org = &view.context.org;
    let head = |sort: Sort, label: &'static str, class: &'static str| {
        let current = query.filter.sort == sort;
        let descending = if current { !query.filter.descending } else { sort.descends_first() };
        let href = query
            .with(|filter| {
                filter.sort = sort;
                filter.descending = descending;
            })
            .href(&org.slug, &[]);
        let direction = if query.filter.descending { "descending" } else { "ascending" };
        let arrow = if current && !query.filter.descending { Icon::Up } else { Icon::Down };
        view! {
            <th scope="col" class=class aria-sort=current.then_some(direction)>
                <a href=href>{label} {icon(arrow)}</a>
            </th>
        }
    };
    let rows = view
        .page
        .keys
        .iter()
        .map(|key| row(key, query.filter.sort, &org.slug, view.now, &org.zone))
        .collect_view();
    let sorted = format!(
        "Keys, sorted by {}, {}",
        query.filter.sort.as_str(),
        if query.filter.descending { "descending" } else { "ascending" }
    );
    let shown = view.page.keys.len();
    let from = match &query.filter.page {
        Some(page) if page.backwards && view.page.previous.is_none() => 0,
        _ => query.before,
    };
    let range = match view.capped {
        _ if shown == 0 => String::new(),
        false => format!("{}–{} of {}", from + 1, from + shown, grouped(view.count)),
        true => format!("{}–{} of {}+", from + 1, from + shown, grouped(view.count - 1)),
    };
    // Sorted by spend, the list is made of this month's counters.
    let range = if query.filter.sort == Sort::Spend {
        format!("{range} that spent anything this month")
    } else {
        range
    };
    let previous =
        view.page.previous.as_ref().map(|at| query.page_href(&org.slug, at, from.saturating_sub(PAGE_ROWS)));
    let next = view.page.next.as_ref().map(|at| query.page_href(&org.slug, at, from + shown));
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr">{sorted}</caption>
                <thead>
                    <tr>
                        {head(Sort::Name, "Name", "")} <th scope="col">"Key"</th> <th scope="col">"Team"</th>
                        <th scope="col" class="drop-1">"Owner"</th> <th scope="col">"State"</th>
                        {head(Sort::Spend, "Spend and budget", "")} <th scope="col" class="drop-2">"Limits"</th>
                        {head(Sort::LastUsed, "Last used", "")} {head(Sort::Expires, "Expires", "drop-3")}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {pager(range, previous, next)}
    }
    .into_any()
}

fn row(key: &Key, sort: Sort, slug: &str, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    let note = (!key.note.is_empty())
        .then(|| view! { <span class="sub" title=key.note.clone()>{key.note.clone()}</span> });
    let team = match &key.team {
        Some(team) => {
            view! { <span class="clip" title=team.name.clone()>{team.name.clone()}</span> }.into_any()
        }
        None => view! { <span class="muted">"No team"</span> }.into_any(),
    };
    // Of several budgets, the one that stops the key first; but sorted by spend, what the order goes by.
    let by_month = sort == Sort::Spend;
    let shown = key.budgets.iter().filter(|used| !by_month || used.budget.period == Period::Month);
    let nearest = shown.max_by_key(|used| used.spent.percent_of(used.budget.amount));
    let spend = match nearest {
        Some(used) => thin_meter(used.spent, used.budget.amount),
        None => view! {
            <div class="meter thin">
                <p>
                    <span>
                        <b>{key.month_spent.to_string()}</b>
                    </span>
                    <span class="muted">{if key.budgets.is_empty() { "No limit" } else { "this month" }}</span>
                </p>
            </div>
        }
        .into_any(),
    };
    let last_used = match key.last_used_at {
        Some(at) => when::ago(at, now, zone).into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    };
    let expires = match key.expires_at {
        Some(at) => when::date(at, zone).into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=LocalPath::key(slug, &key.id).as_str().to_owned() title=key.name.clone()>
                    {key.name.clone()}
                </a>
                {note}
            </th>
            <td data-label="Key">{key_hint(key)}</td>
            <td data-label="Team">{team}</td>
            <td data-label="Owner" class="drop-1">
                <span class="clip" title=key.owner.name.clone()>{key.owner.name.clone()}</span>
            </td>
            <td data-label="State">{status_badge(key, now, zone)}</td>
            <td data-label="Spend and budget" class="full">{spend}</td>
            <td data-label="Limits" class="full drop-2">{limits(key)}</td>
            <td data-label="Last used" class="tight">{last_used}</td>
            <td data-label="Expires" class="tight drop-3">{expires}</td>
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

//! The audit: what happened in the organisation, newest first. The filters are a plain form. An export is a form too,
//! because it is itself an event.

mod installation;
mod row;

pub use installation::InstallationAuditPage;
pub use row::{Links, event_row};

use keydesk_core::domain::audit::{PastEvent, SYSTEM};
use keydesk_core::domain::audit_filter::{AuditFilter, Group, Kinds};
use keydesk_core::domain::audit_words;
use keydesk_core::domain::ids::TeamId;
use keydesk_core::domain::moment::{Day, Zone};
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::ops::audit::{self, AuditView, KeysMeant};
use leptos::prelude::*;

use crate::ask::{self, caller, desk, param, query};
use crate::layout::{Width, framed};
use crate::pages::{here, notice_line, page, title};
use crate::ui::field::on_page;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address};
use crate::ui::page_head::page_head;

/// Characters of what is typed into the key box; the longest name has half as many.
const MAX_KEY: usize = 200;

/// What the address asks for, as far as it makes sense; the rest is as if it were not there.
fn read() -> AuditFilter {
    let text = |name: &str| query(name).unwrap_or_default();
    let day = |name: &str| query(name).and_then(|text| Day::parse(&text));
    AuditFilter {
        person: text("person").chars().take(MAX_KEY).collect(),
        key: text("key").trim().chars().take(MAX_KEY).collect(),
        team: query("team").and_then(|text| TeamId::parse(&text)),
        kinds: Kinds::parse(&text("kind")),
        from: day("from"),
        to: day("to"),
        page: ask::cursor(),
    }
}

/// What narrows the list; without a value where nothing does.
fn pairs(filter: &AuditFilter) -> [(&'static str, String); 6] {
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    [
        ("person", filter.person.clone()),
        ("key", filter.key.clone()),
        ("team", filter.team.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("kind", filter.kinds.as_str().to_owned()),
        ("from", day(filter.from)),
        ("to", day(filter.to)),
    ]
}

#[component]
pub fn AuditPage() -> impl IntoView {
    let slug = param("org");
    let filter = read();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = audit::list(&desk, &caller, &slug, &filter).await?;
        // A secret that a person put into the address by hand goes nowhere else.
        let filter = match view.keys {
            KeysMeant::Secret => AuditFilter { key: String::new(), ..filter },
            KeysMeant::Any | KeysMeant::These(_) | KeysMeant::Unknown => filter,
        };
        let org = view.context.org.clone();
        let count = list::count_words(view.total, false, "event", "events");
        let under = view! {
            <p class="muted">"Every change in the organisation, written with the change itself. No event can be edited or removed."</p>
        };
        let none = view.page.rows.is_empty();
        let body = view! {
            {title("Audit")}
            {notice_line()}
            {page_head(vec![], list::heading("Audit", Some(count)), under.into_any(), exports(&view, &filter))}
            {list::ranges(Day::of(view.now, &org.zone), (filter.from, filter.to), |from| {
                let to = AuditFilter { from, to: None, page: None, ..filter.clone() };
                Address::new(&format!("/{}/audit", org.slug), pairs(&to))
            })}
            {filters(&view, &filter)}
            {if none { empty(&view, &filter) } else { events(&view, &filter) }}
        };
        Ok(framed(&view.context, &caller, &format!("/{}/audit", org.slug), Width::Wide, body.into_any()))
    })
}

fn exports(view: &AuditView, filter: &AuditFilter) -> AnyView {
    if !view.context.may(Action::ExportAudit, On::Org) || view.page.rows.is_empty() {
        return ().into_any();
    }
    let hidden = |name: &'static str, value: String| {
        view! { <input type="hidden" name=format!("form[{name}]") value=value /> }
    };
    let kept = pairs(filter)
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| hidden(name, value))
        .collect_view();
    view! {
        <form class="actions" method="post" action="/api/audit/export">
            {on_page(here())} {hidden("org", view.context.org.slug.clone())} {kept}
            <button class="btn" name="form[format]" value="csv">"Export CSV"</button>
            <button class="btn" name="form[format]" value="jsonl">"Export JSON Lines"</button>
        </form>
    }
    .into_any()
}

fn filters(view: &AuditView, filter: &AuditFilter) -> impl IntoView + use<> {
    let slug = view.context.org.slug.clone();
    let option = |value: String, label: String, chosen: &str| {
        let selected = value == chosen;
        view! { <option value=value selected=selected>{label}</option> }
    };
    let namesake = |name: &str| view.people.iter().filter(|(_, other, _)| other == name).count() > 1;
    let mut people: Vec<(String, String)> = view
        .people
        .iter()
        .map(|(id, name, email)| {
            (id.clone(), if namesake(name) { format!("{name} ({email})") } else { name.clone() })
        })
        .collect();
    people.push((SYSTEM.to_owned(), "Keydesk itself".to_owned()));
    if !filter.person.is_empty() && !people.iter().any(|(id, _)| *id == filter.person) {
        // A person outside, such as support: their events say who.
        let name =
            view.page.rows.first().map_or_else(|| "Someone else".into(), |event| event.actor_name.clone());
        people.push((filter.person.clone(), name));
    }
    let people = people.into_iter().map(|(id, name)| option(id, name, &filter.person)).collect_view();
    let chosen = filter.team.as_ref().map(ToString::to_string).unwrap_or_default();
    let teams =
        view.teams.iter().map(|team| option(team.id.to_string(), team.name.clone(), &chosen)).collect_view();
    let kinds = Group::ALL
        .into_iter()
        .filter(|group| *group != Group::Catalogue)
        .map(|group| {
            let of_group = group
                .kinds()
                .map(|kind| {
                    option(kind.as_str().into(), audit_words::kind(kind).into(), filter.kinds.as_str())
                })
                .collect_view();
            let all = format!("{}: all", group.label());
            view! {
                <optgroup label=group.label()>
                    {option(group.as_str().into(), all, filter.kinds.as_str())} {of_group}
                </optgroup>
            }
        })
        .collect_view();
    let day = |id: &'static str, name: &'static str, label: &'static str, value: Option<Day>| {
        let value = value.map(|day| day.to_string()).unwrap_or_default();
        view! {
            <div class="field">
                <label class="label" for=id>{label}</label>
                <input class="input" id=id type="date" name=name value=value />
            </div>
        }
    };
    let clear = (!filter.is_plain()).then(|| {
        view! {
            <a class="btn quiet" href=format!("/{slug}/audit")>
                "Clear filters"
            </a>
        }
    });
    let several = match &view.keys {
        KeysMeant::These(keys) if keys.len() > 1 => Some(format!(
            "{} keys have or had this name. Their events stand together; a key's own page leads to its own.",
            keys.len()
        )),
        KeysMeant::These(keys) if keys.iter().any(|(_, name)| *name != filter.key) => {
            keys.first().map(|(_, name)| format!("The key {name}."))
        }
        KeysMeant::Secret => Some(
            "A whole secret stood in this page's address. It was not looked up; take it out of your browser's history and search for it on Keys instead.".into(),
        ),
        KeysMeant::Any | KeysMeant::These(_) | KeysMeant::Unknown => None,
    };
    view! {
        <form class="filters" method="get" action=format!("/{slug}/audit") aria-label="Filters">
            <div class="field">
                <label class="label" for="person-filter">"Person"</label>
                <select class="input" id="person-filter" name="person">
                    <option value="">"Anyone"</option>
                    {people}
                </select>
            </div>
            <div class="field">
                <label class="label" for="key">"Key"</label>
                <input
                    class="input"
                    id="key"
                    name="key"
                    value=filter.key.clone()
                    placeholder="Name or id"
                    autocomplete="off"
                    spellcheck="false"
                />
            </div>
            <div class="field">
                <label class="label" for="team">"Team and its keys"</label>
                <select class="input" id="team" name="team">
                    <option value="">"Every team"</option>
                    {teams}
                </select>
            </div>
            <div class="field">
                <label class="label" for="kind">"What happened"</label>
                <select class="input" id="kind" name="kind">
                    <option value="">"Everything"</option>
                    {kinds}
                </select>
            </div>
            {day("from", "from", "From", filter.from)} {day("to", "to", "To", filter.to)}
            <div class="actions">
                <button class="btn">"Apply filters"</button>
                {clear}
            </div>
            {several.map(|words| view! { <p class="help">{words}</p> })}
        </form>
    }
}

fn empty(view: &AuditView, filter: &AuditFilter) -> AnyView {
    let slug = &view.context.org.slug;
    if filter.is_plain() && filter.page.is_none() {
        let words =
            "Everyone who creates, changes or revokes something here is named on this page from then on.";
        return list::empty(Icon::List, "Nothing has happened yet".into(), words, ());
    }
    let words = match view.keys {
        KeysMeant::Unknown => {
            "No key here has this name or id. Names must be whole; capital letters do not matter."
        }
        _ if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) => {
            "The first day is after the last one, so no event can lie between them."
        }
        _ => "Nothing that happened here fits all of these filters.",
    };
    list::none_found("No event matches".into(), words, &format!("/{slug}/audit"), "Clear filters")
}

fn events(view: &AuditView, filter: &AuditFilter) -> AnyView {
    let org = &view.context.org;
    let links = Links { slug: &org.slug, there: &view.there };
    let total = filter.is_plain().then_some((view.total, false));
    let address = Address::new(&format!("/{}/audit", org.slug), pairs(filter));
    view! {
        <div class="stack roomy">{by_day(&view.page.rows, &links, &org.zone)}</div>
        {list::pages(&view.page, &address, total)}
    }
    .into_any()
}

/// A card for each day.
fn by_day(events: &[PastEvent], links: &Links<'_>, zone: &Zone) -> AnyView {
    let days = events.chunk_by(|a, b| Day::of(a.at, zone) == Day::of(b.at, zone)).map(|events| {
        let heading = events.first().map(|event| event.at.date(zone)).unwrap_or_default();
        let rows = events.iter().map(|event| {
            let time = view! {
                <time datetime=event.at.rfc3339() title=event.at.exact(zone)>
                    {event.at.time(zone)}
                </time>
            };
            event_row(event, links, time.into_any(), zone)
        });
        view! {
            <section class="card">
                <header>
                    <h2>{heading}</h2>
                </header>
                <ol class="history lines">{rows.collect_view()}</ol>
            </section>
        }
    });
    days.collect_view().into_any()
}

//! The log of an organisation's requests: one table with its filters in the address, and the same as a file. Everything is
//! a plain form or a link.

use keydesk_core::domain::day_or_hour::DayOrHour;
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::person::distinct_names;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::request_filter::{LogFilter, StatusFilter};
use keydesk_core::domain::request_log::RequestEntry;
use keydesk_core::domain::tags::MAX_TAG;
use keydesk_core::ops::audit::KeysMeant;
use keydesk_core::ops::requests::{self, LogView, MAX_EXPORTED};
use leptos::prelude::*;

use crate::ask::{caller, desk, here, param, query};
use crate::layout::{Page, Width};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::field::on_page;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Address, Column};

/// Ids of the filter's fields begin with this, so that they meet no other field's.
const ID: &str = "log-";

#[component]
pub fn RequestsPage() -> impl IntoView {
    let slug = param("org");
    let filter = LogFilter::parse(query);
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = requests::log(&desk, &caller, &slug, &filter).await?;
        // A secret that a person put into the address by hand goes nowhere else.
        let filter = match view.keys {
            KeysMeant::Secret => LogFilter { key: String::new(), ..filter },
            KeysMeant::Any | KeysMeant::These(_) | KeysMeant::Unknown => filter,
        };
        let all = view.context.may(Action::SeeAudit, On::Org) || view.context.principal.is_support();
        let under = match all {
            true => "Every request with a key of this organisation, and every rejection, newest first.",
            false => {
                "Requests and rejections of your keys, and of the teams that you administer, newest first."
            }
        };
        let none = view.page.rows.is_empty();
        let kept = view.context.org.raw_from.map(|day| {
            let zone = &view.context.org.zone;
            let words = format!("Requests before {} are no longer kept.", day.start(zone).date(zone));
            view! { <p class="help">{words}</p> }
        });
        let body = view! {
            {statuses(&view, &filter)}
            {list::ranges(
                Day::of(view.now, &view.context.org.zone),
                days_chosen(&filter),
                |from| {
                    let from = from.map(DayOrHour::from);
                    address(&view, &LogFilter { from, to: None, page: None, ..filter.clone() })
                },
            )}
            {filters(&view, &filter)}
            {if none { empty(&view, &filter) } else { table(&view, &filter) }}
            {kept}
        };
        Ok(Page::new("Requests", Width::Wide)
            .under(view! { <p class="muted">{under}</p> })
            .actions((!none).then(|| export(&view, &filter)))
            .in_org(&view.context, &caller, body))
    })
}

fn address(view: &LogView, filter: &LogFilter) -> Address {
    Address::new(LocalPath::requests(&view.context.org.slug).as_str(), filter.pairs())
}

/// The filter's ends as days. With an hour it is none of the ranges to choose, which have no last day.
fn days_chosen(filter: &LogFilter) -> (Option<Day>, Option<Day>) {
    match (filter.from, filter.to) {
        (Some(from), None) if from.hour.is_some() => (Some(from.day), Some(from.day)),
        (from, to) => (from.map(|from| from.day), to.map(|to| to.day)),
    }
}

fn statuses(view: &LogView, filter: &LogFilter) -> AnyView {
    let all = [
        ("All", None),
        ("Answered", Some(StatusFilter::Answered)),
        ("Failed", Some(StatusFilter::Failed)),
        ("Rejected", Some(StatusFilter::Rejected)),
    ];
    let chips = all.map(|(words, status)| {
        // Only rejections have a gate.
        let gate = filter.gate.filter(|_| matches!(status, None | Some(StatusFilter::Rejected)));
        let to = LogFilter { status, gate, page: None, ..filter.clone() };
        (words, address(view, &to), status == filter.status)
    });
    list::chips("Outcome", chips)
}

fn export(view: &LogView, filter: &LogFilter) -> impl IntoView + use<> {
    let hidden = |name: &'static str, value: String| {
        view! { <input type="hidden" name=format!("form[{name}]") value=value /> }
    };
    let kept = filter.pairs().into_iter().filter(|(_, value)| !value.is_empty());
    let kept = kept.map(|(name, value)| hidden(name, value)).collect_view();
    let title = format!("At most the newest {}", grouped(i64::try_from(MAX_EXPORTED).unwrap_or(i64::MAX)));
    view! {
        <form class="actions" method="post" action="/api/requests/export-log">
            {on_page(here())} {hidden("org", view.context.org.slug.clone())} {kept}
            <span class="muted">{title}</span>
            <button class="btn">"Export CSV"</button>
        </form>
    }
}

fn text(name: &'static str, label: &'static str, hint: &'static str, value: String) -> AnyView {
    let max = if name == "tag" { MAX_TAG } else { 200 };
    view! {
        <div class="field">
            <label class="label" for=format!("{ID}{name}")>{label}</label>
            <input
                class="input"
                id=format!("{ID}{name}")
                name=name
                value=value
                placeholder=hint
                maxlength=max.to_string()
                autocomplete="off"
                spellcheck="false"
            />
        </div>
    }
    .into_any()
}

/// The first option is everything.
fn choice(
    name: &'static str,
    label: &'static str,
    every: &'static str,
    options: Vec<(String, String)>,
    chosen: &str,
) -> AnyView {
    let options = options
        .into_iter()
        .map(|(value, words)| {
            let selected = value == chosen;
            view! { <option value=value selected=selected>{words}</option> }
        })
        .collect_view();
    view! {
        <div class="field">
            <label class="label" for=format!("{ID}{name}")>{label}</label>
            <select class="input" id=format!("{ID}{name}") name=name>
                <option value="">{every}</option>
                {options}
            </select>
        </div>
    }
    .into_any()
}

/// A day and, beside it, the hour of it; `minute` is the one of the hour that is named: its first or its last.
fn day_and_hour(
    (name, label): (&'static str, &'static str),
    (hour_name, hour_label): (&'static str, &'static str),
    minute: &'static str,
    value: Option<DayOrHour>,
) -> AnyView {
    let day = value.map(|at| at.day.to_string()).unwrap_or_default();
    let hours = (0..24_u8).map(|hour| {
        let selected = value.is_some_and(|at| at.hour == Some(hour));
        view! { <option value=format!("{hour:02}") selected=selected>{format!("{hour:02}:{minute}")}</option> }
    });
    view! {
        <div class="field">
            <label class="label" for=format!("{ID}{name}")>{label}</label>
            <div class="day-hour">
                <input class="input" id=format!("{ID}{name}") type="date" name=name value=day />
                <select class="input" name=hour_name aria-label=hour_label>
                    <option value="">"All day"</option>
                    {hours.collect_view()}
                </select>
            </div>
        </div>
    }
    .into_any()
}

/// With the one that is chosen, also where it is not among those to choose from.
fn with_chosen(view: &LogView, mut options: Vec<(String, String)>, chosen: &str) -> Vec<(String, String)> {
    if !chosen.is_empty() && view.names.has(chosen) && !options.iter().any(|(id, _)| id == chosen) {
        options.push((chosen.to_owned(), view.names.name(chosen).to_owned()));
    }
    options
}

fn filters(view: &LogView, filter: &LogFilter) -> AnyView {
    let team = filter.team.as_ref().map(ToString::to_string).unwrap_or_default();
    let teams = view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())).collect();
    let teams = with_chosen(view, teams, &team);
    let owner = filter.owner.as_ref().map(ToString::to_string).unwrap_or_default();
    let people = with_chosen(view, distinct_names(view.people.clone()), &owner);
    let gates = Gate::ALL.into_iter().filter(|gate| *gate >= Gate::Known);
    let gates = gates
        .map(|gate| (gate.as_str().to_owned(), format!("{}: {}", gate.number(), gate.label())))
        .collect();
    let gate = filter.gate.map(Gate::as_str).unwrap_or_default();
    let rare = [&filter.address, &filter.tag].into_iter().any(|text| !text.is_empty())
        || filter.request.is_some()
        || filter.gate.is_some()
        || filter.not_priced
        || matches!(filter.status, Some(StatusFilter::Exactly(_)));
    let request = filter.request.as_ref().map(ToString::to_string).unwrap_or_default();
    // An outcome is chosen above the form, and it keeps that; otherwise a status can be typed.
    let (outcome, status) = match filter.status {
        Some(exact @ StatusFilter::Exactly(_)) => (None, exact.text()),
        Some(outcome) => (Some(outcome.text()), String::new()),
        None => (None, String::new()),
    };
    let status = outcome.is_none().then(|| text("status", "HTTP status", "Such as 429", status));
    let clear = (!filter.is_plain()).then(|| {
        let all = LocalPath::requests(&view.context.org.slug);
        view! { <a class="btn quiet" href=all>"Clear filters"</a> }
    });
    let secret = (view.keys == KeysMeant::Secret).then_some(
        "A whole secret stood in this page's address. It was not looked up; take it out of your browser's history and search for it on Keys instead.",
    );
    let alone = |day: Option<DayOrHour>, hour: &str| {
        day.is_none() && query(hour).is_some_and(|hour| !hour.is_empty())
    };
    let hour_alone = (alone(filter.from, "from_hour") || alone(filter.to, "to_hour"))
        .then_some("An hour needs its day. Choose the day beside it.");
    let several = match &view.keys {
        KeysMeant::These(keys) if keys.len() > 1 => {
            Some(format!("{} keys have this name. Their requests stand together.", keys.len()))
        }
        _ => None,
    };
    view! {
        <form class="filters four" method="get" action=LocalPath::requests(&view.context.org.slug) aria-label="Filters">
            {outcome.map(|outcome| view! { <input type="hidden" name="status" value=outcome /> })}
            {text("key", "Key", "Name or ID", filter.key.clone())}
            {(!teams.is_empty()).then(|| choice("team", "Team at the time", "Every team", teams, &team))}
            {(!people.is_empty()).then(|| choice("owner", "Owner at the time", "Everyone", people, &owner))}
            {text("model", "Model", "Exact ID", filter.model.clone())}
            {day_and_hour(("from", "From"), ("from_hour", "From this hour"), "00", filter.from)}
            {day_and_hour(("to", "To"), ("to_hour", "To the end of this hour"), "59", filter.to)}
            <details class="more" open=rare>
                <summary>{icon(Icon::Right)} "More filters"</summary>
                <div class="filters">
                    {status}
                    {choice("gate", "Rejected by gate", "Any or none", gates, gate)}
                    {text("address", "IP address", "Exact", filter.address.clone())}
                    {text("request", "Request ID", "req_…", request)} {text("tag", "Tag", "Exact", filter.tag.clone())}
                    <label class="check">
                        <input type="checkbox" name="priced" value="no" checked=filter.not_priced />
                        "Only not priced"
                    </label>
                </div>
            </details>
            <div class="actions">
                <button class="btn">"Apply filters"</button>
                {clear}
            </div>
            {hour_alone.map(|words| view! { <p class="help">{words}</p> })}
            {several.map(|words| view! { <p class="help">{words}</p> })}
            {secret.map(|words| view! { <p class="help">{words}</p> })}
        </form>
    }
    .into_any()
}

fn empty(view: &LogView, filter: &LogFilter) -> AnyView {
    if filter.is_plain() && filter.page.is_none() {
        let words = "A request with a key appears here when it is finished, and a rejection within a second.";
        return list::empty(Icon::Clock, "No requests yet".into(), words, ());
    }
    let zone = &view.context.org.zone;
    let words = match filter.from.zip(filter.to) {
        Some((from, to)) if from.start(zone) > to.end(zone) => {
            "From is after To, so no request can lie between them."
        }
        _ if view.keys == KeysMeant::Unknown => {
            "Nothing fits. A key's name must be whole; capital letters do not matter."
        }
        _ => "Nothing fits all of these filters. Rejections are kept for 30 days.",
    };
    let all = LocalPath::requests(&view.context.org.slug);
    list::none_found("No request matches".into(), words, all.as_str(), "Clear filters")
}

fn table(view: &LogView, filter: &LogFilter) -> AnyView {
    let columns = vec![
        Column::new("Time"),
        Column::new("Key"),
        Column::new("Model"),
        Column::new("Outcome"),
        Column::new("Tokens in, out").num(),
        Column::new("Cost").num(),
        Column::new("Latency").class("num drop-2"),
    ];
    let rows = view.page.rows.iter().map(|entry| row(view, entry)).collect_view();
    let zone = format!("Requests, newest first. Times are those of {}", view.context.org.zone.name());
    view! {
        <div class="log">{list::table(true, zone, columns, rows)}</div>
        {list::pages(&view.page, &address(view, filter), None)}
    }
    .into_any()
}

fn row(view: &LogView, entry: &RequestEntry) -> impl IntoView + use<> {
    let (org, zone) = (&view.context.org, &view.context.org.zone);
    let time = entry.at.date_time(zone);
    let time = view! { <time datetime=entry.at.rfc3339()>{time}</time> };
    let time = match entry.request_id.as_str() {
        "" => time.into_any(),
        id => {
            let to = LocalPath::one_request(&org.slug, id);
            view! { <a class="row-link" href=to>{time}</a> }.into_any()
        }
    };
    let times = (entry.times > 1).then(|| {
        let words = format!("{} times since {}", grouped(entry.times), entry.first_at.clock(zone));
        view! { <span class="sub">{words}</span> }
    });
    let name = view.names.name(entry.key.as_str()).to_owned();
    let seen = view.names.key(&entry.key).is_some_and(|key| view.context.may(Action::SeeKey, On::Key(key)));
    let key = match seen {
        true => {
            let to = LocalPath::key(&org.slug, &entry.key);
            view! { <a class="clip" href=to title=name.clone()>{name.clone()}</a> }.into_any()
        }
        false => view! { <span class="clip" title=name.clone()>{name.clone()}</span> }.into_any(),
    };
    let model = match entry.model.as_str() {
        "" => view! { <span class="muted">"No model"</span> }.into_any(),
        model => {
            view! { <span class="clip wide" title=model.to_owned()>{model.to_owned()}</span> }.into_any()
        }
    };
    let status = if entry.status == 0 { String::new() } else { format!("{} ", entry.status) };
    let why = entry.words().map(|words| {
        view! { <span class="sub" title=words.clone()>{words.clone()}</span> }
    });
    let used = entry.used.as_ref();
    let about = if used.is_some_and(|used| used.estimated) { "about " } else { "" };
    let tokens = used.map(|used| {
        let counts = &used.metered.counts;
        format!("{about}{}, {}", grouped(counts.input()), grouped(counts.output()))
    });
    let not_priced =
        used.filter(|used| !used.is_priced).map(|_| view! { <span class="sub">"Not priced"</span> });
    let cost = used.map(|used| used.cost.to_string());
    let latency = used.map(|used| format!("{} ms", grouped(used.latency_ms)));
    view! {
        <tr>
            <th scope="row">{time} {times}</th>
            <td data-label="Key">{key}</td>
            <td data-label="Model">{model}</td>
            <td data-label="Outcome">{status} {entry.outcome.word()} {why}</td>
            <td data-label="Tokens in, out" class="num">{tokens}</td>
            <td data-label="Cost" class="num">{cost} {not_priced}</td>
            <td data-label="Latency" class="num drop-2">{latency}</td>
        </tr>
    }
}

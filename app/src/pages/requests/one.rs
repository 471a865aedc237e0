//! One request: what became of it and what helps, what it used and cost, and everything else that is known.

use keydesk_core::domain::failover::Attempt;
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::meter::{Counts, Dimension};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::domain::price::Price;
use keydesk_core::domain::request_filter::LogFilter;
use keydesk_core::domain::request_log::{Outcome, RequestCorrection, RequestUse};
use keydesk_core::domain::route::Route;
use keydesk_core::domain::tariff::write_factor;
use keydesk_core::domain::tariff_words::whole;
use keydesk_core::forms::doctor::route_word;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::requests::{self, RequestView};
use leptos::prelude::*;

use super::price_words;
use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::facts::fact;
use crate::ui::list::Address;
use crate::ui::when;

#[component]
pub fn RequestPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = requests::show(&desk, &caller, &slug, &id).await?;
        let (org, entry) = (&view.context.org, &view.entry);
        let tone = match entry.outcome {
            Outcome::Served => BadgeTone::Good,
            Outcome::Rejected(_) => BadgeTone::Warn,
            Outcome::Failed(_) => BadgeTone::Bad,
        };
        let heading = view! { "Request " {badge(tone, entry.outcome.word().into(), String::new())} };
        let under = view! {
            <p class="facts-line muted">
                <code>{entry.request_id.clone()}</code>
                <span>{entry.at.exact(&org.zone)}</span>
            </p>
        };
        let cost = entry.used.as_ref().map(|used| cost_card(&view, used, &caller));
        let body = view! {
            <div class="columns">
                <div class="stack">{outcome_card(&view)} {cost} {attempts_card(&view)}</div>
                {about_card(&view)}
            </div>
        };
        Ok(Page::new("Request", Width::Wide)
            .crumb(LocalPath::requests(&org.slug), "Requests")
            .heading(heading)
            .under(under)
            .path(LocalPath::requests(&org.slug))
            .in_org(&view.context, &caller, body))
    })
}

/// The log, narrowed to requests that have something in common with this one.
fn same(view: &RequestView, filter: LogFilter, words: String) -> AnyView {
    let to = Address::new(LocalPath::requests(&view.context.org.slug).as_str(), filter.pairs()).href();
    view! { <a href=to>{words}</a> }.into_any()
}

fn outcome_card(view: &RequestView) -> AnyView {
    let (entry, zone) = (&view.entry, &view.context.org.zone);
    let status = if entry.status == 0 { "Unknown".to_owned() } else { entry.status.to_string() };
    let why = entry.words().unwrap_or_else(|| "The provider answered it.".into());
    let gate = entry.gate.map(|gate: Gate| {
        let words = format!("{}: {}", gate.number(), gate.label());
        let filter = LogFilter { gate: Some(gate), ..LogFilter::default() };
        view! { {fact("Rejected by gate", same(view, filter, words))} {fact("What that means", gate.explanation())} }
    });
    let helps = entry.advice().map(|advice| fact("What helps", advice));
    let times = (entry.times > 1).then(|| {
        let (first, last) = (entry.first_at.exact(zone), entry.at.exact(zone));
        let words = format!(
            "{} between {first} and {last}. ID, path and address are the newest one’s.",
            grouped(entry.times)
        );
        fact("Times", words)
    });
    let doctor = (entry.outcome != Outcome::Served && view.sees_key).then(|| {
        let route = route_word(Some(Route::of_endpoint(&entry.route)));
        let pairs = [("key", entry.key.to_string()), ("route", route.into()), ("model", entry.model.clone())];
        let to = Address::new(LocalPath::doctor(&view.context.org.slug).as_str(), pairs).href();
        view! { <a href=to>"Explain with the key doctor"</a> }
    });
    view! {
        <section class="card">
            <header>
                <h2>"What happened"</h2>
                {doctor}
            </header>
            <dl class="facts">
                {fact("Status", status)} {fact("Outcome", why)} {gate} {helps} {times}
            </dl>
        </section>
    }
    .into_any()
}

/// What was used, line by line, at the price that the request names.
fn cost_card(view: &RequestView, used: &RequestUse, caller: &Caller) -> AnyView {
    let zone = &view.context.org.zone;
    let price = view.price.as_ref().map(|(_, price)| price);
    let lines = lines(used, price);
    let table = (used.metered.counts != Counts::NONE).then(|| {
        view! {
            <table class="table plain parts">
                <caption class="sr">"What the request used and what each line comes to"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Used"</th>
                        <th scope="col" class="num">"Count"</th>
                        <th scope="col" class="num">"Price"</th>
                        <th scope="col" class="num">"Amount"</th>
                    </tr>
                </thead>
                <tbody>{lines}</tbody>
            </table>
        }
    });
    let served = Dimension::ALL.into_iter().filter_map(|dimension| {
        let word = used.metered.served_as.word(dimension);
        (!word.is_empty()).then(|| fact(dimension.label(), word.to_owned()))
    });
    let named = price_words(used, price.map(std::slice::from_ref).unwrap_or_default(), zone);
    let named = match &view.price {
        Some((model, _)) if caller.person.platform == PlatformRole::Operator => {
            view! { <a href=LocalPath::model("show", model)>{named}</a> }.into_any()
        }
        _ => named.into_any(),
    };
    let estimated =
        used.estimated.then(|| fact("Estimated", "The provider did not report all that was used."));
    let not_priced = (!used.is_priced)
        .then(|| fact("Not priced", "Something that was used has no price, so the cost may be too low."));
    let counts = &used.metered.counts;
    let tokens = format!(
        "{} input ({} cached), {} output",
        grouped(counts.input()),
        grouped(counts.cached()),
        grouped(counts.output())
    );
    view! {
        <section class="card">
            <header>
                <h2>"Use and cost"</h2>
                <p>{whole(used.cost)}</p>
            </header>
            {table}
            <dl class="facts">
                {fact("Tokens", tokens)} {served.collect_view()} {fact("Cost", whole(used.cost))} {fact("Price", named)} {estimated}
                {not_priced} {corrections(&view.corrections, zone)}
            </dl>
        </section>
    }
    .into_any()
}

/// With amounts where the price is known and comes to what the request is charged.
fn lines(used: &RequestUse, price: Option<&Price>) -> AnyView {
    let parts =
        price.map(|price| &price.tariff).filter(|tariff| tariff.cost(&used.metered).amount == used.cost);
    let Some(tariff) = parts else {
        let row = |(meter, count): (keydesk_core::domain::meter::Meter, i64)| {
            view! {
                <tr>
                    <th scope="row">{meter.label()}</th>
                    <td class="num">{grouped(count)}</td>
                    <td class="num">"–"</td>
                    <td class="num">"–"</td>
                </tr>
            }
        };
        return used.metered.counts.used().map(row).collect_view().into_any();
    };
    let parts =
        tariff.parts(&used.metered).into_iter().filter(|part| part.amount.nanos() > 0 || part.count > 1);
    parts
        .map(|part| {
            let factor = match part.factor {
                1_000_000 => String::new(),
                factor => format!(" × {}", write_factor(factor)),
            };
            let price = format!("{} {}{factor}", whole(part.price), part.meter.unit().words());
            let price = if part.is_true { price } else { "No price".to_owned() };
            view! {
                <tr>
                    <th scope="row">{part.meter.label()}</th>
                    <td class="num">{grouped(part.count)}</td>
                    <td class="num">{price}</td>
                    <td class="num">{whole(part.amount)}</td>
                </tr>
            }
        })
        .collect_view()
        .into_any()
}

/// To whom the request was sent, where its model has several providers.
fn attempts_card(view: &RequestView) -> Option<AnyView> {
    let last = view.attempts.len().checked_sub(1)?;
    let row = |(place, one): (usize, &Attempt)| {
        let what = match (one.failure, one.status) {
            (None, 0) => "Answered".to_owned(),
            (None, status) => format!("Answered with {status}"),
            (Some(failure), 0) => failure.label().to_owned(),
            (Some(failure), status) => format!("{} ({status})", failure.label()),
        };
        view! {
            <tr>
                <th scope="row">{one.provider_name.clone()}</th>
                <td>{what}</td>
                <td class="num">{format!("{} ms", grouped(one.latency_ms))}</td>
                <td>{one.cost_words(place == last)}</td>
            </tr>
        }
    };
    Some(
        view! {
            <section class="card">
                <header>
                    <h2>"Attempts"</h2>
                </header>
                <table class="table plain parts worded">
                    <caption class="sr">"The providers to which the request was sent, the first one first"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Provider"</th>
                            <th scope="col">"Result"</th>
                            <th scope="col" class="num">"After"</th>
                            <th scope="col">"Cost"</th>
                        </tr>
                    </thead>
                    <tbody>{view.attempts.iter().enumerate().map(row).collect_view()}</tbody>
                </table>
            </section>
        }
        .into_any(),
    )
}

fn corrections(all: &[RequestCorrection], zone: &Zone) -> AnyView {
    let one = |change: &RequestCorrection| {
        let (before, after) = (whole(change.before), whole(change.after));
        let words = format!("From {before} to {after} by {}, {}", change.by, change.at.date_time(zone));
        fact("Corrected", words)
    };
    all.iter().map(one).collect_view().into_any()
}

fn about_card(view: &RequestView) -> AnyView {
    let (context, entry) = (&view.context, &view.entry);
    let (slug, zone) = (&context.org.slug, &context.org.zone);
    let used = entry.used.as_ref();
    let key = view.names.name(entry.key.as_str()).to_owned();
    let key = match view.sees_key {
        true => view! { <a href=LocalPath::key(slug, &entry.key)>{key}</a> }.into_any(),
        false => key.into_any(),
    };
    let among = (view.sees_key && keydesk_core::domain::ids::RequestId::parse(&entry.request_id).is_some())
        .then(|| {
            let to = format!(
                "{}?request={}#requests",
                LocalPath::key(slug, &entry.key).as_str(),
                entry.request_id
            );
            view! {
                <p>
                    <a href=to>"Show among the key’s requests"</a>
                </p>
            }
        });
    let team = match &entry.team {
        None => "No team".into_any(),
        Some(team) => {
            let name = view.names.name(team.as_str()).to_owned();
            match context.may(Action::SeeTeam, On::Team(team)) {
                true => view! { <a href=LocalPath::team(slug, team)>{name}</a> }.into_any(),
                false => name.into_any(),
            }
        }
    };
    let owner = match &entry.owner {
        None => "Unknown".into_any(),
        Some(owner) => {
            let name = view.names.name(owner.as_str()).to_owned();
            match context.may(Action::ListMembers, On::Org) && view.names.has(owner.as_str()) {
                true => view! { <a href=LocalPath::member(slug, owner)>{name}</a> }.into_any(),
                false => name.into_any(),
            }
        }
    };
    let model = match entry.model.as_str() {
        "" => "None was named".into_any(),
        model => {
            let filter = LogFilter { model: model.to_owned(), ..LogFilter::default() };
            same(view, filter, model.to_owned())
        }
    };
    let or_unknown = |text: &str| if text.is_empty() { "Unknown".to_owned() } else { text.to_owned() };
    let address = match entry.address.as_str() {
        "" => "Unknown".into_any(),
        address => {
            let filter = LogFilter { address: address.to_owned(), ..LogFilter::default() };
            same(view, filter, address.to_owned())
        }
    };
    let settled = used.map(|used| {
        let first = used.first_byte_ms.map_or("None came".into(), |ms| format!("{} ms", grouped(ms)));
        let tags = match used.tags.is_empty() {
            true => "None".into_any(),
            false => {
                let tag = |tag: &String| {
                    let filter = LogFilter { tag: tag.clone(), ..LogFilter::default() };
                    view! { <li>{same(view, filter, tag.clone())}</li> }
                };
                view! { <ul>{used.tags.iter().map(tag).collect_view()}</ul> }.into_any()
            }
        };
        // Of several that were asked, the last one is whose answer it is.
        let provider = view.attempts.last().map_or(&used.provider, |last| &last.provider_name);
        view! {
            {fact("Provider", or_unknown(provider))} {fact("First byte", first)}
            {fact("Whole answer", format!("{} ms", grouped(used.latency_ms)))}
            {fact("User agent", or_unknown(&used.user_agent))} {fact("Tags", tags)}
        }
    });
    view! {
        <aside class="card" aria-label="About this request">
            <header>
                <h2>"About"</h2>
            </header>
            <dl class="facts">
                {fact("When", when::ago(entry.at, view.now, zone))} {fact("Key", key)} {fact("Team then", team)}
                {fact("Owner then", owner)} {fact("Model", model)} {fact("Path", or_unknown(&entry.route))}
                {fact("Address", address)} {settled}
            </dl>
            {among}
        </aside>
    }
    .into_any()
}

//! One model: what it costs now, what it will cost, and what it cost.

use keydesk_core::domain::ids::ProviderId;
use keydesk_core::domain::model::tokens_words;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::price::{PastPrice, Price, source_address, source_site};
use keydesk_core::domain::tariff_words::whole;
use keydesk_core::ops::prices::{self, PriceBook};
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, query};
use crate::layout::{Page, Width};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::facts::fact;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Column};

#[component]
pub fn ModelPage() -> impl IntoView {
    let id = query("id").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let book = prices::show(&desk, &caller, &id).await?;
        let model = &book.known.model;
        let served = served_by(&book);
        let edit = view! { <a class="btn primary" href=LocalPath::model("edit", &id)>"Edit model"</a> };
        let body = view! {
            <div class="stack roomy">
                <section class="stack">
                    <h2>"Price in force"</h2>
                    {in_force(&book)}
                    {catalogue(&book)}
                </section>
                {coming(&book)}
                <section class="stack">
                    <h2>"History"</h2>
                    {history(&book)} {correct(&book)}
                </section>
                <section class="stack">
                    <h2>"About"</h2>
                    <dl class="facts">
                        {fact("Vendor", model.provider.clone())} {fact("Served by", served)}
                        {fact("Name at the provider", model.name_upstream().to_owned())}
                        {fact("Context length", tokens_words(model.context_tokens))}
                        {fact("Max output tokens", tokens_words(model.max_output_tokens))}
                    </dl>
                </section>
            </div>
        };
        Ok(Page::new(id.clone(), Width::Narrow)
            .crumbs(crumbs(None))
            .actions(edit)
            .path(LocalPath::model("show", &id))
            .apart(&book.own, &caller, body))
    })
}

/// Each provider, with its share where there are several.
fn served_by(book: &PriceBook) -> AnyView {
    let model = &book.known.model;
    let (Some(id), Some(name)) = (&model.route, &book.known.served_by) else {
        return "Not served".into_any();
    };
    let link = |id: &ProviderId, name: &str| {
        view! { <a href=LocalPath::provider(id)>{name.to_owned()}</a> }
    };
    if book.further.is_empty() {
        return link(id, name).into_any();
    }
    let share = |weight: i64, upstream: &str| match (weight, upstream) {
        (0, "") => ", if no other one answers".to_owned(),
        (0, upstream) => format!(", if no other one answers, as {upstream}"),
        (weight, "") => format!(", weight {weight}"),
        (weight, upstream) => format!(", weight {weight}, as {upstream}"),
    };
    let first = view! { <li>{link(id, name)} {share(model.weight, &model.upstream_name)}</li> };
    let further = book.further.iter().map(|(provider, one)| {
        view! { <li>{link(&provider.id, &provider.spec.name)} {share(one.weight, &one.upstream_name)}</li> }
    });
    view! { <ul>{first} {further.collect_view()}</ul> }.into_any()
}

fn in_force(book: &PriceBook) -> AnyView {
    match &book.known.model.price {
        Some(price) => price_facts(price),
        None => view! {
            <p class="warn-line">
                {icon(Icon::Warn)} <span>
                    <b>"No price."</b>
                    " Keys with a budget of their own, of their team or of their organisation can’t use this model. Without a budget it is used and marked as not priced."
                </span>
            </p>
        }
        .into_any(),
    }
}

/// Every figure of a price with its name.
pub(super) fn price_facts(price: &Price) -> AnyView {
    let rates = price.tariff.rates.iter();
    let rates =
        rates.map(|(meter, rate)| fact(meter.label(), format!("{} {}", whole(rate), meter.unit().words())));
    let lines = price.tariff.lines.iter().map(|line| fact(line.label(), line.rates.words()));
    let factors = price.tariff.ways().into_iter().map(|(of, words)| fact(of, words));
    view! {
        <dl class="facts">
            {rates.collect_view()} {lines.collect_view()} {factors.collect_view()}
            {fact("Origin", price.origin.label())} {fact("Source", source(&price.source))}
            {(price.starts_at.ms() > 0).then(|| fact("In force since", exact(price.starts_at)))}
        </dl>
    }
    .into_any()
}

/// An address is a link.
fn source(text: &str) -> AnyView {
    match source_address(text) {
        Some((address, words)) => view! {
            <a href=address.to_owned() rel="noreferrer">{address.to_owned()}</a>
            {format!(" {words}")}
        }
        .into_any(),
        None if text.is_empty() => "–".into_any(),
        None => text.to_owned().into_any(),
    }
}

fn exact(at: Moment) -> impl IntoView + use<> {
    view! { <time datetime=at.rfc3339()>{at.exact(&Zone::utc())}</time> }
}

fn catalogue(book: &PriceBook) -> Option<AnyView> {
    let price = book.catalogue.as_ref()?;
    let to = LocalPath::model("catalogue-price", &book.known.model.id);
    Some(
        view! {
            <p class="muted">
                {format!("The catalogue has another price: {}. ", price.tariff.words())}
                <a href=to>"Use the catalogue’s price"</a>
            </p>
        }
        .into_any(),
    )
}

fn coming(book: &PriceBook) -> Option<AnyView> {
    let coming = book.coming();
    if coming.is_empty() {
        return None;
    }
    let columns =
        vec![Column::new("Starts"), Column::new("Price"), Column::new("Set by"), Column::actions("Withdraw")];
    let id = &book.known.model.id;
    let rows = coming.into_iter().map(|past| {
        let to = LocalPath::withdraw_price(id, &past.price.id);
        let label = format!("Withdraw the price that starts {}", past.price.starts_at.exact(&Zone::utc()));
        view! {
            <tr>
                {cells(past)}
                <td data-label="">
                    <a class="btn quiet" href=to aria-label=label>"Withdraw"</a>
                </td>
            </tr>
        }
    });
    Some(
        view! {
            <section class="stack">
                <h2>"Coming prices"</h2>
                {list::table(true, "Prices that have not started".into(), columns, rows.collect_view())}
            </section>
        }
        .into_any(),
    )
}

fn history(book: &PriceBook) -> AnyView {
    let in_force = book.known.model.price.as_ref().map(|price| &price.id);
    let past: Vec<&PastPrice> = book.prices.iter().filter(|past| !past.is_coming(book.now)).collect();
    if past.is_empty() {
        return view! { <p class="muted">"No price has been set."</p> }.into_any();
    }
    let columns =
        vec![Column::new("Started"), Column::new("Price"), Column::new("Set by"), Column::new("State")];
    let rows = past.into_iter().map(|past| {
        let state = match past.withdrawn_at {
            Some(at) => format!("Withdrawn {}", at.date(&Zone::utc())),
            None if in_force == Some(&past.price.id) => "In force".into(),
            None => "Ended".into(),
        };
        view! {
            <tr>
                {cells(past)}
                <td data-label="State">{state}</td>
            </tr>
        }
    });
    list::table(true, "Prices until now".into(), columns, rows.collect_view())
}

/// Without a price there is nothing that they could cost.
fn correct(book: &PriceBook) -> Option<AnyView> {
    book.known.model.price.as_ref().filter(|price| price.is_recorded())?;
    let to = LocalPath::model("rerate", &book.known.model.id);
    Some(view! { <p><a href=to>"Correct what past requests cost"</a></p> }.into_any())
}

fn cells(past: &PastPrice) -> impl IntoView + use<> {
    let price = &past.price;
    let site = match price.source.as_str() {
        "" => price.origin.label().to_owned(),
        source => source_site(source).to_owned(),
    };
    let source = match source_address(&price.source) {
        Some((address, _)) => {
            view! { <a class="sub" href=address.to_owned() rel="noreferrer">{site}</a> }.into_any()
        }
        None => view! { <span class="sub">{site}</span> }.into_any(),
    };
    let by = if past.set_by.is_empty() { "–".to_owned() } else { past.set_by.clone() };
    let on = format!("on {}", past.created_at.date(&Zone::utc()));
    view! {
        <th scope="row">{exact(price.starts_at)}</th>
        <td data-label="Price" class="full">{price.tariff.words()} {source}</td>
        <td data-label="Set by">{by} <span class="sub">{on}</span></td>
    }
}

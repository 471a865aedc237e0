//! The list of the catalogue's models.

use keydesk_core::domain::key_filter::MAX_SEARCH;
use keydesk_core::domain::list_filter::{ModelFilter, ModelSort};
use keydesk_core::domain::meter::Meter;
use keydesk_core::domain::model::KnownModel;
use keydesk_core::domain::numbers::{counted, grouped};
use keydesk_core::domain::price::source_site;
use keydesk_core::ops::models::{self, ModelsView};
use leptos::prelude::*;

use super::price;
use crate::ask::{self, caller, desk, query};
use crate::layout::{Width, framed_apart};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Address, Column, count_words};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;

/// How many are listed; more are found by searching.
const MAX_LIST: usize = 500;

/// What the address asks for, as far as it makes sense.
fn read() -> ModelFilter {
    ModelFilter {
        search: ask::search(),
        served: match query("served").as_deref() {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        },
        sort: query("sort").and_then(|text| ModelSort::parse(&text)).unwrap_or_default(),
        descending: query("dir").as_deref() == Some("desc"),
    }
}

fn address(filter: &ModelFilter) -> Address {
    let served = filter.served.map_or("", |served| if served { "yes" } else { "no" });
    let sort = if filter.sort == ModelSort::default() { "" } else { filter.sort.as_str() };
    let dir = if filter.descending { "desc" } else { "" };
    let pairs =
        [("served", served), ("sort", sort), ("dir", dir)].map(|(name, value)| (name, value.to_owned()));
    let search = ("q", filter.search.clone());
    Address::new(LocalPath::models().as_str(), [search].into_iter().chain(pairs))
}

#[component]
pub fn ModelsPage() -> impl IntoView {
    let filter = read();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::list(&desk, &caller, &filter).await?;
        let some = view.all > 0;
        let count = some.then(|| count_words(view.models.len() as i64, false, "model", "models"));
        let under = some.then(|| view! { <p class="muted">"Prices are per million tokens."</p> });
        let create = || list::create("/operator/models/new", "Add model");
        let body = view! {
            {title("Models")}
            {notice_line()}
            {page_head(vec![], list::heading("Models", count), under.into_any(), some.then(create).into_any())}
            {(!view.served).then(demo)}
            {if some { listed(&view, &filter) } else { empty(create()) }}
        };
        let path = LocalPath::models();
        Ok(framed_apart(&view.own, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}

fn demo() -> AnyView {
    view! {
        <div class="notice">
            {icon(Icon::Provider)} <div>
                <p>
                    "No provider that serves one of these models has answered yet. Until then the built-in " <code>"demo/echo"</code> " model answers. "
                    <a href="/operator/providers/new">"Connect a provider"</a> ", then choose the models that it serves."
                </p>
            </div>
        </div>
    }
    .into_any()
}

fn empty(create: AnyView) -> AnyView {
    let words = view! { "The catalogue has the models that keys can use, with their prices. Add them here, or import a list with " <code>"keydesk models import"</code> "." };
    list::empty(Icon::Model, "No models yet".into(), words, create)
}

fn listed(view: &ModelsView, filter: &ModelFilter) -> AnyView {
    let chip = |words: &'static str, served: Option<bool>| {
        (words, address(&ModelFilter { served, ..filter.clone() }), filter.served == served)
    };
    let search = SearchBox {
        name: "q",
        placeholder: "Model, vendor or provider",
        label: "Search models",
        max: Some(MAX_SEARCH),
    };
    view! {
        {list::toolbar(&address(filter), search, &filter.search)}
        {list::chips("Served", [chip("All", None), chip("Served", Some(true)), chip("Not served", Some(false))])}
        {if view.models.is_empty() { none_found(filter) } else { table(&view.models, filter) }}
    }
    .into_any()
}

fn none_found(filter: &ModelFilter) -> AnyView {
    let what = match filter.served {
        None => "No model",
        Some(true) => "No served model",
        Some(false) => "No model without a provider",
    };
    let heading = match filter.search.as_str() {
        "" if filter.served == Some(true) => "No model is served yet".to_owned(),
        "" => "Every model is served".to_owned(),
        search => format!("{what} matches “{search}”"),
    };
    let words = match filter.search.as_str() {
        "" if filter.served == Some(true) => {
            "Route models to a provider on its page, or on the model’s own page."
        }
        "" => "Models that no provider serves are listed here.",
        _ => "Search covers model names, vendors and providers.",
    };
    list::none_found(heading, words, LocalPath::models().as_str(), "Show all models")
}

fn table(models: &[KnownModel], filter: &ModelFilter) -> AnyView {
    let head = |sort: ModelSort, label: &'static str| {
        let current = filter.sort == sort;
        let to = address(&ModelFilter { sort, descending: current && !filter.descending, ..filter.clone() });
        Column::sorted(label, &to, current, current && filter.descending)
    };
    let columns = vec![
        head(ModelSort::Id, "Model"),
        head(ModelSort::Vendor, "Vendor"),
        head(ModelSort::Served, "Served by"),
        head(ModelSort::Input, "Input").num(),
        head(ModelSort::Output, "Output").num(),
        Column::new("Cached input").num(),
        Column::new("Context").num(),
        Column::new("Source"),
    ];
    let rows = models.iter().take(MAX_LIST).map(row).collect_view();
    let more = (models.len() > MAX_LIST).then(|| {
        view! { <p class="muted">{format!("The first {MAX_LIST} in this order. Search to find the others.")}</p> }
    });
    view! {
        {list::table(true, "Models with their prices per million tokens".into(), columns, rows)}
        {more}
    }
    .into_any()
}

fn row(known: &KnownModel) -> impl IntoView + use<> {
    let model = &known.model;
    let upstream = (!model.upstream_name.is_empty())
        .then(|| view! { <span class="sub">{format!("as {}", model.upstream_name)}</span> });
    let served = match (&known.served_by, &model.route) {
        (Some(name), Some(id)) => {
            let to = LocalPath::provider(id).as_str().to_owned();
            let others = i64::try_from(model.further.len()).unwrap_or(0);
            let others = (others > 0)
                .then(|| view! { <span class="sub">{format!("and {}", counted(others, "other"))}</span> });
            view! { <a class="act" href=to>{name.clone()}</a> {upstream} {others} }.into_any()
        }
        _ => view! { <span class="muted">"Not served"</span> {upstream} }.into_any(),
    };
    let prices = match &model.price {
        None => view! {
            <td data-label="Price" class="num" colspan="3">
                {badge(BadgeTone::Warn, "No price".into(), "Keys with a budget can’t use it.".into())}
            </td>
        }
        .into_any(),
        Some(_) => view! {
            <td data-label="Input" class="num">{price(model.rate(Meter::Input))}</td>
            <td data-label="Output" class="num">{price(model.rate(Meter::Output))}</td>
            <td data-label="Cached input" class="num">{price(model.rate(Meter::CachedInput))}</td>
        }
        .into_any(),
    };
    let source = model.price.as_ref().map(|price| {
        let origin = price.origin.label();
        view! { <span class="clip wide" title=price.source.clone()>{if price.source.is_empty() { origin.to_owned() } else { source_site(&price.source).to_owned() }}</span> }
    });
    view! {
        <tr>
            <th scope="row">
                <a class="row-link mono" href=LocalPath::model("show", &model.id).as_str().to_owned() title=model.id.clone()>
                    {model.id.clone()}
                </a>
            </th>
            <td data-label="Vendor"><span class="clip wide" title=model.provider.clone()>{model.provider.clone()}</span></td>
            <td data-label="Served by">{served}</td>
            {prices}
            <td data-label="Context" class="num">{model.context_tokens.map_or_else(|| "–".into(), grouped)}</td>
            <td data-label="Source">{source}</td>
        </tr>
    }
}

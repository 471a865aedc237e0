//! The catalogue as a table. Search, filter and order are in the address.

use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::model::KnownModel;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::ops::models::{self, ModelFilter, ModelSort, ModelsView};
use leptos::prelude::*;

use super::price;
use crate::ask::{caller, desk};
use crate::layout::{Width, framed_apart};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;

/// Characters; no id, vendor or provider's name is longer.
const MAX_SEARCH: usize = 100;
/// How many are listed; more are found by searching.
const MAX_LIST: usize = 500;

/// The address's parameters, as far as they make sense.
fn read(get: impl Fn(&str) -> Option<String>) -> ModelFilter {
    let search = get("q").filter(|text| !looks_like_secret(text)).unwrap_or_default();
    ModelFilter {
        search: search.chars().take(MAX_SEARCH).collect(),
        served: match get("served").as_deref() {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        },
        sort: get("sort").and_then(|text| ModelSort::parse(&text)).unwrap_or_default(),
        backwards: get("dir").as_deref() == Some("desc"),
    }
}

fn href(filter: &ModelFilter) -> String {
    let pairs = [
        (!filter.search.is_empty()).then(|| ("q", filter.search.clone())),
        filter.served.map(|served| ("served", if served { "yes" } else { "no" }.to_owned())),
        (filter.sort != ModelSort::default()).then(|| ("sort", filter.sort.as_str().to_owned())),
        filter.backwards.then(|| ("dir", "desc".to_owned())),
    ];
    let query =
        serde_urlencoded::to_string(pairs.into_iter().flatten().collect::<Vec<_>>()).unwrap_or_default();
    LocalPath::models().with_query(&query).as_str().to_owned()
}

#[component]
pub fn ModelsPage() -> impl IntoView {
    let filter = read(crate::ask::query);
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::list(&desk, &caller, &filter).await?;
        let none = view.all == 0;
        let count = match view.models.len() {
            1 => "1 model".to_owned(),
            count => format!("{} models", grouped(count as i64)),
        };
        let heading = view! {
            "Models "
            {(!none).then(|| view! { <small class="count muted">{count}</small> })}
        };
        let under = (!none).then(|| view! { <p class="muted">"Prices are per million tokens."</p> });
        let create = (!none).then(add);
        let body = view! {
            {title("Models")}
            {notice_line()}
            {page_head(vec![], heading.into_any(), under.into_any(), create.into_any())}
            {(!view.providers).then(demo)}
            {if none { empty() } else { listed(&view, &filter) }}
        };
        let path = LocalPath::models();
        Ok(framed_apart(&view.own, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}

fn add() -> AnyView {
    view! {
        <a class="btn primary" href="/operator/models/new" aria-keyshortcuts="n" data-shortcut="n">
            {icon(Icon::Plus)}
            "Add model"
            <kbd aria-hidden="true">"n"</kbd>
        </a>
    }
    .into_any()
}

fn demo() -> AnyView {
    view! {
        <div class="notice">
            {icon(Icon::Provider)} <div>
                <p>
                    "No provider is connected, so these models are not served. Only the built-in " <code>"demo/echo"</code> " model answers. "
                    <a href="/operator/providers/new">"Connect a provider"</a> ", then choose the models that it serves."
                </p>
            </div>
        </div>
    }
    .into_any()
}

fn empty() -> AnyView {
    view! {
        <section class="empty">
            {icon(Icon::Model)} <h2>"No models yet"</h2>
            <p>"The catalogue has the models that keys can use, with their prices. Add them here, or import a list with " <code>"keydesk models import"</code> "."</p>
            <div class="actions">{add()}</div>
        </section>
    }
    .into_any()
}

fn listed(view: &ModelsView, filter: &ModelFilter) -> AnyView {
    let chip = |words: &'static str, served: Option<bool>| {
        let to = href(&ModelFilter { served, ..filter.clone() });
        view! { <a href=to aria-current=(filter.served == served).then_some("true")>{words}</a> }
    };
    let kept = [
        ("served", filter.served.map(|served| if served { "yes" } else { "no" })),
        ("sort", (filter.sort != ModelSort::default()).then(|| filter.sort.as_str())),
        ("dir", filter.backwards.then_some("desc")),
    ];
    let kept =
        kept.map(|(name, value)| value.map(|value| view! { <input type="hidden" name=name value=value /> }));
    let base = LocalPath::models().as_str().to_owned();
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="get" action=base>
                {kept.into_iter().collect_view()}
                {SearchBox {
                    name: "q",
                    placeholder: "Model, vendor or provider",
                    label: "Search models",
                    max: Some(MAX_SEARCH),
                }
                    .draw(filter.search.clone())}
            </form>
        </div>
        <nav class="chips" aria-label="Served">
            {chip("All", None)} {chip("Served", Some(true))} {chip("Not served", Some(false))}
        </nav>
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
    view! {
        <section class="empty">
            {icon(Icon::Search)} <h2>{heading}</h2> <p>{words}</p> <div class="actions">
                <a class="btn" href=LocalPath::models().as_str().to_owned()>"Show all models"</a>
            </div>
        </section>
    }
    .into_any()
}

fn table(models: &[KnownModel], filter: &ModelFilter) -> AnyView {
    let head = |sort: ModelSort, words: &'static str, class: &'static str| {
        let current = filter.sort == sort;
        let backwards = current && !filter.backwards;
        let to = href(&ModelFilter { sort, backwards, ..filter.clone() });
        let order = current.then_some(if filter.backwards { "descending" } else { "ascending" });
        let sign = if current && filter.backwards { Icon::Down } else { Icon::Up };
        view! { <th scope="col" class=class aria-sort=order><a href=to>{words} {icon(sign)}</a></th> }
    };
    let rows = models.iter().take(MAX_LIST).map(row).collect_view();
    let more = (models.len() > MAX_LIST).then(|| {
        view! { <p class="muted">{format!("The first {MAX_LIST} in this order. Search to find the others.")}</p> }
    });
    view! {
        <div class="table-wrap">
            <table class="table even">
                <caption class="sr">"Models with their prices per million tokens"</caption>
                <thead>
                    <tr>
                        {head(ModelSort::Id, "Model", "")} {head(ModelSort::Vendor, "Vendor", "")}
                        {head(ModelSort::Served, "Served by", "")} {head(ModelSort::Input, "Input", "num")}
                        {head(ModelSort::Output, "Output", "num")} <th scope="col" class="num">"Cached input"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
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
            view! { <a class="act" href=to>{name.clone()}</a> {upstream} }.into_any()
        }
        _ => view! { <span class="muted">"Not served"</span> {upstream} }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <a class="row-link mono" href=LocalPath::model("edit", &model.id).as_str().to_owned() title=model.id.clone()>
                    {model.id.clone()}
                </a>
            </th>
            <td data-label="Vendor"><span class="clip wide" title=model.provider.clone()>{model.provider.clone()}</span></td>
            <td data-label="Served by">{served}</td>
            <td data-label="Input" class="num">{price(model.input_price)}</td>
            <td data-label="Output" class="num">{price(model.output_price)}</td>
            <td data-label="Cached input" class="num">{price(model.cached_price)}</td>
        </tr>
    }
}

//! The models of a form to tick, by vendor, each with its price, its context and whether it is served. It scrolls in itself,
//! so that a form stays short with hundreds of models. The browser's script adds a search and a box for all of a vendor.

use keydesk_core::domain::limits::short_count;
use keydesk_core::domain::meter::Meter;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::scope::{ModelPattern, ModelScope, no_match_words};
use leptos::prelude::*;

use super::models::price;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::count_words;

/// With more models than this, the vendors are folded.
const MAX_UNFOLDED: usize = 40;

/// The boxes, which are sent as `name`; `ticked` are the ids of the models whose boxes are ticked.
pub fn model_picker(catalogue: &[Model], ticked: &[String], name: &str) -> AnyView {
    let open = catalogue.len() <= MAX_UNFOLDED;
    let by_vendor = catalogue.chunk_by(|one, other| one.provider == other.provider);
    let vendors = by_vendor.map(|models| vendor(models, ticked, name, open)).collect_view();
    view! {
        <div class="picker">
            <span class="affix needs-script">
                {icon(Icon::Search)}
                // In no form, so that Enter sends nothing.
                <input
                    class="input"
                    type="search"
                    form="none"
                    placeholder="Search models"
                    aria-label="Search models"
                    data-narrow
                    autocomplete="off"
                    spellcheck="false"
                />
            </span>
            <p class="help">"Prices are per million input and output tokens."</p>
            <div class="checks" role="group" aria-label="Models">
                {vendors}
                <p class="none muted">"No model matches."</p>
            </div>
        </div>
    }
    .into_any()
}

fn vendor(models: &[Model], ticked: &[String], name: &str, open: bool) -> impl IntoView + use<> {
    let vendor = models.first().map(|model| model.provider.clone()).unwrap_or_default();
    let count = count_words(i64::try_from(models.len()).unwrap_or(i64::MAX), false, "model", "models");
    let all = models.iter().all(|model| ticked.contains(&model.id));
    let boxes = models.iter().map(|model| choice(model, ticked.contains(&model.id), name)).collect_view();
    view! {
        <div class="vendor" data-group>
            <input type="checkbox" data-all aria-label=format!("All models of {vendor}") checked=all autocomplete="off" />
            <details class="more" open=open>
                <summary>{icon(Icon::Right)} <b>{vendor}</b> " " <span class="count">{count}</span></summary>
                <div>{boxes}</div>
            </details>
        </div>
    }
}

fn choice(model: &Model, ticked: bool, name: &str) -> impl IntoView + use<> {
    let price = match &model.price {
        Some(_) => {
            format!("{} in, {} out", price(model.rate(Meter::Input)), price(model.rate(Meter::Output)))
        }
        None => "No price".to_owned(),
    };
    let context = model.context_tokens.map(|tokens| format!(" · {} context", short_count(tokens)));
    let not_served = (!model.answers()).then(|| view! { " " <b>"Not served"</b> });
    view! {
        <div class="model" data-item>
            <label class="choice">
                <input type="checkbox" name=name.to_owned() value=model.id.clone() checked=ticked />
                <span>{model.id.clone()}</span>
            </label>
            <p class="help">{price} {context} {not_served}</p>
        </div>
    }
}

/// Says which patterns match no model of the catalogue.
pub fn without_a_match(patterns: &str, catalogue: &[Model]) -> Option<AnyView> {
    let patterns = ModelScope::parse_lines(patterns).ok()?;
    let matches = |pattern: &ModelPattern| catalogue.iter().any(|model| pattern.matches(&model.id));
    let none: Vec<String> =
        patterns.iter().filter(|pattern| !matches(pattern)).map(ToString::to_string).collect();
    no_match_words(&none).map(|words| {
        view! {
            <p class="now">
                {icon(Icon::Warn)} <span>{words}</span>
            </p>
        }
        .into_any()
    })
}

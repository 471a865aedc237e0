//! What a report is about, above it: days, filters, what it is split by, and the filters in use with the way out of each.

use keydesk_core::domain::moment::Day;
use keydesk_core::domain::report::{Dimension, Grain, Preset, ReportQuery};
use keydesk_core::domain::tags::MAX_TAG;
use keydesk_core::ops::audit::KeysMeant;
use keydesk_core::ops::report::ReportView;
use leptos::prelude::*;

use super::href;
use crate::path::LocalPath;
use crate::ui::list::{self, Address};

/// Characters of a key's name or id.
const MAX_KEY: usize = 200;

fn to(slug: &str, query: &ReportQuery) -> Address {
    Address::new(LocalPath::spend(slug).as_str(), query.pairs())
}

pub fn presets(view: &ReportView) -> AnyView {
    let (slug, query) = (&view.context.org.slug, &view.report.query);
    let chips =
        Preset::NAMED.map(|preset| (preset.label(), to(slug, &query.during(preset)), query.preset == preset));
    list::chips("Days", chips)
}

/// Into groups, and into hours, days or months.
pub fn splits(view: &ReportView) -> AnyView {
    let (slug, report) = (&view.context.org.slug, &view.report);
    let query = &report.query;
    let words = |group| match group {
        None => "Not split",
        Some(Dimension::Model) => "By model",
        Some(Dimension::Key) => "By key",
        Some(Dimension::Team) => "By team",
        Some(Dimension::Owner) => "By owner",
        Some(Dimension::Provider) => "By provider",
        Some(Dimension::Tag) => "By tag",
    };
    let groups = Dimension::ALL.into_iter().map(Some).chain([None]);
    let groups = groups.map(|group| (words(group), to(slug, &query.grouped(group)), query.group == group));
    let grains = Grain::ALL.into_iter().filter(|grain| grain.fits(report.span)).map(|grain| {
        let words = match grain {
            Grain::Hour => "Hours",
            Grain::Day => "Days",
            Grain::Month => "Months",
        };
        (words, to(slug, &query.by(grain)), report.grain == grain)
    });
    view! {
        {list::chips("Split by", groups)}
        {list::chips("Cut into", grains)}
    }
    .into_any()
}

pub fn form(view: &ReportView) -> impl IntoView + use<> {
    let (slug, query) = (&view.context.org.slug, &view.report.query);
    let day = |id: &'static str, label: &'static str, value: Option<Day>| {
        let value = value.map(|day| day.to_string()).unwrap_or_default();
        view! {
            <div class="field">
                <label class="label" for=id>{label}</label>
                <input class="input" id=id type="date" name=id value=value />
            </div>
        }
    };
    let choose = |dimension: Dimension, all: &'static str, choices: &[(String, String)]| {
        // One alone is no choice.
        (choices.len() > 1 || query.filters.get(dimension).is_some()).then(|| {
            let options = choices
                .iter()
                .map(|(value, name)| {
                    let selected = query.filters.get(dimension) == Some(value);
                    let value = if value.is_empty() { "none".to_owned() } else { value.clone() };
                    view! { <option value=value selected=selected>{name.clone()}</option> }
                })
                .collect_view();
            let id = format!("{}-filter", dimension.as_str());
            view! {
                <div class="field">
                    <label class="label" for=id.clone()>{dimension.label()}</label>
                    <select class="input" id=id name=dimension.as_str()>
                        <option value="">{all}</option>
                        {options}
                    </select>
                </div>
            }
        })
    };
    let text = |dimension: Dimension, hint: &'static str, max: usize| {
        let value = match query.filters.get(dimension) {
            Some("") => "none".to_owned(),
            value => value.unwrap_or_default().to_owned(),
        };
        let id = format!("{}-filter", dimension.as_str());
        view! {
            <div class="field">
                <label class="label" for=id.clone()>{dimension.label()}</label>
                <input
                    class="input"
                    id=id
                    name=dimension.as_str()
                    value=value
                    placeholder=hint
                    maxlength=max.to_string()
                    autocomplete="off"
                    spellcheck="false"
                />
            </div>
        }
    };
    // Who sees all owners sees all keys.
    let all = !view.choices.owners.is_empty();
    let offered = [
        (Dimension::Key, all),
        (Dimension::Team, !view.choices.teams.is_empty()),
        (Dimension::Owner, all),
        (Dimension::Model, true),
        (Dimension::Provider, true),
        (Dimension::Tag, true),
    ];
    let is_field = |name: &str| {
        ["from", "to", "skip"].contains(&name)
            || offered.iter().any(|(dimension, shown)| *shown && dimension.as_str() == name)
    };
    let kept = query
        .pairs()
        .into_iter()
        .filter(|(name, _)| !is_field(name))
        .map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
        .collect_view();
    let clear = (!query.filters.is_empty() || query.preset == Preset::Custom).then(|| {
        let plain = ReportQuery { group: query.group, ..ReportQuery::default() };
        view! {
            <a class="btn quiet" href=href(slug, &plain)>
                "Clear filters"
            </a>
        }
    });
    view! {
        <form class="filters four" method="get" action=LocalPath::spend(slug) aria-label="Filters">
            {kept}
            {day("from", "From", query.from)}
            {day("to", "To", query.to)}
            {all.then(|| text(Dimension::Key, "Name or ID", MAX_KEY))}
            {choose(Dimension::Team, "Every team", &view.choices.teams)}
            {choose(Dimension::Owner, "Every owner", &view.choices.owners)}
            {choose(Dimension::Model, "Every model", &view.choices.models)}
            {choose(Dimension::Provider, "Every provider", &view.choices.providers)}
            {text(Dimension::Tag, "Exact", MAX_TAG)}
            <div class="actions">
                <button class="btn">"Apply filters"</button>
                {clear}
            </div>
            {key_line(&view.keys).map(|words| view! { <p class="help">{words}</p> })}
        </form>
    }
}

/// Why no key is found by what was typed.
fn key_line(keys: &KeysMeant) -> Option<String> {
    match keys {
        KeysMeant::These(found) if found.len() > 1 => {
            Some(format!("{} keys have this name. Enter the ID of one; it is on the key’s page.", found.len()))
        }
        KeysMeant::Unknown => Some(
            "No key has this name or ID. A name must be whole; capital letters do not matter.".to_owned(),
        ),
        KeysMeant::Secret => Some(
            "A whole secret stood in this page’s address. It was not looked up; take it out of your browser’s history."
                .to_owned(),
        ),
        KeysMeant::Any | KeysMeant::These(_) => None,
    }
}

/// Each filter with a link out of it, and to the thing itself.
pub fn in_use(view: &ReportView) -> Option<impl IntoView + use<>> {
    let (slug, report) = (&view.context.org.slug, &view.report);
    let items = report
        .filters
        .iter()
        .map(|(dimension, value, name)| {
            let page = match (dimension, value.as_str()) {
                (_, "") => None,
                (Dimension::Key, id) => Some(LocalPath::keys(slug).with_id(id)),
                (Dimension::Team, id) => Some(LocalPath::teams(slug).with_id(id)),
                (Dimension::Owner, id) => Some(LocalPath::members(slug).with_id(id)),
                (Dimension::Model | Dimension::Provider | Dimension::Tag, _) => None,
            };
            // What has no name is not there, and who sees only a part may not see the thing's page.
            let name = match page.filter(|_| !report.part && name != value) {
                Some(page) => view! { <a href=page>{name.clone()}</a> }.into_any(),
                None => view! { <b>{name.clone()}</b> }.into_any(),
            };
            let remove = href(slug, &report.query.without(*dimension));
            let label = format!("Remove the filter {}", dimension.label().to_lowercase());
            view! {
                <li>
                    {dimension.label()} " " {name} " "
                    <a class="btn quiet" href=remove aria-label=label>
                        "Remove"
                    </a>
                </li>
            }
        })
        .collect_view();
    (!report.filters.is_empty())
        .then(|| view! { <ul class="in-use" aria-label="Filters in use">{items}</ul> })
}

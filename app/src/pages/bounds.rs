//! The fields that the forms of keys and teams share: models, budgets and rate limits. A team's limits stand beside the
//! fields of its keys.

use keydesk_core::domain::limits::Rate;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::parts::LimitFields;
use leptos::prelude::*;

use crate::ui::field::{FieldErrors, LimitField, field_error, help, lines_field};
use crate::ui::icon::{Icon, icon};

/// What the fields are filled with, and how they are sent.
pub struct BoundFields<'a> {
    /// The form's name: `form[key]` sends `form[key][scope]`.
    pub within: &'static str,
    pub scope: &'a str,
    pub models: &'a [String],
    pub patterns: &'a str,
    pub limits: &'a LimitFields,
    /// What bounds a field, if anything does.
    pub bound: &'a dyn Fn(&str) -> Option<String>,
    /// Under the choice of every model.
    pub every: &'static str,
    /// Under the total budget.
    pub total: &'static str,
}

impl BoundFields<'_> {
    fn limit_name(&self, field: &str) -> String {
        format!("{}[limits][{field}]", self.within)
    }

    fn bound(&self, field: &str) -> String {
        (self.bound)(field).unwrap_or_default()
    }

    pub fn models(&self, catalogue: &[Model], field_errors: &FieldErrors) -> AnyView {
        let mut provider = String::new();
        let models_name = format!("{}[models][]", self.within);
        let boxes = catalogue
            .iter()
            .map(|model| {
                let head = (model.provider != provider).then(|| {
                    provider.clone_from(&model.provider);
                    view! { <p class="head">{model.provider.clone()}</p> }
                });
                let checked = self.models.contains(&model.id);
                view! {
                    {head}
                    <label class="choice">
                        <input type="checkbox" name=models_name.clone() value=model.id.clone() checked=checked />
                        <span>{model.id.clone()}</span>
                    </label>
                }
            })
            .collect_view();
        let every = self.scope == "every";
        let patterns_open = !self.patterns.is_empty() || field_errors.of("patterns").is_some();
        let scope_name = format!("{}[scope]", self.within);
        view! {
            <div class="reveals" data-field="models">
                {help("models", self.bound("models"))}
                <label class="choice">
                    <input type="radio" name=scope_name.clone() value="listed" data-reveals checked=!every />
                    <span>"Only these models"</span>
                </label>
                <div class="reveal">
                    <div class="checks" role="group" aria-label="Models">
                        {boxes}
                    </div>
                    <details class="more" open=patterns_open>
                        <summary>{icon(Icon::Right)} "Also allow models by pattern"</summary>
                        {lines_field(
                            "patterns",
                            format!("{}[patterns]", self.within),
                            "Patterns",
                            "One per line. * matches any characters. A pattern also allows matching models that are added later.",
                            "claude-haiku-*",
                            self.patterns.to_owned(),
                            field_errors,
                        )}
                    </details>
                </div>
                <label class="choice">
                    <input type="radio" name=scope_name value="every" checked=every />
                    <span>"Every model, including new ones" <span class="help">{self.every}</span></span>
                </label>
                {field_error("models", field_errors.of("models"))}
            </div>
        }
        .into_any()
    }

    pub fn budgets(&self, zone: &Zone, field_errors: &FieldErrors) -> AnyView {
        let zone = zone.name().to_owned();
        let budget = |period: Period| {
            let (legend, resets) = match period {
                Period::Month => ("Monthly budget", format!("Resets on the 1st at 00:00, {zone}.")),
                Period::Week => ("Weekly budget", format!("Resets on Monday at 00:00, {zone}.")),
                Period::Day => ("Daily budget", format!("Resets at 00:00, {zone}.")),
                Period::Total => ("Total budget", self.total.to_owned()),
            };
            LimitField {
                field: period.as_str(),
                legend,
                name: self.limit_name(period.as_str()),
                before: "$",
                after: "",
                help: format!("{resets} {}", self.bound(period.as_str())).trim_end().to_owned(),
            }
            .draw(self.limits.budget(period), field_errors)
        };
        let others = [Period::Day, Period::Week, Period::Total];
        let open = others.iter().any(|period| {
            self.limits.budget(*period).is_limit() || field_errors.of(period.as_str()).is_some()
        });
        view! {
            {budget(Period::Month)}
            <details class="more" open=open>
                <summary>{icon(Icon::Right)} "Add a daily, weekly or total limit"</summary>
                <div class="form">{others.map(budget)}</div>
            </details>
        }
        .into_any()
    }

    pub fn rates(&self, field_errors: &FieldErrors) -> AnyView {
        let rate = |rate: Rate, legend, after, words: &str| {
            let field = rate.as_str();
            let help = format!("{words} {}", self.bound(field)).trim().to_owned();
            LimitField { field, legend, name: self.limit_name(field), before: "", after, help }
                .draw(self.limits.rate(rate), field_errors)
        };
        view! {
            {rate(Rate::Rpm, "Requests", "per minute", "Counted over the last 60 seconds.")}
            {rate(Rate::Tpm, "Tokens", "per minute", "Input and output tokens, counted over the last 60 seconds. You can type 10k or 1.5m.")}
            {rate(Rate::Concurrent, "Concurrent requests", "at a time", "Maximum requests in progress at the same time.")}
        }
        .into_any()
    }
}

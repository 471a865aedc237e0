//! The fields that the forms of keys and teams share: models, budgets and rate limits. A team's limits stand beside the
//! fields of its keys.

use keydesk_core::domain::limit_use::Limited;
use keydesk_core::domain::limits::Rate;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::shadow_limit::choice_words;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::parts::LimitFields;
use keydesk_core::ops::windows::PresentWindows;
use leptos::prelude::*;

use crate::pages::model_picker::{model_picker, without_a_match};
use crate::ui::field::{FieldErrors, field_error, help, lines_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::limit_field::LimitField;

/// The budgets that few keys and teams have.
pub const OTHER_BUDGETS: [Period; 3] = [Period::Day, Period::Week, Period::Total];

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

    /// The choice between listed models and every model, with the picker.
    pub fn models(&self, catalogue: &[Model], field_errors: &FieldErrors) -> AnyView {
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
                    {model_picker(catalogue, self.models, &format!("{}[models][]", self.within))}
                    <details class="more" open=patterns_open>
                        <summary>{icon(Icon::Right)} "Also allow models by pattern"</summary>
                        <div>
                            {lines_field(
                                "patterns",
                                format!("{}[patterns]", self.within),
                                "Patterns",
                                "One per line. * matches any characters. A pattern also allows matching models that are added later.",
                                "claude-haiku-*",
                                self.patterns.to_owned(),
                                field_errors,
                            )}
                            {without_a_match(self.patterns, catalogue)}
                        </div>
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

    /// The field of one period's budget.
    pub fn budget(&self, period: Period, windows: &PresentWindows, field_errors: &FieldErrors) -> AnyView {
        let total = if period == Period::Total { self.total } else { "" };
        let words = [windows.words(period), total.to_owned(), self.bound(period.as_str())];
        LimitField {
            field: period.as_str(),
            legend: choice_words(Limited::Budget(period)),
            name: self.limit_name(period.as_str()),
            before: "$",
            after: "",
            help: words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" "),
            below: None,
        }
        .draw(self.limits.budget(period), field_errors)
    }

    /// The fields of the budgets beside the monthly one.
    pub fn other_budgets(&self, windows: &PresentWindows, field_errors: &FieldErrors) -> AnyView {
        OTHER_BUDGETS.map(|period| self.budget(period, windows, field_errors)).into_any()
    }

    /// The monthly budget, and the others behind a fold that opens by itself when one of them is set.
    pub fn budgets(&self, windows: &PresentWindows, field_errors: &FieldErrors) -> AnyView {
        let open = OTHER_BUDGETS.iter().any(|period| {
            self.limits.budget(*period).is_limit() || field_errors.of(period.as_str()).is_some()
        });
        view! {
            {self.budget(Period::Month, windows, field_errors)}
            <details class="more" open=open>
                <summary>{icon(Icon::Right)} "Add a daily, weekly or total limit"</summary>
                <div class="form">{self.other_budgets(windows, field_errors)}</div>
            </details>
        }
        .into_any()
    }

    /// The fields of the rate limits.
    pub fn rates(&self, field_errors: &FieldErrors) -> AnyView {
        let rate = |rate: Rate, legend, after, words: &str| {
            let field = rate.as_str();
            let help = format!("{words} {}", self.bound(field)).trim().to_owned();
            LimitField { field, legend, name: self.limit_name(field), before: "", after, help, below: None }
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

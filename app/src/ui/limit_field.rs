//! The field of a limit: "No limit" or a value, with its unit. What else there is to say about the limit stands below it.

use keydesk_core::forms::parts;
use leptos::prelude::*;

use super::field::{FieldErrors, described, field_error, help, invalid};

/// A limit: "No limit" or a value, always one of the two on purpose.
#[derive(Default)]
pub struct LimitField {
    pub field: &'static str,
    pub legend: &'static str,
    /// Its choice is sent as this with `[mode]`, and its value as this with `[value]`.
    pub name: String,
    /// Before the value, such as `$`.
    pub before: &'static str,
    /// After the value, such as `per minute`.
    pub after: &'static str,
    pub help: String,
    /// Below the help, such as how much of the limit is used.
    pub below: Option<AnyView>,
}

impl LimitField {
    pub fn draw(self, limit: &parts::LimitField, field_errors: &FieldErrors) -> AnyView {
        let field = self.field;
        let wrong = field_errors.of(field);
        let (mode, value) = (limit.mode.as_str(), limit.value.clone());
        let mode_name = format!("{}[mode]", self.name);
        let unit = |text: &'static str| (!text.is_empty()).then(|| view! { <span>{text}</span> });
        view! {
            <fieldset class="limit" data-field=field>
                <legend>{self.legend}</legend>
                <div class="row">
                    <div class="segmented">
                        <label>
                            <input type="radio" name=mode_name.clone() value="none" checked=mode == "none" />
                            "No limit"
                        </label>
                        <label>
                            <input type="radio" name=mode_name value="limit" checked=mode != "none" />
                            "Limit"
                        </label>
                    </div>
                    <span class="affix">
                        {unit(self.before)}
                        <input
                            class="input"
                            id=field
                            name=format!("{}[value]", self.name)
                            value=value
                            inputmode="decimal"
                            autocomplete="off"
                            aria-label=[self.legend, self.after].join(", ").trim_end_matches(", ").to_owned()
                            aria-describedby=described(field, !self.help.is_empty(), wrong.is_some())
                            aria-invalid=invalid(wrong.is_some())
                        />
                        {unit(self.after)}
                    </span>
                </div>
                {help(field, self.help)}
                {self.below}
                {field_error(field, wrong)}
            </fieldset>
        }
        .into_any()
    }
}

//! Form fields: label above, help below, the error below that. A field finds its own error by name. Names are sent as `form[…]`: each action takes one struct of that name.

use keydesk_core::domain::field_error::FieldError;
use leptos::prelude::*;

use super::icon::{Icon, icon};

/// What is wrong with the form that came back.
#[derive(Clone, Default)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    pub fn of(&self, field: &str) -> Option<String> {
        self.0.iter().find(|error| error.field == field).map(|error| error.problem.to_string())
    }
}

/// Which page a form is on, so that it can be drawn there again.
pub fn on_page(path: String) -> impl IntoView {
    view! { <input type="hidden" name="page" value=path /> }
}

/// The sentence under a field. The browser's script fills the same element when a form comes back without a new page.
pub fn field_error(field: &str, sentence: Option<String>) -> impl IntoView + use<> {
    sentence.map(|sentence| {
        view! {
            <p class="error" id=format!("{field}-error")>
                {icon(Icon::Bad)}
                {sentence}
            </p>
        }
    })
}

/// The ids of a field's help and error, for `aria-describedby`: only those that are on the page.
pub fn described(field: &str, help: bool, wrong: bool) -> Option<String> {
    let ids: Vec<String> = [help.then(|| format!("{field}-help")), wrong.then(|| format!("{field}-error"))]
        .into_iter()
        .flatten()
        .collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// `None` leaves the attribute out.
pub fn invalid(wrong: bool) -> Option<&'static str> {
    wrong.then_some("true")
}

#[derive(Clone, Copy, Default)]
pub struct TextField {
    /// The name in mistakes and for the browser's script.
    pub field: &'static str,
    /// The element's id, where it is not `field`: two forms of a page have a field of one name.
    pub id: &'static str,
    /// The name that is sent.
    pub name: &'static str,
    pub label: &'static str,
    pub help: &'static str,
    pub kind: &'static str,
    pub autocomplete: &'static str,
    /// Which keys a phone shows, such as `numeric`.
    pub inputmode: &'static str,
    pub optional: bool,
    pub autofocus: bool,
    /// The id of a `<datalist>` with values to choose from.
    pub list: &'static str,
}

impl TextField {
    /// A required line of text: its name in errors, the name that is sent, its label.
    pub fn new(field: &'static str, name: &'static str, label: &'static str) -> Self {
        Self { field, name, label, ..Self::default() }
    }

    pub fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    /// A password; `autocomplete` tells a password manager whether it is new or current.
    pub fn password(self, autocomplete: &'static str) -> Self {
        Self { kind: "password", autocomplete, ..self }
    }

    pub fn email(self) -> Self {
        Self { kind: "email", ..self }
    }

    pub fn autocomplete(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    /// The keys that a phone shows, such as `numeric`.
    pub fn inputmode(self, inputmode: &'static str) -> Self {
        Self { inputmode, ..self }
    }

    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    pub fn autofocus(self) -> Self {
        Self { autofocus: true, ..self }
    }

    /// Suggests the values of the `<datalist>` with this id.
    pub fn list(self, list: &'static str) -> Self {
        Self { list, ..self }
    }

    pub fn draw(self, value: String, field_errors: &FieldErrors) -> AnyView {
        self.draw_with(self.help.to_owned(), value, field_errors)
    }

    /// With a help text that is made for the page.
    pub fn draw_with(self, help_text: String, value: String, field_errors: &FieldErrors) -> AnyView {
        let wrong = field_errors.of(self.field);
        let id = if self.id.is_empty() { self.field } else { self.id };
        let described = described(id, !help_text.is_empty(), wrong.is_some());
        view! {
            <div class="field" data-field=self.field>
                <label class="label" for=id>
                    {self.label}
                    {self.optional.then(|| view! { " "<span class="muted">"optional"</span> })}
                </label>
                <input
                    class="input"
                    id=id
                    name=self.name
                    type=if self.kind.is_empty() { "text" } else { self.kind }
                    value=value
                    aria-describedby=described
                    aria-invalid=invalid(wrong.is_some())
                    autocomplete=if self.autocomplete.is_empty() { "off" } else { self.autocomplete }
                    inputmode=(!self.inputmode.is_empty()).then_some(self.inputmode)
                    spellcheck="false"
                    required=!self.optional
                    autofocus=self.autofocus
                    list=(!self.list.is_empty()).then_some(self.list)
                />
                {help(id, help_text)}
                {field_error(id, wrong)}
            </div>
        }
        .into_any()
    }
}

pub fn help(field: &str, text: impl Into<String>) -> AnyView {
    let text = text.into();
    (!text.is_empty()).then(|| view! { <p class="help" id=format!("{field}-help")>{text}</p> }).into_any()
}

/// A few lines, one entry each.
pub fn lines_field(
    field: &'static str,
    name: impl Into<String>,
    label: &'static str,
    help_text: &'static str,
    placeholder: &'static str,
    value: String,
    field_errors: &FieldErrors,
) -> AnyView {
    let wrong = field_errors.of(field);
    view! {
        <div class="field" data-field=field>
            <label class="label" for=field>
                {label} " " <span class="muted">"optional"</span>
            </label>
            <textarea
                class="input mono"
                id=field
                name=name.into()
                rows="3"
                placeholder=placeholder
                aria-describedby=described(field, !help_text.is_empty(), wrong.is_some())
                aria-invalid=invalid(wrong.is_some())
                spellcheck="false"
            >
                {value}
            </textarea>
            {help(field, help_text)}
            {field_error(field, wrong)}
        </div>
    }
    .into_any()
}

/// One of a few: value and label each.
pub fn select_field(
    field: &'static str,
    name: &'static str,
    label: &'static str,
    help_text: &'static str,
    options: Vec<(String, String)>,
    chosen: &str,
    field_errors: &FieldErrors,
) -> AnyView {
    let wrong = field_errors.of(field);
    let options = options
        .into_iter()
        .map(|(value, label)| {
            let selected = value == chosen;
            view! { <option value=value selected=selected>{label}</option> }
        })
        .collect_view();
    view! {
        <div class="field" data-field=field>
            <label class="label" for=field>{label}</label>
            <select
                class="input"
                id=field
                name=name
                aria-describedby=described(field, !help_text.is_empty(), wrong.is_some())
                aria-invalid=invalid(wrong.is_some())
            >
                {options}
            </select>
            {help(field, help_text)}
            {field_error(field, wrong)}
        </div>
    }
    .into_any()
}

/// One value with its unit.
#[derive(Clone, Copy, Default)]
pub struct UnitField {
    pub field: &'static str,
    /// The name that is sent.
    pub name: &'static str,
    pub label: &'static str,
    /// Before the value, such as `$`.
    pub before: &'static str,
    /// After the value, such as `seconds`.
    pub after: &'static str,
    pub help: &'static str,
    pub optional: bool,
}

impl UnitField {
    pub fn draw(self, value: String, field_errors: &FieldErrors) -> AnyView {
        let wrong = field_errors.of(self.field);
        let unit =
            |text: &'static str| (!text.is_empty()).then(|| view! { <span aria-hidden="true">{text}</span> });
        let spoken = [self.label, self.after].join(", ").trim_end_matches(", ").to_owned();
        view! {
            <div class="field" data-field=self.field>
                <label class="label" for=self.field>{self.label}</label>
                <span class="affix limited">
                    {unit(self.before)}
                    <input
                        class="input"
                        id=self.field
                        name=self.name
                        value=value
                        inputmode="decimal"
                        autocomplete="off"
                        required=!self.optional
                        aria-label=spoken
                        aria-describedby=described(self.field, !self.help.is_empty(), wrong.is_some())
                        aria-invalid=invalid(wrong.is_some())
                    />
                    {unit(self.after)}
                </span>
                {help(self.field, self.help)}
                {field_error(self.field, wrong)}
            </div>
        }
        .into_any()
    }
}

//! The providers that serve a model besides its first one: in the form, and on the model's page. The form has a row for
//! every provider, so it needs no script: a row without a weight is no provider of the model.

use keydesk_core::domain::provider::Provider;
use keydesk_core::forms::model::ModelForm;
use leptos::prelude::*;

use crate::ui::field::{FieldErrors, UnitField, described, field_error, help, invalid};
use crate::ui::list::{self, Column};

const HELP: &str = "Requests are spread by the weights: one with weight 3 gets three times as many as one with weight 1. One with weight 0 is asked only when no other one answers. If a provider cannot be reached, rejects this installation or has a server error, the next one is asked. The price is the same with each. Leave a weight empty where the provider doesn’t serve the model.";

/// With one provider there is nothing to choose.
pub(super) fn fields(form: &ModelForm, providers: &[Provider], field_errors: &FieldErrors) -> AnyView {
    if providers.len() < 2 {
        return view! { <input type="hidden" name="form[model][weight]" value=form.weight.clone() /> }
            .into_any();
    }
    let weight = UnitField {
        field: "weight",
        name: "form[model][weight]",
        label: "Weight",
        help: "The first provider’s share of the requests, if others serve the model too.",
        optional: true,
        ..Default::default()
    };
    let wrong = field_errors.of("further");
    let open = wrong.is_some()
        || form.further.values().any(|one| !one.weight.is_empty() || !one.upstream.is_empty());
    let is_wrong = |one: &Provider| wrong.is_some() && form.is_mistaken(one.id.as_str());
    let rows = providers.iter().map(|one| row(form, one, is_wrong(one))).collect_view();
    let columns = vec![Column::new("Provider"), Column::new("Weight"), Column::new("Name at the provider")];
    view! {
        {weight.draw(form.weight.clone(), field_errors)}
        <details class="more" open=open>
            <summary>
                {crate::ui::icon::icon(crate::ui::icon::Icon::Right)} "Further providers"
            </summary>
            <div class="stack" data-field="further">
                {help("further", HELP)}
                {list::table(true, "Further providers of the model".into(), columns, rows)}
                {field_error("further", wrong)}
            </div>
        </details>
    }
    .into_any()
}

fn row(form: &ModelForm, provider: &Provider, is_wrong: bool) -> impl IntoView + use<> {
    let id = provider.id.to_string();
    let typed = form.further.get(&id).cloned().unwrap_or_default();
    let first = if form.route == id { ", the first provider now" } else { "" };
    let name = |part: &str| format!("form[model][further][{id}][{part}]");
    let weight = CellField {
        column: "Weight",
        name: name("weight"),
        label: format!("Weight of {}", provider.spec.name),
        inputmode: Some("numeric"),
        described: described("further", true, is_wrong),
        is_wrong,
    };
    let upstream = CellField {
        column: "Name at the provider",
        name: name("upstream"),
        label: format!("Name at {}", provider.spec.name),
        inputmode: None,
        described: None,
        is_wrong,
    };
    view! {
        <tr>
            <th scope="row">
                {provider.spec.name.clone()}
                <span class="sub">{format!("{} protocol{first}", provider.spec.kind.label())}</span>
            </th>
            {weight.draw(typed.weight)}
            {upstream.draw(typed.upstream)}
        </tr>
    }
}

/// A field that is a cell of the table: its label is the row and the column.
struct CellField {
    column: &'static str,
    /// The name that is sent.
    name: String,
    label: String,
    inputmode: Option<&'static str>,
    described: Option<String>,
    is_wrong: bool,
}

impl CellField {
    fn draw(self, value: String) -> impl IntoView {
        view! {
            <td data-label=self.column>
                <input
                    class="input"
                    name=self.name
                    value=value
                    inputmode=self.inputmode
                    autocomplete="off"
                    spellcheck="false"
                    aria-label=self.label
                    aria-describedby=self.described
                    aria-invalid=invalid(self.is_wrong)
                />
            </td>
        }
    }
}

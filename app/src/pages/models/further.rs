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
    let rows = providers.iter().map(|one| row(form, one, wrong.is_some())).collect_view();
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
    let name = |part: &str| format!("form[model][further][{id}][{part}]");
    view! {
        <tr>
            <th scope="row">
                {provider.name.clone()} <span class="sub">{format!("{} protocol", provider.kind.label())}</span>
            </th>
            <td data-label="Weight">
                <input
                    class="input"
                    name=name("weight")
                    value=typed.weight
                    inputmode="numeric"
                    autocomplete="off"
                    aria-label=format!("Weight of {}", provider.name)
                    aria-describedby=described("further", true, is_wrong)
                    aria-invalid=invalid(is_wrong)
                />
            </td>
            <td data-label="Name at the provider">
                <input
                    class="input"
                    name=name("upstream")
                    value=typed.upstream
                    autocomplete="off"
                    spellcheck="false"
                    aria-label=format!("Name at {}", provider.name)
                    aria-invalid=invalid(is_wrong)
                />
            </td>
        </tr>
    }
}

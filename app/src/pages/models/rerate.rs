//! What past requests of a model would cost at another of its prices, and the button that corrects them.

use keydesk_core::Desk;
use keydesk_core::domain::field_error::FieldError;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::{counted, grouped};
use keydesk_core::domain::parse_error::ParseError;
use keydesk_core::forms::rerating::RerateForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::orgs::{self, OperatorActor, RatedOrg};
use keydesk_core::ops::prices::{self, PriceBook};
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, query};
use crate::error::AppError;
use crate::layout::{Page, Width, post_form_on};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, select_field};
use crate::ui::list::{self, Column};

#[component]
pub fn RerateModelPage() -> impl IntoView {
    let asked = |name: &str| query(name).unwrap_or_default();
    let form = RerateForm { id: asked("id"), from: asked("from"), to: asked("to"), at: asked("at") };
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let book = prices::show(&desk, &caller, &form.id).await?;
        let (rated, errors) = match form.is_empty() {
            true => (None, FieldErrors::default()),
            false => match preview(&desk, &caller, &form).await? {
                Ok(rated) => (Some(rated), FieldErrors::default()),
                Err(errors) => (None, FieldErrors(errors)),
            },
        };
        let body = view! {
            <div class="stack roomy">
                <p>
                    "A new price never changes what past requests cost. If a price was wrong, correct them here: the difference is shown first, and each organisation’s audit records the correction. What they cost before is kept."
                </p>
                {question(&book, &form, &errors)}
                {rated.map(|rated| difference(&form, &rated))}
            </div>
        };
        Ok(Page::new(format!("Correct what {} cost", form.id), Width::Mid)
            .crumbs(crumbs(Some(&form.id)))
            .path(LocalPath::model("rerate", &form.id))
            .apart(&book.own, &caller, body))
    })
}

/// What it would come to, or what is wrong with the form.
async fn preview(
    desk: &Desk,
    caller: &Caller,
    form: &RerateForm,
) -> Result<Result<Vec<RatedOrg>, Vec<FieldError>>, AppError> {
    let by = OperatorActor::Operator(caller);
    let period = match form.period() {
        Ok(period) => period,
        Err(errors) => return Ok(Err(errors)),
    };
    match orgs::plan(desk, &by, &form.id, period, &form.at).await {
        Ok(plan) => Ok(Ok(orgs::preview(desk, &by, &plan).await?)),
        Err(OpError::Conflict(_)) => {
            let problem = ParseError::new("Choose one of the model’s prices.");
            Ok(Err(vec![FieldError::new("at", problem)]))
        }
        Err(error) => Err(error.into()),
    }
}

fn question(book: &PriceBook, form: &RerateForm, errors: &FieldErrors) -> AnyView {
    let in_force = book.known.model.price.as_ref().map(|price| price.id.as_str());
    let prices = book.prices.iter().filter(|past| past.withdrawn_at.is_none() && !past.is_coming(book.now));
    let prices = prices.map(|past| {
        let (price, zone) = (&past.price, Zone::utc());
        let label = match in_force == Some(price.id.as_str()) {
            true => format!("In force: {}", price.tariff.words()),
            false => format!("From {}: {}", price.starts_at.exact(&zone), price.tariff.words()),
        };
        (price.id.to_string(), label)
    });
    let at = if form.at.is_empty() { in_force.unwrap_or_default() } else { form.at.as_str() };
    let day = |field, label, help| TextField::new(field, field, label).help(help);
    view! {
        <form class="form" method="get" action="/operator/models/rerate">
            <input type="hidden" name="id" value=form.id.clone() />
            <div class="trio">
                {day("from", "Requests from", "A day such as 2026-11-01, or a moment such as 2026-11-01T13:00:00Z, in UTC.")
                    .draw(form.from.clone(), errors)}
                {day("to", "Until", "A day, which is included, or a moment, which is not.")
                    .draw(form.to.clone(), errors)}
            </div>
            {select_field("at", "at", "Price that they are to cost", "", prices.collect(), at, errors)}
            <div class="actions">
                <button class="btn">"Show the difference"</button>
            </div>
        </form>
    }
    .into_any()
}

fn difference(form: &RerateForm, rated: &[RatedOrg]) -> AnyView {
    if rated.is_empty() {
        return view! { <p>"Every request of this period costs this price already. There is nothing to correct."</p> }
            .into_any();
    }
    let columns = vec![
        Column::new("Organisation"),
        Column::new("Requests").num(),
        Column::new("Charged").num(),
        Column::new("Correct").num(),
        Column::new("Difference").num(),
    ];
    let rows = rated.iter().map(|org| {
        let totals = &org.totals;
        view! {
            <tr>
                <th scope="row">{org.slug.clone()}</th>
                <td data-label="Requests" class="num">{grouped(totals.requests)}</td>
                <td data-label="Charged" class="num">{totals.before.exact()}</td>
                <td data-label="Correct" class="num">{totals.after.exact()}</td>
                <td data-label="Difference" class="num">{totals.difference()}</td>
            </tr>
        }
    });
    let remarks = rated.iter().flat_map(|org| {
        let line = |remark: String| view! { <li>{format!("{}: {remark}", org.slug)}</li> };
        org.remarks().into_iter().map(line)
    });
    let remarks: Vec<_> = remarks.collect();
    let remarks = (!remarks.is_empty()).then(|| view! { <ul class="bullets">{remarks}</ul> });
    let requests: i64 = rated.iter().map(|org| org.totals.requests).sum();
    let hidden = vec![
        ("id", form.id.clone()),
        ("from", form.from.clone()),
        ("to", form.to.clone()),
        ("at", form.at.clone()),
    ];
    let act = view! {
        <div class="actions">
            <button class="btn primary">{format!("Correct {}", counted(requests, "request"))}</button>
            <a class="btn quiet" href=LocalPath::model("show", &form.id)>"Cancel"</a>
        </div>
    };
    view! {
        <section class="stack">
            <h2>"The difference"</h2>
            {list::table(true, "What the requests of each organisation cost".into(), columns, rows.collect_view())}
            {remarks}
            {post_form_on(LocalPath::model("rerate", &form.id).into(), "/api/models/rerate", hidden, act)}
        </section>
    }
    .into_any()
}

//! The pages before a price is withdrawn, and before the catalogue's price takes the place of an operator's.

use keydesk_core::domain::moment::Zone;
use keydesk_core::ops::prices;
use leptos::prelude::*;

use super::crumbs;
use super::show::price_facts;
use crate::ask::{caller, desk, query};
use crate::error::AppError;
use crate::layout::{Page, Width, cancel_or_act, post_form_on};
use crate::pages::page;
use crate::path::LocalPath;

#[component]
pub fn WithdrawPricePage() -> impl IntoView {
    let (id, price) = (query("id").unwrap_or_default(), query("price").unwrap_or_default());
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let book = prices::show(&desk, &caller, &id).await?;
        let coming = book.coming().into_iter().find(|past| past.price.id.as_str() == price);
        let Some(coming) = coming else { return Err(AppError::NotFound) };
        let path: String = LocalPath::withdraw_price(&id, &coming.price.id).into();
        let act = cancel_or_act(LocalPath::model("show", &id), "btn danger", "Withdraw price");
        let body = view! {
            <div class="stack roomy">
                <p>
                    {format!(
                        "This price was to start {}. It won’t start, and the history shows it as withdrawn.",
                        coming.price.starts_at.exact(&Zone::utc()),
                    )}
                </p>
                <p>{coming.price.tariff.words()}</p>
                {post_form_on(path.clone(), "/api/models/withdraw-price", vec![("id", id.clone()), ("price", price)], act)}
            </div>
        };
        Ok(Page::new("Withdraw price", Width::Narrow)
            .crumbs(crumbs(Some(&id)))
            .path(path)
            .apart(&book.own, &caller, body))
    })
}

#[component]
pub fn CataloguePricePage() -> impl IntoView {
    let id = query("id").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let book = prices::show(&desk, &caller, &id).await?;
        let Some(price) = &book.catalogue else { return Err(AppError::NotFound) };
        let path: String = LocalPath::model("catalogue-price", &id).into();
        let act = cancel_or_act(LocalPath::model("show", &id), "btn primary", "Use the catalogue’s price");
        let now = book.known.model.price_words();
        let body = view! {
            <div class="stack roomy">
                <p>"Requests that start from now on cost this price. Imports of a catalogue will change it again."</p>
                <section class="stack">
                    <h2>"The catalogue’s price"</h2>
                    {price_facts(price)}
                </section>
                <section class="stack">
                    <h2>"In force now"</h2>
                    <p>{now}</p>
                </section>
                {post_form_on(path.clone(), "/api/models/catalogue-price", vec![("id", id.clone())], act)}
            </div>
        };
        Ok(Page::new("Use the catalogue’s price", Width::Narrow)
            .crumbs(crumbs(Some(&id)))
            .path(path)
            .apart(&book.own, &caller, body))
    })
}

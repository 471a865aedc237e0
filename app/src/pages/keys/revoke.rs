//! The page before a revocation: what will happen, how much the key is used, and its name to type when it is.

use keydesk_core::domain::key_filter::StateFilter;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::ops::keys;
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed};
use crate::pages::{field_errors, here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::field::{field_error, help, on_page};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::when;

#[component]
pub fn RevokeKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::revoke_form(&desk, &caller, &slug, &id).await?;
        let field_errors = field_errors();
        let (org, key) = (&view.context.org, &view.key);
        let key_page = LocalPath::key(&org.slug, &key.id).as_str().to_owned();
        let crumbs = vec![
            (LocalPath::keys(&org.slug).as_str().to_owned(), "Keys".to_owned()),
            (key_page.clone(), key.name.clone()),
        ];
        let use_line = match key.last_used_at {
            None => view! { <p>"This key was never used."</p> }.into_any(),
            Some(at) if view.must_type_name => view! {
                <div class="notice warn">
                    {icon(Icon::Warn)} <div>
                        <p>
                            <b>"This key is in use: "</b>
                            {times(view.used_last_hour)}
                            "last used "
                            {when::ago(at, view.now, &org.zone)}
                            "."
                        </p>
                    </div>
                </div>
            }
            .into_any(),
            Some(at) => view! { <p>"Last used " {when::ago(at, view.now, &org.zone)} "."</p> }.into_any(),
        };
        let wrong = field_errors.of("name");
        let name_field = view.must_type_name.then(|| {
            view! {
                <div class="field" data-field="name">
                    <label class="label" for="name">
                        "Type "
                        <code>{key.name.clone()}</code>
                        " to confirm"
                    </label>
                    <input
                        class="input"
                        id="name"
                        name="form[name]"
                        type="text"
                        aria-describedby="name-help name-error"
                        aria-invalid=wrong.is_some().then_some("true")
                        autocomplete="off"
                        spellcheck="false"
                        required
                    />
                    {help("name", "It is asked because the key is in use.")}
                    {field_error("name", wrong)}
                </div>
            }
        });
        let body = view! {
            {title(format!("Revoke {}", key.name))}
            {notice_line()}
            {page_head(crumbs, format!("Revoke {}", key.name).into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                {use_line}
                <ul class="bullets">
                    <li>"Requests with it are refused from now on. Those already under way are finished."</li>
                    <li>
                        "This is final. To stop it for a while, " <a href=key_page.clone()>"disable it"</a> " instead."
                    </li>
                    <li>
                        {format!("Its spend and history stay under the filter “{}”, and its name is free again.", StateFilter::Only(keydesk_core::domain::key::Status::Revoked).label())}
                    </li>
                </ul>
                <form class="form" method="post" action="/api/keys/revoke" data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[org]" value=org.slug.clone() />
                    <input type="hidden" name="form[id]" value=key.id.to_string() />
                    {name_field}
                    <div class="actions end">
                        <a class="btn quiet" href=key_page>"Cancel"</a>
                        <button class="btn danger">"Revoke key"</button>
                    </div>
                </form>
            </div>
        };
        let path = format!("/{}/keys/{}/revoke", org.slug, key.id);
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}

fn times(count: i64) -> String {
    match count {
        0 => String::new(),
        1 => "once in the last hour, ".into(),
        10_001.. => "more than 10,000 times in the last hour, ".into(),
        count => format!("{} times in the last hour, ", grouped(count)),
    }
}

//! The page before a revocation: what will happen, how much the key is used, and its name to type when it is.

use keydesk_core::domain::numbers::grouped;
use keydesk_core::ops::keys::{self, RevokeView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, cancel_or_act, post_form};
use crate::pages::{field_errors, page};
use crate::path::LocalPath;
use crate::ui::field::{described, field_error, help};
use crate::ui::icon::{Icon, icon};
use crate::ui::when;

#[component]
pub fn RevokeKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::revoke_form(&desk, &caller, &slug, &id).await?;
        let (org, key) = (&view.context.org, &view.key);
        let key_page = LocalPath::key(&org.slug, &key.id);
        let inside = view! {
            {view.must_type_name.then(|| name_field(key.name.clone()))}
            {cancel_or_act(key_page.clone(), "btn danger", "Revoke key")}
        };
        let hidden = vec![("org", org.slug.clone()), ("id", key.id.to_string())];
        let body = view! {
            <div class="stack roomy">
                {last_use(&view)}
                <ul class="bullets">
                    <li>"New requests with this key fail immediately. Requests in progress finish."</li>
                    <li>
                        "This can't be undone. To stop the key for a while, " <a href=key_page.clone()>"disable it"</a> " instead."
                    </li>
                    <li>
                        "You can still see its spend and history under Revoked. The name can be reused."
                    </li>
                </ul>
                {post_form("/api/keys/revoke", hidden, inside)}
            </div>
        };
        Ok(Page::new(format!("Revoke {}", key.name), Width::Narrow)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(key_page, key.name.clone())
            .in_org(&view.context, &caller, body))
    })
}

fn last_use(view: &RevokeView) -> AnyView {
    let Some(at) = view.key.last_used_at else {
        return view! { <p>"This key was never used."</p> }.into_any();
    };
    let ago = when::ago(at, view.now, &view.context.org.zone);
    if !view.must_type_name {
        return view! { <p>"Last used " {ago} "."</p> }.into_any();
    }
    view! {
        <div class="notice warn">
            {icon(Icon::Warn)} <div>
                <p>
                    <b>"This key is in use: "</b>
                    {times(view.used_last_hour)}
                    "last used "
                    {ago}
                    "."
                </p>
            </div>
        </div>
    }
    .into_any()
}

fn name_field(name: String) -> impl IntoView {
    let wrong = field_errors().of("name");
    view! {
        <div class="field" data-field="name">
            <label class="label" for="name">
                "Type "
                <code>{name}</code>
                " to confirm"
            </label>
            <input
                class="input"
                id="name"
                name="form[name]"
                type="text"
                aria-describedby=described("name", true, wrong.is_some())
                aria-invalid=wrong.is_some().then_some("true")
                autocomplete="off"
                spellcheck="false"
                required
            />
            {help("name", "We ask because this key was used in the last 24 hours.")}
            {field_error("name", wrong)}
        </div>
    }
}

fn times(count: i64) -> String {
    match count {
        0 => String::new(),
        1 => "once in the last hour, ".into(),
        10_001.. => "more than 10,000 times in the last hour, ".into(),
        count => format!("{} times in the last hour, ", grouped(count)),
    }
}

//! Changing one's own password.

use leptos::prelude::*;

use super::{crumbs, framed};
use crate::ask::caller;
use crate::pages::{field_errors, here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::field::{TextField, on_page};
use crate::ui::page_head::page_head;

#[component]
pub fn PasswordPage() -> impl IntoView {
    page(async move {
        let caller = caller()?;
        let field_errors = field_errors();
        let second_factor = caller.person.second_factor;
        let password = |field, name, label, help, autocomplete| {
            let field = TextField::new(field, name, label).password(autocomplete).help(help);
            field.draw(String::new(), &field_errors)
        };
        let rule = match second_factor {
            true => "At least 8 characters, because you use 2FA. Common passwords are not allowed.",
            false => "At least 15 characters, such as four unusual words.",
        };
        let code = second_factor.then(|| {
            let code = TextField::new("code", "form[code]", "Code from your device")
                .autocomplete("one-time-code")
                .help("Or a recovery code.");
            code.draw(String::new(), &field_errors)
        });
        let body = view! {
            {title("Change password")}
            {page_head(crumbs(), "Change password".into_any(), ().into_any(), ().into_any())}
            {field_errors.0.is_empty().then(notice_line)}
            <form class="form" method="post" action="/api/account/password" data-enhance data-brief>
                {on_page(here())}
                {password("current", "form[current]", "Current password", "", "current-password")}
                {code}
                {password("password", "form[password]", "New password", rule, "new-password")}
                <p class="muted">"This ends your other sessions."</p>
                <div class="actions">
                    <button class="btn primary">"Change password"</button>
                    <a class="btn quiet" href=LocalPath::account()>"Cancel"</a>
                </div>
            </form>
        };
        framed(&caller, LocalPath::password(), body.into_any()).await
    })
}

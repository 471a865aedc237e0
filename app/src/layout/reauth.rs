//! The fields of a form in which a person proves again who they are. They are left out within ten minutes of the last
//! time, because the action then accepts the form without them.

use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::access::Caller;
use leptos::prelude::*;

use crate::ui::field::{FieldErrors, TextField};

/// The password, and the code where the person has two-factor authentication; nothing while neither is needed.
pub fn reauth_fields(caller: &Caller, now: Moment, field_errors: &FieldErrors) -> AnyView {
    reauth_fields_as(("reauth", "reauth_code"), caller, now, field_errors)
}

/// `reauth_fields` of one of several forms of a page, with ids of its own for password and code.
pub fn reauth_fields_as(
    (password, code): (&'static str, &'static str),
    caller: &Caller,
    now: Moment,
    field_errors: &FieldErrors,
) -> AnyView {
    if caller.recently_authenticated(now) {
        return ().into_any();
    }
    let help = "You signed in more than ten minutes ago, so confirm it's you.";
    let password = TextField { id: password, ..password_field(help) }.draw(String::new(), field_errors);
    let code = caller.person.second_factor.then(|| {
        let field = TextField::new("reauth_code", "form[reauth][code]", "Code from your device");
        let field = TextField { id: code, ..field.autocomplete("one-time-code") };
        field.draw(String::new(), field_errors)
    });
    view! { {password} {code} }.into_any()
}

/// The password alone, for actions that need it every time.
pub fn reauth_password(help: &'static str, field_errors: &FieldErrors) -> AnyView {
    password_field(help).draw(String::new(), field_errors)
}

fn password_field(help: &'static str) -> TextField {
    TextField::new("reauth", "form[reauth][password]", "Your password")
        .password("current-password")
        .help(help)
}

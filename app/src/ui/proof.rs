//! The part of a form in which somebody proves again who they are; empty while their last proof is young enough.

use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::access::Caller;
use leptos::prelude::*;

use super::field::{Mistakes, TextField};

/// Asked for only when it is needed: `prove` accepts the form without it while the caller is fresh.
pub fn proof_fields(caller: &Caller, now: Moment, mistakes: &Mistakes) -> AnyView {
    if caller.is_fresh(now) {
        return ().into_any();
    }
    let password = proof_password("Asked again because you signed in more than ten minutes ago.", mistakes);
    let code = caller.person.second_factor.then(|| {
        let code = TextField {
            field: "proof_code",
            name: "form[proof][code]",
            label: "Code from your device",
            autocomplete: "one-time-code",
            ..Default::default()
        };
        code.draw(String::new(), mistakes)
    });
    view! { {password} {code} }.into_any()
}

/// The password alone, for what asks for it each time.
pub fn proof_password(help: &'static str, mistakes: &Mistakes) -> AnyView {
    let password = TextField {
        field: "proof",
        name: "form[proof][password]",
        label: "Your password",
        help,
        kind: "password",
        autocomplete: "current-password",
        ..Default::default()
    };
    password.draw(String::new(), mistakes)
}

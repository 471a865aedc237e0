//! A form that came back to its page: what was typed, and what is wrong with it, or what its action answered.

use crate::ask::parts;
use crate::sealed::{Answered, Returned};
use crate::ui::field::FieldErrors;

/// The form that came back to this page, if one did.
pub fn returned() -> Option<Returned> {
    parts()?.extensions.get::<Returned>().cloned()
}

/// What is wrong with the form that came back.
pub fn field_errors() -> FieldErrors {
    FieldErrors(returned().map(|form| form.errors).unwrap_or_default())
}

/// The form that came back, as it was typed.
pub fn typed<T: serde::de::DeserializeOwned>() -> Option<T> {
    #[derive(serde::Deserialize)]
    struct Sent<T> {
        form: T,
    }
    let text = serde_urlencoded::to_string(returned()?.values).ok()?;
    serde_qs::Config::new(5, false).deserialize_str::<Sent<T>>(&text).ok().map(|sent| sent.form)
}

/// What the action of this page's form answered, if it was drawn for that.
pub fn answered<T: serde::de::DeserializeOwned>() -> Option<T> {
    serde_json::from_str(&parts()?.extensions.get::<Answered>()?.0).ok()
}

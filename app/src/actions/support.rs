//! Support's one box across organisations.

use keydesk_core::ops::support::{self, LookupForm, LookupResult};
use leptos::prelude::*;

use super::tell;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

/// It posts, so that a pasted secret never stands in an address.
#[server(endpoint = "support/look-up")]
pub async fn lookup(form: LookupForm) -> Result<(), AppError> {
    act(async {
        match support::lookup(&desk()?, &caller()?, &form).await? {
            LookupResult::Key { slug, id, secret: None } => Ok(LocalPath::key(&slug, &id)),
            LookupResult::Key { slug, id, secret: Some(secret) } => {
                Ok(LocalPath::secret(&slug, &id, &secret))
            }
            LookupResult::Nothing(sentence) => {
                tell(Tone::Warn, sentence)?;
                Ok(LocalPath::support())
            }
            LookupResult::Text(text) => {
                let query = serde_urlencoded::to_string([("q", text)]).unwrap_or_default();
                Ok(LocalPath::support().with_query(if query == "q=" { "" } else { &query }))
            }
        }
    })
    .await
}

//! Support's one box across organisations.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::forms::ticket::TicketForm;
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
            LookupResult::Request { slug, id, request } => Ok(LocalPath::request(&slug, &id, &request)),
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

/// A ticket. It posts too: a secret may be pasted into any of its fields, and none goes on to the page.
#[server(endpoint = "support/ticket")]
pub async fn ticket(form: TicketForm) -> Result<(), AppError> {
    act(async {
        let (key, sentence) = support::find_pasted(&desk()?, &caller()?, &form.pasted()).await?;
        if let Some(sentence) = sentence {
            tell(Tone::Warn, sentence)?;
        }
        let shown = form.shown();
        let key = key.map_or(shown.key.clone(), |id| Hidden::new(id.to_string()));
        Ok(LocalPath::ticket(&TicketForm { key, ..shown }))
    })
    .await
}

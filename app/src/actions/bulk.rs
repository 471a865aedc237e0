//! One act on several keys.

use keydesk_core::domain::bulk::Outcome;
use keydesk_core::forms::bulk::BulkForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys;
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ask::{answer, caller, desk};
use crate::error::AppError;

/// What happened, for the page of the form: it is stored nowhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BulkDone {
    pub outcome: Outcome,
    /// The query of the list that the keys were selected in.
    pub back: String,
}

#[server(endpoint = "keys/bulk")]
pub async fn bulk_keys(form: BulkForm) -> Result<BulkDone, AppError> {
    let done: Result<BulkDone, AppError> = async {
        let desk = desk()?;
        let (selected, change) = (form.selected()?, form.change()?);
        let chosen = change.ok_or_else(|| match form.act.as_str() {
            "move" => OpError::say("team", "Choose a team."),
            _ => OpError::say("expiry", "Choose when the keys expire."),
        })?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let (outcome, failed) = keys::apply(&desk, &caller, &form.org, &selected, &chosen).await?;
        // The outcome says which keys were not reached; the cause is logged here.
        if let Some(error) = failed {
            let _logged = AppError::from(OpError::Store(error));
        }
        Ok(BulkDone { outcome, back: form.back.clone() })
    }
    .await;
    if let Err(error) = &done {
        answer(Err(error.clone()))?;
    }
    done
}

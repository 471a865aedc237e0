//! Limits that only report: set, enforce, remove.

use keydesk_core::domain::limit_use::HolderKind;
use keydesk_core::forms::shadow_limit::{SetShadowForm, ShadowRefForm};
use keydesk_core::ops::limits;
use leptos::prelude::*;

use super::tell;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "limits/try")]
pub async fn try_limit(form: SetShadowForm) -> Result<(), AppError> {
    act(async {
        let wish = form.parse()?;
        let name = limits::set(&desk()?, &caller()?, &wish).await?;
        let limit = wish.limit.summary();
        tell(Tone::Good, format!("{name} has a limit of {limit} that only reports. It rejects nothing."))?;
        Ok(page_of(&form.org, wish.kind, &form.id))
    })
    .await
}

#[server(endpoint = "limits/enforce")]
pub async fn enforce_limit(form: ShadowRefForm) -> Result<(), AppError> {
    act(async {
        let of = form.parse()?;
        let enforced = limits::enforce(&desk()?, &caller()?, &of).await?;
        let (name, limit) = (enforced.name, enforced.limit.summary());
        tell(Tone::Good, format!("The limit of {limit} is enforced for {name} from now on."))?;
        Ok(page_of(&form.org, of.kind, &form.id))
    })
    .await
}

#[server(endpoint = "limits/remove")]
pub async fn remove_limit(form: ShadowRefForm) -> Result<(), AppError> {
    act(async {
        let of = form.parse()?;
        let name = limits::remove(&desk()?, &caller()?, &of).await?;
        tell(Tone::Good, format!("The limit of {name} that only reported was removed."))?;
        Ok(page_of(&form.org, of.kind, &form.id))
    })
    .await
}

fn page_of(org: &str, holder: HolderKind, id: &str) -> LocalPath {
    match holder {
        HolderKind::Key => LocalPath::keys(org).with_id(id),
        HolderKind::Team | HolderKind::Org => LocalPath::teams(org).with_id(id),
    }
}

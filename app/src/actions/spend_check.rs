//! Checking an organisation's spend against its requests, and repairing it.

use keydesk_core::domain::numbers::grouped;
use keydesk_core::forms::org::SpendCheckForm;
use keydesk_core::ops::spend_check;
use leptos::prelude::*;

use super::tell;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "spend/check")]
pub async fn check_spend(form: SpendCheckForm) -> Result<(), AppError> {
    act(async {
        let check = spend_check::check(&desk()?, &caller()?, &form.org).await?;
        let (tone, words) = if check.adds_up() {
            (Tone::Good, "Everything adds up: the difference is $0.00.".to_owned())
        } else {
            let words = format!("Something does not add up: the difference is {}.", check.difference.exact());
            (Tone::Warn, words)
        };
        tell(tone, words)?;
        Ok(LocalPath::spend_check(&form.org))
    })
    .await
}

#[server(endpoint = "spend/repair")]
pub async fn repair_spend(form: SpendCheckForm) -> Result<(), AppError> {
    act(async {
        let done = spend_check::repair(&desk()?, &caller()?, &form.org).await?;
        let words = match done.totals {
            0 => format!("There was nothing to repair any more. The spend of {} is", done.name),
            1 => format!("One total is put right. The spend of {} is", done.name),
            count => format!("{} totals are put right. The spend of {} is", grouped(count as i64), done.name),
        };
        tell(Tone::Good, format!("{words} {} in all.", done.after.spent))?;
        Ok(LocalPath::spend_check(&form.org))
    })
    .await
}

//! An organisation's settings; and the installation's organisations, for its operator.

use keydesk_core::domain::ledger::EntryKind;
use keydesk_core::forms::ledger::{EnforceForm, EnterForm};
use keydesk_core::forms::org::{NewOrgForm, OrgStatusForm};
use keydesk_core::forms::settings::SaveForm;
use keydesk_core::ops::orgs::{self, By, Entered, Owner, Saved};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::tell;
use crate::ask::{answer, base_url, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, OwnerLink, Tone};

#[server(endpoint = "orgs/save")]
pub async fn save_settings(form: SaveForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            match orgs::save(&desk, &caller, &form).await? {
                Saved::Saved(slug) if slug == form.org => {
                    tell(Tone::Good, "The settings are saved.")?;
                    Ok(LocalPath::settings(&slug))
                }
                Saved::Saved(slug) => {
                    tell(
                        Tone::Good,
                        format!("The settings are saved. The organisation's pages are now at /{slug}."),
                    )?;
                    Ok(LocalPath::settings(&slug))
                }
                Saved::Nothing => {
                    tell(Tone::Good, "No changes to save.")?;
                    Ok(LocalPath::settings(&form.org))
                }
                Saved::EditConflict(conflict) => Err(AppError::EditConflict {
                    sentence: conflict.sentence,
                    fields: conflict.errors,
                    merged: serde_json::to_string(&conflict.form).unwrap_or_default(),
                }),
            }
        }
        .await,
    )
}

#[server(endpoint = "orgs/create")]
pub async fn create_org(form: NewOrgForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let created = orgs::create(&desk, By::Operator(&caller()?), &form).await?;
            match created.owner {
                Owner::Joined(owner) => {
                    tell(Tone::Good, format!("{} is created. {owner} is its owner.", created.name))?;
                    Ok(LocalPath::operator())
                }
                Owner::Invited(token) => {
                    let page = LocalPath::org_created(&created.slug);
                    // The one way the link leaves: sealed, to the page that shows it.
                    let link = format!("{}/invite/{}", base_url(), token.as_str());
                    let email = form.email.trim().to_lowercase();
                    let once = OwnerLink { slug: created.slug, email, link };
                    sealed::send(ISSUED, page.as_str(), once, desk.now());
                    Ok(page)
                }
            }
        }
        .await,
    )
}

#[server(endpoint = "orgs/suspend")]
pub async fn suspend_org(form: OrgStatusForm) -> Result<(), AppError> {
    answer(
        async {
            let name = orgs::suspend(&desk()?, By::Operator(&caller()?), &form).await?;
            tell(Tone::Good, format!("{name} is suspended. Requests with its keys fail immediately."))?;
            Ok(LocalPath::operator())
        }
        .await,
    )
}

#[server(endpoint = "orgs/resume")]
pub async fn resume_org(form: OrgStatusForm) -> Result<(), AppError> {
    answer(
        async {
            let name = orgs::resume(&desk()?, By::Operator(&caller()?), &form).await?;
            tell(Tone::Good, format!("{name} is resumed. Its keys work again."))?;
            Ok(LocalPath::operator())
        }
        .await,
    )
}

#[server(endpoint = "orgs/enter-balance")]
pub async fn enter_balance(form: EnterForm) -> Result<(), AppError> {
    answer(
        async {
            match orgs::add_entry(&desk()?, By::Operator(&caller()?), &form).await? {
                Entered::Entered { name, entry, left } => {
                    let amount = entry.amount;
                    let done = match entry.kind {
                        EntryKind::Debit => format!("{amount} taken out of the balance of {name}."),
                        EntryKind::Opening | EntryKind::Credit => {
                            format!("{amount} added to the balance of {name}.")
                        }
                    };
                    tell(Tone::Good, format!("{done} It is {left} now."))?;
                    Ok(LocalPath::operator_balance(&form.org))
                }
                Entered::EditConflict(conflict) => Err(AppError::EditConflict {
                    sentence: conflict.sentence,
                    fields: conflict.errors,
                    merged: serde_json::to_string(&conflict.form).unwrap_or_default(),
                }),
            }
        }
        .await,
    )
}

#[server(endpoint = "orgs/enforce-balance")]
pub async fn enforce_balance(form: EnforceForm) -> Result<(), AppError> {
    answer(
        async {
            let done = orgs::enforce(&desk()?, By::Operator(&caller()?), &form).await?;
            let (name, left) = (done.name, done.balance.left());
            if done.balance.refuses() {
                tell(
                    Tone::Warn,
                    format!("The balance of {name} is now enforced. It is {left}, so requests with its keys fail until you add credit."),
                )?;
            } else if done.balance.enforced_at.is_some() {
                tell(Tone::Good, format!("The balance of {name} is now enforced. It is {left}."))?;
            } else {
                tell(Tone::Good, format!("The balance of {name} is no longer enforced."))?;
            }
            Ok(LocalPath::operator_balance(&form.org))
        }
        .await,
    )
}

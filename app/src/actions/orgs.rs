//! An organisation's settings; and the installation's organisations, for its operator.

use keydesk_core::domain::ledger::EntryKind;
use keydesk_core::forms::ledger::{EnforceForm, EnterForm};
use keydesk_core::forms::org::{NewOrgForm, OrgStatusForm};
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::{self, Entered, OperatorActor, Owner};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::{edit_conflict, tell};
use crate::ask::{act, base_url, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, OwnerLink, Tone};

#[server(endpoint = "orgs/save")]
pub async fn save_settings(form: SaveForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        match orgs::save(&desk, &caller, &form.parse()?).await? {
            Outcome::Saved(slug) => {
                let moved = if slug == form.org {
                    String::new()
                } else {
                    format!(" The organisation's pages are now at /{slug}.")
                };
                tell(Tone::Good, format!("The settings are saved.{moved}"))?;
                Ok(LocalPath::settings(&slug))
            }
            Outcome::Unchanged(slug) => {
                tell(Tone::Good, "No changes to save.")?;
                Ok(LocalPath::settings(&slug))
            }
            Outcome::Conflict(conflict) => Err(edit_conflict(*conflict, |merged| SettingsForm::of(&merged))),
        }
    })
    .await
}

#[server(endpoint = "orgs/create")]
pub async fn create_org(form: NewOrgForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let created = orgs::create(&desk, OperatorActor::Operator(&caller), &form.parse()?).await?;
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
    })
    .await
}

#[server(endpoint = "orgs/suspend")]
pub async fn suspend_org(form: OrgStatusForm) -> Result<(), AppError> {
    act(async {
        let name =
            orgs::suspend(&desk()?, OperatorActor::Operator(&caller()?), &form.org, &form.reason).await?;
        tell(Tone::Good, format!("{name} is suspended. Requests with its keys fail immediately."))?;
        Ok(LocalPath::operator())
    })
    .await
}

#[server(endpoint = "orgs/resume")]
pub async fn resume_org(form: OrgStatusForm) -> Result<(), AppError> {
    act(async {
        let name =
            orgs::resume(&desk()?, OperatorActor::Operator(&caller()?), &form.org, &form.reason).await?;
        tell(Tone::Good, format!("{name} is resumed. Its keys work again."))?;
        Ok(LocalPath::operator())
    })
    .await
}

#[server(endpoint = "orgs/enter-balance")]
pub async fn enter_balance(form: EnterForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        match orgs::add_entry(&desk()?, OperatorActor::Operator(&caller), &form.parse()?).await? {
            Outcome::Saved(Entered { name, entry, left })
            | Outcome::Unchanged(Entered { name, entry, left }) => {
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
            Outcome::Conflict(conflict) => Err(edit_conflict(*conflict, |merged| {
                // What is in the ledger already is not offered a second time.
                merged.map(|_| form.entry.clone()).unwrap_or_default()
            })),
        }
    })
    .await
}

#[server(endpoint = "orgs/enforce-balance")]
pub async fn enforce_balance(form: EnforceForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let done = orgs::enforce(&desk()?, OperatorActor::Operator(&caller), &form.org, form.parse()?).await?;
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
    })
    .await
}

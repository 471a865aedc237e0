//! Another role, disable, enable, remove, leave, and what becomes of the keys of those who left.

use keydesk_core::domain::ids::PersonId;
use keydesk_core::ops::members::{self, LeaveForm, MemberRef, Out, RoleForm};
use keydesk_core::ops::offboarding::{self, DecideForm};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use crate::ask::{answer, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, FLASH, Flash, Tone};

fn tell(sentence: impl Into<String>) -> Result<(), AppError> {
    sealed::send(FLASH, "/", Flash { tone: Tone::Good, sentence: sentence.into() }, desk()?.now());
    Ok(())
}

/// The person's page, from an id that the operation has just accepted.
fn member_page(org: &str, id: &str) -> Result<LocalPath, AppError> {
    Ok(LocalPath::member(org, &PersonId::parse(id).ok_or(AppError::NotFound)?))
}

#[server(endpoint = "members/role")]
pub async fn change_role(form: RoleForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let name = members::change_role(&desk, &caller, &form).await?;
            tell(format!("{name} is {} from now on.", with_article(&form.role)))?;
            // Whoever gives up their own role may not see this page any more.
            match form.id == caller.person.id.as_str() {
                true => Ok(LocalPath::keys(&form.org)),
                false => member_page(&form.org, &form.id),
            }
        }
        .await,
    )
}

fn with_article(role: &str) -> String {
    format!("{} {role}", if role == "member" { "a" } else { "an" })
}

/// To the keys that wait for a decision, when there are some.
fn after(org: &str, id: &str, out: &Out) -> Result<LocalPath, AppError> {
    let id = PersonId::parse(id).ok_or(AppError::NotFound)?;
    Ok(if out.has_keys { LocalPath::offboarding(org, &id) } else { LocalPath::member(org, &id) })
}

#[server(endpoint = "members/disable")]
pub async fn disable_member(form: MemberRef) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let out = members::disable(&desk, &caller, &form).await?;
            tell(format!("{} is disabled and signed out everywhere.", out.name))?;
            after(&form.org, &form.id, &out)
        }
        .await,
    )
}

#[server(endpoint = "members/enable")]
pub async fn enable_member(form: MemberRef) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let name = members::enable(&desk, &caller, &form).await?;
            tell(format!("{name} is active again."))?;
            member_page(&form.org, &form.id)
        }
        .await,
    )
}

#[server(endpoint = "members/remove")]
pub async fn remove_member(form: MemberRef) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let out = members::remove(&desk, &caller, &form).await?;
            tell(format!("{} is removed and signed out everywhere.", out.name))?;
            after(&form.org, &form.id, &out)
        }
        .await,
    )
}

#[server(endpoint = "members/leave")]
pub async fn leave_org(form: LeaveForm) -> Result<(), AppError> {
    answer(
        async {
            let name = members::leave(&desk()?, &caller()?, &form).await?;
            tell(format!("You have left {name}."))?;
            Ok(LocalPath::home())
        }
        .await,
    )
}

#[server(endpoint = "members/decide")]
pub async fn decide_keys(form: DecideForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let decided = offboarding::decide(&desk, &caller, &form).await?;
            tell(decided.sentence)?;
            let id = PersonId::parse(&form.id).ok_or(AppError::NotFound)?;
            Ok(match decided.more {
                true => LocalPath::offboarding(&form.org, &id),
                false => LocalPath::members(&form.org),
            })
        }
        .await,
    )
}

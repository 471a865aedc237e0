//! Change a member's role, disable, enable, remove, leave; and decide about the keys of those who left.

use keydesk_core::domain::ids::PersonId;
use keydesk_core::forms::member::{LeaveForm, MemberForm, OffboardForm, RoleForm};
use keydesk_core::ops::members::{self, Out};
use keydesk_core::ops::offboarding;
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::tell;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

/// The person's page, from an id that the operation has just accepted.
fn member_page(org: &str, id: &str) -> Result<LocalPath, AppError> {
    Ok(LocalPath::member(org, &PersonId::parse(id).ok_or(AppError::NotFound)?))
}

#[server(endpoint = "members/role")]
pub async fn change_role(form: RoleForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let role = form.parse()?;
        let name = members::change_role(&desk, &caller, &form.org, &form.id, role).await?;
        tell(Tone::Good, format!("{name} is now {}.", with_article(&form.role)))?;
        // A person who gives up their own role may no longer see this page.
        match form.id == caller.person.id.as_str() {
            true => Ok(LocalPath::keys(&form.org)),
            false => member_page(&form.org, &form.id),
        }
    })
    .await
}

fn with_article(role: &str) -> String {
    format!("{} {role}", if role == "member" { "a" } else { "an" })
}

/// The member's keys when there are some to decide about, and their page otherwise.
fn after(org: &str, id: &str, out: &Out) -> Result<LocalPath, AppError> {
    let id = PersonId::parse(id).ok_or(AppError::NotFound)?;
    Ok(if out.has_keys { LocalPath::offboarding(org, &id) } else { LocalPath::member(org, &id) })
}

#[server(endpoint = "members/disable")]
pub async fn disable_member(form: MemberForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let out = members::disable(&desk, &caller, &form.org, &form.id).await?;
        tell(Tone::Good, format!("{} is disabled and signed out everywhere.", out.name))?;
        after(&form.org, &form.id, &out)
    })
    .await
}

#[server(endpoint = "members/enable")]
pub async fn enable_member(form: MemberForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let name = members::enable(&desk, &caller, &form.org, &form.id).await?;
        tell(Tone::Good, format!("{name} is active again."))?;
        member_page(&form.org, &form.id)
    })
    .await
}

#[server(endpoint = "members/remove")]
pub async fn remove_member(form: MemberForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let out = members::remove(&desk, &caller, &form.org, &form.id).await?;
        tell(Tone::Good, format!("{} is removed and signed out everywhere.", out.name))?;
        after(&form.org, &form.id, &out)
    })
    .await
}

#[server(endpoint = "members/leave")]
pub async fn leave_org(form: LeaveForm) -> Result<(), AppError> {
    act(async {
        let name = members::leave(&desk()?, &caller()?, &form.org).await?;
        tell(Tone::Good, format!("You left {name}."))?;
        Ok(LocalPath::home())
    })
    .await
}

#[server(endpoint = "members/decide")]
pub async fn decide_keys(form: OffboardForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let wish = form.parse()?;
        let decided = offboarding::decide(&desk, &caller, &form.org, &form.id, &wish).await?;
        tell(Tone::Good, decided.sentence)?;
        let id = PersonId::parse(&form.id).ok_or(AppError::NotFound)?;
        Ok(match decided.more {
            true => LocalPath::offboarding(&form.org, &id),
            false => LocalPath::members(&form.org),
        })
    })
    .await
}

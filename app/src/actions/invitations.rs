//! Invite, resend, withdraw; and accept an invitation.

use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::forms::invitation::{AcceptForm, InvitationForm, InviteForm, JoinForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::invitations::{self, DAYS, Issued, NewMember, Origin};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::session::begin_first;
use super::tell;
use crate::ask::{act, base_url, caller, desk, request};
use crate::error::AppError;
use crate::mail::{Letter, mailer};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, IssuedLink, Mailed, Tone};

#[server(endpoint = "invitations/invite")]
pub async fn invite_member(form: InviteForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let invite = form.parse()?;
        let issued = invitations::invite(&desk, &caller, &form.org, &invite).await?;
        hand_over(&caller, &form.org, issued, desk.now()).await
    })
    .await
}

#[server(endpoint = "invitations/resend")]
pub async fn resend_invitation(form: InvitationForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let issued = invitations::resend(&desk, &caller, &form.org, &form.id).await?;
        hand_over(&caller, &form.org, issued, desk.now()).await
    })
    .await
}

/// Mails the link if mail is configured, and shows it once on the page that this leads to.
async fn hand_over(caller: &Caller, org: &str, issued: Issued, now: Moment) -> Result<LocalPath, AppError> {
    let link = format!("{}/invite/{}", base_url(), issued.token.as_str());
    let mail = match mailer() {
        None => Mailed::Never,
        Some(mailer) => match mailer.send(letter(&issued, &link)).await {
            true => Mailed::Sent,
            false => Mailed::Failed,
        },
    };
    if mail == Mailed::Sent {
        invitations::mailed(&desk()?, caller, org, &issued.id).await?;
    }
    let page = LocalPath::invitation(org, &issued.id);
    let once = IssuedLink { invitation_id: issued.id.to_string(), link, mail };
    sealed::send(ISSUED, page.as_str(), once, now);
    Ok(page)
}

fn letter(issued: &Issued, link: &str) -> Letter {
    let (by, org) = (&issued.invited_by, &issued.org_name);
    let role = match issued.role {
        OrgRole::Owner => "as an owner",
        OrgRole::Admin => "as an admin",
        OrgRole::Member => "as a member",
    };
    Letter {
        to: issued.email.as_str().to_owned(),
        subject: format!("{by} invites you to {org}"),
        text: format!(
            "{by} invites you to {org} on Keydesk, {role}.\n\n\
             {org} manages the API keys for its AI models there.\n\n\
             To join, open this link:\n\n{link}\n\n\
             It works once, for {DAYS} days. If you did not expect this mail, you can ignore it.\n"
        ),
    }
}

#[server(endpoint = "invitations/withdraw")]
pub async fn withdraw_invitation(form: InvitationForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let email = invitations::withdraw(&desk, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, format!("Invitation for {email} withdrawn. Its link no longer works."))?;
        Ok(LocalPath::members(&form.org))
    })
    .await
}

#[server(endpoint = "invitations/accept")]
pub async fn accept_invitation(form: AcceptForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let request = request();
        let origin = Origin { address: request.address, request_id: request.id };
        let member = NewMember { name: &form.name, password: &form.password };
        let joined = invitations::accept_new(&desk, &form.token, &member, &origin).await?;
        begin_first(&joined.person).await?;
        Ok(LocalPath::overview(&joined.org_slug))
    })
    .await
}

#[server(endpoint = "invitations/join")]
pub async fn join_org(form: JoinForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let joined = invitations::accept_known(&desk, &caller()?, &form.token).await?;
        tell(Tone::Good, format!("You joined {}.", joined.org_name))?;
        Ok(LocalPath::overview(&joined.org_slug))
    })
    .await
}

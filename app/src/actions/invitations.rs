//! Invite, send again, withdraw; and, behind the link, come in.

use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::invitations::{
    self, AcceptForm, DAYS, InvitationRef, InviteForm, Issued, JoinForm, Origin,
};
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::session::begin_first;
use crate::ask::{answer, base_url, caller, desk, request};
use crate::error::AppError;
use crate::mail::{Letter, mailer};
use crate::path::LocalPath;
use crate::sealed::{self, FLASH, Flash, ISSUED, IssuedLink, Mailed, Tone};

#[server(endpoint = "invitations/invite")]
pub async fn invite_member(form: InviteForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let issued = invitations::invite(&desk, &caller, &form).await?;
            hand_over(&caller, &form.org, issued, desk.now()).await
        }
        .await,
    )
}

#[server(endpoint = "invitations/resend")]
pub async fn resend_invitation(form: InvitationRef) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
            let issued = invitations::resend(&desk, &caller, &form).await?;
            hand_over(&caller, &form.org, issued, desk.now()).await
        }
        .await,
    )
}

/// By mail when there is one to send, and to the page that shows the link in any case: the one way it leaves.
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
             Keydesk is where {org} keeps the keys to its AI models.\n\n\
             To join, open this link:\n\n{link}\n\n\
             It works once, for {DAYS} days. If you did not expect this, you need not do anything.\n"
        ),
    }
}

#[server(endpoint = "invitations/withdraw")]
pub async fn withdraw_invitation(form: InvitationRef) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let email = invitations::withdraw(&desk, &caller()?, &form).await?;
            let sentence = format!("Invitation of {email} withdrawn. Its link no longer works.");
            sealed::send(FLASH, "/", Flash { tone: Tone::Good, sentence }, desk.now());
            Ok(LocalPath::members(&form.org))
        }
        .await,
    )
}

#[server(endpoint = "invitations/accept")]
pub async fn accept_invitation(form: AcceptForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let request = request();
            let origin = Origin { address: request.address, request_id: request.id };
            let joined = invitations::accept_new(&desk, &form, &origin).await?;
            begin_first(&joined.person).await?;
            Ok(LocalPath::keys(&joined.org_slug))
        }
        .await,
    )
}

#[server(endpoint = "invitations/join")]
pub async fn join_org(form: JoinForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let joined = invitations::accept_known(&desk, &caller()?, &form).await?;
            let sentence = format!("You are in {} now.", joined.org_name);
            sealed::send(FLASH, "/", Flash { tone: Tone::Good, sentence }, desk.now());
            Ok(LocalPath::keys(&joined.org_slug))
        }
        .await,
    )
}

//! All limits that apply to a key, a team or an organisation, and what stops requests next.

use super::super::access::{Caller, OrgContext, open_org};
use super::super::support::{SupportAccess, record_support_access};
use super::super::{OpError, keys, teams};
use crate::Desk;
use crate::admission::{LimitedHolder, limits_of_holder};
use crate::domain::ids::{KeyId, TeamId};
use crate::domain::key::Key;
use crate::domain::limit_use::{HolderKind, LimitUse, Limited};
use crate::domain::moment::Moment;
use crate::domain::next_stop::{Ends, NextStop, stops};
use crate::domain::policy::{Action, On};
use crate::domain::window::WindowStarts;
use crate::store::{grants, present_spend};

/// The limits that apply to one holder.
pub struct LimitsView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// What the holder is.
    pub holder: HolderKind,
    /// The holder's name.
    pub name: String,
    /// Every limit that applies, as it is now, in the order of the gates. The balance only for who may see it.
    pub limits: Vec<LimitUse>,
    /// What can stop requests, the first in time first.
    pub stops: Vec<NextStop>,
    /// When it was read.
    pub now: Moment,
}

impl LimitsView {
    /// What stops requests next, in one line; `None` where nothing can. With what stops nothing yet, a rotation or an expiry
    /// in more than a week, what else comes is said too.
    pub fn line(&self) -> Option<String> {
        let zone = &self.context.org.zone;
        let words = |stop: &NextStop| stop.sentence(self.holder, self.now, zone);
        let (first, then) = self.stops.split_first()?;
        let is_far = first.limit().is_none() && first.at.is_some_and(|at| at > self.now.plus_days(7));
        let also = match (first.stops_requests(), is_far) {
            (false, _) => then.iter().find(|stop| stop.stops_requests()),
            (true, true) => then.iter().find(|stop| stop.limit().is_some()),
            (true, false) => None,
        };
        let also = also.map(words);
        let words = match is_far {
            true => [also, Some(words(first))],
            false => [Some(words(first)), also],
        };
        Some(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// The limits that apply to a key: its own, its team's and its organisation's.
///
/// # Errors
/// `NotFound` when the caller may not see the key.
pub async fn of_key(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<LimitsView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let now = desk.now();
    let key = keys::find_seen(&mut read, &context, id, now).await?;
    drop(read);
    let days = key.rotate_days.or(context.org.rules.rotate_days);
    let ends = Ends {
        expires_at: key.expires_at,
        rotation_due: days.map(|days| key.secret_created_at.plus_days(days)),
        secret_ends: None,
    };
    let team = key.team.as_ref().map(|team| (&team.id, team.name.as_str()));
    let holder = Shown { kind: HolderKind::Key, id: key.id.as_str(), name: &key.name, key: Some(&key), team };
    view(desk, context, holder, ends, now).await
}

/// The limits that apply to a team: its own and its organisation's.
///
/// # Errors
/// `NotFound` when the caller may not see the team.
pub async fn of_team(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<LimitsView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let now = desk.now();
    let team = teams::find_seen(&mut read, &context, id, now).await?;
    drop(read);
    let name = team.spec.name.as_str();
    let holder =
        Shown { kind: HolderKind::Team, id: team.id.as_str(), name, key: None, team: Some((&team.id, name)) };
    view(desk, context, holder, Ends::default(), now).await
}

/// The limits of an organisation itself.
///
/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn of_org(desk: &Desk, caller: &Caller, slug: &str) -> Result<LimitsView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::SeeSettings, On::Org)?;
    drop(read);
    let now = desk.now();
    let (id, name) = (context.org.id.to_string(), context.org.name.clone());
    let holder = Shown { kind: HolderKind::Org, id: &id, name: &name, key: None, team: None };
    view(desk, context, holder, Ends::default(), now).await
}

/// Whose limits are shown.
struct Shown<'a> {
    kind: HolderKind,
    id: &'a str,
    name: &'a str,
    key: Option<&'a Key>,
    team: Option<(&'a TeamId, &'a str)>,
}

async fn view(
    desk: &Desk,
    context: OrgContext,
    shown: Shown<'_>,
    ends: Ends,
    now: Moment,
) -> Result<LimitsView, OpError> {
    let org = &context.org;
    let key: Option<(&KeyId, &str)> = shown.key.map(|key| (&key.id, key.name.as_str()));
    let holder = LimitedHolder { key, team: shown.team };
    let mut limits = limits_of_holder(desk, org, &holder).await?;
    if !context.may(Action::SeeBalance, On::Org) {
        limits.retain(|limit| limit.what != Limited::Balance);
    }
    let starts = WindowStarts::at(now, &org.zone);
    let team = shown.team.map(|(team, _)| team);
    let mut read = desk.db.read().await?;
    let key = key.map(|(key, _)| key);
    let paces = present_spend::paces(&mut read, &org.id, key, team, starts).await?;
    let grants = grants::ends(&mut read, &org.id, key, team, now).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: shown.id, name: shown.name }).await?;
    let stops = stops(&limits, paces, ends, &grants, now, &org.zone);
    Ok(LimitsView { holder: shown.kind, name: shown.name.to_owned(), limits, stops, now, context })
}

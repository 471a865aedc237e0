//! The list of teams: those that the caller may see, by name.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::ids::TeamId;
use crate::domain::list_filter::TeamFilter;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::person::fold;
use crate::domain::policy::{Action, On, Scope};
use crate::domain::team::{Team, WholeTeam};
use crate::domain::window::WindowStarts;
use crate::store::{months, teams};

/// A page ends here; a search by name finds the others.
pub const MAX_LIST: usize = 100;

/// What the list is drawn from.
pub struct TeamsView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The first of those that match, by name.
    pub teams: Vec<WholeTeam>,
    /// What each of them spent in the calendar month before this one.
    pub last_month: Vec<Money>,
    /// How many match.
    pub count: usize,
    /// The caller has no team to see here, in any state.
    pub none_at_all: bool,
    /// When it was read.
    pub now: Moment,
}

/// The first `MAX_LIST` teams that match.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn list(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &TeamFilter,
) -> Result<TeamsView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListTeams, On::Org)?;
    let org = &context.org.id;
    // Names and ids alone, of which an organisation has few: they are folded as in all scripts, and no database does that.
    let (named, others) = match (permit.scope(), filter.archived) {
        (Scope::Org, false) => (teams::in_use(&mut read, org).await?, teams::archived(&mut read, org).await?),
        (Scope::Org, true) => (teams::archived(&mut read, org).await?, teams::in_use(&mut read, org).await?),
        (Scope::OfPerson(person), false) => (teams::of_person(&mut read, org, person).await?, vec![]),
        // Who is only in a team sees it while it is in use.
        (Scope::OfPerson(person), true) => (vec![], teams::of_person(&mut read, org, person).await?),
    };
    let none_at_all = named.is_empty() && others.is_empty();
    let needle = fold(filter.search.trim());
    let found: Vec<TeamId> = named
        .into_iter()
        .filter(|team: &Team| fold(&team.name).contains(&needle))
        .map(|team| team.id)
        .collect();
    let count = found.len();
    let shown = &found[..count.min(MAX_LIST)];
    let (zone, starts) = (&context.org.zone, WindowStarts::at(now, &context.org.zone));
    let teams = teams::whole(&mut read, org, shown, starts).await?;
    let before = Day::of(starts.month.plus_ms(-1), zone).month();
    let last_month = months::of_teams(&mut read, org, shown, &before).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::List { of: "teams", search: &filter.search })
        .await?;
    Ok(TeamsView { context, teams, last_month, count, none_at_all, now })
}

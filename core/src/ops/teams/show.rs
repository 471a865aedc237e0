//! One team: its limits and what is used of them, its people, and the keys that exceed its limits.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::report::{self, SpendCard};
use super::super::support::{SupportAccess, record_support_access};
use super::find_seen;
use crate::Desk;
use crate::domain::key::Key;
use crate::domain::member::TeamPerson;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, KeyFacts, On};
use crate::domain::report::{Dimension, Filters};
use crate::domain::team::WholeTeam;
use crate::domain::window::WindowStarts;
use crate::store::ledger::{self, OrgLeft};
use crate::store::{keys, spend, teams};

/// People on one page.
const MAX_PEOPLE: i64 = 500;
/// How many keys, the newest, are compared with the team's limits.
pub const MAX_COMPARED: usize = 1_000;

/// A team's page.
pub struct TeamView {
    /// The team's organisation.
    pub context: OrgContext,
    /// The team.
    pub team: WholeTeam,
    /// By name.
    pub people: Vec<TeamPerson>,
    /// What the organisation has left, which stops the team too.
    pub left: OrgLeft,
    /// What it spent lately: all of it, or what is the caller's to see.
    pub card: SpendCard,
    /// Live keys that exceed the team's limits. Empty for callers who may not see the team's keys.
    pub above: Vec<Key>,
    /// There are more live keys than were compared.
    pub compared_some: bool,
    /// When it was read.
    pub now: Moment,
}

/// Everything about the team with this id.
///
/// # Errors
/// `NotFound` when the caller may not see it.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<TeamView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let team = find_seen(&mut read, &context, id, now).await?;
    let org = &context.org.id;
    let people = teams::people(&mut read, org, &team.id, MAX_PEOPLE).await?;
    let starts = WindowStarts::at(now, &context.org.zone);
    let left = ledger::left(&mut read, org, starts).await?;
    let card = report::card(&mut read, &context, Filters::of(Dimension::Team, team.id.as_str()), now).await?;
    let mut above = Vec::new();
    let mut compared_some = false;
    // Whether the caller may see any key of the team, whatever its owner.
    let other = crate::domain::ids::PersonId::new(Moment::from_ms(0), [0; 10]);
    let facts = KeyFacts { id: None, team: Some(&team.id), owner: &other };
    if context.may(Action::SeeKey, On::Key(facts)) {
        above = keys::newest_of_team(&mut read, org, &team.id, MAX_COMPARED as i64 + 1).await?;
        compared_some = above.len() > MAX_COMPARED;
        above.truncate(MAX_COMPARED);
        spend::fill(&mut read, org, &mut above, starts).await?;
        above.retain(|key| key.is_live(now) && !team.spec.bounds.contain(&key.spec().bounds()));
    }
    drop(read);
    record_support_access(
        desk,
        &context,
        SupportAccess::Item { id: team.id.as_str(), name: &team.spec.name },
    )
    .await?;
    Ok(TeamView { context, team, people, left, card, above, compared_some, now })
}

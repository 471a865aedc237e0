//! Where a key may be and how much it may be given there: its team and owner, the team's bounds, and how many keys one
//! member may own. Asked whenever a key is created, moved or edited, inside the transaction that writes it.

use super::super::OpError;
use super::super::access::OrgContext;
use crate::Desk;
use crate::domain::bounds::Bounds;
use crate::domain::ids::{PersonId, TeamId};
use crate::domain::key::KeySpec;
use crate::domain::member::Member;
use crate::domain::moment::Moment;
use crate::domain::numbers::grouped;
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, KeyFacts, MembersCreate, On, OrgRole};
use crate::domain::team::Team;
use crate::domain::window::WindowStarts;
use crate::store::{Tx, Via, keys, members, people, teams};

/// A list of people to choose from ends here.
const MAX_OWNERS: i64 = 1_000;

/// A team's name and what it allows its keys.
pub type TeamBounds = (String, Bounds);

/// The teams in use that the caller may put a key in.
pub(super) async fn teams_to_choose(via: &mut impl Via, context: &OrgContext) -> Result<Vec<Team>, OpError> {
    let mut list = teams::in_use(via, &context.org.id).await?;
    let principal = &context.principal;
    if !principal.runs_org() {
        let own = |team: &Team| {
            principal.admin_of().contains(&team.id)
                || principal.members_create() != MembersCreate::No && principal.member_of().contains(&team.id)
        };
        list.retain(own);
    }
    Ok(list)
}

/// May the caller's own key be without a team?
pub(super) fn may_go_without_team(context: &OrgContext) -> bool {
    let facts = KeyFacts { id: None, team: None, owner: context.principal.person() };
    context.may(Action::CreateKey, On::Key(facts))
}

/// Whom the caller may give a key to; only themselves when they look after no one.
pub(super) async fn owners_to_choose(
    via: &mut impl Via,
    context: &OrgContext,
) -> Result<Vec<PersonName>, OpError> {
    let (org, principal) = (&context.org.id, &context.principal);
    if principal.runs_org() {
        return Ok(people::active(via, org, MAX_OWNERS).await?);
    }
    let mut owners = vec![PersonName { id: principal.person().clone(), name: principal.name().to_owned() }];
    for team in principal.admin_of() {
        owners.extend(teams::active_people(via, org, team, MAX_OWNERS).await?);
    }
    owners.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    owners.dedup();
    Ok(owners)
}

/// What a form says beside its fields: the bounds of the team that is chosen in it. `None` without one, or when it is not
/// the caller's to see.
///
/// # Errors
/// When the database cannot be read.
pub async fn bounds_for(
    desk: &Desk,
    context: &OrgContext,
    team: &str,
) -> Result<Option<TeamBounds>, OpError> {
    let mut read = desk.db.read().await?;
    bounds_of(&mut read, context, team, desk.now()).await
}

pub(super) async fn bounds_of(
    via: &mut impl Via,
    context: &OrgContext,
    team: &str,
    now: Moment,
) -> Result<Option<TeamBounds>, OpError> {
    let Some(id) = TeamId::parse(team).filter(|id| context.may(Action::SeeTeam, On::Team(id))) else {
        return Ok(None);
    };
    let starts = WindowStarts::at(now, &context.org.zone);
    let team = teams::find(via, &context.org.id, &id, starts).await?;
    Ok(team.map(|team| (team.spec.name, team.spec.bounds)))
}

/// Whether the key may be written as `spec` says. `before` is the key as it stands, in an edit. Answers the owner's name.
///
/// # Errors
/// `Invalid` with the field that is wrong: the team, the owner, or each field that hits one of the team's bounds.
pub(super) async fn check(
    tx: &mut Tx,
    context: &OrgContext,
    spec: &KeySpec,
    before: Option<&KeySpec>,
    now: Moment,
) -> Result<PersonName, OpError> {
    check_team(tx, context, spec, before).await?;
    let owner = spec.owner.clone().unwrap_or_else(|| context.principal.person().clone());
    let owner = if same_owner(&owner, before) {
        PersonName { name: String::new(), id: owner }
    } else {
        check_owner(tx, context, spec.team.as_ref(), owner, now).await?
    };
    check_bounds(tx, context, (spec, &owner.id), before, now).await?;
    Ok(owner)
}

/// `check` for an edit that leaves the owner, which only reads.
///
/// # Errors
/// As `check`.
pub(super) async fn check_same_owner(
    via: &mut impl Via,
    context: &OrgContext,
    spec: &KeySpec,
    (owner, before): (&PersonId, &KeySpec),
    now: Moment,
) -> Result<(), OpError> {
    check_team(via, context, spec, Some(before)).await?;
    check_bounds(via, context, (spec, owner), Some(before), now).await
}

fn same_team(spec: &KeySpec, before: Option<&KeySpec>) -> bool {
    before.is_some_and(|before| before.team == spec.team)
}

fn same_owner(owner: &PersonId, before: Option<&KeySpec>) -> bool {
    before.is_some_and(|before| before.owner.as_ref() == Some(owner))
}

/// The caller may create keys of this owner in this team, and the team allows what the key gets.
async fn check_bounds(
    via: &mut impl Via,
    context: &OrgContext,
    (spec, owner): (&KeySpec, &PersonId),
    before: Option<&KeySpec>,
    now: Moment,
) -> Result<(), OpError> {
    let same_team = same_team(spec, before);
    if !(same_team && same_owner(owner, before)) {
        let facts = KeyFacts { id: None, team: spec.team.as_ref(), owner };
        if !context.may(Action::CreateKey, On::Key(facts)) {
            let own = owner == context.principal.person();
            return Err(match (&spec.team, own) {
                (None, _) => OpError::say(
                    "team",
                    "Choose one of your teams. Only owners and admins can have keys without a team.",
                ),
                (Some(_), false) => OpError::say(
                    "owner",
                    "You are not an admin of this team, so you can't give your key to another person. Choose yourself.",
                ),
                (Some(_), true) => OpError::say("team", NOT_THAT_TEAM),
            });
        }
    }
    if let Some(team) = &spec.team {
        let starts = WindowStarts::at(now, &context.org.zone);
        let team = teams::find(via, &context.org.id, team, starts).await?.ok_or(OpError::NotFound)?;
        let before = before.filter(|_| same_team).map(KeySpec::bounds);
        let field_errors = team.spec.bounds.check(&team.spec.name, &spec.bounds(), before.as_ref());
        if !field_errors.is_empty() {
            return Err(OpError::Invalid(field_errors));
        }
    }
    Ok(())
}

const NOT_THAT_TEAM: &str = "That team does not exist any more, or you can't use it. Choose another.";

/// The team is the caller's to choose, unless the key is in it already.
async fn check_team(
    via: &mut impl Via,
    context: &OrgContext,
    spec: &KeySpec,
    before: Option<&KeySpec>,
) -> Result<(), OpError> {
    match &spec.team {
        Some(team) if !same_team(spec, before) => {
            let known = teams_to_choose(via, context).await?.iter().any(|known| known.id == *team);
            if known { Ok(()) } else { Err(OpError::say("team", NOT_THAT_TEAM)) }
        }
        _ => Ok(()),
    }
}

/// The owner-to-be is active here, is the caller's to choose, and has room for one more key.
async fn check_owner(
    tx: &mut Tx,
    context: &OrgContext,
    team: Option<&TeamId>,
    owner: PersonId,
    now: Moment,
) -> Result<PersonName, OpError> {
    let org = &context.org.id;
    // Of two keys that are made at the same time for one person, the second is counted with the first.
    people::lock_member(tx, org, &owner).await?;
    let Some(member) = members::find(tx, org, &owner).await?.filter(Member::active) else {
        return Err(OpError::say("owner", "That person is not active in this organisation. Choose another."));
    };
    if !context.principal.runs_org() && owner != *context.principal.person() {
        let in_team = match team {
            Some(team) => teams::active_people(tx, org, team, MAX_OWNERS).await?,
            None => vec![],
        };
        if !in_team.iter().any(|person| person.id == owner) {
            return Err(OpError::say(
                "owner",
                "That person is not in the team. Choose a member of the team.",
            ));
        }
    }
    if let Some(sentence) = no_room(tx, context, &member, now).await? {
        return Err(OpError::say("owner", sentence));
    }
    Ok(PersonName { id: owner, name: member.name })
}

/// Why the member can own no further live key, if they can't.
pub(super) async fn no_room(
    tx: &mut Tx,
    context: &OrgContext,
    member: &Member,
    now: Moment,
) -> Result<Option<String>, OpError> {
    let max = context.org.rules.max_keys_per_member.filter(|_| member.role == OrgRole::Member);
    let Some(max) = max else { return Ok(None) };
    if keys::live_of_owner(tx, &context.org.id, &member.id, now).await? < max {
        return Ok(None);
    }
    let keys = if max == 1 { "1 live key".to_owned() } else { format!("{} live keys", grouped(max)) };
    Ok(Some(if member.id == *context.principal.person() {
        format!("Members can own at most {keys} here, and you have reached that. Revoke one first.")
    } else {
        format!(
            "Members can own at most {keys} here, and {} has reached that. Revoke one first, or choose another owner.",
            member.name
        )
    }))
}

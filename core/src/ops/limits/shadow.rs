//! Limits of keys and teams that only report. Who may edit the limits of a key or a team may set, enforce and remove them;
//! enforcing one is an edit, held against the same rules.

use super::super::access::{Caller, OrgContext, open_org};
use super::super::edit::lost_race;
use super::super::{OpError, keys, teams};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::edit::Editable;
use crate::domain::key::Key;
use crate::domain::limit_use::{HolderKind, Limited};
use crate::domain::limits::Rate;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, On, Permit};
use crate::domain::shadow_limit::{SetShadow, ShadowLimit, ShadowRef, ShadowReport, pointless, stops_now};
use crate::domain::team::WholeTeam;
use crate::domain::window::WindowStarts;
use crate::store::{Tx, Via, budget_marks, present_spend, shadow_limits, teams as stored_teams};

/// What the card of limits that only report is drawn from.
pub struct ShadowView {
    /// Each limit with its report, and why enforcing it would stop requests at once.
    pub reports: Vec<(ShadowReport, Option<String>)>,
    /// Whether the caller may set, enforce and remove them.
    pub may_edit: bool,
}

/// A key or a team, as the caller sees it.
enum Holder {
    Key(Box<Key>),
    Team(Box<WholeTeam>),
}

impl Holder {
    async fn find(
        via: &mut impl Via,
        context: &OrgContext,
        (kind, id): (HolderKind, &str),
        now: Moment,
    ) -> Result<Self, OpError> {
        match kind {
            HolderKind::Key => Ok(Holder::Key(Box::new(keys::find_seen(via, context, id, now).await?))),
            HolderKind::Team => Ok(Holder::Team(Box::new(teams::find_seen(via, context, id, now).await?))),
            HolderKind::Org => Err(OpError::NotFound),
        }
    }

    fn key(&self) -> (HolderKind, &str) {
        match self {
            Holder::Key(key) => (HolderKind::Key, key.id.as_str()),
            Holder::Team(team) => (HolderKind::Team, team.id.as_str()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Holder::Key(key) => &key.name,
            Holder::Team(team) => &team.spec.name,
        }
    }

    fn may_edit(&self, context: &OrgContext, now: Moment) -> bool {
        match self {
            Holder::Key(key) => key.is_live(now) && context.may(Action::EditKey, On::Key(key.facts())),
            Holder::Team(team) => {
                team.archived_at.is_none() && context.may(Action::EditTeam, On::Team(&team.id))
            }
        }
    }

    fn permit(&self, context: &OrgContext, now: Moment) -> Result<Permit, OpError> {
        match self {
            Holder::Key(key) => {
                let permit = context.permit(Action::EditKey, On::Key(key.facts()))?;
                keys::must_live(key, now)?;
                Ok(permit)
            }
            Holder::Team(team) => {
                let permit = context.permit(Action::EditTeam, On::Team(&team.id))?;
                teams::must_be_in_use(team)?;
                Ok(permit)
            }
        }
    }

    fn event(&self, kind: EventKind) -> Event {
        Event::new(kind, self.key().1, self.name())
    }
}

/// The limits of a key that only report.
///
/// # Errors
/// `NotFound` when the caller may not see the key.
pub async fn of_key(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<ShadowView, OpError> {
    view(desk, caller, slug, (HolderKind::Key, id)).await
}

/// The limits of a team that only report.
///
/// # Errors
/// `NotFound` when the caller may not see the team.
pub async fn of_team(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<ShadowView, OpError> {
    view(desk, caller, slug, (HolderKind::Team, id)).await
}

async fn view(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    of: (HolderKind, &str),
) -> Result<ShadowView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let holder = Holder::find(&mut read, &context, of, now).await?;
    let org = &context.org;
    let reports = shadow_limits::list(&mut read, &org.id, holder.key()).await?;
    let starts = WindowStarts::at(now, &org.zone);
    let spent = present_spend::in_windows(&mut read, &org.id, holder.key(), starts).await?;
    let reports = reports.into_iter().map(|report| {
        let stops = stops_now(&report.limit, &spent);
        (report, stops.map(|(spent, budget)| format!("{spent} of {} is spent", budget.summary())))
    });
    Ok(ShadowView { reports: reports.collect(), may_edit: holder.may_edit(&context, now) })
}

/// Sets a limit that only reports, in the place of one on the same thing. Answers the holder's name.
///
/// # Errors
/// `Forbidden` for who may not edit the key or the team; `Conflict` when it is over.
pub async fn set(desk: &Desk, caller: &Caller, wish: &SetShadow) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &wish.org).await?;
    let holder = Holder::find(&mut tx, &context, (wish.kind, &wish.id), now).await?;
    let permit = holder.permit(&context, now)?;
    shadow_limits::set(&mut tx, &permit, holder.key(), &wish.limit, now).await?;
    let event =
        holder.event(EventKind::ShadowLimitSet).with([Change::added(field(&wish.limit), value(&wish.limit))]);
    tx.save(&permit, event, now).await?;
    Ok(holder.name().to_owned())
}

/// Removes a limit that only reports, with its report. Answers the holder's name.
///
/// # Errors
/// `Forbidden` for who may not edit the key or the team; `Conflict` when there is no such limit any more.
pub async fn remove(desk: &Desk, caller: &Caller, of: &ShadowRef) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &of.org).await?;
    let holder = Holder::find(&mut tx, &context, (of.kind, &of.id), now).await?;
    let permit = holder.permit(&context, now)?;
    let limit = take(&mut tx, &permit, &context, &holder, of.what).await?;
    let event =
        holder.event(EventKind::ShadowLimitRemoved).with([Change::removed(field(&limit), value(&limit))]);
    tx.save(&permit, event, now).await?;
    Ok(holder.name().to_owned())
}

/// What was enforced.
pub struct Enforced {
    /// The holder's name.
    pub name: String,
    /// The limit.
    pub limit: ShadowLimit,
}

/// Enforces a limit that only reported, in the place of an enforced one on the same thing.
///
/// # Errors
/// `Conflict` when it would stop requests at once and that is not confirmed, when a rule for the limits of this key or team
/// forbids it, and when there is no such limit any more.
pub async fn enforce(desk: &Desk, caller: &Caller, of: &ShadowRef) -> Result<Enforced, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &of.org).await?;
    let holder = Holder::find(&mut tx, &context, (of.kind, &of.id), now).await?;
    let permit = holder.permit(&context, now)?;
    let limit = take(&mut tx, &permit, &context, &holder, of.what).await?;
    let starts = WindowStarts::at(now, &context.org.zone);
    let spent = present_spend::in_windows(&mut tx, &context.org.id, holder.key(), starts).await?;
    if let Some((spent, budget)) = stops_now(&limit, &spent).filter(|_| !of.confirmed) {
        return Err(OpError::Conflict(format!(
            "{spent} of {} is spent, so enforcing it would stop requests immediately. Nothing was changed. Open the limit again and confirm it.",
            budget.summary()
        )));
    }
    let changes = write(&mut tx, &context, &permit, &holder, &limit, now).await?;
    tx.save(&permit, holder.event(EventKind::ShadowLimitEnforced).with(changes), now).await?;
    Ok(Enforced { name: holder.name().to_owned(), limit })
}

/// Takes a limit away from those that report.
async fn take(
    tx: &mut Tx,
    permit: &Permit,
    context: &OrgContext,
    holder: &Holder,
    what: Limited,
) -> Result<ShadowLimit, OpError> {
    let all = shadow_limits::list(tx, &context.org.id, holder.key()).await?;
    let found = all.into_iter().map(|report| report.limit).find(|limit| limit.what == what);
    match found {
        Some(limit) if shadow_limits::remove(tx, permit, holder.key(), what).await? => Ok(limit),
        _ => Err(OpError::Conflict(
            "This limit was enforced or removed in the meantime. Nothing was changed.".into(),
        )),
    }
}

/// Writes the limit among the holder's enforced ones.
async fn write(
    tx: &mut Tx,
    context: &OrgContext,
    permit: &Permit,
    holder: &Holder,
    limit: &ShadowLimit,
    now: Moment,
) -> Result<Vec<Change>, OpError> {
    match holder {
        Holder::Key(key) => {
            let current = key.spec();
            let mut spec = current.clone();
            limit.enforce_in(&mut spec.budgets, &mut spec.limits);
            must_apply(&spec.budgets)?;
            keys::write_limits(tx, context, permit, (key, &current), &spec, now).await.map_err(without_field)
        }
        Holder::Team(team) => {
            let mut spec = team.spec.clone();
            limit.enforce_in(&mut spec.bounds.budgets, &mut spec.bounds.limits);
            must_apply(&spec.bounds.budgets)?;
            if !stored_teams::update(tx, permit, &team.id, team.version, &spec).await? {
                return Err(lost_race("this team"));
            }
            let starts = WindowStarts::at(now, &context.org.zone);
            budget_marks::renew(tx, &context.org.id, HolderKind::Team, &[team.id.as_str()], starts).await?;
            Ok(spec.changes_since(&team.spec, &()))
        }
    }
}

fn must_apply(budgets: &[crate::domain::limits::Budget]) -> Result<(), OpError> {
    match pointless(budgets) {
        None => Ok(()),
        Some((longer, shorter)) => Err(OpError::Conflict(format!(
            "{} is more than {}, so it would never apply. Nothing was changed. Change one of them first.",
            shorter.summary(),
            longer.summary()
        ))),
    }
}

/// The page has no fields for the limits, so that a mistake in one is told for the whole.
fn without_field(error: OpError) -> OpError {
    match error {
        OpError::Invalid(errors) => {
            OpError::Conflict(errors.into_iter().next().map_or_else(String::new, |error| {
                format!("{} Nothing was changed.", error.problem.sentence())
            }))
        }
        other => other,
    }
}

fn field(limit: &ShadowLimit) -> &'static str {
    limit.rate().map_or("budgets", Rate::as_str)
}

fn value(limit: &ShadowLimit) -> ChangeValue {
    match limit.budget() {
        Some(budget) => ChangeValue::Budgets(vec![budget]),
        None => ChangeValue::Limit(Some(limit.amount)),
    }
}

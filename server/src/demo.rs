//! Fills an empty database with an organisation that looks lived in, to try the program out and to take pictures of.
//! Everything is written by operations, with permits and audit events. Only the clock is another one: it is set for each
//! act, so that histories lie in the past.

mod plan;
mod use_pattern;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use keydesk_core::domain::field_error::FieldError;
use keydesk_core::domain::ids::{KeyId, RequestId, SecretId, SessionId, TeamId};
use keydesk_core::domain::invitation::{Invite, InviteTeam};
use keydesk_core::domain::key::{KeySpec, Status};
use keydesk_core::domain::ledger::{AddEntry, EntryKind, NewEntry};
use keydesk_core::domain::limits::Budget;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::org::{NewOrg, Org};
use keydesk_core::domain::person::{Email, Person, slug_of};
use keydesk_core::domain::policy::{MembersCreate, OrgRole, PlatformRole};
use keydesk_core::domain::settings::EditSettings;
use keydesk_core::domain::team::{TeamRole, TeamSpec};
use keydesk_core::domain::window::Period;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::invitations;
use keydesk_core::ops::orgs::{self, OperatorActor};
use keydesk_core::ops::seed::{self, SeedPerson};
use keydesk_core::ops::{OpError, catalogue, keys, models, teams, upkeep};
use keydesk_core::store::spend::Usage;
use keydesk_core::{Clock, Desk};

use crate::clock::SystemClock;
use plan::{Fate, PlannedKey, PlannedUse};
use words::{PEOPLE, Part, TEAMS};

pub const PASSWORD: &str = "violet tram kettle orbit";

/// What there is to try out.
pub struct DemoReport {
    /// Email address, and what its owner is.
    pub people: Vec<(String, String)>,
    pub keys: usize,
    pub requests: usize,
}

/// A clock that stands where it was last set.
struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now(&self) -> Moment {
        Moment::from_ms(self.0.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        SystemClock.steady()
    }
}

/// The desk in the past.
struct Past {
    desk: Desk,
    clock: Arc<Stepped>,
}

impl Past {
    fn at(&self, moment: Moment) -> &Desk {
        self.clock.0.store(moment.ms(), Ordering::Relaxed);
        &self.desk
    }
}

/// An organisation while it is seeded: its people, by number.
struct Seeded {
    org: Org,
    teams: Vec<TeamId>,
    people: Vec<Caller>,
}

/// # Errors
/// `Conflict` with a sentence when people exist already: made-up keys are never mixed with theirs.
pub async fn seed(desk: &Desk) -> Result<DemoReport, OpError> {
    seed::require_empty(desk).await?;
    let now = desk.now();
    catalogue::seed(desk).await?;
    let models: Vec<_> = models::every(desk).await?.into_iter().map(|known| known.model).collect();
    let zone = Zone::parse("Europe/Zurich").unwrap_or_else(Zone::utc);
    let oslo = Zone::parse("Europe/Oslo").unwrap_or_else(Zone::utc);
    let hash = desk.passwords.hash(PASSWORD.into(), desk.bytes()).await.ok_or(OpError::Forbidden)?;
    let clock = Arc::new(Stepped(AtomicI64::new(now.ms())));
    let past = Past { desk: Desk { clock: clock.clone(), ..desk.clone() }, clock };

    let northwind = seed_northwind(&past, now.plus_days(-203), zone.clone(), &hash).await?;
    let fjord = seed_fjord(&past, now.plus_days(-201), oslo.clone(), &hash, &northwind.people[0]).await?;
    set_rules(&past, &northwind, now.plus_days(-202)).await?;
    // Paid in before anything was spent.
    let begun = now.plus_days(-201).plus_ms(2 * plan::HOUR);
    keep_balance(&past, &northwind, &fjord, begun).await?;
    credit(&past, &northwind, &fjord, begun.plus_ms(60_000), 60, "Invoice 2026-017").await?;
    let mut report = DemoReport { people: who(), keys: 0, requests: 0 };
    for (org, plans) in
        [(&northwind, plan::northwind(now, &zone, &models)), (&fjord, plan::fjord(now, &oslo, &models))]
    {
        let made = make_keys(&past, org, &plans, now).await?;
        report.keys += plans.len();
        report.requests += use_keys(desk, org, &plans, &made).await?;
    }
    invite_two(&past, &northwind, now).await?;
    credit(&past, &northwind, &fjord, now.plus_ms(-7 * 60_000), 40, "Invoice 2026-118").await?;
    seed_harbour(&past, &northwind, now).await?;
    upkeep::expire_keys(desk).await?;
    desk.db.analyze().await?;
    Ok(report)
}

pub fn who() -> Vec<(String, String)> {
    let northwind = PEOPLE.iter().map(|&(_, mailbox, part, _)| {
        let part = match part {
            Part::Owner => "owner; also admin of Fjord Robotics and operator of the installation".to_owned(),
            Part::Admin => "admin".to_owned(),
            Part::TeamAdmin(team) => format!("admin of the team {}", TEAMS[team]),
            Part::Member => "member".to_owned(),
        };
        (format!("{mailbox}@northwind.example"), part)
    });
    let others = [
        ("sam@desk.example", "support: looks up everywhere, changes nothing"),
        ("erik@fjord.example", "owner of Fjord Robotics; also of Harbour Media, which is suspended"),
    ];
    northwind.chain(others.map(|(email, part)| (email.to_owned(), part.to_owned()))).collect()
}

/// A caller who has just authenticated.
fn caller(past: &Past, person: Person, at: Moment) -> Caller {
    Caller::just_authenticated(person, SessionId::new(at, past.desk.id_entropy()), at, "10.30.0.12", "")
}

async fn seed_northwind(past: &Past, start: Moment, zone: Zone, hash: &str) -> Result<Seeded, OpError> {
    let emails = PEOPLE.map(|(_, mailbox, _, _)| format!("{mailbox}@northwind.example"));
    let mut new: Vec<SeedPerson> = PEOPLE
        .iter()
        .zip(&emails)
        .map(|(&(name, _, part, _), email)| SeedPerson {
            name,
            email,
            // The others join later.
            role: (part == Part::Owner).then_some(OrgRole::Owner),
            platform: if part == Part::Owner { PlatformRole::Operator } else { PlatformRole::None },
            password_hash: hash,
        })
        .collect();
    new.push(SeedPerson {
        name: "Sam Okafor",
        email: "sam@desk.example",
        role: None,
        platform: PlatformRole::Support,
        password_hash: hash,
    });
    let (org, people) = seed::create_org(past.at(start), "Northwind Labs", zone, &new).await?;
    let people: Vec<Caller> =
        people.into_iter().take(PEOPLE.len()).map(|person| caller(past, person, start)).collect();
    let mut teams = Vec::new();
    for (number, name) in TEAMS.iter().enumerate() {
        let desk = past.at(start.plus_ms((number as i64 + 1) * 7 * 60_000));
        let spec = TeamSpec { name: (*name).to_owned(), bounds: plan::bounds_of_team(number) };
        teams.push(teams::create(desk, &people[0], &org.slug, &spec).await?);
    }
    for (number, &(_, _, part, in_teams)) in PEOPLE.iter().enumerate() {
        let desk = past.at(start.plus_ms(plan::HOUR + number as i64 * 23 * 60_000));
        let role = match part {
            Part::Owner => OrgRole::Owner,
            Part::Admin => OrgRole::Admin,
            Part::TeamAdmin(_) | Part::Member => OrgRole::Member,
        };
        let in_team = |&team: &usize| {
            let role = if part == Part::TeamAdmin(team) { TeamRole::Admin } else { TeamRole::Member };
            (&teams[team], role)
        };
        let in_teams: Vec<_> = in_teams.iter().map(in_team).collect();
        seed::join(desk, &people[number], &org, role, &in_teams).await?;
    }
    Ok(Seeded { org, teams, people })
}

async fn seed_fjord(
    past: &Past,
    start: Moment,
    zone: Zone,
    hash: &str,
    ana: &Caller,
) -> Result<Seeded, OpError> {
    let erik = SeedPerson {
        name: "Erik Halvorsen",
        email: "erik@fjord.example",
        role: Some(OrgRole::Owner),
        platform: PlatformRole::None,
        password_hash: hash,
    };
    let (org, people) = seed::create_org(past.at(start), "Fjord Robotics", zone, &[erik]).await?;
    let mut people: Vec<Caller> = people.into_iter().map(|person| caller(past, person, start)).collect();
    people.push(ana.clone());
    seed::join(past.at(start.plus_ms(plan::HOUR)), ana, &org, OrgRole::Admin, &[]).await?;
    Ok(Seeded { org, teams: Vec::new(), people })
}

/// The owner, who has just proved who they are.
fn owner_at(org: &Seeded, at: Moment) -> Caller {
    Caller { reauthenticated_at: at, ..org.people[0].clone() }
}

/// What Northwind decided before its first key.
async fn set_rules(past: &Past, northwind: &Seeded, at: Moment) -> Result<(), OpError> {
    let (desk, ana) = (past.at(at), owner_at(northwind, at));
    let view = orgs::settings(desk, &ana, &northwind.org.slug).await?;
    let mut mine = view.settings.clone();
    mine.budgets = vec![Budget { period: Period::Month, amount: Money::from_nanos(1_500_000_000_000) }];
    mine.rules.members_create = MembersCreate::InTeams;
    mine.rules.max_key_days = Some(365);
    mine.rules.max_keys_per_member = Some(25);
    let (org, version) = (northwind.org.slug.clone(), view.context.org.version);
    orgs::save(desk, &ana, &EditSettings { org, version, base: Some(view.settings), mine }).await?;
    Ok(())
}

/// Fjord pays before it spends.
async fn keep_balance(past: &Past, northwind: &Seeded, fjord: &Seeded, at: Moment) -> Result<(), OpError> {
    orgs::enforce(past.at(at), OperatorActor::Operator(&owner_at(northwind, at)), &fjord.org.slug, true)
        .await?;
    Ok(())
}

async fn credit(
    past: &Past,
    northwind: &Seeded,
    fjord: &Seeded,
    at: Moment,
    dollars: i64,
    note: &str,
) -> Result<(), OpError> {
    let (desk, ana) = (past.at(at), owner_at(northwind, at));
    let view = orgs::balance(desk, OperatorActor::Operator(&ana), &fjord.org.slug, None).await?;
    let amount = Money::from_nanos(dollars * 1_000_000_000);
    let entry = NewEntry { kind: EntryKind::Credit, amount, note: format!("{note}, bank transfer") };
    let add = AddEntry { org: fjord.org.slug.clone(), seq: view.balance.last_seq + 1, entry };
    orgs::add_entry(desk, OperatorActor::Operator(&ana), &add).await?;
    Ok(())
}

/// On their way in. After all that was done with keys, as the audit's numbers grow with time.
async fn invite_two(past: &Past, northwind: &Seeded, now: Moment) -> Result<(), OpError> {
    let research = InviteTeam { team: northwind.teams[1].clone(), role: TeamRole::Member };
    for (email, role, team, minutes) in [
        ("yuki@northwind.example", OrgRole::Member, Some(research), 9),
        ("dana@northwind.example", OrgRole::Admin, None, 4),
    ] {
        let at = now.plus_ms(-minutes * 60_000);
        let email = Email::parse(email).expect("an address of the demonstration");
        let wish = Invite { email, role, team };
        invitations::invite(past.at(at), &owner_at(northwind, at), &northwind.org.slug, &wish).await?;
    }
    Ok(())
}

/// A small organisation that is suspended because it did not pay.
async fn seed_harbour(past: &Past, northwind: &Seeded, now: Moment) -> Result<(), OpError> {
    let name = "Harbour Media".to_owned();
    let new = NewOrg {
        slug: slug_of(&name),
        name,
        zone: Zone::parse("Europe/Oslo").unwrap_or_else(Zone::utc),
        email: Email::parse("erik@fjord.example").map_err(|error| FieldError::new("email", error))?,
    };
    let harbour = orgs::create(past.at(now.plus_days(-120)), OperatorActor::CommandLine, &new).await?;
    let at = now.plus_days(-12);
    let ana = owner_at(northwind, at);
    orgs::suspend(past.at(at), OperatorActor::Operator(&ana), &harbour.slug, "Unpaid since August").await?;
    Ok(())
}

/// A key that was made, with the secret's id that usage names.
type Made = (KeyId, SecretId);

enum Act<'a> {
    Create,
    Edit(&'a KeySpec),
    Switch(Status),
    Revoke,
}

/// What is ever done to one key, and when.
fn acts_of(plan: &PlannedKey) -> Vec<(Moment, Act<'_>)> {
    let mut acts = vec![(plan.created, Act::Create)];
    if let Some((_, at)) = &plan.before {
        acts.push((*at, Act::Edit(&plan.spec)));
    }
    if let Some((off, on)) = plan.paused {
        acts.push((off, Act::Switch(Status::Disabled)));
        acts.push((on, Act::Switch(Status::Active)));
    }
    match plan.fate {
        Fate::Disabled => acts.push((plan.fate_at, Act::Switch(Status::Disabled))),
        Fate::Revoked => acts.push((plan.fate_at, Act::Revoke)),
        Fate::Active | Fate::ExpiresSoon | Fate::Expired | Fate::Over | Fate::Near => {}
    }
    acts
}

/// Everything that was ever done to the keys, in the order in which it happened: the audit's numbers grow with time.
async fn make_keys(
    past: &Past,
    org: &Seeded,
    plans: &[PlannedKey],
    now: Moment,
) -> Result<HashMap<usize, Made>, OpError> {
    let mut acts: Vec<(Moment, usize, Act)> = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        acts.extend(acts_of(plan).into_iter().map(|(at, act)| (at, number, act)));
    }
    acts.retain(|(at, _, _)| *at <= now);
    acts.sort_by_key(|(at, _, _)| *at);
    let mut made = HashMap::new();
    for (at, number, act) in acts {
        let plan = &plans[number];
        let desk = past.at(at);
        let mut caller = org.people[plan.actor].clone();
        caller.request_id = RequestId::new(at, desk.id_entropy()).to_string();
        if let Act::Create = act {
            made.insert(number, create(desk, org, &caller, plan).await?);
        } else if let Some((id, _)) = made.get(&number) {
            change(desk, org, &caller, id, act).await?;
        }
    }
    Ok(made)
}

async fn create(desk: &Desk, org: &Seeded, caller: &Caller, plan: &PlannedKey) -> Result<Made, OpError> {
    let spec = plan.before.as_ref().map_or(&plan.spec, |(before, _)| before);
    let spec = KeySpec {
        team: plan.team.map(|number| org.teams[number].clone()),
        owner: Some(org.people[plan.owner].person.id.clone()),
        ..spec.clone()
    };
    seed::create_key(desk, caller, &org.org.slug, &spec).await
}

async fn change(desk: &Desk, org: &Seeded, caller: &Caller, id: &KeyId, act: Act<'_>) -> Result<(), OpError> {
    let slug = &org.org.slug;
    match act {
        Act::Create => {}
        Act::Edit(spec) => seed::edit_key(desk, caller, slug, id, spec).await?,
        Act::Switch(Status::Active) => drop(keys::enable(desk, caller, slug, id.as_str()).await?),
        Act::Switch(_) => drop(keys::disable(desk, caller, slug, id.as_str()).await?),
        Act::Revoke => {
            keys::revoke(desk, caller, slug, id.as_str(), "").await?;
        }
    }
    Ok(())
}

/// Writes the planned requests, and answers how many there were.
async fn use_keys(
    desk: &Desk,
    org: &Seeded,
    plans: &[PlannedKey],
    made: &HashMap<usize, Made>,
) -> Result<usize, OpError> {
    let mut rows: Vec<Usage> = plans
        .iter()
        .enumerate()
        .filter_map(|(number, plan)| Some((plan, made.get(&number)?)))
        .flat_map(|(plan, made)| plan.usage.iter().map(|planned| usage(desk, org, plan, made, planned)))
        .collect();
    rows.sort_by_key(|row| row.started_at);
    seed::record_history(desk, &org.org, &rows).await?;
    Ok(rows.len())
}

fn usage(desk: &Desk, org: &Seeded, plan: &PlannedKey, (key, secret): &Made, planned: &PlannedUse) -> Usage {
    Usage {
        request: RequestId::new(planned.at, desk.id_entropy()),
        org: org.org.id.clone(),
        key: key.clone(),
        secret: secret.clone(),
        team: plan.team.map(|number| org.teams[number].clone()),
        model: planned.model.to_owned(),
        route: planned.route.clone(),
        status: planned.status,
        bill: planned.bill.clone(),
        started_at: planned.at,
        latency_ms: planned.latency_ms,
        first_byte_ms: Some(planned.latency_ms / 5),
        address: planned.address.clone(),
        user_agent: planned.user_agent.to_owned(),
        error: String::new(),
        tags: Vec::new(),
    }
}

//! Fills an empty database with an organisation that looks lived in, to try the program out and to take pictures of.
//! Everything is written the way the program itself writes it: people's permits, audit events, usage through the
//! gateway's own function. Only the clock is another one: it is set for each act, so that histories lie in the past.

mod plan;
mod words;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use keydesk_core::domain::audit::{Change, Event, EventKind};
use keydesk_core::domain::ids::{KeyId, OrgId, PersonId, RequestId, SecretId, SessionId, TeamId};
use keydesk_core::domain::key::{KeySpec, Status, Words};
use keydesk_core::domain::ledger::EntryKind;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::org::Org;
use keydesk_core::domain::person::{Email, PersonName, slug_of};
use keydesk_core::domain::policy::{
    Action, KeyFacts, MembersCreate, On, OrgRole, PlatformRole, system_permit,
};
use keydesk_core::domain::team::{Team, TeamRole, TeamSpec};
use keydesk_core::domain::usage::Tokens;
use keydesk_core::domain::window::WindowStarts;
use keydesk_core::forms::ledger::{EnforceForm, EnterForm, EntryForm};
use keydesk_core::forms::org::{NewOrgForm, OrgStatusForm};
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::access::{Caller, OrgContext, open_org};
use keydesk_core::ops::invitations::{self, InviteForm};
use keydesk_core::ops::orgs::{self, By};
use keydesk_core::ops::{OpError, catalogue, keys as key_ops};
use keydesk_core::store::people::{self, NewPerson};
use keydesk_core::store::teams::{NewTeam, NewTeamMember};
use keydesk_core::store::{Tx, admission, keys, meter, models, spend, teams as team_store};
use keydesk_core::{Clock, Desk};
use plan::{Fate, PlannedKey};
use words::{PEOPLE, Part, TEAMS};

pub const PASSWORD: &str = "violet tram kettle orbit";
const ROWS_A_TRANSACTION: usize = 1_000;

/// What there is to try out.
pub struct DemoReport {
    pub password: &'static str,
    /// E-mail address, and what its owner is.
    pub people: Vec<(String, String)>,
    pub keys: usize,
    pub requests: usize,
}

impl fmt::Display for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} keys and {} requests are in place. Sign in as one of:", self.keys, self.requests)?;
        for (email, part) in &self.people {
            writeln!(f, "  {email:<34} {part}")?;
        }
        write!(f, "Everybody's password is: {}", self.password)
    }
}

/// A clock that stands where it was last set.
struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now(&self) -> Moment {
        Moment::from_ms(self.0.load(Ordering::Relaxed))
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

/// An organisation while it is seeded: whoever acts in it, by number.
struct Seeded {
    org: Org,
    teams: Vec<Team>,
    people: Vec<Caller>,
}

/// # Errors
/// `Conflict` with a sentence when anybody exists already: nothing of theirs is ever mixed with made-up keys.
pub async fn seed(desk: &Desk) -> Result<DemoReport, OpError> {
    if !people::nobody_yet(&mut desk.db.read().await?).await? {
        return Err(OpError::Conflict(
            "There are people in this database already, and the demonstration needs an empty one. Name another with --data or KEYDESK_DATABASE_URL."
                .into(),
        ));
    }
    let now = desk.now();
    catalogue::seed(desk).await?;
    let models = models::list(&mut desk.db.read().await?).await?;
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
    credit(&past, &northwind, &fjord, begun.plus_ms(60_000), "60", "Invoice 2026-017").await?;
    let mut report = DemoReport { password: PASSWORD, people: who(), keys: 0, requests: 0 };
    for (org, plans) in
        [(&northwind, plan::northwind(now, &zone, &models)), (&fjord, plan::fjord(now, &oslo, &models))]
    {
        let made = make_keys(&past, org, &plans, now).await?;
        report.keys += plans.len();
        report.requests += use_keys(desk, org, &plans, &made).await?;
    }
    invite_two(&past, &northwind, now).await?;
    credit(&past, &northwind, &fjord, now.plus_ms(-7 * 60_000), "40", "Invoice 2026-118").await?;
    seed_harbour(&past, &northwind, now).await?;
    let mut tx = desk.db.write().await?;
    keys::expire_due(&mut tx, now).await?;
    tx.save_unaudited("what is past its end is marked, as the program does now and then").await?;
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

async fn add_person(
    past: &Past,
    tx: &mut Tx,
    name: &str,
    email: &str,
    platform: PlatformRole,
    password_hash: &str,
    at: Moment,
) -> Result<Caller, OpError> {
    let email = Email::parse(email).map_err(|problem| OpError::Conflict(problem.to_string()))?;
    let id = PersonId::new(at, past.desk.id_entropy());
    let new = NewPerson { id: &id, name, email: &email, password_hash, platform };
    people::insert_person(tx, &new, at).await?;
    let person = people::find(tx, &id).await?.ok_or(OpError::NotFound)?;
    Ok(Caller::just_authenticated(person, SessionId::new(at, past.desk.id_entropy()), at, "10.30.0.12", ""))
}

async fn add_org(past: &Past, tx: &mut Tx, name: &str, zone: Zone, at: Moment) -> Result<Org, OpError> {
    let org = Org::new(OrgId::new(at, past.desk.id_entropy()), slug_of(name), name.to_owned(), zone);
    people::insert_org(tx, &org, at).await?;
    Ok(org)
}

fn org_created(org: &Org, owner: &Caller) -> Event {
    Event::new(EventKind::OrgCreated, org.id.as_str(), &org.name).with(vec![Change {
        field: "owner".into(),
        before: None,
        after: Some(owner.person.name.clone()),
    }])
}

async fn seed_northwind(past: &Past, start: Moment, zone: Zone, hash: &str) -> Result<Seeded, OpError> {
    let mut tx = past.at(start).db.write().await?;
    let org = add_org(past, &mut tx, "Northwind Labs", zone, start).await?;
    let mut callers = Vec::new();
    for &(name, mailbox, part, _) in &PEOPLE {
        let platform = if part == Part::Owner { PlatformRole::Operator } else { PlatformRole::None };
        let email = format!("{mailbox}@northwind.example");
        callers.push(add_person(past, &mut tx, name, &email, platform, hash, start).await?);
    }
    add_person(past, &mut tx, "Sam Okafor", "sam@desk.example", PlatformRole::Support, hash, start).await?;
    people::insert_member(&mut tx, &org.id, &callers[0].person.id, OrgRole::Owner, start).await?;
    let event = org_created(&org, &callers[0]);
    tx.save(&system_permit(&org.id, Action::CreateKey, "set-up link"), event, start).await?;

    let mut teams = Vec::new();
    for (number, name) in TEAMS.iter().enumerate() {
        let at = start.plus_ms((number as i64 + 1) * 7 * 60_000);
        let mut tx = past.at(at).db.write().await?;
        let context = open_org(&mut tx, &callers[0], &org.slug).await?;
        let team = Team { id: TeamId::new(at, past.desk.id_entropy()), name: (*name).to_owned() };
        let permit = context.permit(Action::CreateTeam, On::Org)?;
        let spec = TeamSpec { name: team.name.clone(), bounds: plan::bounds_of_team(number) };
        team_store::insert(&mut tx, &permit, &NewTeam { id: &team.id, spec: &spec, now: at }).await?;
        let mut changes = spec.changes_since(&TeamSpec::default());
        changes.iter_mut().for_each(|change| change.before = None);
        let event = Event::new(EventKind::TeamCreated, team.id.as_str(), &team.name).with(changes);
        tx.save(&permit, event, at).await?;
        teams.push(team);
    }
    for (number, &(_, _, part, in_teams)) in PEOPLE.iter().enumerate() {
        let at = start.plus_ms(plan::HOUR + number as i64 * 23 * 60_000);
        let caller = &callers[number];
        let mut tx = past.at(at).db.write().await?;
        let role = match part {
            Part::Owner => None,
            Part::Admin => Some(OrgRole::Admin),
            Part::TeamAdmin(_) | Part::Member => Some(OrgRole::Member),
        };
        if let Some(role) = role {
            people::insert_member(&mut tx, &org.id, &caller.person.id, role, at).await?;
        }
        for team in in_teams {
            let role = if part == Part::TeamAdmin(*team) { TeamRole::Admin } else { TeamRole::Member };
            let place = NewTeamMember { team: &teams[*team].id, person: &caller.person.id, role, now: at };
            let permit = system_permit(&org.id, Action::ManageTeamPeople, "demo");
            team_store::add_person(&mut tx, &permit, &place).await?;
        }
        let context = open_org(&mut tx, caller, &org.slug).await?;
        let word = role.map_or("owner", OrgRole::as_str);
        let event = Event::new(EventKind::MemberJoined, caller.person.id.as_str(), word);
        tx.save(&context.permit(Action::Join, On::Org)?, event, at).await?;
    }
    Ok(Seeded { org, teams, people: callers })
}

async fn seed_fjord(
    past: &Past,
    start: Moment,
    zone: Zone,
    hash: &str,
    ana: &Caller,
) -> Result<Seeded, OpError> {
    let mut tx = past.at(start).db.write().await?;
    let org = add_org(past, &mut tx, "Fjord Robotics", zone, start).await?;
    let erik =
        add_person(past, &mut tx, "Erik Halvorsen", "erik@fjord.example", PlatformRole::None, hash, start)
            .await?;
    people::insert_member(&mut tx, &org.id, &erik.person.id, OrgRole::Owner, start).await?;
    people::insert_member(&mut tx, &org.id, &ana.person.id, OrgRole::Admin, start).await?;
    let event = org_created(&org, &erik);
    tx.save(&system_permit(&org.id, Action::CreateKey, "command line"), event, start).await?;
    Ok(Seeded { org, teams: Vec::new(), people: vec![erik, ana.clone()] })
}

/// The owner, who has just proved who they are.
fn owner_at(org: &Seeded, at: Moment) -> Caller {
    Caller { reauthenticated_at: at, ..org.people[0].clone() }
}

/// What Northwind decided before its first key.
async fn set_rules(past: &Past, northwind: &Seeded, at: Moment) -> Result<(), OpError> {
    let (desk, ana) = (past.at(at), owner_at(northwind, at));
    let view = orgs::settings(desk, &ana, &northwind.org.slug).await?;
    let settings = SettingsForm {
        org_month_mode: "limit".into(),
        org_month: "1500".into(),
        members_create: MembersCreate::InTeams.as_str().into(),
        max_key_days_mode: "limit".into(),
        max_key_days: "365".into(),
        max_keys_per_member_mode: "limit".into(),
        max_keys_per_member: "25".into(),
        ..view.form
    };
    let (org, version) = (northwind.org.slug.clone(), view.context.org.version);
    orgs::save(desk, &ana, &SaveForm { org, version, settings, ..Default::default() }).await?;
    Ok(())
}

/// Fjord pays before it spends.
async fn keep_balance(past: &Past, northwind: &Seeded, fjord: &Seeded, at: Moment) -> Result<(), OpError> {
    let form = EnforceForm { org: fjord.org.slug.clone(), enforce: "on".into() };
    orgs::enforce(past.at(at), By::Operator(&owner_at(northwind, at)), &form).await?;
    Ok(())
}

async fn credit(
    past: &Past,
    northwind: &Seeded,
    fjord: &Seeded,
    at: Moment,
    amount: &str,
    note: &str,
) -> Result<(), OpError> {
    let (desk, ana) = (past.at(at), owner_at(northwind, at));
    let view = orgs::balance(desk, By::Operator(&ana), &fjord.org.slug, None).await?;
    let entry = EntryForm {
        kind: EntryKind::Credit.as_str().into(),
        amount: amount.into(),
        note: format!("{note}, bank transfer"),
    };
    let form = EnterForm { org: fjord.org.slug.clone(), seq: view.balance.last_seq + 1, entry };
    orgs::add_entry(desk, By::Operator(&ana), &form).await?;
    Ok(())
}

/// On their way in. After all that was done with keys, as the audit's numbers grow with time.
async fn invite_two(past: &Past, northwind: &Seeded, now: Moment) -> Result<(), OpError> {
    let research = northwind.teams[1].id.to_string();
    for (email, role, team, minutes) in [
        ("yuki@northwind.example", OrgRole::Member, research, 9),
        ("dana@northwind.example", OrgRole::Admin, String::new(), 4),
    ] {
        let at = now.plus_ms(-minutes * 60_000);
        let form = InviteForm {
            org: northwind.org.slug.clone(),
            email: email.into(),
            role: role.as_str().into(),
            team_role: if team.is_empty() { "" } else { "member" }.into(),
            team,
            ..Default::default()
        };
        invitations::invite(past.at(at), &owner_at(northwind, at), &form).await?;
    }
    Ok(())
}

/// A small organisation that nobody paid for.
async fn seed_harbour(past: &Past, northwind: &Seeded, now: Moment) -> Result<(), OpError> {
    let form = NewOrgForm {
        name: "Harbour Media".into(),
        slug: String::new(),
        zone: "Europe/Oslo".into(),
        email: "erik@fjord.example".into(),
    };
    let harbour = orgs::create(past.at(now.plus_days(-120)), By::CommandLine, &form).await?;
    let at = now.plus_days(-12);
    let unpaid = OrgStatusForm { org: harbour.slug, reason: "Unpaid since August".into() };
    orgs::suspend(past.at(at), By::Operator(&owner_at(northwind, at)), &unpaid).await?;
    Ok(())
}

/// A key that was made, with the secret's id that usage names. The secret itself was dropped unseen.
struct Made {
    key: KeyId,
    secret: SecretId,
}

enum Act<'a> {
    Create,
    Edit(&'a KeySpec),
    Switch(Status, Status),
    Revoke,
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
        acts.push((plan.created, number, Act::Create));
        if let Some((_, at)) = &plan.before {
            acts.push((*at, number, Act::Edit(&plan.spec)));
        }
        if let Some((off, on)) = plan.paused {
            acts.push((off, number, Act::Switch(Status::Active, Status::Disabled)));
            acts.push((on, number, Act::Switch(Status::Disabled, Status::Active)));
        }
        match plan.fate {
            Fate::Disabled => {
                acts.push((plan.fate_at, number, Act::Switch(Status::Active, Status::Disabled)))
            }
            Fate::Revoked => acts.push((plan.fate_at, number, Act::Revoke)),
            Fate::Active | Fate::ExpiresSoon | Fate::Expired | Fate::Over | Fate::Near => {}
        }
    }
    acts.retain(|(at, _, _)| *at <= now);
    acts.sort_by_key(|(at, _, _)| *at);
    let mut made = HashMap::new();
    for (at, number, act) in acts {
        let plan = &plans[number];
        let desk = past.at(at);
        let mut tx = desk.db.write().await?;
        let mut caller = org.people[plan.actor].clone();
        caller.request_id = RequestId::new(at, desk.id_entropy()).to_string();
        let context = open_org(&mut tx, &caller, &org.org.slug).await?;
        if let Act::Create = act {
            made.insert(number, create(desk, tx, org, &context, plan).await?);
        } else if let Some(Made { key, .. }) = made.get(&number) {
            change(desk, tx, org, &context, key, act).await?;
        }
    }
    Ok(made)
}

async fn create(
    desk: &Desk,
    mut tx: Tx,
    org: &Seeded,
    context: &OrgContext,
    plan: &PlannedKey,
) -> Result<Made, OpError> {
    let now = desk.now();
    let team = plan.team.map(|number| &org.teams[number].id);
    let owner = &org.people[plan.owner].person.id;
    let spec = plan.before.as_ref().map_or(&plan.spec, |(before, _)| before);
    let spec = KeySpec { team: team.cloned(), owner: Some(owner.clone()), ..spec.clone() };
    let permit = context.permit(Action::CreateKey, On::Key(KeyFacts { team, owner }))?;
    let issued = key_ops::issue(desk, &mut tx, &permit, &org.org.key_prefix, owner, &spec, now).await?;
    let found = admission::find(&mut tx, &issued.secret.hash()).await?.ok_or(OpError::NotFound)?;
    let mut changes = spec.changes_since(&KeySpec::default(), words(org, &owners(org)));
    changes.iter_mut().for_each(|change| change.before = None);
    let event = Event::new(EventKind::KeyCreated, issued.id.as_str(), &spec.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Made { key: issued.id, secret: found.secret })
}

fn owners(org: &Seeded) -> Vec<PersonName> {
    let name =
        |caller: &Caller| PersonName { id: caller.person.id.clone(), name: caller.person.name.clone() };
    org.people.iter().map(name).collect()
}

fn words<'a>(org: &'a Seeded, people: &'a [PersonName]) -> Words<'a> {
    Words { teams: &org.teams, people, zone: &org.org.zone }
}

async fn change(
    desk: &Desk,
    mut tx: Tx,
    org: &Seeded,
    context: &OrgContext,
    id: &KeyId,
    act: Act<'_>,
) -> Result<(), OpError> {
    let now = desk.now();
    let mut found = [keys::find(&mut tx, &org.org.id, id).await?.ok_or(OpError::NotFound)?];
    let starts = WindowStarts::at(now, &org.org.zone);
    spend::fill(&mut tx, &org.org.id, &mut found, starts).await?;
    let [key] = found;
    let permit = |action| context.permit(action, On::Key(key.facts()));
    let (permit, event) = match act {
        Act::Create => return Ok(()),
        Act::Edit(spec) => {
            let permit = permit(Action::EditKey)?;
            let KeySpec { team, owner, .. } = key.spec();
            let spec = KeySpec { team, owner, ..spec.clone() };
            if !keys::update(&mut tx, &permit, id, key.version, &spec).await? {
                return Ok(());
            }
            let changes = spec.changes_since(&key.spec(), words(org, &owners(org)));
            (permit, Event::new(EventKind::KeyEdited, id.as_str(), &spec.name).with(changes))
        }
        Act::Switch(from, to) => {
            let (action, kind) = match to {
                Status::Active => (Action::EnableKey, EventKind::KeyEnabled),
                _ => (Action::DisableKey, EventKind::KeyDisabled),
            };
            let permit = permit(action)?;
            if !keys::set_status(&mut tx, &permit, id, from, to, now).await? {
                return Ok(());
            }
            (permit, Event::new(kind, id.as_str(), &key.name))
        }
        Act::Revoke => {
            let permit = permit(Action::RevokeKey)?;
            keys::revoke(&mut tx, &permit, id, now).await?;
            (permit, Event::new(EventKind::KeyRevoked, id.as_str(), &key.name))
        }
    };
    Ok(tx.save(&permit, event, now).await?)
}

/// Writes the planned requests as a gateway does, many to a transaction, and says how many there were.
async fn use_keys(
    desk: &Desk,
    org: &Seeded,
    plans: &[PlannedKey],
    made: &HashMap<usize, Made>,
) -> Result<usize, OpError> {
    let mut rows: Vec<_> = plans
        .iter()
        .enumerate()
        .filter_map(|(number, plan)| Some((plan, made.get(&number)?)))
        .flat_map(|(plan, made)| plan.usage.iter().map(move |planned| (plan, made, planned)))
        .collect();
    rows.sort_by_key(|(_, _, planned)| planned.at);
    for batch in rows.chunks(ROWS_A_TRANSACTION) {
        let mut tx = desk.db.write().await?;
        let mut last_used = HashMap::new();
        for (plan, made, planned) in batch {
            let usage = spend::Usage {
                request: RequestId::new(planned.at, desk.id_entropy()),
                org: org.org.id.clone(),
                key: made.key.clone(),
                secret: made.secret.clone(),
                team: plan.team.map(|number| org.teams[number].id.clone()),
                model: planned.model.to_owned(),
                route: planned.route.clone(),
                status: planned.status,
                tokens: Tokens { input: planned.input, output: planned.output, cached: planned.cached },
                estimated: false,
                cost: planned.cost,
                started_at: planned.at,
                latency_ms: planned.latency_ms,
                first_byte_ms: Some(planned.latency_ms / 5),
                address: planned.address.clone(),
                user_agent: planned.user_agent.to_owned(),
            };
            meter::record(&mut tx, &usage, &org.org.zone).await?;
            last_used.insert(made.key.clone(), planned.at);
        }
        let last_used: Vec<_> = last_used.into_iter().collect();
        keys::touch(&mut tx, &last_used).await?;
        tx.save_unaudited("usage is its own record").await?;
    }
    Ok(rows.len())
}

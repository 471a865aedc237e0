//! Teams, who is in them, and what bounds their keys.

use keydesk_core::domain::audit::{Change, ChangeValue, EventKind};
use keydesk_core::domain::ids::TeamId;
use keydesk_core::domain::key::State;
use keydesk_core::domain::list_filter::{MemberFilter, OrgFilter, TeamFilter};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::team::{Team, TeamRole, TeamSpec};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::forms::parts::LimitField;
use keydesk_core::forms::team::{CreateForm, EditForm, TeamForm};
use keydesk_core::forms::team_people::AddForm;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::teams::{self, TeamPersonRef};
use keydesk_core::ops::{self, OpError};
use keydesk_core::store::audit;

use crate::support::submit;
use crate::support::*;

fn open(name: &str) -> TeamForm {
    TeamForm { name: name.into(), ..TeamForm::of(&TeamSpec::default(), &[]) }
}

/// At most $500 a month and 60 requests per minute, for Claude.
fn bounded(name: &str) -> TeamForm {
    let mut form = TeamForm { scope: "listed".into(), patterns: "claude-*".into(), ..open(name) };
    form.limits.month = LimitField::limit("500");
    form.limits.rpm = LimitField::limit("60");
    form
}

async fn make(desk: &TestDesk, at: &At, form: TeamForm) -> Result<Team, OpError> {
    let name = form.name.clone();
    let form = CreateForm { org: at.org.slug.clone(), team: form };
    submit::create_team(desk, &at.caller, &form).await.map(|id| Team { id, name })
}

async fn drawn(desk: &TestDesk, at: &At, team: &TeamId) -> EditForm {
    let view = teams::edit_form(desk, &at.caller, &at.org.slug, team.as_str()).await.unwrap();
    let stored = view.team.unwrap();
    let form = TeamForm::of(&stored.spec, &view.models);
    EditForm {
        org: at.org.slug.clone(),
        id: team.to_string(),
        version: stored.version,
        was: serde_json::to_string(&form).unwrap(),
        team: form,
    }
}

async fn edit(desk: &TestDesk, at: &At, form: &EditForm) -> Outcome<TeamId, TeamForm> {
    submit::edit_team(desk, &at.caller, form).await.unwrap()
}

async fn archive(desk: &TestDesk, at: &At, team: &Team) -> Result<String, OpError> {
    teams::archive(desk, &at.caller, &at.org.slug, team.id.as_str()).await
}

async fn restore(desk: &TestDesk, at: &At, team: &Team) -> Result<String, OpError> {
    teams::restore(desk, &at.caller, &at.org.slug, team.id.as_str()).await
}

async fn add(desk: &TestDesk, caller: &Caller, form: &AddForm) -> Result<String, OpError> {
    let new = form.parse().map_err(OpError::Invalid)?;
    teams::add(desk, caller, &form.org, &form.id, &new).await
}

fn adding(at: &At, team: &Team, who: &At, role: &str) -> AddForm {
    AddForm {
        org: at.org.slug.clone(),
        id: team.id.to_string(),
        email: who.caller.person.email.clone(),
        role: role.into(),
        ..AddForm::default()
    }
}

fn in_team(team: &Team, name: &str) -> KeyForm {
    KeyForm { team: team.id.to_string(), ..form(name) }
}

/// A key's form within `bounded`.
fn claude(team: &Team, name: &str) -> KeyForm {
    KeyForm { scope: "listed".into(), patterns: "claude-opus-4".into(), ..in_team(team, name) }
}

fn owned(form: KeyForm, owner: &At) -> KeyForm {
    KeyForm { owner: owner.caller.person.id.to_string(), ..form }
}

fn wrong_fields<T>(result: Result<T, OpError>) -> Vec<String> {
    match result {
        Err(OpError::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect(),
        Err(other) => panic!("refused in another way: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

async fn move_key(
    desk: &TestDesk,
    at: &At,
    issued: &ops::keys::IssuedKey,
    change: impl FnOnce(&mut KeyForm),
) -> Result<(), OpError> {
    let mut form = desk.drawn(at, issued).await;
    change(&mut form.key);
    match submit::edit_key(desk, &at.caller, &form).await? {
        Outcome::Saved(_) => Ok(()),
        Outcome::Unchanged(_) | Outcome::Conflict(_) => panic!("not saved"),
    }
}

async fn events(desk: &TestDesk, at: &At, team: &Team) -> Vec<(EventKind, Vec<String>)> {
    let mut read = desk.db.read().await.unwrap();
    let past = audit::of_subject(&mut read, &at.org.id, team.id.as_str(), 50).await.unwrap();
    past.into_iter()
        .map(|event| (event.kind, event.changes.into_iter().map(|change| change.field).collect()))
        .collect()
}

on_both!(
    fn a_team_is_created_edited_archived_and_restored_with_an_event_each(desk: TestDesk) {
        let at = desk.owner().await;
        let team = make(&desk, &at, bounded("Crew")).await.unwrap();
        let (field, sentence) = refused(make(&desk, &at, open("Crew")).await);
        assert_eq!(
            (field.as_str(), sentence.as_str()),
            ("name", "A team is already named Crew. Choose another name.")
        );

        let form = drawn(&desk, &at, &team.id).await;
        assert!(matches!(edit(&desk, &at, &form).await, Outcome::Unchanged(_)));
        let mut changed = form.clone();
        changed.team.limits.month = LimitField::limit("300");
        changed.team.limits.rpm = LimitField::none();
        assert!(matches!(edit(&desk, &at, &changed).await, Outcome::Saved(_)));
        // Who saved later from the older version is told, and loses nothing.
        let mut late = form;
        late.team.limits.month = LimitField::limit("200");
        late.team.name = "The crew".into();
        let Outcome::Conflict(conflict) = edit(&desk, &at, &late).await else {
            panic!("saved over somebody")
        };
        assert_eq!(conflict.errors.len(), 1);
        assert_eq!(
            conflict.errors[0].problem.to_string(),
            "Now: $300.00 per month. You entered: $200.00 per month."
        );
        assert_eq!(conflict.merged.name, "The crew");
        assert_eq!(conflict.merged.limits.rpm, LimitField::none());

        archive(&desk, &at, &team).await.unwrap();
        assert!(matches!(archive(&desk, &at, &team).await, Err(OpError::Conflict(_))));
        // Its name is free, and then it cannot come back under it.
        let other = make(&desk, &at, open("Crew")).await.unwrap();
        assert!(matches!(restore(&desk, &at, &team).await, Err(OpError::Conflict(_))));
        archive(&desk, &at, &other).await.unwrap();
        restore(&desk, &at, &team).await.unwrap();
        let kinds: Vec<_> = events(&desk, &at, &team).await;
        let list = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            kinds,
            [
                (EventKind::TeamRestored, vec![]),
                (EventKind::TeamArchived, vec![]),
                (EventKind::TeamEdited, list(&["budgets", "rpm"])),
                (EventKind::TeamCreated, list(&["name", "models", "budgets", "rpm"])),
            ]
        );
    }
);

on_both!(
    fn a_list_holds_the_teams_that_its_reader_is_in(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, ops_team) = (desk.team(&at, "Crew").await, desk.team(&at, "Ops").await);
        let (lead, member) =
            (desk.member(&at, OrgRole::Member).await, desk.member(&at, OrgRole::Member).await);
        desk.join(&lead, &crew, true).await;
        desk.join(&member, &crew, false).await;
        desk.create(&at, in_team(&crew, "one")).await.unwrap();
        let list = async |who: &At, search: &str, archived| {
            let filter = TeamFilter { search: search.into(), archived };
            teams::list(&desk, &who.caller, &at.org.slug, &filter).await.unwrap()
        };
        let names = |view: teams::TeamsView| -> Vec<String> {
            view.teams.into_iter().map(|team| team.spec.name).collect()
        };
        let all = list(&at, "", false).await;
        assert_eq!((all.count, all.teams[0].live_keys, all.teams[0].people), (2, 1, 2));
        assert_eq!(all.teams[0].admins[0].name, lead.caller.person.name);
        assert_eq!(names(list(&at, "OP", false).await), ["Ops"]);
        assert_eq!(names(list(&member, "", false).await), ["Crew"]);
        archive(&desk, &at, &ops_team).await.unwrap();
        assert_eq!(names(list(&at, "", false).await), ["Crew"]);
        assert_eq!(names(list(&at, "", true).await), ["Ops"]);
        assert!(list(&member, "", true).await.teams.is_empty());
        let show = teams::show(&desk, &member.caller, &at.org.slug, ops_team.id.as_str()).await;
        assert!(matches!(show, Err(OpError::NotFound)));
    }
);

on_both!(
    fn a_teams_admin_looks_after_its_members_and_never_after_an_owner_or_an_admin(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, other) = (desk.team(&at, "Crew").await, desk.team(&at, "Other").await);
        let (lead, admin, member) = (
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Admin).await,
            desk.member(&at, OrgRole::Member).await,
        );
        desk.join(&lead, &crew, true).await;
        desk.join(&admin, &crew, false).await;
        add(&desk, &lead.caller, &adding(&at, &crew, &member, "member")).await.unwrap();
        let again = add(&desk, &lead.caller, &adding(&at, &crew, &member, "member")).await;
        assert_eq!(wrong_fields(again), ["email"]);
        let (org, team) = (at.org.slug.as_str(), crew.id.as_str());
        let make_admin = async |by: &Caller, who: &At| {
            let on = TeamPersonRef { org, team, person: who.caller.person.id.as_str() };
            teams::set_role(&desk, by, on, TeamRole::Admin).await
        };
        let remove = async |by: &Caller, who: &At| {
            teams::remove(&desk, by, TeamPersonRef { org, team, person: who.caller.person.id.as_str() }).await
        };
        for result in [
            make_admin(&lead.caller, &admin).await,
            remove(&lead.caller, &admin).await,
            add(&desk, &lead.caller, &adding(&at, &crew, &at, "member")).await,
        ] {
            assert!(matches!(result, Err(OpError::Forbidden)), "{result:?}");
        }
        let elsewhere = add(&desk, &lead.caller, &adding(&at, &other, &member, "member")).await;
        assert!(matches!(elsewhere, Err(OpError::NotFound)));
        let stranger =
            AddForm { email: "nobody@example.com".into(), ..adding(&at, &crew, &member, "member") };
        let (field, sentence) = refused(add(&desk, &lead.caller, &stranger).await);
        assert_eq!(field, "email");
        assert!(sentence.contains("invite them first"), "{sentence}");

        // A change of role asks for a fresh sign-in, an ordinary addition does not.
        desk.clock.advance(11 * MINUTE);
        let stale = make_admin(&lead.caller, &member).await;
        assert!(matches!(stale, Err(OpError::ReauthRequired)));
        let second = desk.member(&at, OrgRole::Member).await;
        let stale = add(&desk, &lead.caller, &adding(&at, &crew, &second, "admin")).await;
        assert!(matches!(stale, Err(OpError::ReauthRequired)));
        add(&desk, &lead.caller, &adding(&at, &crew, &second, "member")).await.unwrap();
        let fresh = desk.caller(&lead.caller.person.id).await;
        make_admin(&fresh, &member).await.unwrap();

        // Who is removed leaves their key in the team.
        let key = desk.create(&at, owned(in_team(&crew, "theirs"), &member)).await;
        assert!(matches!(key, Err(OpError::ReauthRequired)), "a key for somebody else");
        let owner = At { caller: desk.caller(&at.caller.person.id).await, org: at.org.clone() };
        let key = desk.create(&owner, owned(in_team(&crew, "theirs"), &member)).await.unwrap();
        remove(&owner.caller, &member).await.unwrap();
        let key = desk.show(&owner, &key).await;
        assert_eq!(key.team.unwrap().id, crew.id);
        assert_eq!(key.owner.id, member.caller.person.id);
        let kinds: Vec<_> = events(&desk, &at, &crew).await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds[..2], [EventKind::TeamPersonRemoved, EventKind::TeamPersonChanged],);
        assert_eq!(TeamRole::parse("owner"), None);
    }
);

on_both!(
    fn a_key_is_given_no_more_than_its_team_allows(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, open_team) =
            (make(&desk, &at, bounded("Crew")).await.unwrap(), desk.team(&at, "Open").await);
        let mut wide = in_team(&crew, "ci-prod");
        wide.limits.month = LimitField::limit("501");
        wide.limits.rpm = LimitField::none();
        assert_eq!(wrong_fields(desk.create(&at, wide).await), ["models", "month", "rpm"]);
        let mut form = claude(&crew, "ci-prod");
        form.limits.month = LimitField::limit("500.01");
        assert_eq!(
            refused(desk.create(&at, form).await).1,
            "Crew allows at most $500.00 per month. Enter that or less."
        );
        let issued = desk.create(&at, claude(&crew, "ci-prod")).await.unwrap();
        // An edit, and a move into the team, run into the same bounds.
        let raised = move_key(&desk, &at, &issued, |form| form.limits.rpm = LimitField::limit("61")).await;
        assert_eq!(wrong_fields(raised), ["rpm"]);
        let elsewhere = desk.create(&at, in_team(&open_team, "elsewhere")).await.unwrap();
        let moved = move_key(&desk, &at, &elsewhere, |form| form.team = crew.id.to_string()).await;
        assert_eq!(wrong_fields(moved), ["models"]);

        // The form of a new key in the team begins within its bounds.
        let blank = ops::keys::blank(&desk, &at.caller, &at.org.slug, crew.id.as_str()).await.unwrap();
        let fresh = KeyForm { name: "fresh".into(), ..submit::key_form(&blank) };
        desk.create(&at, fresh).await.unwrap();

        // A team that became stricter lists what is above, and lets it be edited without going up.
        let mut form = drawn(&desk, &at, &crew.id).await;
        form.team.limits.month = LimitField::limit("20");
        edit(&desk, &at, &form).await;
        let view = teams::show(&desk, &at.caller, &at.org.slug, crew.id.as_str()).await.unwrap();
        assert_eq!(view.above.len(), 2);
        move_key(&desk, &at, &issued, |form| form.note = "Still edited".into()).await.unwrap();
        move_key(&desk, &at, &issued, |form| form.limits.month.value = "40".into()).await.unwrap();
        let up = move_key(&desk, &at, &issued, |form| form.limits.month.value = "45".into()).await;
        assert_eq!(wrong_fields(up), ["month"]);
        move_key(&desk, &at, &issued, |form| form.limits.month.value = "20".into()).await.unwrap();
        let view = teams::show(&desk, &at.caller, &at.org.slug, crew.id.as_str()).await.unwrap();
        assert_eq!(view.above.len(), 1);
    }
);

on_both!(
    fn an_archived_teams_keys_say_so_and_can_be_moved_out(desk: TestDesk) {
        let at = desk.owner().await;
        let crew = desk.team(&at, "Crew").await;
        let issued = desk.create(&at, in_team(&crew, "ci-prod")).await.unwrap();
        archive(&desk, &at, &crew).await.unwrap();
        assert_eq!(desk.show(&at, &issued).await.state(desk.now()), State::TeamArchived);
        assert_eq!(refused(desk.create(&at, in_team(&crew, "another")).await).0, "team");
        move_key(&desk, &at, &issued, |form| form.team = String::new()).await.unwrap();
        assert_eq!(desk.show(&at, &issued).await.state(desk.now()), State::Active);
    }
);

on_both!(
    fn a_key_moves_with_its_history_and_leaves_its_past_spend_with_the_old_team(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, other) = (make(&desk, &at, bounded("Crew")).await.unwrap(), desk.team(&at, "Other").await);
        let heir = desk.member(&at, OrgRole::Member).await;
        let issued = desk.create(&at, claude(&crew, "ci-prod")).await.unwrap();
        let mut usage = desk.usage(&at, &issued, 500_000_000_000, desk.now()).await;
        usage.team = Some(crew.id.clone());
        record(&desk, &usage).await.unwrap();
        // The key's own budget is used up too, and told first.
        let mut wide = claude(&crew, "second");
        wide.limits.month = LimitField::limit("400");
        let second = desk.create(&at, wide).await.unwrap();
        let state = desk.show(&at, &second).await.state(desk.now());
        assert!(matches!(state, State::TeamOverBudget { .. }), "{state:?}");

        let secret = desk.secret_id(&issued).await;
        move_key(&desk, &at, &issued, |form| {
            form.team = other.id.to_string();
            form.owner = heir.caller.person.id.to_string();
        })
        .await
        .unwrap();
        let moved = desk.show(&at, &issued).await;
        assert_eq!((moved.team.unwrap(), moved.owner.id), (other.clone(), heir.caller.person.id.clone()));
        assert_eq!(desk.secret_id(&issued).await, secret);
        assert_eq!(moved.month_spent.nanos(), 500_000_000_000);
        let of_team = async |team: &Team| {
            let sql = format!(
                "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM spend_daily WHERE team_id = '{}'",
                team.id
            );
            desk.number(&sql).await
        };
        assert_eq!((of_team(&crew).await, of_team(&other).await), (500_000_000_000, 0));
        let view = ops::keys::show(&desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        let changes = &view.history[0].changes;
        let team = |name: &str| ChangeValue::Team(Some(name.into()));
        assert_eq!(
            *changes,
            [
                Change::replaced("team", team("Crew"), team("Other")),
                Change::replaced("owner", "Ana Petrov", heir.caller.person.name.as_str()),
            ]
        );
    }
);

on_both!(
    fn a_teams_admin_cannot_push_a_key_into_another_team_or_onto_a_stranger(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, other) = (desk.team(&at, "Crew").await, desk.team(&at, "Other").await);
        let (lead, mate, stranger) = (
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Member).await,
        );
        desk.join(&lead, &crew, true).await;
        desk.join(&lead, &other, false).await;
        desk.join(&mate, &crew, false).await;
        let issued = desk.create(&lead, in_team(&crew, "ci-prod")).await.unwrap();
        for team in [other.id.as_str(), ""] {
            let moved = move_key(&desk, &lead, &issued, |form| form.team = team.into()).await;
            assert_eq!(wrong_fields(moved), ["team"]);
        }
        let give = |who: &At| {
            let id = who.caller.person.id.to_string();
            move |form: &mut KeyForm| form.owner = id
        };
        assert_eq!(wrong_fields(move_key(&desk, &lead, &issued, give(&stranger)).await), ["owner"]);
        move_key(&desk, &lead, &issued, give(&mate)).await.unwrap();
        // Nobody of another organisation, whoever asks.
        let foreign = desk.other_org("Elsewhere", "UTC").await;
        assert_eq!(wrong_fields(move_key(&desk, &at, &issued, give(&foreign)).await), ["owner"]);
    }
);

on_both!(
    fn members_create_only_what_the_organisation_lets_them(desk: TestDesk) {
        let at = desk.owner().await;
        let crew = desk.team(&at, "Crew").await;
        let member = desk.member(&at, OrgRole::Member).await;
        let mate = desk.member(&at, OrgRole::Member).await;
        desk.join(&member, &crew, false).await;
        desk.join(&mate, &crew, false).await;
        let rule = async |choice: &str| {
            desk.execute(&format!("UPDATE orgs SET members_create = '{choice}'")).await.unwrap();
        };
        assert!(matches!(desk.create(&member, in_team(&crew, "no")).await, Err(OpError::Forbidden)));
        rule("in_teams").await;
        desk.create(&member, in_team(&crew, "in a team")).await.unwrap();
        assert_eq!(wrong_fields(desk.create(&member, form("alone")).await), ["team"]);
        let for_mate = owned(in_team(&crew, "for a mate"), &mate);
        assert_eq!(wrong_fields(desk.create(&member, for_mate).await), ["owner"]);
        let blank = ops::keys::blank(&desk, &member.caller, &at.org.slug, "").await.unwrap();
        assert_eq!((blank.owners.len(), blank.may_go_without_team), (1, false));
        assert_eq!(submit::key_form(&blank).team, crew.id.to_string());
        rule("anywhere").await;
        desk.create(&member, form("alone")).await.unwrap();
    }
);

on_both!(
    fn of_many_keys_made_at_once_one_member_gets_no_more_than_the_organisation_allows(desk: TestDesk) {
        let at = desk.owner().await;
        let crew = desk.team(&at, "Crew").await;
        let member = desk.member(&at, OrgRole::Member).await;
        desk.join(&member, &crew, false).await;
        desk.execute("UPDATE orgs SET max_keys_per_member = 3").await.unwrap();
        for name in ["one", "two"] {
            desk.create(&at, owned(in_team(&crew, name), &member)).await.unwrap();
        }
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..10 {
            let (desk, at) = (desk.clone(), at.clone());
            let form = owned(in_team(&crew, &format!("more {number}")), &member);
            tries.spawn(async move { desk.create(&at, form).await });
        }
        let mut made = 0;
        while let Some(done) = tries.join_next().await {
            match done.unwrap() {
                Ok(_) => made += 1,
                rejection => assert_eq!(wrong_fields(rejection), ["owner"]),
            }
        }
        assert_eq!(made, 1);
        // A key that is moved to them is one more; owners and admins are not counted.
        let own = desk.create(&at, in_team(&crew, "mine")).await.unwrap();
        let give = move_key(&desk, &at, &own, |form| form.owner = member.caller.person.id.to_string());
        assert_eq!(wrong_fields(give.await), ["owner"]);
        for name in ["a", "b", "c", "d"] {
            desk.create(&at, in_team(&crew, name)).await.unwrap();
        }
    }
);

on_both!(
    fn a_suspended_organisations_keys_say_so(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.execute("UPDATE orgs SET suspended_at = 1").await.unwrap();
        assert_eq!(desk.show(&at, &issued).await.state(desk.now()), State::OrgSuspended);
    }
);

on_both!(
    fn lists_say_what_was_spent_in_this_month_and_in_the_last(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, _idle) = (make(&desk, &at, open("Crew")).await.unwrap(), desk.team(&at, "Idle").await);
        let issued = desk.create(&at, in_team(&crew, "ci-prod")).await.unwrap();
        let mut usage = desk.usage(&at, &issued, 70, desk.now()).await;
        usage.team = Some(crew.id.clone());
        record(&desk, &usage).await.unwrap();
        let nanos = |amounts: Vec<Money>| amounts.into_iter().map(Money::nanos).collect::<Vec<_>>();
        let seen = async |at: &At| {
            let operator = desk.platform(at, PlatformRole::Operator).await;
            let slug = &at.org.slug;
            let teams = teams::list(&desk, &at.caller, slug, &TeamFilter::default()).await.unwrap();
            let orgs = ops::orgs::list(&desk, &operator.caller, &OrgFilter::default()).await.unwrap();
            let members =
                ops::members::list(&desk, &at.caller, slug, &MemberFilter::default()).await.unwrap();
            let now = teams.teams.iter().map(|team| team.month_spent).collect();
            let members = members.member_summary.iter();
            let members = members.map(|one| (one.month_spent.nanos(), one.last_month_spent.nanos())).max();
            (nanos(now), nanos(teams.last_month), nanos(orgs.month_spent), members.unwrap())
        };
        assert_eq!(seen(&at).await, (vec![70, 0], vec![0, 0], vec![70], (70, 0)));
        // The next month begins at zero, in each.
        desk.clock.advance(31 * DAY);
        let later = At { caller: desk.caller(&at.caller.person.id).await, org: at.org.clone() };
        assert_eq!(seen(&later).await, (vec![0, 0], vec![70, 0], vec![0], (0, 70)));
    }
);

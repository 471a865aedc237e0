//! Two organisations, and random acts by people of both on things of both: nothing crosses between them, what is
//! refused leaves nothing, and each change leaves one event in a chain that is whole.

use keydesk_core::domain::audit_filter::AuditFilter;
use keydesk_core::domain::list_filter::{MemberFilter, TeamFilter};
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::team::{Team, TeamSpec};
use keydesk_core::forms;
use keydesk_core::forms::invitation::InviteForm;
use keydesk_core::forms::key::{KeyRef, RevokeForm};
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::forms::team::TeamForm;
use keydesk_core::forms::team_people::AddForm;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs;
use keydesk_core::ops::teams::{self, TeamPersonRef};
use keydesk_core::ops::{OpError, audit, invitations, keys, members};

use crate::support::submit;
use crate::support::*;

const ACTS: usize = 350;

/// One organisation with its people and what was made in it.
struct House {
    at: At,
    people: Vec<At>,
    teams: Vec<Team>,
    keys: Vec<String>,
    invitations: Vec<String>,
}

async fn house(desk: &TestDesk, at: At) -> House {
    let mut people = vec![at.clone()];
    for role in [OrgRole::Owner, OrgRole::Admin, OrgRole::Member, OrgRole::Member] {
        people.push(desk.member(&at, role).await);
    }
    let teams = vec![desk.team(&at, "Data").await, desk.team(&at, "Web").await];
    desk.join(&people[3], &teams[0], true).await;
    desk.join(&people[4], &teams[0], false).await;
    House { at, people, teams, keys: vec![], invitations: vec![] }
}

/// What became of an act: whether it changed something.
fn changed<T>(result: Result<T, OpError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(OpError::Store(error)) => panic!("{error}"),
        Err(_) => None,
    }
}

/// Events that tell of changes; looks of support are counted apart.
const EVENTS: &str =
    "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind <> 'support.accessed'";

/// Rows of one organisation that refer to something of another; none is what there must be.
const CROSSINGS: [&str; 15] = [
    "keys x JOIN teams y ON y.id = x.team_id WHERE y.org_id <> x.org_id",
    "keys x LEFT JOIN memberships y ON y.person_id = x.owner_id AND y.org_id = x.org_id WHERE y.person_id IS NULL",
    "key_secrets x JOIN keys y ON y.id = x.key_id WHERE y.org_id <> x.org_id",
    "scopes x JOIN keys y ON y.id = x.holder_id WHERE y.org_id <> x.org_id",
    "scopes x JOIN teams y ON y.id = x.holder_id WHERE y.org_id <> x.org_id",
    "budgets x JOIN keys y ON y.id = x.holder_id WHERE y.org_id <> x.org_id",
    "budgets x JOIN teams y ON y.id = x.holder_id WHERE y.org_id <> x.org_id",
    "asks x JOIN keys y ON y.id = x.key_id WHERE y.org_id <> x.org_id",
    "grants x JOIN asks y ON y.id = x.ask_id WHERE y.org_id <> x.org_id",
    "team_members x JOIN teams y ON y.id = x.team_id WHERE y.org_id <> x.org_id",
    "team_members x LEFT JOIN memberships y ON y.person_id = x.person_id AND y.org_id = x.org_id WHERE y.person_id IS NULL",
    "invitations x JOIN teams y ON y.id = x.team_id WHERE y.org_id <> x.org_id",
    "invitations x LEFT JOIN memberships y ON y.person_id = x.invited_by AND y.org_id = x.org_id WHERE y.person_id IS NULL",
    "audit_events x JOIN keys y ON y.id = x.subject_id WHERE y.org_id <> x.org_id",
    "audit_events x JOIN teams y ON y.id = x.subject_id WHERE y.org_id <> x.org_id",
];

/// One random act; says whether it changed something.
async fn act(desk: &TestDesk, dice: &mut Dice, houses: &mut [House; 2], support: &At) -> bool {
    // Somebody of either house (or support), in either house, on things of either: most of it must be refused.
    let home = dice.below(2) as usize;
    let there = if dice.below(4) == 0 { 1 - home } else { home };
    let of = if dice.below(4) == 0 { 1 - there } else { there };
    let caller = match dice.below(12) {
        0 => support.caller.clone(),
        _ => dice.one_of(&houses[home].people).caller.clone(),
    };
    // Somebody may have changed since: what they are is read anew for each request.
    let org = houses[there].at.org.slug.clone();
    let key = match houses[of].keys.as_slice() {
        [] => "key_00000000000000000000000000000000".to_owned(),
        keys => dice.one_of(keys).clone(),
    };
    let person = dice.one_of(&houses[of].people).caller.person.id.to_string();
    let team = dice.one_of(&houses[of].teams).id.to_string();
    let name = format!("{} {}", ["ci", "web", "jobs"][dice.below(3) as usize], dice.below(30));
    let key_ref = || KeyRef { org: org.clone(), id: key.clone() };
    match dice.below(20) {
        0..=4 => {
            let team = if dice.below(2) == 0 { String::new() } else { team };
            let key = keydesk_core::forms::key::KeyForm { team, ..form(&name) };
            let form = forms::key::CreateForm { org, key, ..Default::default() };
            let made = changed(submit::create_key(desk, &caller, &form).await);
            made.is_some_and(|issued| {
                houses[there].keys.push(issued.id.to_string());
                true
            })
        }
        5 => changed(submit::disable_key(desk, &caller, &key_ref()).await).is_some(),
        6 => changed(submit::enable_key(desk, &caller, &key_ref()).await).is_some(),
        7 => {
            let form = RevokeForm { org, id: key, name };
            changed(submit::revoke_key(desk, &caller, &form).await).is_some()
        }
        8 | 9 => {
            let Ok(view) = keys::edit_form(desk, &caller, &org, &key).await else { return false };
            let drawn = submit::key_form(&view);
            let was = serde_json::to_string(&drawn).unwrap();
            let version = view.key.unwrap().version;
            let edited = forms::key::KeyForm { team, name, ..drawn };
            let form = forms::key::EditForm { org, id: key, version, was, key: edited };
            matches!(changed(submit::edit_key(desk, &caller, &form).await), Some(Outcome::Saved(_)))
        }
        10 => {
            let form = forms::team::CreateForm {
                org,
                team: TeamForm { name: name.clone(), ..TeamForm::of(&TeamSpec::default(), &[]) },
            };
            let made = changed(submit::create_team(desk, &caller, &form).await);
            made.is_some_and(|id| {
                houses[there].teams.push(Team { id, name });
                true
            })
        }
        11 => changed(match dice.below(2) {
            0 => teams::archive(desk, &caller, &org, &team).await,
            _ => teams::restore(desk, &caller, &org, &team).await,
        })
        .is_some(),
        12 => {
            let role = ["admin", "member"][dice.below(2) as usize].to_owned();
            let form = AddForm { person: Some(person), role, ..Default::default() };
            changed(teams::add(desk, &caller, &org, &team, &form.parse().unwrap()).await).is_some()
        }
        13 => {
            let on = TeamPersonRef { org: &org, team: &team, person: &person };
            changed(teams::remove(desk, &caller, on).await).is_some()
        }
        14 => {
            let role = [OrgRole::Owner, OrgRole::Admin, OrgRole::Member][dice.below(3) as usize];
            changed(members::change_role(desk, &caller, &org, &person, role).await).is_some()
        }
        15 => match dice.below(5) {
            0 => changed(members::disable(desk, &caller, &org, &person).await).is_some(),
            1 => changed(members::remove(desk, &caller, &org, &person).await).is_some(),
            2 if dice.below(4) == 0 => changed(members::leave(desk, &caller, &org).await).is_some(),
            _ => changed(members::enable(desk, &caller, &org, &person).await).is_some(),
        },
        16 => {
            let email = format!("guest{}@example.com", dice.below(40));
            let form = InviteForm {
                email,
                role: "member".into(),
                team,
                team_role: "member".into(),
                ..Default::default()
            };
            let made = changed(invitations::invite(desk, &caller, &org, &form.parse().unwrap()).await);
            made.is_some_and(|issued| {
                houses[there].invitations.push(issued.id.to_string());
                true
            })
        }
        17 => {
            let Some(id) = houses[of].invitations.last().cloned() else { return false };
            changed(invitations::withdraw(desk, &caller, &org, &id).await).is_some()
        }
        18 => {
            let Ok(view) = orgs::settings(desk, &caller, &org).await else { return false };
            let was = SettingsForm::of(&view.settings);
            let settings = SettingsForm { name: format!("House {}", dice.below(50)), ..was.clone() };
            let version = view.context.org.version;
            let was = serde_json::to_string(&was).unwrap();
            let form = SaveForm { org, version, was, settings, ..Default::default() };
            matches!(changed(submit::save_org(desk, &caller, &form).await), Some(Outcome::Saved(_)))
        }
        _ => {
            // Looking changes nothing, whoever looks at whatever.
            let _ = changed(keys::list(desk, &caller, &org, &everything()).await);
            let _ = changed(keys::show(desk, &caller, &org, &key).await);
            let _ = changed(members::list(desk, &caller, &org, &MemberFilter::default()).await);
            false
        }
    }
}

/// Whoever still sees a list sees only their house's things in it.
async fn assert_lists_hold_only_their_own(desk: &TestDesk, houses: &[House; 2]) {
    for (house, other) in [(&houses[0], &houses[1]), (&houses[1], &houses[0])] {
        for person in &house.people {
            let caller = &person.caller;
            assert!(keys::list(desk, caller, &other.at.org.slug, &everything()).await.is_err());
            for key in &other.keys {
                assert!(
                    keys::show(desk, caller, &house.at.org.slug, key).await.is_err(),
                    "through the own door"
                );
                assert!(
                    keys::show(desk, caller, &other.at.org.slug, key).await.is_err(),
                    "through the other"
                );
            }
            let Ok(view) = keys::list(desk, caller, &house.at.org.slug, &everything()).await else {
                continue;
            };
            let ids: Vec<String> = view.page.rows.iter().map(|key| key.id.to_string()).collect();
            assert!(ids.iter().all(|id| house.keys.contains(id)));
            if let Ok(view) = members::list(desk, caller, &house.at.org.slug, &MemberFilter::default()).await
            {
                let theirs = |id: &str| other.people.iter().any(|at| at.caller.person.id.as_str() == id);
                assert!(!view.page.rows.iter().any(|member| theirs(member.id.as_str())));
            }
            if let Ok(view) = teams::list(desk, caller, &house.at.org.slug, &TeamFilter::default()).await {
                assert!(view.teams.iter().all(|team| house.teams.iter().any(|known| known.id == team.id)));
            }
            if let Ok(view) = audit::list(desk, caller, &house.at.org.slug, &AuditFilter::default()).await {
                for event in view.page.rows {
                    assert!(!other.keys.contains(&event.subject_id));
                    let by_other =
                        other.people.iter().any(|at| at.caller.person.id.as_str() == event.actor_id);
                    assert!(!by_other, "{event:?}");
                }
            }
        }
    }
}

async fn nothing_crosses(desk: &TestDesk, seed: u64) {
    let mut dice = Dice::new(seed);
    let ana = desk.owner().await;
    let ben = desk.other_org("Elsewhere", "UTC").await;
    let mut houses = [house(desk, ana).await, house(desk, ben).await];
    let support = desk.platform(&houses[0].at, PlatformRole::Support).await;
    let mut events = desk.number(EVENTS).await;
    let (mut done, mut refused) = (0, 0);
    for n in 0..ACTS {
        desk.clock.advance(100);
        if act(desk, &mut dice, &mut houses, &support).await {
            done += 1;
            events += 1;
        } else {
            refused += 1;
        }
        assert_eq!(desk.number(EVENTS).await, events, "act {n} of seed {seed}");
    }
    assert!(done > 40 && refused > 40, "{done} done, {refused} refused");
    for crossing in CROSSINGS {
        assert_eq!(desk.number(&format!("SELECT COUNT(*) FROM {crossing}")).await, 0, "{crossing}");
    }
    assert_lists_hold_only_their_own(desk, &houses).await;
    let reports = audit::verify_all(desk).await.unwrap();
    assert_eq!(reports.len(), 3, "the installation's chain and one for each house");
    assert!(reports.iter().all(|report| report.broken.is_none()), "{reports:?}");
    assert!(reports[1..].iter().all(|report| report.events > 10), "{reports:?}");
    let owners =
        "SELECT COUNT(*) FROM memberships WHERE role = 'owner' AND disabled_at IS NULL GROUP BY org_id";
    assert_eq!(desk.numbers(owners).await.len(), 2, "each house has an owner");
}

on_both!(
    fn nothing_crosses_between_organisations_whatever_people_do(desk: TestDesk) {
        nothing_crosses(&desk, 7).await;
    }
);

on_both!(
    fn nothing_crosses_between_organisations_in_another_order(desk: TestDesk) {
        nothing_crosses(&desk, 20_261_120).await;
    }
);

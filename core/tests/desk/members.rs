//! The members of an organisation: who acts on whom, the last owner, and the keys of those who left.

use keydesk_core::domain::audit::{Change, Choice, EventKind};
use keydesk_core::domain::ids::SessionId;
use keydesk_core::domain::list_filter::MemberFilter;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::invitation::InviteForm;
use keydesk_core::forms::member::{OffboardForm, RoleForm};
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::members::{self, Out};
use keydesk_core::ops::offboarding::{self, Decided};
use keydesk_core::ops::{OpError, access, invitations};
use keydesk_core::store::Unaudited;
use keydesk_core::store::sessions::{self, Begun, NewSession};
use keydesk_core::store::{audit, people};

use crate::support::*;

async fn give(desk: &TestDesk, at: &At, other: &At, role: &str) -> Result<String, OpError> {
    let form = RoleForm { role: role.into(), ..Default::default() };
    let role = form.parse().map_err(OpError::Invalid)?;
    members::change_role(desk, &at.caller, &at.org.slug, other.caller.person.id.as_str(), role).await
}

async fn disable(desk: &TestDesk, at: &At, other: &At) -> Result<Out, OpError> {
    members::disable(desk, &at.caller, &at.org.slug, other.caller.person.id.as_str()).await
}

async fn remove(desk: &TestDesk, at: &At, other: &At) -> Result<Out, OpError> {
    members::remove(desk, &at.caller, &at.org.slug, other.caller.person.id.as_str()).await
}

async fn leave(desk: &TestDesk, at: &At) -> Result<String, OpError> {
    members::leave(desk, &at.caller, &at.org.slug).await
}

fn searched(text: &str) -> MemberFilter {
    MemberFilter { search: text.into(), ..MemberFilter::default() }
}

async fn names(desk: &TestDesk, at: &At, search: &str) -> Vec<String> {
    let view = members::list(desk, &at.caller, &at.org.slug, &searched(search)).await.unwrap();
    view.page.rows.into_iter().map(|member| member.name).collect()
}

fn is_forbidden<T>(result: &Result<T, OpError>) -> bool {
    matches!(result, Err(OpError::Forbidden))
}

fn is_not_found<T>(result: &Result<T, OpError>) -> bool {
    matches!(result, Err(OpError::NotFound))
}

fn conflict<T>(result: Result<T, OpError>) -> String {
    match result {
        Err(OpError::Conflict(sentence)) => sentence,
        Err(other) => panic!("refused in another way: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

async fn active_owners(desk: &TestDesk, at: &At) -> i64 {
    let org = &at.org.id;
    desk.number(&format!(
        "SELECT COUNT(*) FROM memberships WHERE org_id = '{org}' AND role = 'owner' AND disabled_at IS NULL"
    ))
    .await
}

/// Events of taking away, in the organisation.
async fn events(desk: &TestDesk, at: &At) -> i64 {
    let org = &at.org.id;
    desk.number(&format!(
        "SELECT COUNT(*) FROM audit_events WHERE org_id = '{org}' AND kind IN
            ('member.role_changed', 'member.disabled', 'member.removed', 'member.left')"
    ))
    .await
}

async fn five_owners(desk: &TestDesk) -> Vec<At> {
    let mut owners = vec![desk.owner().await];
    for _ in 0..4 {
        let another = desk.member(&owners[0], OrgRole::Owner).await;
        owners.push(another);
    }
    owners
}

on_both!(
    fn fifty_demotions_at_once_leave_exactly_one_owner(desk: TestDesk) {
        let owners = five_owners(&desk).await;
        let mut acts = tokio::task::JoinSet::new();
        for _ in 0..2 {
            for at in &owners {
                for other in &owners {
                    let (desk, at, other) = (desk.clone(), at.clone(), other.clone());
                    acts.spawn(async move { give(&desk, &at, &other, "member").await.is_ok() });
                }
            }
        }
        let done = acts.join_all().await;
        assert_eq!(done.len(), 50);
        assert_eq!(done.iter().filter(|done| **done).count(), 4);
        assert_eq!(active_owners(&desk, &owners[0]).await, 1);
        assert_eq!(events(&desk, &owners[0]).await, 4);
    }
);

on_both!(
    fn fifty_ways_out_at_once_leave_exactly_one_owner(desk: TestDesk) {
        let owners = five_owners(&desk).await;
        let mut acts = tokio::task::JoinSet::new();
        for (n, at) in owners.iter().enumerate() {
            for (m, other) in owners.iter().enumerate() {
                for act in 0..2 {
                    let (desk, at, other) = (desk.clone(), at.clone(), other.clone());
                    acts.spawn(async move {
                        match (n == m, act, (n + m) % 2) {
                            (true, ..) => leave(&desk, &at).await.is_ok(),
                            (_, 0, _) => remove(&desk, &at, &other).await.is_ok(),
                            (_, _, 0) => disable(&desk, &at, &other).await.is_ok(),
                            _ => give(&desk, &at, &other, "admin").await.is_ok(),
                        }
                    });
                }
            }
        }
        let done = acts.join_all().await;
        assert_eq!(done.len(), 50);
        let done = done.into_iter().filter(|done| *done).count() as i64;
        assert_eq!(active_owners(&desk, &owners[0]).await, 1);
        assert!(done >= 4, "{done}");
        assert_eq!(events(&desk, &owners[0]).await, done);
    }
);

on_both!(
    fn the_last_owner_stays_whoever_asks(desk: TestDesk) {
        let owner = desk.owner().await;
        let admin = desk.member(&owner, OrgRole::Admin).await;
        assert!(conflict(leave(&desk, &owner).await).contains("at least one active owner"));
        assert!(conflict(give(&desk, &owner, &owner, "member").await).contains("at least one active owner"));
        assert!(is_forbidden(&remove(&desk, &owner, &owner).await));
        assert!(is_forbidden(&disable(&desk, &admin, &owner).await));
        // A disabled owner is not one that stays.
        let second = desk.member(&owner, OrgRole::Owner).await;
        disable(&desk, &owner, &second).await.ok().unwrap();
        conflict(leave(&desk, &owner).await);
        let id = second.caller.person.id.as_str();
        members::enable(&desk, &owner.caller, &owner.org.slug, id).await.unwrap();
        leave(&desk, &owner).await.unwrap();
        assert_eq!(active_owners(&desk, &owner).await, 1);
        assert!(is_not_found(&give(&desk, &owner, &second, "member").await), "who left has no place here");
    }
);

on_both!(
    fn a_role_is_changed_by_somebody_who_may_and_has_just_proved_who_they_are(desk: TestDesk) {
        let owner = desk.owner().await;
        let admin = desk.member(&owner, OrgRole::Admin).await;
        let member = desk.member(&owner, OrgRole::Member).await;
        assert!(is_forbidden(&give(&desk, &admin, &member, "owner").await));
        assert!(is_forbidden(&give(&desk, &admin, &owner, "member").await));
        assert!(is_not_found(&give(&desk, &member, &admin, "member").await));
        give(&desk, &admin, &member, "admin").await.unwrap();
        assert_eq!(refused(give(&desk, &admin, &member, "admin").await).0, "role");
        assert_eq!(refused(give(&desk, &admin, &member, "king").await).0, "role");
        desk.clock.advance(11 * MINUTE);
        assert!(matches!(give(&desk, &owner, &member, "member").await, Err(OpError::ReauthRequired)));
        assert!(matches!(remove(&desk, &owner, &member).await, Err(OpError::ReauthRequired)));
        let kinds = desk.texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL ORDER BY seq").await;
        assert_eq!(kinds, ["org.created", "member.role_changed"]);
        let changes = desk
            .texts(
                "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'member.role_changed'",
            )
            .await;
        assert!(
            changes[0].contains(r#""before":{"choice":"member"},"after":{"choice":"admin"}"#),
            "{changes:?}"
        );
    }
);

on_both!(
    fn a_team_admin_sees_the_people_of_their_teams_and_a_member_none(desk: TestDesk) {
        let owner = desk.owner().await;
        let (ours, theirs) = (desk.team(&owner, "Ours").await, desk.team(&owner, "Theirs").await);
        let lead = desk.member(&owner, OrgRole::Member).await;
        let mate = desk.member(&owner, OrgRole::Member).await;
        let stranger = desk.member(&owner, OrgRole::Member).await;
        desk.join(&lead, &ours, true).await;
        desk.join(&mate, &ours, false).await;
        desk.join(&mate, &theirs, false).await;
        desk.join(&stranger, &theirs, false).await;
        let mut seen = vec![lead.caller.person.name.clone(), mate.caller.person.name.clone()];
        seen.sort();
        assert_eq!(names(&desk, &lead, "").await, seen);
        assert_eq!(names(&desk, &owner, "").await.len(), 4);
        let view =
            members::list(&desk, &lead.caller, &lead.org.slug, &MemberFilter::default()).await.unwrap();
        let teams: Vec<_> = view.member_summary.iter().flat_map(|summary| &summary.teams).collect();
        assert!(teams.iter().all(|place| place.team.name == "Ours"), "{teams:?}");
        let show = async |at: &At, other: &At| {
            members::show(&desk, &at.caller, &at.org.slug, other.caller.person.id.as_str()).await
        };
        assert!(show(&lead, &mate).await.is_ok());
        assert!(is_not_found(&show(&lead, &stranger).await));
        assert!(is_not_found(&show(&mate, &stranger).await));
        assert!(show(&mate, &mate).await.is_ok());
        assert!(is_forbidden(&disable(&desk, &lead, &mate).await));
        let list = members::list(&desk, &mate.caller, &mate.org.slug, &MemberFilter::default()).await;
        assert!(is_forbidden(&list));
        let support = desk.platform(&owner, PlatformRole::Support).await;
        assert_eq!(names(&desk, &support, "").await.len(), 4);
        assert!(is_forbidden(&disable(&desk, &support, &mate).await));
        let other = desk.other_org("Contoso", "UTC").await;
        assert!(is_not_found(&disable(&desk, &other, &mate).await));
    }
);

on_both!(
    fn the_list_pages_both_ways_and_takes_what_is_typed_as_it_is(desk: TestDesk) {
        let owner = desk.owner().await;
        for _ in 0..120 {
            desk.member(&owner, OrgRole::Member).await;
        }
        let all = desk.number("SELECT COUNT(*) FROM memberships").await as usize;
        let (mut seen, mut page) = (Vec::new(), None);
        let mut previous = None;
        loop {
            let view =
                members::list(&desk, &owner.caller, &owner.org.slug, &MemberFilter { page, ..searched("") })
                    .await
                    .unwrap();
            seen.extend(view.page.rows.into_iter().map(|member| member.id));
            match view.page.next {
                Some(next) => page = Some(next),
                None => {
                    previous = view.page.previous.or(previous);
                    break;
                }
            }
        }
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!((seen.len(), once.len()), (all, all));
        let back = members::list(
            &desk,
            &owner.caller,
            &owner.org.slug,
            &MemberFilter { page: previous, ..searched("") },
        )
        .await
        .unwrap();
        let back: Vec<_> = back.page.rows.into_iter().map(|member| member.id).collect();
        assert_eq!(back, seen[50..100]);
        assert_eq!(names(&desk, &owner, "ANA P").await, ["Ana Petrov"]);
        assert_eq!(names(&desk, &owner, "ana@").await, ["Ana Petrov"]);
        // In all scripts, and in the same order, on both databases.
        for (person, name) in [(0, "Übel"), (1, "Émile")] {
            let id = seen[person].as_str();
            let folded = name.to_lowercase();
            desk.execute(&format!(
                "UPDATE people SET name = '{name}', name_folded = '{folded}' WHERE id = '{id}'"
            ))
            .await
            .unwrap();
        }
        assert_eq!(names(&desk, &owner, "ÜBEL").await, ["Übel"]);
        assert_eq!(names(&desk, &owner, "émi").await, ["Émile"]);
        for nothing in ["%", "\\", "a%v"] {
            assert!(names(&desk, &owner, nothing).await.is_empty(), "{nothing}");
        }
        // Everybody's address holds a line but hers.
        assert!(!names(&desk, &owner, "_").await.contains(&"Ana Petrov".to_owned()));
    }
);

on_both!(
    fn whoever_is_disabled_or_removed_is_signed_out_at_once_and_may_come_back(desk: TestDesk) {
        let owner = desk.owner().await;
        let team = desk.team(&owner, "Search").await;
        for way_out in ["disable", "remove"] {
            let member = desk.member(&owner, OrgRole::Admin).await;
            desk.join(&member, &team, true).await;
            let id = &member.caller.person.id;
            let hash = id.as_str().as_bytes();
            let session = SessionId::new(desk.now(), desk.id_entropy());
            let mut tx = desk.db.write().await.unwrap();
            let password_set_at = people::password_set_at(&mut tx, id).await.unwrap().unwrap();
            let new = NewSession {
                hash,
                id: &session,
                person: id,
                data: "{}",
                address: "",
                user_agent: "",
                password_set_at,
            };
            assert_eq!(sessions::insert(&mut tx, &new, desk.now()).await.unwrap(), Begun::Yes);
            tx.save_unaudited(Unaudited::Bench).await.unwrap();
            let form = InviteForm {
                org: owner.org.slug.clone(),
                email: "cy@example.com".into(),
                role: "member".into(),
                ..Default::default()
            };
            let slug = &owner.org.slug;
            let theirs =
                invitations::invite(&desk, &member.caller, slug, &form.parse().unwrap()).await.unwrap();
            match way_out {
                "disable" => disable(&desk, &owner, &member).await.ok().unwrap(),
                _ => remove(&desk, &owner, &member).await.ok().unwrap(),
            };
            let mut tx = desk.db.write().await.unwrap();
            assert!(sessions::who(&mut tx, hash).await.unwrap().is_none(), "{way_out}");
            // A slow request that saves it late does not bring it back.
            sessions::save(&mut tx, hash, "{}").await.unwrap();
            assert_ne!(sessions::insert(&mut tx, &new, desk.now()).await.unwrap(), Begun::Yes);
            assert!(sessions::who(&mut tx, hash).await.unwrap().is_none(), "{way_out}");
            tx.save_unaudited(Unaudited::Bench).await.unwrap();
            assert!(is_not_found(&leave(&desk, &member).await), "no place here any more");
            assert!(
                invitations::find(&desk, theirs.token.as_str()).await.unwrap().is_none(),
                "what they invited to is withdrawn with them"
            );
            // Back by invitation, with what it says and nothing more.
            let form = InviteForm {
                org: owner.org.slug.clone(),
                email: member.caller.person.email.clone(),
                role: "member".into(),
                ..Default::default()
            };
            let issued =
                invitations::invite(&desk, &owner.caller, slug, &form.parse().unwrap()).await.unwrap();
            invitations::accept_known(&desk, &member.caller, &issued.token).await.unwrap();
            let view = members::show(&desk, &owner.caller, &owner.org.slug, id.as_str()).await.unwrap();
            assert!(view.member.active());
            assert_eq!((view.member.role, view.team_ids.len()), (OrgRole::Member, 0));
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM memberships").await, 3);
    }
);

async fn leaver_with_keys(desk: &TestDesk, owner: &At) -> (At, Vec<IssuedKey>) {
    let leaver = desk.member(owner, OrgRole::Admin).await;
    let mut keys = Vec::new();
    for name in ["one", "two", "three"] {
        keys.push(desk.create_key(&leaver, name).await);
    }
    (leaver, keys)
}

fn about(at: &At, leaver: &At, keys: &[&IssuedKey], act: &str) -> OffboardForm {
    OffboardForm {
        org: at.org.slug.clone(),
        id: leaver.caller.person.id.to_string(),
        keys: keys.iter().map(|key| key.id.to_string()).collect(),
        act: act.into(),
        ..Default::default()
    }
}

async fn decide(desk: &TestDesk, at: &At, form: OffboardForm) -> Result<Decided, OpError> {
    let wish = form.parse().map_err(OpError::Invalid)?;
    offboarding::decide(desk, &at.caller, &form.org, &form.id, &wish).await
}

async fn undecided(desk: &TestDesk, at: &At) -> i64 {
    let view = members::list(desk, &at.caller, &at.org.slug, &MemberFilter::default()).await.unwrap();
    view.undecided.iter().map(|left| left.keys).sum()
}

on_both!(
    fn keys_of_somebody_who_left_wait_until_each_is_decided(desk: TestDesk) {
        let owner = desk.owner().await;
        let heir = desk.member(&owner, OrgRole::Member).await;
        let (leaver, keys) = leaver_with_keys(&desk, &owner).await;
        conflict(decide(&desk, &owner, about(&owner, &leaver, &[&keys[0]], "revoke")).await);
        assert!(remove(&desk, &owner, &leaver).await.ok().unwrap().has_keys);
        // Who left is under a filter of their own.
        let left = MemberFilter { left: true, ..searched("") };
        let found = members::list(&desk, &owner.caller, &owner.org.slug, &left).await.unwrap().page.rows;
        assert_eq!(found.iter().map(|member| &member.id).collect::<Vec<_>>(), [&leaver.caller.person.id]);
        assert!(found[0].removed_at.is_some());
        assert_eq!(undecided(&desk, &owner).await, 3);
        assert_eq!(desk.show(&owner, &keys[0]).await.owner.id, leaver.caller.person.id);

        let to = heir.caller.person.id.to_string();
        let form = OffboardForm { to, ..about(&owner, &leaver, &[&keys[0]], "reassign") };
        assert!(decide(&desk, &owner, form).await.unwrap().more);
        assert_eq!(desk.show(&owner, &keys[0]).await.owner.id, heir.caller.person.id);

        let own_end = desk.show(&owner, &keys[1]).await.expires_at.unwrap();
        let form = OffboardForm { until: "2026-12-01".into(), ..about(&owner, &leaver, &[&keys[1]], "keep") };
        decide(&desk, &owner, form).await.unwrap();
        let kept = desk.show(&owner, &keys[1]).await;
        assert!(kept.expires_at.unwrap() < own_end);
        assert_eq!(kept.expires_at.unwrap().date(&owner.org.zone), "1 Dec 2026");

        decide(&desk, &owner, about(&owner, &leaver, &[&keys[2]], "revoke")).await.unwrap();
        assert_eq!(undecided(&desk, &owner).await, 0);
        let view =
            offboarding::show(&desk, &owner.caller, &owner.org.slug, leaver.caller.person.id.as_str()).await;
        let view = view.unwrap();
        assert_eq!((view.keys.len(), view.decided), (0, 1));
        let kinds = desk
            .texts("SELECT kind FROM audit_events WHERE org_id IS NOT NULL ORDER BY seq DESC LIMIT 4")
            .await;
        assert_eq!(kinds, ["key.revoked", "key.kept", "key.edited", "member.removed"]);
        // None is gone, and each has an owner.
        assert_eq!(
            desk.number("SELECT COUNT(*) FROM keys JOIN people ON people.id = keys.owner_id").await,
            3
        );
        // Decided once is decided: another try changes nothing.
        conflict(decide(&desk, &owner, about(&owner, &leaver, &[&keys[0]], "revoke")).await);
    }
);

on_both!(
    fn letting_a_key_run_never_puts_its_end_off(desk: TestDesk) {
        let owner = desk.owner().await;
        let (leaver, keys) = leaver_with_keys(&desk, &owner).await;
        disable(&desk, &owner, &leaver).await.ok().unwrap();
        let own_end = desk.show(&owner, &keys[0]).await.expires_at;
        let keep =
            |until: &str| OffboardForm { until: until.into(), ..about(&owner, &leaver, &[&keys[0]], "keep") };
        for wrong in ["", "soon", "2020-01-01", "2031-01-01"] {
            assert_eq!(refused(decide(&desk, &owner, keep(wrong)).await).0, "until", "{wrong}");
        }
        decide(&desk, &owner, keep("2027-10-01")).await.unwrap();
        assert_eq!(desk.show(&owner, &keys[0]).await.expires_at, own_end);
        // Should the owner come back and leave again, the key is decided about anew.
        assert_eq!(undecided(&desk, &owner).await, 2);
        let id = leaver.caller.person.id.as_str();
        members::enable(&desk, &owner.caller, &owner.org.slug, id).await.unwrap();
        assert_eq!(undecided(&desk, &owner).await, 0);
        disable(&desk, &owner, &leaver).await.ok().unwrap();
        assert_eq!(undecided(&desk, &owner).await, 3);
    }
);

on_both!(
    fn many_keys_are_decided_about_all_or_none_by_somebody_fresh(desk: TestDesk) {
        let owner = desk.owner().await;
        let (leaver, keys) = leaver_with_keys(&desk, &owner).await;
        remove(&desk, &owner, &leaver).await.ok().unwrap();
        let all: Vec<&IssuedKey> = keys.iter().collect();
        let now = desk.now().ms();
        desk.execute(&format!("UPDATE keys SET last_used_at = {now} WHERE name = 'two'")).await.unwrap();
        let revoke = |keys: &[&IssuedKey], count: &str| OffboardForm {
            count: count.into(),
            ..about(&owner, &leaver, keys, "revoke")
        };
        assert_eq!(refused(decide(&desk, &owner, revoke(&all, "")).await).0, "count");
        assert_eq!(refused(decide(&desk, &owner, revoke(&all, "2")).await).0, "count");
        assert_eq!(refused(decide(&desk, &owner, revoke(&[], "")).await).0, "keys");
        assert_eq!(refused(decide(&desk, &owner, about(&owner, &leaver, &all, "give")).await).0, "act");
        for nobody in [String::new(), leaver.caller.person.id.to_string(), "per_0".into()] {
            let form = OffboardForm { to: nobody, ..about(&owner, &leaver, &all, "reassign") };
            assert_eq!(refused(decide(&desk, &owner, form).await).0, "to");
        }
        desk.clock.advance(11 * MINUTE);
        assert!(matches!(decide(&desk, &owner, revoke(&all, "3")).await, Err(OpError::ReauthRequired)));
        decide(&desk, &owner, revoke(&[&keys[0]], "")).await.unwrap();
        // One of the three is decided: the three together are not done any more, and none of them is.
        let fresh = At { caller: desk.caller(&owner.caller.person.id).await, org: owner.org.clone() };
        conflict(decide(&desk, &fresh, revoke(&all, "3")).await);
        assert_eq!(undecided(&desk, &fresh).await, 2);
        decide(&desk, &fresh, revoke(&[&keys[1], &keys[2]], "2")).await.unwrap();
        let revoked = desk
            .number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'key.revoked'")
            .await;
        assert_eq!((undecided(&desk, &fresh).await, revoked), (0, 3));
        let lead = desk.member(&owner, OrgRole::Member).await;
        let theirs = decide(&desk, &lead, about(&lead, &leaver, &all, "revoke")).await;
        assert!(is_not_found(&theirs));
    }
);

on_both!(
    fn leaving_ends_access_at_once_and_keeps_the_session_for_other_organisations(desk: TestDesk) {
        let owner = desk.owner().await;
        let member = desk.member(&owner, OrgRole::Admin).await;
        let (id, name) = (&member.caller.person.id, &member.caller.person.name);
        let hash = id.as_str().as_bytes();
        let session = SessionId::new(desk.now(), desk.id_entropy());
        let mut tx = desk.db.write().await.unwrap();
        let password_set_at = people::password_set_at(&mut tx, id).await.unwrap().unwrap();
        let new = NewSession {
            hash,
            id: &session,
            person: id,
            data: "{}",
            address: "",
            user_agent: "",
            password_set_at,
        };
        assert_eq!(sessions::insert(&mut tx, &new, desk.now()).await.unwrap(), Begun::Yes);
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        leave(&desk, &member).await.unwrap();
        let mut read = desk.db.read().await.unwrap();
        assert!(sessions::who(&mut read, hash).await.unwrap().is_some());
        let denied = access::open_org(&mut read, &member.caller, &owner.org.slug).await;
        assert!(matches!(denied, Err(OpError::NotFound)));
        // The event names the person; the role is a change of it.
        let event = audit::of_subject(&mut read, &owner.org.id, id.as_str(), 1).await.unwrap().remove(0);
        assert_eq!((event.kind, &event.subject_name), (EventKind::MemberLeft, name));
        assert_eq!(event.changes[0], Change::removed("role", Choice::Admin));
    }
);

on_both!(
    fn spend_stays_with_the_member_who_owned_the_key_when_it_was_spent(desk: TestDesk) {
        let owner = desk.owner().await;
        let heir = desk.member(&owner, OrgRole::Member).await;
        let (leaver, keys) = leaver_with_keys(&desk, &owner).await;
        let settle = async |cost| {
            let usage = desk.usage(&owner, &keys[0], cost, desk.now()).await;
            assert!(record(&desk, &usage).await.unwrap());
        };
        settle(70).await;
        remove(&desk, &owner, &leaver).await.ok().unwrap();
        let to = heir.caller.person.id.to_string();
        let all: Vec<&IssuedKey> = keys.iter().collect();
        let form = OffboardForm { to, ..about(&owner, &leaver, &all, "reassign") };
        decide(&desk, &owner, form).await.unwrap();
        settle(5).await;
        let spent = async |viewer: &At, of: &At| {
            let id = of.caller.person.id.as_str();
            let view = members::show(&desk, &viewer.caller, &viewer.org.slug, id).await.unwrap();
            view.member_summary.month_spent.nanos()
        };
        assert_eq!((spent(&owner, &leaver).await, spent(&owner, &heir).await), (70, 5));
        assert_eq!(spent(&heir, &heir).await, 5);
        let view =
            members::list(&desk, &owner.caller, &owner.org.slug, &MemberFilter::default()).await.unwrap();
        let rows = view.page.rows.iter().zip(&view.member_summary);
        let listed: Vec<i64> = rows
            .filter(|(member, _)| member.id == heir.caller.person.id)
            .map(|(_, summary)| summary.month_spent.nanos())
            .collect();
        assert_eq!(listed, [5]);
        // A new month begins at zero.
        desk.clock.advance(31 * DAY);
        let owner = At { caller: desk.caller(&owner.caller.person.id).await, org: owner.org.clone() };
        assert_eq!((spent(&owner, &leaver).await, spent(&owner, &heir).await), (0, 0));
    }
);

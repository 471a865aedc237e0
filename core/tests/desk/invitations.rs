//! Invitations: made, sent again, withdrawn, and taken up once and in time.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::member::TeamMembership;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::team::{Team, TeamRole};
use keydesk_core::forms::invitation::InviteForm;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::invitations::{self, Issued, Joined, NewMember, Origin};
use keydesk_core::ops::lane::SignInSource;
use keydesk_core::ops::sign_in::{SignInForm, sign_in};
use keydesk_core::ops::teams::{self, TeamPersonRef};
use keydesk_core::ops::{OpError, access, members};

use crate::support::*;

const BEN: &str = "ben@example.com";
const SECRET: &str = "walnut ferry 92 lantern";

fn letter(at: &At, email: &str, role: &str) -> InviteForm {
    InviteForm { org: at.org.slug.clone(), email: email.into(), role: role.into(), ..Default::default() }
}

fn into_team(at: &At, email: &str, team: &Team, team_role: &str) -> InviteForm {
    InviteForm { team: team.id.to_string(), team_role: team_role.into(), ..letter(at, email, "member") }
}

async fn invite(desk: &TestDesk, at: &At, form: InviteForm) -> Result<Issued, OpError> {
    let wish = form.parse().map_err(OpError::Invalid)?;
    invitations::invite(desk, &at.caller, &form.org, &wish).await
}

async fn resend(desk: &TestDesk, at: &At, issued: &Issued) -> Result<Issued, OpError> {
    invitations::resend(desk, &at.caller, &at.org.slug, issued.id.as_str()).await
}

async fn withdraw(desk: &TestDesk, at: &At, issued: &Issued) -> Result<String, OpError> {
    invitations::withdraw(desk, &at.caller, &at.org.slug, issued.id.as_str()).await
}

async fn accept_new(desk: &TestDesk, token: &Hidden, name: &str) -> Result<Joined, OpError> {
    let member = NewMember { name, password: &Hidden::new(SECRET) };
    invitations::accept_new(desk, token, &member, &Origin::default()).await
}

async fn accept(desk: &TestDesk, caller: &Caller, token: &Hidden) -> Result<Joined, OpError> {
    invitations::accept_known(desk, caller, token).await
}

async fn works(desk: &TestDesk, token: &Hidden) -> bool {
    invitations::find(desk, token.as_str()).await.unwrap().is_some()
}

/// The kinds of the organisation's events, oldest first.
async fn kinds(desk: &TestDesk, at: &At) -> Vec<String> {
    desk.texts(&format!("SELECT kind FROM audit_events WHERE org_id = '{}' ORDER BY seq", at.org.id)).await
}

async fn role_of(desk: &TestDesk, at: &At, caller: &Caller) -> Option<OrgRole> {
    let mut read = desk.db.read().await.unwrap();
    access::open_org(&mut read, caller, &at.org.slug).await.ok().and_then(|context| context.principal.role())
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

on_both!(
    fn somebody_invited_sets_a_password_and_is_in(desk: TestDesk) {
        let owner = desk.owner().await;
        let team = desk.team(&owner, "Search").await;
        let issued =
            invite(&desk, &owner, into_team(&owner, " Ben@Example.com ", &team, "admin")).await.unwrap();
        let offer = invitations::find(&desk, issued.token.as_str()).await.unwrap().unwrap();
        assert!(!offer.known);
        assert_eq!(offer.invitation.email.as_str(), BEN);
        assert_eq!(offer.invitation.invited_by.as_deref(), Some("Ana Petrov"));
        let joined = accept_new(&desk, &issued.token, "Ben Okafor").await.unwrap();
        assert_eq!(joined.org_slug, owner.org.slug);
        let ben = desk.caller(&joined.person).await;
        assert_eq!(role_of(&desk, &owner, &ben).await, Some(OrgRole::Member));
        let mut read = desk.db.read().await.unwrap();
        let places =
            keydesk_core::store::teams::memberships(&mut read, &owner.org.id, &joined.person).await.unwrap();
        assert_eq!(places, [TeamMembership { team, role: TeamRole::Admin }]);
        drop(read);
        let form = SignInForm { email: BEN.into(), password: Hidden::new(SECRET), next: String::new() };
        assert_eq!(sign_in(&desk, &form, &SignInSource::default()).await.unwrap().person, joined.person);
        assert_eq!(kinds(&desk, &owner).await, ["org.created", "member.invited", "member.joined"]);
        // The token is nowhere, and neither is the address of an open link.
        assert!(!desk.dump().await.contains(issued.token.as_str()));
    }
);

on_both!(
    fn a_link_works_once_and_of_many_at_the_same_moment_one_wins(desk: TestDesk) {
        let owner = desk.owner().await;
        let issued = invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..6 {
            let (desk, token) = (desk.clone(), issued.token.clone());
            tries.spawn(async move { accept_new(&desk, &token, &format!("Ben {n}")).await.is_ok() });
        }
        let mut joined = 0;
        while let Some(done) = tries.join_next().await {
            joined += i32::from(done.unwrap());
        }
        assert_eq!(joined, 1);
        assert!(is_not_found(&accept_new(&desk, &issued.token, "Ben").await));
        assert_eq!(desk.number("SELECT COUNT(*) FROM people").await, 2);
        assert_eq!(kinds(&desk, &owner).await.iter().filter(|kind| *kind == "member.joined").count(), 1);
    }
);

on_both!(
    fn somebody_known_joins_once_and_only_as_themselves(desk: TestDesk) {
        let owner = desk.owner().await;
        let other = desk.other_org("Contoso", "UTC").await;
        let cleo = other.caller.clone();
        let issued = invite(&desk, &owner, letter(&owner, &cleo.person.email, "member")).await.unwrap();
        assert!(invitations::find(&desk, issued.token.as_str()).await.unwrap().unwrap().known);
        assert!(conflict(accept_new(&desk, &issued.token, "Cleo").await).contains("Sign in to join"));
        let stranger = desk.member(&other, OrgRole::Member).await.caller;
        assert!(conflict(accept(&desk, &stranger, &issued.token).await).contains("Sign out first"));
        // Neither used it up.
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (desk, token, cleo) = (desk.clone(), issued.token.clone(), cleo.clone());
            tries.spawn(async move { accept(&desk, &cleo, &token).await.is_ok() });
        }
        let mut joined = 0;
        while let Some(done) = tries.join_next().await {
            joined += i32::from(done.unwrap());
        }
        assert_eq!(joined, 1);
        assert_eq!(role_of(&desk, &owner, &cleo).await, Some(OrgRole::Member));
        assert_eq!(role_of(&desk, &other, &cleo).await, Some(OrgRole::Owner));
    }
);

on_both!(
    fn a_late_a_withdrawn_and_a_replaced_link_are_dead(desk: TestDesk) {
        let owner = desk.owner().await;
        let late = invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        desk.clock.advance(7 * DAY - 1);
        assert!(works(&desk, &late.token).await);
        desk.clock.advance(1);
        assert!(!works(&desk, &late.token).await);
        assert!(is_not_found(&accept_new(&desk, &late.token, "Ben").await));
        // One that has run out makes room for another.
        let second = invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        let third = resend(&desk, &owner, &second).await.unwrap();
        assert!(!works(&desk, &second.token).await);
        assert!(is_not_found(&accept_new(&desk, &second.token, "Ben").await));
        assert!(works(&desk, &third.token).await);
        withdraw(&desk, &owner, &third).await.unwrap();
        assert!(is_not_found(&accept_new(&desk, &third.token, "Ben").await));
        let again = withdraw(&desk, &owner, &third).await;
        assert!(conflict(again).contains("no longer open"));
        conflict(resend(&desk, &owner, &third).await);
        assert_eq!(
            kinds(&desk, &owner).await[1..],
            ["member.invited", "member.invited", "member.invitation_resent", "member.invitation_withdrawn"]
        );
        for nonsense in ["", "x", "0".repeat(64).as_str()] {
            assert!(!works(&desk, &Hidden::new(nonsense)).await);
        }
    }
);

on_both!(
    fn nobody_joins_a_suspended_organisation(desk: TestDesk) {
        let owner = desk.owner().await;
        let issued = invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        desk.execute(&format!("UPDATE orgs SET suspended_at = 1 WHERE id = '{}'", owner.org.id))
            .await
            .unwrap();
        assert!(!works(&desk, &issued.token).await);
        assert!(is_not_found(&accept_new(&desk, &issued.token, "Ben").await));
        conflict(invite(&desk, &owner, letter(&owner, "cy@example.com", "member")).await);
        desk.execute("UPDATE orgs SET suspended_at = NULL").await.unwrap();
        accept_new(&desk, &issued.token, "Ben").await.unwrap();
    }
);

on_both!(
    fn a_second_invitation_and_one_to_somebody_inside_say_so(desk: TestDesk) {
        let owner = desk.owner().await;
        let inside = desk.member(&owner, OrgRole::Member).await.caller.person.email;
        invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        let (field, sentence) = refused(invite(&desk, &owner, letter(&owner, BEN, "member")).await);
        assert_eq!(field, "email");
        assert!(sentence.contains("open invitation"), "{sentence}");
        let (field, sentence) = refused(invite(&desk, &owner, letter(&owner, &inside, "member")).await);
        assert_eq!(field, "email");
        assert!(sentence.contains("already"), "{sentence}");
        assert_eq!(refused(invite(&desk, &owner, letter(&owner, "ben", "member")).await).0, "email");
        assert_eq!(refused(invite(&desk, &owner, letter(&owner, "cy@example.com", "king")).await).0, "role");
        // Another organisation may invite the same address.
        let other = desk.other_org("Contoso", "UTC").await;
        invite(&desk, &other, letter(&other, BEN, "member")).await.unwrap();
    }
);

on_both!(
    fn nobody_grants_more_than_they_hold(desk: TestDesk) {
        let owner = desk.owner().await;
        let (ours, theirs) = (desk.team(&owner, "Ours").await, desk.team(&owner, "Theirs").await);
        let admin = desk.member(&owner, OrgRole::Admin).await;
        let lead = desk.member(&owner, OrgRole::Member).await;
        desk.join(&lead, &ours, true).await;
        let member = desk.member(&owner, OrgRole::Member).await;
        assert_eq!(refused(invite(&desk, &admin, letter(&admin, BEN, "owner")).await).0, "role");
        assert_eq!(refused(invite(&desk, &lead, into_team(&lead, BEN, &theirs, "member")).await).0, "team");
        assert_eq!(refused(invite(&desk, &lead, letter(&lead, BEN, "member")).await).0, "team");
        let form = InviteForm { role: "admin".into(), ..into_team(&lead, BEN, &ours, "member") };
        assert_eq!(refused(invite(&desk, &lead, form).await).0, "role");
        let forbidden = invite(&desk, &member, letter(&member, BEN, "member")).await;
        assert!(matches!(forbidden, Err(OpError::Forbidden)));
        // An admin's invitation of another is not the team admin's to see.
        let issued = invite(&desk, &admin, letter(&admin, "cy@example.com", "admin")).await.unwrap();
        assert!(is_not_found(&withdraw(&desk, &lead, &issued).await));
        let other = desk.other_org("Contoso", "UTC").await;
        conflict(withdraw(&desk, &other, &issued).await);
        invite(&desk, &lead, into_team(&lead, BEN, &ours, "member")).await.unwrap();
    }
);

on_both!(
    fn an_owner_or_an_admin_is_invited_by_somebody_who_has_just_proved_who_they_are(desk: TestDesk) {
        let owner = desk.owner().await;
        desk.clock.advance(11 * MINUTE);
        invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        for role in ["owner", "admin"] {
            let stale = invite(&desk, &owner, letter(&owner, "cy@example.com", role)).await;
            assert!(matches!(stale, Err(OpError::ReauthRequired)), "{role}");
        }
    }
);

on_both!(
    fn links_of_an_organisation_are_counted_by_the_hour(desk: TestDesk) {
        let owner = desk.owner().await;
        let issued = invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        for _ in 1..100 {
            resend(&desk, &owner, &issued).await.unwrap();
        }
        let over = resend(&desk, &owner, &issued).await;
        assert!(matches!(over, Err(OpError::TooMany { retry_after_s: 1..=3_601 })));
        let over = invite(&desk, &owner, letter(&owner, "cy@example.com", "member")).await;
        assert!(matches!(over, Err(OpError::TooMany { .. })));
        desk.clock.advance(HOUR);
        resend(&desk, &owner, &issued).await.unwrap();
    }
);

on_both!(
    fn a_password_that_is_weak_or_a_name_that_is_empty_does_not_use_the_link_up(desk: TestDesk) {
        let owner = desk.owner().await;
        let issued = invite(&desk, &owner, letter(&owner, BEN, "member")).await.unwrap();
        let member = NewMember { name: "Ben", password: &Hidden::new("northwind northwind") };
        let weak = invitations::accept_new(&desk, &issued.token, &member, &Origin::default()).await;
        assert_eq!(refused(weak).0, "password");
        assert_eq!(refused(accept_new(&desk, &issued.token, " ").await).0, "name");
        accept_new(&desk, &issued.token, "Ben").await.unwrap();
    }
);

on_both!(
    fn a_link_from_before_does_not_take_back_in_whoever_is_disabled_later(desk: TestDesk) {
        let at = desk.owner().await;
        let bo = desk.member(&at, OrgRole::Member).await;
        let (slug, id) = (at.org.slug.as_str(), bo.caller.person.id.as_str());
        members::disable(&desk, &at.caller, slug, id).await.unwrap();
        let issued = invite(&desk, &at, letter(&at, &bo.caller.person.email, "member")).await.unwrap();
        members::enable(&desk, &at.caller, slug, id).await.unwrap();
        members::disable(&desk, &at.caller, slug, id).await.unwrap();
        assert!(!works(&desk, &issued.token).await);
        assert!(is_not_found(&accept(&desk, &bo.caller, &issued.token).await));
        assert_eq!(role_of(&desk, &at, &bo.caller).await, None);
    }
);

on_both!(
    fn whoever_looks_after_a_team_no_more_has_no_open_invitations_into_it(desk: TestDesk) {
        let at = desk.owner().await;
        let crew = desk.team(&at, "Crew").await;
        let bo = desk.member(&at, OrgRole::Member).await;
        desk.join(&bo, &crew, true).await;
        let issued = invite(&desk, &bo, into_team(&bo, "eve@example.com", &crew, "admin")).await.unwrap();
        assert!(works(&desk, &issued.token).await);
        let (org, team, person) = (at.org.slug.as_str(), crew.id.as_str(), bo.caller.person.id.as_str());
        teams::remove(&desk, &at.caller, TeamPersonRef { org, team, person }).await.unwrap();
        assert!(!works(&desk, &issued.token).await);
    }
);

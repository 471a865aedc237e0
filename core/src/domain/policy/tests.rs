use super::*;
use crate::domain::ids::OrgId;
use crate::domain::moment::Moment;

fn person(n: u8) -> PersonId {
    PersonId::new(Moment::from_ms(1), [n; 10])
}
fn team(n: u8) -> TeamId {
    TeamId::new(Moment::from_ms(1), [n; 10])
}
fn principal(role: Option<OrgRole>, platform: PlatformRole, admin_of: Vec<TeamId>) -> Principal {
    let org = OrgId::new(Moment::from_ms(1), [9; 10]);
    Principal::new(org, (person(1), "Ana".into()), role, platform, Origin::default()).in_teams(
        admin_of.clone(),
        admin_of,
        MembersCreate::No,
    )
}

/// The columns of the table in docs/ROLES.md, in its order.
fn columns() -> [(&'static str, Principal); 6] {
    [
        ("owner", principal(Some(OrgRole::Owner), PlatformRole::None, vec![])),
        ("admin", principal(Some(OrgRole::Admin), PlatformRole::None, vec![])),
        ("team admin", principal(Some(OrgRole::Member), PlatformRole::None, vec![team(1)])),
        (
            "member",
            principal(Some(OrgRole::Member), PlatformRole::None, vec![]).in_teams(
                vec![team(1)],
                vec![],
                MembersCreate::No,
            ),
        ),
        ("support", principal(None, PlatformRole::Support, vec![])),
        ("operator", principal(None, PlatformRole::Operator, vec![])),
    ]
}

const TABLE: &str = include_str!("../../../../docs/ROLES.md");

/// What a cell says about one thing: `all`, `no`, or a list of `own` and `team`.
fn cell_says(cell: &str, own: bool, in_team: bool) -> bool {
    match cell {
        "all" => true,
        "no" => false,
        list => list.split(", ").any(|word| match word {
            "own" => own,
            "team" => in_team,
            other => panic!("docs/ROLES.md has a cell that says {other:?}"),
        }),
    }
}

fn action_named(words: &str) -> Action {
    match words {
        "see keys" => Action::SeeKey,
        "create keys" => Action::CreateKey,
        "edit keys, move them" => Action::EditKey,
        "rotate keys" => Action::RotateKey,
        "enable keys" => Action::EnableKey,
        "disable keys" => Action::DisableKey,
        "revoke keys" => Action::RevokeKey,
        "report leaked secrets" => Action::ReportLeak,
        "test a secret" => Action::TestSecret,
        "list asks" => Action::ListAsks,
        "ask for more" => Action::AskForMore,
        "answer asks" => Action::AnswerAsk,
        "see teams" => Action::SeeTeam,
        "create teams" => Action::CreateTeam,
        "edit a team's name and bounds" => Action::EditTeam,
        "archive teams" => Action::ArchiveTeam,
        "add and remove a team's people" => Action::ManageTeamPeople,
        "list people" => Action::ListMembers,
        "see a person" => Action::SeeMember,
        "invite members" => Action::Invite,
        "change a member's role" => Action::ChangeRole,
        "disable a member" => Action::DisableMember,
        "enable a member" => Action::EnableMember,
        "remove a member" => Action::RemoveMember,
        "leave" => Action::Leave,
        "see spend" => Action::SeeSpend,
        "see the settings" => Action::SeeSettings,
        "change the settings" => Action::EditSettings,
        "read the audit" => Action::SeeAudit,
        "export the audit" => Action::ExportAudit,
        "create organisations" => Action::CreateOrg,
        "suspend organisations" => Action::SuspendOrg,
        "resume organisations" => Action::ResumeOrg,
        "see the balance" => Action::SeeBalance,
        "check the spend" => Action::CheckSpend,
        "repair the spend" => Action::RepairSpend,
        "change the balance" => Action::ChangeBalance,
        "re-rate past requests" => Action::RerateSpend,
        other => panic!("docs/ROLES.md has a row that no rule has: {other:?}"),
    }
}

#[test]
fn the_rules_are_what_the_table_in_the_docs_says() {
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let [head, rest @ ..] = rows.as_slice() else { panic!("docs/ROLES.md has no table") };
    let names: Vec<&str> = columns().iter().map(|(name, _)| *name).collect();
    assert_eq!(head[1..], names[..]);
    assert!(rest.len() >= 25, "the table lost rows");
    for row in rest {
        let action = action_named(row[0]);
        for ((name, principal), cell) in columns().iter().zip(&row[1..]) {
            for (own, in_team) in [(false, false), (true, false), (false, true), (true, true)] {
                let who = if own { person(1) } else { person(2) };
                let place = if in_team { team(1) } else { team(2) };
                let teams = [place.clone()];
                let member =
                    MemberFacts { person: &who, role: OrgRole::Member, becomes: None, teams: &teams };
                let on = match action {
                    Action::SeeTeam | Action::EditTeam | Action::ArchiveTeam => On::Team(&place),
                    Action::ManageTeamPeople => On::TeamMember(&place, member),
                    Action::SeeMember
                    | Action::Invite
                    | Action::ChangeRole
                    | Action::DisableMember
                    | Action::EnableMember
                    | Action::RemoveMember => On::Member(member),
                    Action::SeeKey
                    | Action::CreateKey
                    | Action::EditKey
                    | Action::RotateKey
                    | Action::EnableKey
                    | Action::DisableKey
                    | Action::RevokeKey
                    | Action::ReportLeak
                    | Action::AskForMore
                    | Action::AnswerAsk => On::Key(KeyFacts { id: None, team: Some(&place), owner: &who }),
                    _ => On::Org,
                };
                // No one disables or removes themselves, whatever else they may: that is to leave.
                let leaving =
                    matches!(action, Action::DisableMember | Action::EnableMember | Action::RemoveMember);
                let expected = cell_says(cell, own, in_team) && !(leaving && own);
                let words = format!("{name}: {} (own {own}, in a team of theirs {in_team})", row[0]);
                assert_eq!(allows(principal, action, on), expected, "{words}");
                // What may be done is seen.
                assert_eq!(permit(principal, action, on).is_ok(), expected, "{words}");
            }
        }
    }
}

#[test]
fn a_team_admin_cannot_revoke_another_teams_key() {
    let ana = principal(Some(OrgRole::Member), PlatformRole::None, vec![team(1)]);
    let (theirs, owner) = (team(2), person(2));
    let key = On::Key(KeyFacts { id: None, team: Some(&theirs), owner: &owner });
    assert_eq!(permit(&ana, Action::RevokeKey, key).unwrap_err(), AccessDenied::Hidden);
}

#[test]
fn a_team_admin_never_acts_on_an_owner_or_an_admin_in_their_team() {
    let ana = principal(Some(OrgRole::Member), PlatformRole::None, vec![team(1)]);
    let (them, ours) = (person(2), [team(1)]);
    for role in [OrgRole::Owner, OrgRole::Admin] {
        let member = MemberFacts { person: &them, role, becomes: None, teams: &ours };
        assert!(!allows(&ana, Action::ManageTeamPeople, On::TeamMember(&ours[0], member)));
        assert!(!allows(&ana, Action::DisableMember, On::Member(member)));
        assert!(!allows(&ana, Action::Invite, On::Member(member)));
    }
}

#[test]
fn an_admin_acts_on_no_owner_and_makes_none() {
    let ana = principal(Some(OrgRole::Admin), PlatformRole::None, vec![]);
    let them = person(2);
    let member = |role, becomes| On::Member(MemberFacts { person: &them, role, becomes, teams: &[] });
    assert!(!allows(&ana, Action::DisableMember, member(OrgRole::Owner, None)));
    assert!(!allows(&ana, Action::ChangeRole, member(OrgRole::Owner, Some(OrgRole::Member))));
    assert!(!allows(&ana, Action::ChangeRole, member(OrgRole::Member, Some(OrgRole::Owner))));
    assert!(!allows(&ana, Action::Invite, member(OrgRole::Owner, None)));
    assert!(allows(&ana, Action::ChangeRole, member(OrgRole::Member, Some(OrgRole::Admin))));
}

#[test]
fn what_members_may_create_is_the_organisations_choice() {
    let (me, other, mine, theirs) = (person(1), person(2), team(1), team(2));
    let member = |members_create| {
        principal(Some(OrgRole::Member), PlatformRole::None, vec![]).in_teams(
            vec![team(1)],
            vec![],
            members_create,
        )
    };
    let key = |team, owner| On::Key(KeyFacts { id: None, team, owner });
    let create = |choice, on| allows(&member(choice), Action::CreateKey, on);
    assert!(!create(MembersCreate::No, key(Some(&mine), &me)));
    assert!(create(MembersCreate::InTeams, key(Some(&mine), &me)));
    assert!(!create(MembersCreate::InTeams, key(None, &me)));
    assert!(create(MembersCreate::Anywhere, key(None, &me)));
    for choice in MembersCreate::ALL {
        assert!(!create(choice, key(Some(&theirs), &me)), "another team's");
        assert!(!create(choice, key(Some(&mine), &other)), "somebody else's");
    }
}

#[test]
fn running_the_installation_gives_no_sight_of_an_organisations_keys() {
    let operator = principal(None, PlatformRole::Operator, vec![]);
    assert_eq!(permit(&operator, Action::ListKeys, On::Org).unwrap_err(), AccessDenied::Hidden);
}

#[test]
fn a_permit_names_the_object_it_was_asked_for() {
    let owner = principal(Some(OrgRole::Owner), PlatformRole::None, vec![]);
    let key = KeyId::new(Moment::from_ms(1), [4; 10]);
    let (their_team, them) = (team(2), person(2));
    let facts = KeyFacts { id: Some(&key), team: None, owner: &them };
    let object = |action, on| permit(&owner, action, on).unwrap().authority().object().to_owned();
    assert_eq!(object(Action::RevokeKey, On::Key(facts)), key.as_str());
    assert_eq!(object(Action::EditTeam, On::Team(&their_team)), their_team.as_str());
    assert_eq!(object(Action::Leave, On::Org), person(1).as_str());
    assert_eq!(object(Action::CreateTeam, On::Org), owner.org().as_str());
}

#[test]
fn an_account_is_always_recorded_somewhere() {
    let (org, chains) = (OrgId::new(Moment::from_ms(1), [9; 10]), |platform, orgs: &[OrgId]| {
        let permit = AccountPermit::own(&person(1), "Ana", platform, orgs, Origin::default());
        permit.authority().chains().iter().map(|chain| chain.id().to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(chains(PlatformRole::None, &[]), ["installation"]);
    assert_eq!(chains(PlatformRole::None, std::slice::from_ref(&org)), [org.as_str()]);
    assert_eq!(chains(PlatformRole::Support, std::slice::from_ref(&org)), [org.as_str(), "installation"]);
}

#[test]
fn only_an_operator_changes_what_belongs_to_the_installation() {
    let ask = |platform| {
        operator_permit((&person(1), "Ana", platform), Origin::default(), Action::AddProvider, "prv")
    };
    assert!(ask(PlatformRole::Operator).is_ok());
    assert_eq!(ask(PlatformRole::Support).unwrap_err(), AccessDenied::Hidden);
    assert_eq!(ask(PlatformRole::None).unwrap_err(), AccessDenied::Hidden);
}

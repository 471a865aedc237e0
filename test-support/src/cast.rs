//! A cast: one organisation with every kind of caller, two teams, and another organisation.

use keydesk_core::Desk;
use keydesk_core::domain::audit::{Event, EventKind};
use keydesk_core::domain::ids::{InvitationId, KeyId, OrgId, PersonId, ProviderId, SecretId, TeamId};
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::key_format::PlainSecret;
use keydesk_core::domain::member::TeamMembership;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::org::Org;
use keydesk_core::domain::person::{Email, slug_of};
use keydesk_core::domain::policy::{Action, OrgRole, PlatformRole, test_permit};
use keydesk_core::domain::rotation::SecretEnd;
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::domain::team::{Team, TeamRole, TeamSpec};
use keydesk_core::forms::provider::ProviderForm;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{invitations, keys, providers};
use keydesk_core::store::people::{self, NewPerson};
use keydesk_core::store::secrets::{self, NewSecret};
use keydesk_core::store::teams::{self, NewTeam, NewTeamMember};
use tokio::sync::OnceCell;

use crate::{PASSWORD, TestDesk};

/// Every kind of caller there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Anonymous,
    Owner,
    Admin,
    /// Looks after the team that the keys of these tests are in.
    TeamAdmin,
    OtherTeamAdmin,
    /// Owns the keys of these tests.
    KeyOwner,
    Member,
    Support,
    Operator,
    ForeignOwner,
}

impl Who {
    pub const ALL: [Who; 10] = [
        Who::Anonymous,
        Who::Owner,
        Who::Admin,
        Who::TeamAdmin,
        Who::OtherTeamAdmin,
        Who::KeyOwner,
        Who::Member,
        Who::Support,
        Who::Operator,
        Who::ForeignOwner,
    ];

    pub fn email(self) -> String {
        format!("{self:?}@example.com").to_lowercase()
    }

    fn role(self) -> Option<OrgRole> {
        match self {
            Who::Owner | Who::ForeignOwner => Some(OrgRole::Owner),
            Who::Admin => Some(OrgRole::Admin),
            Who::TeamAdmin | Who::OtherTeamAdmin | Who::KeyOwner | Who::Member => Some(OrgRole::Member),
            Who::Anonymous | Who::Support | Who::Operator => None,
        }
    }

    fn platform(self) -> PlatformRole {
        match self {
            Who::Support => PlatformRole::Support,
            Who::Operator => PlatformRole::Operator,
            _ => PlatformRole::None,
        }
    }
}

/// The organisation `acme` with its people and two teams, and another organisation.
#[derive(Clone)]
pub struct Cast {
    pub org: Org,
    pub team: Team,
    people: Vec<(Who, PersonId)>,
}

impl Cast {
    pub fn id(&self, who: Who) -> PersonId {
        self.people.iter().find(|(other, _)| *other == who).unwrap().1.clone()
    }
}

pub struct TestKey {
    pub id: KeyId,
    pub name: String,
    pub secret: String,
}

/// One hash for everybody: making one is slow on purpose.
async fn password_hash(desk: &Desk) -> String {
    static HASH: OnceCell<String> = OnceCell::const_new();
    HASH.get_or_init(|| async { desk.passwords.hash(PASSWORD.into(), [7; 16]).await.unwrap() }).await.clone()
}

impl TestDesk {
    pub async fn cast(&self) -> Cast {
        let (desk, now): (&Desk, _) = (self, self.now());
        let hash = password_hash(desk).await;
        let zone = || Zone::parse("Europe/Zurich").unwrap();
        let org =
            |name: &str| Org::new(OrgId::new(now, desk.id_entropy()), slug_of(name), name.into(), zone());
        let team = |name: &str| Team { id: TeamId::new(now, desk.id_entropy()), name: name.into() };
        let (acme, elsewhere) = (org("Acme"), org("Elsewhere"));
        let (crew, others) = (team("Crew"), team("Others"));
        let mut tx = desk.db.write().await.unwrap();
        for org in [&acme, &elsewhere] {
            let permit = test_permit(&org.id, Action::SetUp, org.id.as_str());
            people::insert_org(&mut tx, &permit, org, now).await.unwrap();
        }
        let permit = test_permit(&acme.id, Action::CreateTeam, acme.id.as_str());
        for team in [&crew, &others] {
            let spec = TeamSpec { name: team.name.clone(), ..TeamSpec::default() };
            teams::insert(&mut tx, &permit, &NewTeam { id: &team.id, spec: &spec, now }).await.unwrap();
        }
        let mut cast = Vec::new();
        for who in Who::ALL.into_iter().filter(|who| *who != Who::Anonymous) {
            let id = PersonId::new(now, desk.id_entropy());
            let (email, name) = (Email::parse(&who.email()).unwrap(), format!("{who:?}"));
            let new = NewPerson {
                id: &id,
                email: &email,
                name: &name,
                password_hash: &hash,
                platform: who.platform(),
            };
            let org = if who == Who::ForeignOwner { &elsewhere } else { &acme };
            let permit = test_permit(&org.id, Action::SetUp, org.id.as_str());
            people::insert_person(&mut tx, &permit, &new, now).await.unwrap();
            if let Some(role) = who.role() {
                people::insert_member(&mut tx, &permit, &org.id, &id, role, now).await.unwrap();
            }
            let place = match who {
                Who::TeamAdmin => Some((&crew, true)),
                Who::OtherTeamAdmin => Some((&others, true)),
                Who::KeyOwner | Who::Member => Some((&crew, false)),
                _ => None,
            };
            if let Some((team, admin)) = place {
                let role = if admin { TeamRole::Admin } else { TeamRole::Member };
                let place = NewTeamMember { team: &team.id, person: &id, role, now };
                let permit = test_permit(&acme.id, Action::ManageTeamPeople, &format!("{}/{id}", team.id));
                teams::add_person(&mut tx, &permit, &place).await.unwrap();
            }
            cast.push((who, id));
        }
        tx.save_without_events().await.unwrap();
        Cast { org: acme, team: crew, people: cast }
    }

    /// Another team with the people of the cast's.
    pub async fn another_team(&self, cast: &Cast, name: &str) -> Team {
        let (desk, now): (&Desk, _) = (self, self.now());
        let team = Team { id: TeamId::new(now, desk.id_entropy()), name: name.into() };
        let mut tx = desk.db.write().await.unwrap();
        let permit = test_permit(&cast.org.id, Action::CreateTeam, cast.org.id.as_str());
        let spec = TeamSpec { name: name.into(), ..TeamSpec::default() };
        teams::insert(&mut tx, &permit, &NewTeam { id: &team.id, spec: &spec, now }).await.unwrap();
        let people = [
            (Who::TeamAdmin, TeamRole::Admin),
            (Who::KeyOwner, TeamRole::Member),
            (Who::Member, TeamRole::Member),
        ];
        for (who, role) in people {
            let place = NewTeamMember { team: &team.id, person: &cast.id(who), role, now };
            let object = format!("{}/{}", team.id, cast.id(who));
            let permit = test_permit(&cast.org.id, Action::ManageTeamPeople, &object);
            teams::add_person(&mut tx, &permit, &place).await.unwrap();
        }
        tx.save_without_events().await.unwrap();
        team
    }

    /// A key of the cast's team, owned by its key owner, that may do everything.
    pub async fn key(&self, cast: &Cast, name: &str) -> TestKey {
        let (desk, now): (&Desk, _) = (self, self.now());
        let spec = KeySpec {
            name: name.into(),
            note: String::new(),
            team: Some(cast.team.id.clone()),
            owner: None,
            models: ModelScope::Every,
            addresses: Default::default(),
            budgets: vec![],
            limits: Default::default(),
            expires_at: None,
            rotate_days: None,
            rotates_itself: false,
        };
        let permit = test_permit(&cast.org.id, Action::CreateKey, cast.org.id.as_str());
        let mut tx = desk.db.write().await.unwrap();
        let owner = cast.id(Who::KeyOwner);
        let issued = keys::issue(desk, &mut tx, &permit, "sk-desk-", &owner, &spec, now).await.unwrap();
        let event = Event::new(EventKind::KeyCreated, issued.id.as_str(), name);
        tx.save(&permit, event, now).await.unwrap();
        TestKey { id: issued.id, name: name.into(), secret: issued.secret.reveal().to_owned() }
    }

    /// Gives the key another secret; the one before it works for a day.
    pub async fn rotate(&self, cast: &Cast, key: &TestKey) {
        let (desk, now): (&Desk, _) = (self, self.now());
        let permit = test_permit(&cast.org.id, Action::RotateKey, key.id.as_str());
        let secret = PlainSecret::mint("sk-desk-", &mut |bytes| desk.random.fill(bytes)).unwrap();
        let new = NewSecret {
            id: &SecretId::new(now, desk.id_entropy()),
            hash: &secret.hash(),
            prefix: "sk-desk-",
            last_four: secret.last_four(),
            made_with: None,
        };
        let from = (&self.secret_of(&key.id).await, SecretEnd::At(now.plus_days(1)));
        let mut tx = desk.db.write().await.unwrap();
        assert!(secrets::replace(&mut tx, &permit, &key.id, from, &new, now).await.unwrap());
        tx.save_without_events().await.unwrap();
    }

    /// A provider that serves nothing yet.
    pub async fn provider(&self, name: &str) -> ProviderId {
        let provider = ProviderForm {
            name: name.into(),
            base_url: "https://api.openai.com".into(),
            credential: "env".into(),
            credential_env: "KEYDESK_TESTS_API_KEY".into(),
            ..ProviderForm::with_defaults()
        };
        providers::add(self, OperatorActor::CommandLine, &provider.parse().unwrap()).await.unwrap().id
    }

    /// Somebody new in the cast's team, who never signs in.
    pub async fn mate(&self, cast: &Cast) -> PersonId {
        let (desk, now): (&Desk, _) = (self, self.now());
        let id = PersonId::new(now, desk.id_entropy());
        let email = Email::parse(&format!("{id}@example.com")).unwrap();
        let platform = PlatformRole::None;
        let new = NewPerson { id: &id, email: &email, name: "Mate", password_hash: "none", platform };
        let mut tx = desk.db.write().await.unwrap();
        let permit = test_permit(&cast.org.id, Action::SetUp, cast.org.id.as_str());
        people::insert_person(&mut tx, &permit, &new, now).await.unwrap();
        people::insert_member(&mut tx, &permit, &cast.org.id, &id, OrgRole::Member, now).await.unwrap();
        let permit = test_permit(&cast.org.id, Action::ManageTeamPeople, &format!("{}/{id}", cast.team.id));
        let place = NewTeamMember { team: &cast.team.id, person: &id, role: TeamRole::Member, now };
        teams::add_person(&mut tx, &permit, &place).await.unwrap();
        tx.save_without_events().await.unwrap();
        id
    }

    /// An open invitation into the cast's team: its id and its token.
    pub async fn invitation(&self, cast: &Cast, email: &str) -> (InvitationId, String) {
        let (desk, now): (&Desk, _) = (self, self.now());
        let permit = test_permit(&cast.org.id, Action::Invite, cast.org.id.as_str());
        let email = Email::parse(email).unwrap();
        let team = Some(TeamMembership { team: cast.team.clone(), role: TeamRole::Member });
        let new = invitations::NewInvitation { email: &email, role: OrgRole::Member, team };
        let mut tx = desk.db.write().await.unwrap();
        let token = invitations::issue(desk, &mut tx, &permit, &new, now).await.unwrap();
        tx.save(&permit, invitations::invited(&new), now).await.unwrap();
        let offer = invitations::find(desk, &token).await.unwrap().unwrap();
        (offer.invitation.id, token)
    }

    /// Whoever left is in again, in the team they were in.
    pub async fn bring_back(&self) {
        self.execute("UPDATE memberships SET disabled_at = NULL, removed_at = NULL").await.unwrap();
        for (who, team, role) in [
            (Who::TeamAdmin, "Crew", "admin"),
            (Who::OtherTeamAdmin, "Others", "admin"),
            (Who::KeyOwner, "Crew", "member"),
            (Who::Member, "Crew", "member"),
        ] {
            self.execute(&format!(
                "INSERT INTO team_members (team_id, person_id, org_id, role, created_at)
                SELECT t.id, p.id, t.org_id, '{role}', 0 FROM teams t, people p
                WHERE t.name = '{team}' AND p.email = '{}' ON CONFLICT DO NOTHING",
                who.email()
            ))
            .await
            .unwrap();
        }
    }
}

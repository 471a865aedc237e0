//! A desk over a fresh database, with people, teams and keys that a test asks for.

use std::ops::Deref;
use std::sync::Arc;

use crate::submit;
use keydesk_core::admission::Node;
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::{KeyId, OrgId, PersonId, RequestId, SecretId, SessionId, TeamId};
use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_filter::{KeyFilter, Sort, StateFilter};
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::org::Org;
use keydesk_core::domain::person::Person;
use keydesk_core::domain::person::{Email, slug_of};
use keydesk_core::domain::policy::{Action, OrgRole, PlatformRole, test_permit};
use keydesk_core::domain::team::{Team, TeamRole, TeamSpec};
use keydesk_core::forms::key::{CreateForm, EditForm, KeyForm, KeyRef, RevokeForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::setup::SetupForm;
use keydesk_core::ops::{self, OpError};
use keydesk_core::store::people::NewPerson;
use keydesk_core::store::sessions::NewSession;
use keydesk_core::store::spend::Usage;
use keydesk_core::store::teams::{NewTeam, NewTeamMember};
use keydesk_core::store::{DatabaseUrl, Db, StoreError, people, sessions, teams};
use keydesk_core::{Desk, Random};
use tokio::sync::Mutex;

use crate::{FixedClock, Fixture, MINUTE, PASSWORD, Repeatable, START, TestDatabase};

pub const OWNER_EMAIL: &str = "ana@example.com";

#[derive(Clone)]
pub struct TestDesk {
    desk: Desk,
    pub clock: Arc<FixedClock>,
    /// SQLite's file, to read its raw bytes.
    pub file: Option<std::path::PathBuf>,
    /// To open the same database in another process.
    pub url: DatabaseUrl,
    /// With `KEYDESK_TEST_SERVING`: the desk serves, so it keeps what it reads and admits from memory. It begins anew
    /// after each statement of the test.
    serving: Option<Arc<Mutex<Node>>>,
}

impl Deref for TestDesk {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Fixture for TestDesk {
    async fn over(database: TestDatabase) -> Self {
        Self::new(database, START, Arc::new(Repeatable::default())).serving_if_asked().await
    }
}

/// A person in an organisation, with the organisation's slug at hand.
#[derive(Clone)]
pub struct At {
    pub caller: Caller,
    pub org: Org,
}

impl TestDesk {
    pub fn new(database: TestDatabase, start: Moment, random: Arc<dyn Random>) -> Self {
        let file = match &database.url {
            DatabaseUrl::Sqlite(file) => Some(file.clone()),
            DatabaseUrl::Postgres(_) => None,
        };
        let clock = Arc::new(FixedClock::at(start));
        let desk = Desk::new(database.db, clock.clone(), random);
        Self { desk, clock, file, url: database.url, serving: None }
    }

    /// With `KEYDESK_TEST_SERVING` in the environment this desk serves.
    pub async fn serving_if_asked(self) -> Self {
        if std::env::var("KEYDESK_TEST_SERVING").is_err() {
            return self;
        }
        let desk = Self { serving: Some(Arc::new(Mutex::new(Node::new(&self)))), ..self };
        desk.look().await;
        desk
    }

    /// Begins anew after a statement of the test, which may have changed anything, where this desk serves.
    pub async fn look(&self) {
        if let Some(node) = &self.serving {
            let mut node = node.lock().await;
            let _ = node.leave(&self.desk).await;
            let _ = node.look(&self.desk).await;
        }
    }

    /// The owner of an organisation that was set up as people do it.
    pub async fn owner(&self) -> At {
        let token = ops::links::new_setup(self).await.unwrap().expect("nobody is here yet");
        let form = setup_form(&token);
        let (person, org) = ops::setup::set_up(self, &form).await.unwrap();
        let caller = self.caller(&person).await;
        At { caller, org }
    }

    pub async fn caller(&self, person: &PersonId) -> Caller {
        let person = people::find(&mut self.db.read().await.unwrap(), person).await.unwrap().unwrap();
        self.fresh(person)
    }

    /// The same person with a session that is stored.
    pub async fn signed_in(&self, at: &At) -> Caller {
        let person = &at.caller.person.id;
        let session = SessionId::new(self.now(), self.id_entropy());
        let mut tx = self.db.write().await.unwrap();
        let new = NewSession {
            hash: session.as_str().as_bytes(),
            id: &session,
            person,
            data: "{}",
            address: "203.0.113.9",
            user_agent: "",
            password_set_at: people::password_set_at(&mut tx, person).await.unwrap().unwrap(),
        };
        sessions::insert(&mut tx, &new, self.now()).await.unwrap();
        tx.save_without_events().await.unwrap();
        Caller { session, ..at.caller.clone() }
    }

    /// The person, signed in a moment ago.
    fn fresh(&self, person: Person) -> Caller {
        let session = SessionId::new(self.now(), self.id_entropy());
        Caller::just_authenticated(person, session, self.now(), "203.0.113.9", "req_test")
    }

    /// Another organisation, with an owner of its own.
    pub async fn other_org(&self, name: &str, zone: &str) -> At {
        let zone = Zone::parse(zone).unwrap();
        let org = Org::new(OrgId::new(self.now(), self.id_entropy()), slug_of(name), name.into(), zone);
        let mut tx = self.db.write().await.unwrap();
        let permit = test_permit(&org.id, Action::SetUp, org.id.as_str());
        people::insert_org(&mut tx, &permit, &org, self.now()).await.unwrap();
        tx.save_without_events().await.unwrap();
        let caller = self.member_of(&org, Some(OrgRole::Owner), PlatformRole::None).await;
        At { caller, org }
    }

    pub async fn member(&self, at: &At, role: OrgRole) -> At {
        At { caller: self.member_of(&at.org, Some(role), PlatformRole::None).await, org: at.org.clone() }
    }

    /// Somebody with a platform role and no place in the organisation.
    pub async fn platform(&self, at: &At, role: PlatformRole) -> At {
        At { caller: self.member_of(&at.org, None, role).await, org: at.org.clone() }
    }

    async fn member_of(&self, org: &Org, role: Option<OrgRole>, platform: PlatformRole) -> Caller {
        let id = PersonId::new(self.now(), self.id_entropy());
        let name = format!("Person {}", &id.as_str()[30..]);
        let email = Email::parse(&format!("{}@example.com", id.as_str())).unwrap();
        let new = NewPerson { id: &id, email: &email, name: &name, password_hash: "none", platform };
        let mut tx = self.db.write().await.unwrap();
        let permit = test_permit(&org.id, Action::SetUp, org.id.as_str());
        people::insert_person(&mut tx, &permit, &new, self.now()).await.unwrap();
        if let Some(role) = role {
            people::insert_member(&mut tx, &permit, &org.id, &id, role, self.now()).await.unwrap();
        }
        tx.save_without_events().await.unwrap();
        self.caller(&id).await
    }

    pub async fn team(&self, at: &At, name: &str) -> Team {
        let team = Team { id: TeamId::new(self.now(), self.id_entropy()), name: name.into() };
        let mut tx = self.db.write().await.unwrap();
        let permit = test_permit(&at.org.id, Action::CreateTeam, at.org.id.as_str());
        let spec = TeamSpec { name: name.into(), ..TeamSpec::default() };
        let new = NewTeam { id: &team.id, spec: &spec, now: self.now() };
        teams::insert(&mut tx, &permit, &new).await.unwrap();
        tx.save_without_events().await.unwrap();
        team
    }

    pub async fn join(&self, at: &At, team: &Team, admin: bool) {
        let mut tx = self.db.write().await.unwrap();
        let permit = test_permit(
            &at.org.id,
            Action::ManageTeamPeople,
            &format!("{}/{}", team.id, at.caller.person.id),
        );
        let role = if admin { TeamRole::Admin } else { TeamRole::Member };
        let place = NewTeamMember { team: &team.id, person: &at.caller.person.id, role, now: self.now() };
        teams::add_person(&mut tx, &permit, &place).await.unwrap();
        tx.save_without_events().await.unwrap();
    }

    pub async fn create(&self, at: &At, key: KeyForm) -> Result<IssuedKey, OpError> {
        submit::create_key(self, &at.caller, &create_form(at, key)).await
    }

    pub async fn create_key(&self, at: &At, name: &str) -> IssuedKey {
        self.create(at, form(name)).await.unwrap()
    }

    pub async fn show(&self, at: &At, issued: &IssuedKey) -> Key {
        ops::keys::show(self, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap().key
    }

    pub async fn revoke(&self, at: &At, issued: &IssuedKey, name: &str) -> Result<String, OpError> {
        let form = RevokeForm { org: at.org.slug.clone(), id: issued.id.to_string(), name: name.into() };
        submit::revoke_key(self, &at.caller, &form).await
    }

    pub async fn disable(&self, at: &At, issued: &IssuedKey) -> Result<String, OpError> {
        submit::disable_key(self, &at.caller, &key_ref(at, issued)).await
    }

    pub async fn enable(&self, at: &At, issued: &IssuedKey) -> Result<String, OpError> {
        submit::enable_key(self, &at.caller, &key_ref(at, issued)).await
    }

    /// The edit form as a page draws it now.
    pub async fn drawn(&self, at: &At, issued: &IssuedKey) -> EditForm {
        let view = ops::keys::edit_form(self, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        let form = submit::key_form(&view);
        EditForm {
            org: at.org.slug.clone(),
            id: issued.id.to_string(),
            version: view.key.unwrap().version,
            was: serde_json::to_string(&form).unwrap(),
            key: form,
        }
    }

    /// All keys of a filter, page after page.
    pub async fn names(&self, at: &At, filter: &KeyFilter) -> Vec<String> {
        let mut filter = filter.clone();
        let mut names = Vec::new();
        loop {
            let page = ops::keys::list(self, &at.caller, &at.org.slug, &filter).await.unwrap().page;
            names.extend(page.rows.into_iter().map(|key| key.name));
            match page.next {
                Some(next) => filter.page = Some(next),
                None => return names,
            }
        }
    }

    pub async fn search_names(&self, at: &At, text: &str) -> Vec<String> {
        let mut names = self.names(at, &KeyFilter { search: text.into(), ..everything() }).await;
        names.sort();
        names
    }

    /// The current secret's id, as a gateway would have it from admission.
    pub async fn secret_id(&self, issued: &IssuedKey) -> SecretId {
        self.secret_of(&issued.id).await
    }

    /// The id of the key's current secret.
    pub async fn secret_of(&self, key: &KeyId) -> SecretId {
        let sql = format!("SELECT id FROM key_secrets WHERE key_id = '{key}' AND replaced_at IS NULL");
        SecretId::parse(&self.texts(&sql).await[0]).unwrap()
    }

    pub async fn usage(&self, at: &At, issued: &IssuedKey, cost: i64, started_at: Moment) -> Usage {
        Usage {
            request: RequestId::new(started_at, self.id_entropy()),
            org: at.org.id.clone(),
            key: issued.id.clone(),
            secret: self.secret_id(issued).await,
            team: None,
            model: "gpt-5".into(),
            route: "/v1/chat/completions".into(),
            status: 200,
            bill: Bill::of_cost(Counts::of_totals(100, 10, 20), Money::from_nanos(cost)),
            started_at,
            latency_ms: 900,
            first_byte_ms: Some(200),
            address: "203.0.113.7".into(),
            user_agent: "test".into(),
            error: String::new(),
            tags: Vec::new(),
        }
    }

    /// Many keys at once, named `bulk 0000001` and on, each with a secret that nobody knows.
    pub async fn seed_keys(&self, at: &At, first: u32, last: u32) {
        let hash = match &self.db {
            Db::Sqlite { .. } => "CAST('bulk' || i AS BLOB)",
            Db::Postgres(..) => "CAST('bulk' || i AS BYTEA)",
        };
        let numbers = format!(
            "WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
        );
        let id = "substr('10000000000000000000000000000000', 1, 32 - length(CAST(i AS TEXT))) || i";
        let (org, owner) = (&at.org.id, &at.caller.person.id);
        let now = self.now().ms();
        let four = "substr(CAST(10000 + i % 10000 AS TEXT), 2, 4)";
        let name = "'bulk ' || substr(CAST(10000000 + i AS TEXT), 2)";
        for sql in [
            format!(
                "{numbers} INSERT INTO keys (id, org_id, owner_id, name, name_folded, note, status, status_at, prefix,
                    last_four, model_scope, addresses, created_at, secret_created_at, version)
                SELECT 'key_' || {id}, '{org}', '{owner}', {name}, {name}, '', 'active', {now}, 'sk-desk-',
                    {four}, 'every', '', {now}, {now}, 1 FROM n"
            ),
            format!(
                "{numbers} INSERT INTO key_secrets (id, org_id, key_id, hash, prefix, last_four, created_at)
                SELECT 'sec_' || {id}, '{org}', 'key_' || {id}, {hash}, 'sk-desk-', {four}, {now} FROM n"
            ),
            // As `search_text` makes it.
            "INSERT INTO key_search (seq, org_id, text) SELECT seq, org_id, '\n' || name_folded || '\n\n\n' FROM keys k
            WHERE NOT EXISTS (SELECT 1 FROM key_search s WHERE s.seq = k.seq)"
                .to_owned(),
        ] {
            self.execute(&sql).await.unwrap();
        }
        self.db.analyze().await.unwrap();
    }

    /// As many settled requests as rejections, one of each every second until now.
    pub async fn seed_requests(&self, at: &At, issued: &IssuedKey, count: u32) {
        let (org, key, owner, now) = (&at.org.id, &issued.id, &at.caller.person.id, self.now().ms());
        let secret = self.secret_id(issued).await;
        let numbers =
            format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
        let when = format!("{now} - ({count} - i) * 1000");
        for sql in [
            format!(
                "{numbers} INSERT INTO usage (request_id, org_id, key_id, secret_id, owner_id, model_id, route, status,
                    input_tokens, output_tokens, cached_tokens, cost, estimated, started_at, latency_ms, address, user_agent)
                SELECT 'req_{key}_' || i, '{org}', '{key}', '{secret}', '{owner}', 'gpt-5', '/v1/responses', 200,
                    1, 1, 0, 1, 0, {when}, 1, '', '' FROM n"
            ),
            format!(
                "{numbers} INSERT INTO rejections (key_id, minute, gate, reason, model_id, org_id, times, first_at, last_at,
                    route, address, request_id)
                SELECT '{key}', i, 'model', 'model', 'o3', '{org}', 1, {when}, {when}, '', '', 'rej_{key}_' || i FROM n"
            ),
        ] {
            self.execute(&sql).await.unwrap();
        }
        self.db.analyze().await.unwrap();
    }

    /// What the seeded keys of an organisation spent on each of so many days until today, on three models, in every roll-up.
    pub async fn seed_spend(&self, at: &At, days: u32) {
        let (org, owner) = (&at.org.id, &at.caller.person.id);
        let day = match &self.db {
            Db::Sqlite { .. } => "date('2026-11-20', '-' || i || ' days')",
            Db::Postgres(..) => "to_char(DATE '2026-11-20' - i, 'YYYY-MM-DD')",
        };
        let from = format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {days}),
            m (model) AS (SELECT 'gpt-5' UNION ALL SELECT 'o3' UNION ALL SELECT 'haiku')"
        );
        let sums = "requests, input_tokens, output_tokens, cached_tokens, cost";
        let keys =
            format!("FROM keys k CROSS JOIN n CROSS JOIN m WHERE k.org_id = '{org}' AND k.name LIKE 'bulk%'");
        self.execute(&format!(
            "{from} INSERT INTO spend_daily (key_id, day, model_id, provider, team_id, owner_id, org_id, {sums})
            SELECT k.id, {day}, model, 'P', '', '{owner}', '{org}', 1, 1, 1, 0, 7 {keys}"
        ))
        .await
        .unwrap();
        self.execute(&format!(
            "{from} INSERT INTO tag_daily (key_id, day, tag, model_id, team_id, owner_id, org_id, {sums})
            SELECT k.id, {day}, 'nightly', model, '', '{owner}', '{org}', 1, 1, 1, 0, 7 {keys}"
        ))
        .await
        .unwrap();
        for (kind, holder) in [("org", "org_id"), ("owner", "owner_id"), ("key", "key_id")] {
            for (grain, bucket) in [("day", "day"), ("month", "substr(day, 1, 7)"), ("hour", "day || 'T13'")]
            {
                self.execute(&format!(
                    "INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, {sums})
                    SELECT org_id, '{kind}', {holder}, '{grain}', {bucket}, model_id, provider, SUM(requests),
                        SUM(input_tokens), SUM(output_tokens), SUM(cached_tokens), SUM(cost)
                    FROM spend_daily WHERE org_id = '{org}' GROUP BY 1, 2, 3, 4, 5, 6, 7"
                ))
                .await
                .unwrap();
            }
        }
    }

    /// Many events about many things, one a minute until now, behind those that are there. Their hashes prove nothing.
    pub async fn seed_events(&self, at: &At, count: u32) {
        let (org, now) = (&at.org.id, self.now().ms());
        let hash = match &self.db {
            Db::Sqlite { .. } => "x'00'",
            Db::Postgres(..) => "'\\x00'::bytea",
        };
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
            INSERT INTO audit_events (chain_id, org_id, seq, at, actor_id, actor_name, kind, subject_id, subject_name, changes,
                address, request_id, previous_hash, hash)
            SELECT '{org}', '{org}', i, {now} - ({count} - i) * {MINUTE}, 'per_' || (i % 50), 'Somebody',
                CASE WHEN i % 5 = 0 THEN 'key.disabled' WHEN i % 5 = 1 THEN 'key.enabled' WHEN i % 997 = 0 THEN 'team.edited'
                ELSE 'key.edited' END,
                'key_' || (i % 3000), 'some', '[]', '', '', {hash}, {hash} FROM n"
        );
        self.execute(&sql).await.unwrap();
        self.db.analyze().await.unwrap();
    }
}

/// Writes a request that held nothing before.
pub async fn record(desk: &TestDesk, usage: &Usage) -> Result<bool, StoreError> {
    let zone = desk.texts(&format!("SELECT zone FROM orgs WHERE id = '{}'", usage.org)).await;
    desk.settlements.settle(&desk.db, usage, &[], &Zone::parse(&zone[0]).unwrap()).await
}

pub fn setup_form(token: &str) -> SetupForm {
    SetupForm {
        token: Hidden::new(token),
        name: "Ana Petrov".into(),
        email: OWNER_EMAIL.into(),
        password: Hidden::new(PASSWORD),
        org: "Northwind".into(),
        zone: "Europe/Zurich".into(),
    }
}

/// A new key's form as it comes filled in, for every model.
pub fn form(name: &str) -> KeyForm {
    KeyForm {
        name: name.into(),
        scope: "every".into(),
        ..KeyForm::with_defaults(&[], &Default::default(), &Default::default())
    }
}

pub fn create_form(at: &At, key: KeyForm) -> CreateForm {
    CreateForm { org: at.org.slug.clone(), key, ..CreateForm::default() }
}

pub fn key_ref(at: &At, issued: &IssuedKey) -> KeyRef {
    KeyRef { org: at.org.slug.clone(), id: issued.id.to_string() }
}

pub fn everything() -> KeyFilter {
    KeyFilter {
        search: String::new(),
        state: StateFilter::Live,
        older: None,
        team: None,
        owner: None,
        sort: Sort::Created,
        descending: true,
        page: None,
    }
}

/// The one field that a form was refused for, and why.
pub fn refused<T>(result: Result<T, OpError>) -> (String, String) {
    match result {
        Err(OpError::Invalid(errors)) => {
            assert_eq!(errors.len(), 1, "{errors:?}");
            (errors[0].field.clone(), errors[0].problem.to_string())
        }
        Err(other) => panic!("refused in another way: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

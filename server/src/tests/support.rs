//! What every test stands on: the whole service over a fresh database, browsers that keep their cookies, a cast of
//! people with one password, and a clock that moves when it is told to.
// sqlx here: a test looks into tables that the program never reads whole.

use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum_extra::extract::cookie::Key;
use clap::Parser;
use http_body_util::BodyExt;
use keydesk_core::domain::audit::{Event, EventKind};
use keydesk_core::domain::ids::{InvitationId, KeyId, OrgId, PersonId, ProviderId, TeamId};
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::org::Org;
use keydesk_core::domain::person::{Email, slug_of};
use keydesk_core::domain::policy::{Action, OrgRole, PlatformRole, system_permit};
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::domain::settings::Settings;
use keydesk_core::domain::team::{Team, TeamRole, TeamSpec};
use keydesk_core::forms::provider::ProviderForm;
use keydesk_core::forms::settings::SettingsForm;
use keydesk_core::forms::team::TeamForm;
use keydesk_core::ops::orgs::By;
use keydesk_core::ops::{catalogue, invitations, keys, providers};
use keydesk_core::store::people::{self, NewPerson};
use keydesk_core::store::teams::{self, NewTeam, NewTeamMember};
use keydesk_core::store::{DatabaseUrl, Db};
use keydesk_core::{Clock, Desk, forms};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::sync::OnceCell;
use tower::ServiceExt;
use tower::util::MapRequest;

use crate::clock::SystemRandom;
use crate::config::ServeConfig;
use crate::gateway::collapse_leading_slashes;
use crate::http::router::{gateway_router, router};
use crate::state::AppState;

/// Declares one test for both databases: `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($(#[$doc:meta])* async fn $name:ident($app:ident: $ty:ty) $body:block) => {
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body($app: $ty) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::tests::support::on_sqlite(body).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::tests::support::on_postgres(body).await
            }
        }
    };
}
pub(crate) use on_both;

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
/// 2026-11-20T12:00:00Z
const START_MS: i64 = 1_795_176_000_000;
pub const HTTP: &str = "http://keys.example.com";
pub const HTTPS: &str = "https://keys.example.com";
pub const HOST: &str = "keys.example.com";
pub const PASSWORD: &str = "umbrella kettle orchid 47";

/// Stands still until it is moved, and can break down once, for what happens when something panics.
pub struct FixedClock {
    at: AtomicI64,
    /// How many more times it answers before it panics once; 0 is never.
    good_for: AtomicU32,
}

impl FixedClock {
    pub fn advance(&self, ms: i64) {
        self.at.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn break_after(&self, answers: u32) {
        self.good_for.store(answers + 1, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.good_for.store(0, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Moment {
        let left = self.good_for.load(Ordering::SeqCst);
        if left > 0 {
            self.good_for.store(left - 1, Ordering::SeqCst);
            assert!(left > 1, "the test's clock breaks down");
        }
        Moment::from_ms(self.at.load(Ordering::SeqCst))
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    serve: ServeConfig,
}

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

pub type Fields<'a> = &'a [(&'a str, &'a str)];

#[derive(Clone)]
pub struct TestApp {
    pub state: AppState,
    pub clock: Arc<FixedClock>,
    service: Service,
}

/// The router as `serve` wraps it.
type Service = MapRequest<Router, fn(Request<Body>) -> Request<Body>>;

fn service(state: &AppState) -> Service {
    MapRequest::new(router(state.clone()), collapse_leading_slashes::<Body>)
}

/// One hash for everybody: making one is slow on purpose.
async fn password_hash(desk: &Desk) -> String {
    static HASH: OnceCell<String> = OnceCell::const_new();
    HASH.get_or_init(|| async { desk.passwords.hash(PASSWORD.into(), [7; 16]).await.unwrap() }).await.clone()
}

impl TestApp {
    async fn new(db: Db) -> Self {
        let clock = Arc::new(FixedClock { at: AtomicI64::new(START_MS), good_for: AtomicU32::new(0) });
        let desk = Desk::new(db, clock.clone(), Arc::new(SystemRandom));
        catalogue::seed(&desk).await.unwrap();
        let config = Options::parse_from(["keydesk", "--base-url", HTTP]).serve;
        let state = crate::serve::state(desk, config, Key::from(&[7; 64]));
        Self { service: service(&state), state, clock }
    }

    /// The same installation, reached at another address.
    pub fn at(&self, base_url: &str) -> Self {
        let mut state = self.state.clone();
        state.config =
            Arc::new(ServeConfig { base_url: Some(base_url.into()), ..ServeConfig::clone(&state.config) });
        Self { service: service(&state), state, clock: self.clock.clone() }
    }

    /// The gateway's own port.
    pub fn gateway_alone(&self) -> Self {
        let service: Service =
            MapRequest::new(gateway_router(self.state.clone()), collapse_leading_slashes::<Body>);
        Self { service, ..self.clone() }
    }

    /// The desk's port beside it.
    pub fn without_gateway(&self) -> Self {
        let mut state = self.state.clone();
        let apart = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        state.config = Arc::new(ServeConfig { gateway_listen: apart, ..ServeConfig::clone(&state.config) });
        Self { service: service(&state), state, clock: self.clock.clone() }
    }

    pub async fn cast(&self) -> Cast {
        let (desk, now) = (&self.state.desk, self.state.desk.now());
        let hash = password_hash(desk).await;
        let zone = || Zone::parse("Europe/Zurich").unwrap();
        let org =
            |name: &str| Org::new(OrgId::new(now, desk.id_entropy()), slug_of(name), name.into(), zone());
        let team = |name: &str| Team { id: TeamId::new(now, desk.id_entropy()), name: name.into() };
        let (acme, elsewhere) = (org("Acme"), org("Elsewhere"));
        let (crew, others) = (team("Crew"), team("Others"));
        let mut tx = desk.db.write().await.unwrap();
        people::insert_org(&mut tx, &acme, now).await.unwrap();
        people::insert_org(&mut tx, &elsewhere, now).await.unwrap();
        let permit = system_permit(&acme.id, Action::CreateTeam, "test");
        for team in [&crew, &others] {
            let spec = TeamSpec { name: team.name.clone(), ..TeamSpec::default() };
            teams::insert(&mut tx, &permit, &NewTeam { id: &team.id, spec: &spec, now }).await.unwrap();
        }
        let permit = system_permit(&acme.id, Action::ManageTeamPeople, "test");
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
            people::insert_person(&mut tx, &new, now).await.unwrap();
            if let Some(role) = who.role() {
                let org = if who == Who::ForeignOwner { &elsewhere } else { &acme };
                people::insert_member(&mut tx, &org.id, &id, role, now).await.unwrap();
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
                teams::add_person(&mut tx, &permit, &place).await.unwrap();
            }
            cast.push((who, id));
        }
        tx.save_unaudited("test").await.unwrap();
        Cast { org: acme, team: crew, people: cast }
    }

    /// Another team with the people of the cast's.
    pub async fn team(&self, cast: &Cast, name: &str) -> Team {
        let (desk, now) = (&self.state.desk, self.state.desk.now());
        let team = Team { id: TeamId::new(now, desk.id_entropy()), name: name.into() };
        let mut tx = desk.db.write().await.unwrap();
        let permit = system_permit(&cast.org.id, Action::CreateTeam, "test");
        let spec = TeamSpec { name: name.into(), ..TeamSpec::default() };
        teams::insert(&mut tx, &permit, &NewTeam { id: &team.id, spec: &spec, now }).await.unwrap();
        let permit = system_permit(&cast.org.id, Action::ManageTeamPeople, "test");
        let people = [
            (Who::TeamAdmin, TeamRole::Admin),
            (Who::KeyOwner, TeamRole::Member),
            (Who::Member, TeamRole::Member),
        ];
        for (who, role) in people {
            let place = NewTeamMember { team: &team.id, person: &cast.id(who), role, now };
            teams::add_person(&mut tx, &permit, &place).await.unwrap();
        }
        tx.save_unaudited("test").await.unwrap();
        team
    }

    /// A key of the cast's team, owned by its key owner, that may do everything.
    pub async fn key(&self, cast: &Cast, name: &str) -> TestKey {
        let (desk, now) = (&self.state.desk, self.state.desk.now());
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
        };
        let permit = system_permit(&cast.org.id, Action::CreateKey, "test");
        let mut tx = desk.db.write().await.unwrap();
        let owner = cast.id(Who::KeyOwner);
        let issued = keys::issue(desk, &mut tx, &permit, "sk-desk-", &owner, &spec, now).await.unwrap();
        let event = Event::new(EventKind::KeyCreated, issued.id.as_str(), name);
        tx.save(&permit, event, now).await.unwrap();
        TestKey { id: issued.id, name: name.into(), secret: issued.secret.reveal().to_owned() }
    }

    /// A provider that serves nothing yet.
    pub async fn provider(&self, name: &str) -> ProviderId {
        let provider = ProviderForm {
            name: name.into(),
            base_url: "https://api.openai.com".into(),
            credential_env: "KEYDESK_TESTS_API_KEY".into(),
            ..ProviderForm::with_defaults()
        };
        let form = forms::provider::AddForm { provider };
        providers::add(&self.state.desk, By::CommandLine, &form).await.unwrap().id
    }

    /// Somebody new in the cast's team, who never signs in.
    pub async fn mate(&self, cast: &Cast) -> PersonId {
        let (desk, now) = (&self.state.desk, self.state.desk.now());
        let id = PersonId::new(now, desk.id_entropy());
        let email = Email::parse(&format!("{id}@example.com")).unwrap();
        let platform = PlatformRole::None;
        let new = NewPerson { id: &id, email: &email, name: "Mate", password_hash: "none", platform };
        let mut tx = desk.db.write().await.unwrap();
        people::insert_person(&mut tx, &new, now).await.unwrap();
        people::insert_member(&mut tx, &cast.org.id, &id, OrgRole::Member, now).await.unwrap();
        let permit = system_permit(&cast.org.id, Action::ManageTeamPeople, "test");
        let place = NewTeamMember { team: &cast.team.id, person: &id, role: TeamRole::Member, now };
        teams::add_person(&mut tx, &permit, &place).await.unwrap();
        tx.save_unaudited("test").await.unwrap();
        id
    }

    /// An open invitation into the cast's team: its id and its token.
    pub async fn invitation(&self, cast: &Cast, email: &str) -> (InvitationId, String) {
        let (desk, now) = (&self.state.desk, self.state.desk.now());
        let permit = system_permit(&cast.org.id, Action::Invite, "test");
        let email = Email::parse(email).unwrap();
        let team = Some((cast.team.id.clone(), false));
        let new = invitations::NewInvitation { email: &email, role: OrgRole::Member, team };
        let mut tx = desk.db.write().await.unwrap();
        let token = invitations::issue(desk, &mut tx, &permit, &new, now).await.unwrap();
        tx.save(&permit, invitations::invited(&new, None), now).await.unwrap();
        let offer = invitations::find(desk, &token).await.unwrap().unwrap();
        (offer.invitation.id, token)
    }

    /// Whoever left is in again, in the team they were in.
    pub async fn bring_back(&self) {
        self.execute("UPDATE memberships SET disabled_at = NULL, removed_at = NULL").await;
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
            .await;
        }
    }

    /// Signs in as people do. Nobody is a browser without cookies.
    pub async fn sign_in(&self, who: Who) -> Browser {
        let browser = Browser::default();
        if who != Who::Anonymous {
            let fields = [("form[email]", who.email()), ("form[password]", PASSWORD.into())];
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = self.post(&browser, "session/sign-in", &fields).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        browser
    }

    pub async fn get(&self, browser: &Browser, path: &str) -> Answer {
        self.send(browser, Ask::get(path).header("accept", "text/html")).await
    }

    /// As the page's script posts a form.
    pub async fn post(&self, browser: &Browser, action: &str, fields: Fields<'_>) -> Answer {
        let ask = Ask::form(action, fields).same_origin().header("accept", "application/json");
        self.send(browser, ask).await
    }

    /// As a browser without script posts the form of a page.
    pub async fn post_page(&self, browser: &Browser, page: &str, action: &str, fields: Fields<'_>) -> Answer {
        let referer = format!("{}{page}", self.state.config.base_url());
        let ask = Ask::form(action, fields).same_origin();
        let ask = ask.header("accept", "text/html,application/xhtml+xml").header("referer", &referer);
        self.send(browser, ask).await
    }

    /// With the browser's cookies, which then has the answer's.
    pub async fn send(&self, browser: &Browser, ask: Ask) -> Answer {
        let path = ask.path.split(['?', '#']).next().unwrap_or_default().to_owned();
        let cookies = browser.header_for(&path);
        let ask = if cookies.is_empty() { ask } else { ask.header("cookie", &cookies) };
        let answer = self.ask(ask).await;
        browser.keep(&answer);
        answer
    }

    pub async fn ask(&self, mut ask: Ask) -> Answer {
        let body = Body::from(std::mem::take(&mut ask.body));
        self.ask_with(ask, body).await
    }

    /// With a body that comes as it likes.
    pub async fn ask_with(&self, ask: Ask, body: Body) -> Answer {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(&ask.path)
            .body(body)
            .unwrap_or_else(|error| panic!("{}: {error}", ask.path));
        *request.headers_mut() = ask.headers;
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", HeaderValue::from_static(HOST));
        }
        let peer = SocketAddr::from(([203, 0, 113, 7], 50_000));
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// The status of a gateway request with this key.
    pub async fn try_key(&self, secret: &str) -> u16 {
        self.ask(Ask::get("/v1/models").header("authorization", &format!("Bearer {secret}"))).await.status
    }

    /// Runs a statement that the program itself does not have.
    pub async fn execute(&self, sql: &str) {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &self.state.desk.db {
            Db::Sqlite { writer, .. } => query.execute(writer).await.map(|_| ()).unwrap(),
            Db::Postgres(pool) => query.execute(pool).await.map(|_| ()).unwrap(),
        }
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        match &self.state.desk.db {
            Db::Sqlite { readers, .. } => query.fetch_one(readers).await.unwrap(),
            Db::Postgres(pool) => {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.unwrap()
            }
        }
    }

    /// Everything that is stored as text, table by table; byte columns in hex.
    pub async fn dump(&self) -> String {
        let mut dump = String::new();
        match &self.state.desk.db {
            Db::Sqlite { readers, .. } => {
                let tables: Vec<String> = sqlx::query_scalar(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'keys_names' ORDER BY name",
                )
                .fetch_all(readers)
                .await
                .unwrap();
                for table in tables {
                    let rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}")));
                    for row in rows.fetch_all(readers).await.unwrap() {
                        dump.push_str(&table);
                        for at in 0..row.len() {
                            dump.push('\t');
                            if let Ok(Some(bytes)) = row.try_get_unchecked::<Option<Vec<u8>>, _>(at) {
                                match std::str::from_utf8(&bytes) {
                                    Ok(text) => dump.push_str(text),
                                    Err(_) => dump.push_str(&hex(&bytes)),
                                }
                            }
                        }
                        dump.push('\n');
                    }
                }
            }
            Db::Postgres(pool) => {
                let tables: Vec<String> = sqlx::query_scalar(
                    "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1",
                )
                .fetch_all(pool)
                .await
                .unwrap();
                for table in tables {
                    let rows = sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM {table} t")));
                    let rows: Vec<String> = rows.fetch_all(pool).await.unwrap();
                    for row in rows {
                        dump.push_str(&format!("{table}\t{row}\n"));
                    }
                }
            }
        }
        dump
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One request, without cookies of its own.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Ask {
    pub fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.into(), headers: HeaderMap::new(), body: vec![] }
    }

    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// A form for an action, as text that a browser would send.
    pub fn form(action: &str, fields: Fields<'_>) -> Self {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        Self::get(&format!("/api/{action}"))
            .method(Method::POST)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.finish())
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// As a client of the gateway posts.
    pub fn post_json(path: &str, body: &str) -> Self {
        Self::get(path).method(Method::POST).header("content-type", "application/json").body(body)
    }

    pub fn same_origin(self) -> Self {
        self.header("sec-fetch-site", "same-origin")
    }

    /// In place of any of this name.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn is_success(&self) -> bool {
        StatusCode::from_u16(self.status).unwrap().is_success()
    }

    pub fn cookies(&self) -> Vec<Cookie> {
        let values = self.headers.get_all("set-cookie").iter();
        values.map(|value| Cookie::read(value.to_str().unwrap())).collect()
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie> {
        self.cookies().into_iter().find(|cookie| cookie.name == name)
    }

    /// The names of the fields that a refused form was refused for.
    pub fn wrong_fields(&self) -> Vec<String> {
        let json = self.json();
        let fields = json["fields"].as_array().unwrap_or_else(|| panic!("no fields: {}", self.text));
        for field in fields {
            let sentence = field["problem"].as_str().unwrap_or_default();
            assert!(sentence.len() > 10 && sentence.ends_with('.'), "not a sentence: {sentence:?}");
        }
        fields.iter().map(|field| field["field"].as_str().unwrap().to_owned()).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// Everything behind the first semicolon, as it was sent.
    pub attributes: Vec<String>,
}

impl Cookie {
    fn read(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        Self { name: name.into(), value: value.into(), attributes: parts.map(str::to_owned).collect() }
    }

    pub fn is(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|sent| sent == attribute)
    }

    fn path(&self) -> &str {
        self.attributes.iter().find_map(|sent| sent.strip_prefix("Path=")).unwrap_or("/")
    }

    pub fn is_removal(&self) -> bool {
        self.value.is_empty() || self.is("Max-Age=0")
    }
}

/// Keeps cookies by name and path and sends them to the paths they are for.
#[derive(Clone, Default)]
pub struct Browser(Arc<Mutex<Vec<Cookie>>>);

impl Browser {
    fn keep(&self, answer: &Answer) {
        let mut kept = self.0.lock().unwrap();
        for cookie in answer.cookies() {
            kept.retain(|old| (&old.name, old.path()) != (&cookie.name, cookie.path()));
            if !cookie.is_removal() {
                kept.push(cookie);
            }
        }
    }

    pub fn header_for(&self, path: &str) -> String {
        let kept = self.0.lock().unwrap();
        let under = |cookie: &&Cookie| {
            let base = cookie.path().trim_end_matches('/');
            path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let pairs: Vec<_> =
            kept.iter().filter(under).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie> {
        self.0.lock().unwrap().iter().find(|cookie| cookie.name == name).cloned()
    }

    /// Puts a cookie in by hand, for every path.
    pub fn plant(&self, name: &str, value: &str) {
        let cookie = Cookie { name: name.into(), value: value.into(), attributes: vec!["Path=/".to_owned()] };
        self.0.lock().unwrap().push(cookie);
    }
}

/// The fields of a new key's form that is fine as it is.
pub fn new_key<'a>(org: &'a str, team: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("form[org]", org),
        ("form[key][name]", name),
        ("form[key][note]", ""),
        ("form[key][team]", team),
        ("form[key][scope]", "every"),
        ("form[key][patterns]", ""),
        ("form[key][addresses]", ""),
        ("form[key][month_mode]", "limit"),
        ("form[key][month]", "50"),
        ("form[key][week_mode]", "none"),
        ("form[key][week]", ""),
        ("form[key][day_mode]", "none"),
        ("form[key][day]", ""),
        ("form[key][total_mode]", "none"),
        ("form[key][total]", ""),
        ("form[key][rpm_mode]", "limit"),
        ("form[key][rpm]", "60"),
        ("form[key][tpm_mode]", "none"),
        ("form[key][tpm]", ""),
        ("form[key][concurrent_mode]", "none"),
        ("form[key][concurrent]", ""),
        ("form[key][expiry]", "90"),
        ("form[key][expires_on]", ""),
    ]
}

/// The fields of a team's form without bounds.
pub fn new_team<'a>(org: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("form[org]", org),
        ("form[team][name]", name),
        ("form[team][scope]", "every"),
        ("form[team][patterns]", ""),
        ("form[team][month_mode]", "none"),
        ("form[team][week_mode]", "none"),
        ("form[team][day_mode]", "none"),
        ("form[team][total_mode]", "none"),
        ("form[team][rpm_mode]", "none"),
        ("form[team][tpm_mode]", "none"),
        ("form[team][concurrent_mode]", "none"),
    ]
}

/// The fields of a new provider's form that is fine as it is.
pub fn new_provider(name: &str) -> Vec<(&str, &str)> {
    vec![
        ("form[provider][name]", name),
        ("form[provider][kind]", "openai"),
        ("form[provider][base_url]", "https://api.openai.com/v1/"),
        ("form[provider][credential_env]", "KEYDESK_TESTS_API_KEY"),
        ("form[provider][connect]", "5"),
        ("form[provider][idle]", "60"),
        ("form[provider][whole]", "600"),
    ]
}

/// A form for any action that would be accepted from an owner with a live key, as far as one can be made at all.
pub fn fields_for(action: &str, cast: &Cast, key: &TestKey, name: &str) -> Vec<(String, String)> {
    let own = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let (org, id, team) = (cast.org.slug.as_str(), key.id.as_str(), &cast.team);
    match action {
        "keys/create" => own(&new_key(org, cast.team.id.as_str(), name)),
        "keys/edit" => {
            let was = keydesk_core::forms::key::KeyForm {
                name: key.name.clone(),
                team: cast.team.id.to_string(),
                scope: "every".into(),
                month_mode: "none".into(),
                week_mode: "none".into(),
                day_mode: "none".into(),
                total_mode: "none".into(),
                rpm_mode: "none".into(),
                tpm_mode: "none".into(),
                concurrent_mode: "none".into(),
                expiry: "never".into(),
                ..Default::default()
            };
            let was = serde_json::to_string(&was).unwrap();
            let mut fields = own(&new_key(org, cast.team.id.as_str(), name));
            fields.extend(own(&[("form[id]", id), ("form[version]", "1"), ("form[was]", &was)]));
            fields
        }
        "keys/disable" | "keys/enable" => own(&[("form[org]", org), ("form[id]", id)]),
        "keys/revoke" => own(&[("form[org]", org), ("form[id]", id), ("form[name]", &key.name)]),
        "models/add" => own(&[
            ("form[model][id]", name),
            ("form[model][vendor]", "Acme"),
            ("form[model][route]", ""),
            ("form[model][upstream]", ""),
            ("form[model][input]", "1.25"),
            ("form[model][output]", "10"),
            ("form[model][cached]", "0.125"),
            ("form[model][held]", "1000"),
        ]),
        // As the catalogue that comes with the program has it.
        "models/save" => own(&[
            ("form[version]", "1"),
            ("form[was]", "{}"),
            ("form[model][id]", "gpt-5"),
            ("form[model][vendor]", "OpenAI"),
            ("form[model][input]", "1.25"),
            ("form[model][output]", "10"),
            ("form[model][cached]", "0.125"),
            ("form[model][held]", "1000"),
        ]),
        "models/retire" => own(&[("form[id]", "mistral-small-latest")]),
        "providers/add" => own(&new_provider(name)),
        "providers/save" => {
            let mut fields = own(&new_provider(name));
            fields.extend(own(&[("form[id]", "prov_0"), ("form[version]", "1"), ("form[was]", "{}")]));
            fields
        }
        "providers/route" => own(&[
            ("form[id]", "prov_0"),
            ("form[was]", r#"{"gpt-5-nano": ""}"#),
            ("form[models][]", "gpt-5-nano"),
        ]),
        "providers/retire" => own(&[("form[id]", "prov_0")]),
        "keys/search" => own(&[("form[org]", org), ("form[q]", id), ("form[rest]", "")]),
        "support/look-up" => own(&[("form[q]", id)]),
        "audit/export" => own(&[("form[org]", org), ("form[format]", "csv")]),
        "keys/find" => own(&[("form[org]", org), ("form[q]", "")]),
        "orgs/save" => {
            let settings = SettingsForm::of(&Settings::of(&cast.org, Vec::new()));
            let was = serde_json::to_string(&settings).unwrap();
            let mut fields = own(&[("form[org]", org), ("form[version]", "1"), ("form[was]", &was)]);
            let settings = serde_json::to_value(&settings).unwrap();
            for (field, value) in settings.as_object().unwrap() {
                fields.push((format!("form[settings][{field}]"), value.as_str().unwrap().to_owned()));
            }
            fields
        }
        "orgs/create" => own(&[
            ("form[name]", name),
            ("form[slug]", ""),
            ("form[zone]", "UTC"),
            ("form[email]", &format!("{name}@example.com")),
        ]),
        "orgs/suspend" | "orgs/resume" => own(&[("form[org]", org), ("form[reason]", "Unpaid since August")]),
        "orgs/enter-balance" => own(&[
            ("form[org]", org),
            ("form[seq]", "1"),
            ("form[entry][kind]", "credit"),
            ("form[entry][amount]", "50"),
            ("form[entry][note]", "Invoice 7"),
        ]),
        "orgs/enforce-balance" => own(&[("form[org]", org), ("form[enforce]", "on")]),
        "teams/create" => own(&new_team(org, name)),
        "teams/edit" => {
            let was = TeamForm::of(&TeamSpec { name: team.name.clone(), ..TeamSpec::default() }, &[]);
            let was = serde_json::to_string(&was).unwrap();
            let mut fields = own(&new_team(org, name));
            fields.extend(own(&[
                ("form[id]", team.id.as_str()),
                ("form[version]", "1"),
                ("form[was]", &was),
            ]));
            fields
        }
        "teams/archive" | "teams/restore" => own(&[("form[org]", org), ("form[id]", team.id.as_str())]),
        "teams/add" => own(&[
            ("form[org]", org),
            ("form[id]", team.id.as_str()),
            ("form[email]", &Who::OtherTeamAdmin.email()),
            ("form[role]", "admin"),
        ]),
        "teams/role" | "teams/remove" => {
            let person = cast.id(Who::KeyOwner).to_string();
            let mut fields =
                own(&[("form[org]", org), ("form[id]", team.id.as_str()), ("form[person]", &person)]);
            if action == "teams/role" {
                fields.extend(own(&[("form[role]", "admin")]));
            }
            fields
        }
        "account/rename" => own(&[("form[name]", name)]),
        // A right one would end the session that asks.
        "account/password" => own(&[("form[current]", PASSWORD), ("form[password]", "short")]),
        "account/end-session" => own(&[("form[id]", "ses_0")]),
        "account/end-other-sessions" => own(&[("form[confirm]", "yes")]),
        "second-factor/start" => own(&[("form[reauth][password]", PASSWORD)]),
        "second-factor/turn-on" => own(&[("form[code]", "000000")]),
        "second-factor/turn-off" => own(&[("form[current]", PASSWORD), ("form[code]", "000000")]),
        "second-factor/renew-codes" => own(&[("form[confirm]", "yes")]),
        "session/code" => own(&[("form[code]", "000000")]),
        // Nobody is there by this address: a right one would end the session that asks.
        "session/sign-in" => {
            own(&[("form[email]", &format!("{name}@nowhere.example")), ("form[password]", PASSWORD)])
        }
        "session/sign-out" => own(&[("form[confirm]", "")]),
        "session/setup" | "session/reset" => own(&[("form[token]", "0123456789abcdef")]),
        "invitations/invite" => own(&[
            ("form[org]", org),
            ("form[email]", &format!("{name}@nowhere.example")),
            ("form[role]", "member"),
            ("form[team]", cast.team.id.as_str()),
            ("form[team_role]", "member"),
        ]),
        "invitations/resend" | "invitations/withdraw" => {
            own(&[("form[org]", org), ("form[id]", "inv_00000000000000000000000000000000")])
        }
        "invitations/accept" => own(&[
            ("form[token]", "0123456789abcdef"),
            ("form[name]", name),
            ("form[password]", "walnut ferry 92 lantern"),
        ]),
        "invitations/join" => own(&[("form[token]", "0123456789abcdef")]),
        "members/disable" | "members/enable" | "members/remove" => {
            own(&[("form[org]", org), ("form[id]", cast.id(Who::Member).as_str())])
        }
        "members/role" => {
            own(&[("form[org]", org), ("form[id]", cast.id(Who::Member).as_str()), ("form[role]", "admin")])
        }
        "members/leave" => own(&[("form[org]", org)]),
        "members/decide" => own(&[
            ("form[org]", org),
            ("form[id]", cast.id(Who::Member).as_str()),
            ("form[keys][]", id),
            ("form[act]", "revoke"),
        ]),
        "session/theme" => own(&[("form[theme]", "dark"), ("form[page]", "/")]),
        other => panic!("{other} is new: write down here what its form holds"),
    }
}

pub fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Every server function, without `/api/`.
pub fn actions() -> Vec<String> {
    let mut actions: Vec<String> = leptos::server_fn::axum::server_fn_paths()
        .map(|(path, _)| {
            path.strip_prefix("/api/").unwrap_or_else(|| panic!("{path} is not under /api/")).into()
        })
        .collect();
    actions.sort();
    actions
}

/// Runs the body as a task of its own, so that a failed assertion still lets the database be put away.
async fn run<F, R>(app: TestApp, body: F) -> Result<(), tokio::task::JoinError>
where
    F: FnOnce(TestApp) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let db = app.state.desk.db.clone();
    let outcome = tokio::spawn(body(app)).await;
    db.close().await;
    outcome
}

fn pass_on(outcome: Result<(), tokio::task::JoinError>) {
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

pub async fn on_sqlite<F, R>(body: F)
where
    F: FnOnce(TestApp) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(&DatabaseUrl::Sqlite(folder.path().join("desk.sqlite"))).await.unwrap();
    db.migrate().await.unwrap();
    pass_on(run(TestApp::new(db).await, body).await);
}

pub async fn on_postgres<F, R>(body: F)
where
    F: FnOnce(TestApp) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let url = std::env::var("KEYDESK_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "These tests need a Postgres server: run them with `make test` or `scripts/with-postgres.sh cargo test`, \
             or set KEYDESK_TEST_POSTGRES to the postgres:// address of a server where databases may be created."
        )
    });
    let server = PgConnectOptions::from_str(&url).expect("KEYDESK_TEST_POSTGRES is a postgres:// address");
    let mut admin = server.connect().await.expect("the server of KEYDESK_TEST_POSTGRES answers");
    let unique = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let name = format!("kd_{unique:016x}");
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
    let place = DatabaseUrl::Postgres(server.clone().database(&name).to_url_lossy().to_string());
    let db = Db::open(&place).await.unwrap();
    db.migrate().await.unwrap();
    let outcome = run(TestApp::new(db).await, body).await;
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let _ = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await;
    let _ = admin.close().await;
    pass_on(outcome);
}

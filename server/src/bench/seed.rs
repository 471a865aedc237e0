//! The keys that the bench asks about: believable names, most in one organisation, one in twenty in a second one.

use keydesk_core::Desk;
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::ids::{KeyId, OrgId, PersonId, RequestId, SecretId, SessionId, TeamId};
use keydesk_core::domain::key::{KeySpec, Status};
use keydesk_core::domain::key_format::{DEFAULT_PREFIX, PlainSecret};
use keydesk_core::domain::limits::{Budget, Limits};
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::org::Org;
use keydesk_core::domain::person::slug_of;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::domain::team::TeamSpec;
use keydesk_core::domain::window::{Period, WindowStarts};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::seed::{self, SeedPerson};
use keydesk_core::ops::{OpError, teams};
use keydesk_core::store::bulk::SeedKey;
use keydesk_core::store::keys::NewKey;
use keydesk_core::store::spend::Usage;

const SERVICES: [&str; 40] = [
    "billing",
    "catalogue",
    "checkout",
    "churn",
    "claims",
    "contract",
    "customer",
    "delivery",
    "docs",
    "email",
    "expense",
    "feedback",
    "forecast",
    "fraud",
    "helpdesk",
    "hiring",
    "inventory",
    "invoice",
    "ledger",
    "legal",
    "loyalty",
    "mobile",
    "news",
    "onboarding",
    "orders",
    "payroll",
    "pricing",
    "privacy",
    "product",
    "returns",
    "review",
    "sales",
    "search",
    "shipping",
    "support",
    "survey",
    "tax",
    "travel",
    "voice",
    "warehouse",
];
const TASKS: [&str; 40] = [
    "agent",
    "alerts",
    "answers",
    "archive",
    "assist",
    "backfill",
    "batch",
    "bot",
    "canary",
    "chat",
    "check",
    "cleanup",
    "coach",
    "digest",
    "draft",
    "embed",
    "eval",
    "export",
    "extract",
    "finder",
    "graph",
    "import",
    "index",
    "judge",
    "labels",
    "match",
    "notes",
    "planner",
    "rank",
    "replay",
    "report",
    "route",
    "score",
    "sort",
    "summary",
    "tagger",
    "tests",
    "translate",
    "triage",
    "writer",
];
const PLACES: [&str; 5] = ["prod", "staging", "dev", "sandbox", "nightly"];
const REGIONS: [&str; 8] = ["eu", "us", "uk", "de", "fr", "jp", "br", "in"];

pub const SLUG: &str = "great-lakes";
/// Found in one name in forty.
pub const COMMON: &str = "invoice";
/// Found in fewer than ten names in a hundred thousand.
pub const RARE: &str = "ledger-replay-stag";
const KEPT: usize = 200;
const BATCH: usize = 5_000;

/// A key with what only its owner has.
pub struct Known {
    pub id: KeyId,
    pub name: String,
    pub last_four: String,
    pub secret: PlainSecret,
    secret_id: SecretId,
    pub team: Option<TeamId>,
}

pub struct Bench {
    pub org: OrgId,
    pub owner: Caller,
    /// Owns a handful of keys.
    pub member: Caller,
    /// They search across organisations.
    pub support: Vec<Caller>,
    pub operator: Caller,
    /// Active ones, spread evenly.
    pub known: Vec<Known>,
    /// Of the other active ones.
    pub secrets: Vec<PlainSecret>,
}

/// Each number has a name of its own. The factor shuffles: it shares no divisor with the number of combinations.
fn name_of(number: usize) -> String {
    let all = SERVICES.len() * TASKS.len() * PLACES.len() * REGIONS.len();
    let (round, at) = (number / all, number % all * 27_644_437 % all);
    let region = REGIONS[at % REGIONS.len()];
    let at = at / REGIONS.len();
    let place = PLACES[at % PLACES.len()];
    let at = at / PLACES.len();
    let (task, service) = (TASKS[at % TASKS.len()], SERVICES[at / TASKS.len()]);
    match round {
        0 => format!("{service}-{task}-{place}-{region}"),
        _ => format!("{service}-{task}-{place}-{region}-{}", round + 1),
    }
}

struct Place {
    org: Org,
    teams: Vec<TeamId>,
    people: Vec<PersonId>,
}

async fn add_org(desk: &Desk, name: &str, size: usize) -> Result<(Place, Caller, Caller), OpError> {
    let now = desk.now();
    let slug = slug_of(name);
    let named: Vec<(String, String)> = (0..size + 2)
        .map(|number| (format!("Person {number}"), format!("person-{number}@{slug}.example")))
        .collect();
    let new: Vec<SeedPerson> = named
        .iter()
        .enumerate()
        .map(|(number, (name, email))| SeedPerson {
            name,
            email,
            role: Some(if number == 0 { OrgRole::Owner } else { OrgRole::Member }),
            platform: PlatformRole::None,
            password_hash: "",
        })
        .collect();
    let (org, people) = seed::create_org(desk, name, Zone::utc(), &new).await?;
    let mut ids: Vec<_> = people.iter().map(|person| person.id.clone()).collect();
    // The second person owns only what they are given.
    ids.remove(1);
    let mut callers = people.into_iter().map(|person| {
        Caller::just_authenticated(person, SessionId::new(now, desk.id_entropy()), now, "10.0.0.1", "")
    });
    let (owner, member) = callers.next().zip(callers.next()).ok_or(OpError::NotFound)?;
    let mut teams = Vec::new();
    for number in 0..20 {
        let spec = TeamSpec { name: format!("Team {number}"), ..TeamSpec::default() };
        teams.push(teams::create(desk, &owner, &slug, &spec).await?);
    }
    Ok((Place { org, teams, people: ids }, owner, member))
}

/// What one key is made of, before it is borrowed into a row.
struct Part {
    id: KeyId,
    secret_id: SecretId,
    secret: PlainSecret,
    spec: KeySpec,
    owner: PersonId,
    status: Status,
    created: Moment,
    last_used_at: Option<Moment>,
    month: Option<(Moment, Money)>,
}

fn part(desk: &Desk, place: &Place, member: &PersonId, number: usize, of: usize) -> Result<Part, OpError> {
    let now = desk.now();
    // Over two years, oldest first.
    let created = now.plus_ms(-((of - number) as i64) * 730 * 86_400_000 / of as i64);
    let secret = PlainSecret::mint(DEFAULT_PREFIX, &mut |bytes| desk.random.fill(bytes))
        .map_err(|problem| OpError::Conflict(problem.to_string()))?;
    let status = match number % 20 {
        0..16 => Status::Active,
        16 => Status::Disabled,
        17 => Status::Expired,
        _ => Status::Revoked,
    };
    let amount = Money::from_nanos(((number % 50) as i64 + 1) * 5_000_000_000);
    let spec = KeySpec {
        name: name_of(number),
        note: "Made for measuring".into(),
        team: (!number.is_multiple_of(5)).then(|| place.teams[number % place.teams.len()].clone()),
        owner: None,
        models: if number.is_multiple_of(3) {
            ModelScope::Every
        } else {
            ModelScope::Listed(ModelScope::parse_lines("gpt-5\nclaude-*").unwrap_or_default())
        },
        addresses: Default::default(),
        budgets: if number.is_multiple_of(2) {
            vec![Budget { period: Period::Month, amount }]
        } else {
            vec![]
        },
        limits: Limits { rpm: Some(60), tpm: None, concurrent: Some(8) },
        expires_at: (!number.is_multiple_of(4)).then(|| now.plus_days((number % 365) as i64 + 1)),
        // The others are as the organisation says.
        rotate_days: number.is_multiple_of(10).then_some(180),
        rotates_itself: false,
    };
    // A few old keys, far down in every list, are the member's.
    let own = number % (of / 5).max(1) == 7;
    Ok(Part {
        id: KeyId::new(created, desk.id_entropy()),
        secret_id: SecretId::new(created, desk.id_entropy()),
        secret,
        spec,
        owner: if own { member.clone() } else { place.people[number % place.people.len()].clone() },
        status,
        created,
        last_used_at: (!number.is_multiple_of(3))
            .then(|| now.plus_ms(-((number * 7_919 % 10_000_000) as i64) * 600)),
        month: (number / 2).is_multiple_of(2).then(|| {
            let starts = WindowStarts::at(now, &place.org.zone);
            (starts.month, Money::from_nanos((number * 7_919 % 50_000) as i64 * 1_000_000 + 1))
        }),
    })
}

async fn fill(
    desk: &Desk,
    place: &Place,
    member: &PersonId,
    count: usize,
) -> Result<(Vec<Known>, Vec<PlainSecret>), OpError> {
    let (mut known, mut secrets) = (Vec::new(), Vec::new());
    // A multiple of the states' round, so that all of them are active.
    let every = (count / KEPT / 20).max(1) * 20;
    let mut done = 0;
    while done < count {
        let parts = (done..count.min(done + BATCH))
            .map(|number| part(desk, place, member, number, count))
            .collect::<Result<Vec<_>, _>>()?;
        let hashes: Vec<_> = parts.iter().map(|part| part.secret.hash()).collect();
        let rows: Vec<SeedKey> = parts
            .iter()
            .zip(&hashes)
            .map(|(part, hash)| SeedKey {
                new: NewKey {
                    id: &part.id,
                    owner: &part.owner,
                    created_by: Some(&part.owner),
                    spec: &part.spec,
                    secret_id: &part.secret_id,
                    hash,
                    prefix: DEFAULT_PREFIX,
                    last_four: part.secret.last_four(),
                    now: part.created,
                },
                status: part.status,
                last_used_at: part.last_used_at,
                month: part.month,
            })
            .collect();
        seed::insert_keys(desk, &place.org.id, &rows).await?;
        drop(rows);
        for (number, part) in (done..).zip(parts) {
            if part.status != Status::Active {
                continue;
            }
            if number.is_multiple_of(every) {
                known.push(Known {
                    last_four: part.secret.last_four().to_owned(),
                    id: part.id,
                    name: part.spec.name,
                    secret: part.secret,
                    secret_id: part.secret_id,
                    team: part.spec.team,
                });
            } else {
                secrets.push(part.secret);
            }
        }
        done += BATCH;
    }
    Ok((known, secrets))
}

/// A month of use and a history for the keys whose pages are asked for.
async fn live(desk: &Desk, place: &Place, known: &[Known]) -> Result<(), OpError> {
    let now = desk.now();
    let mut requests = Vec::new();
    for known in known {
        for day in 0..30 {
            let at = now.plus_days(-day);
            requests.push(Usage {
                request: RequestId::new(at, desk.id_entropy()),
                org: place.org.id.clone(),
                key: known.id.clone(),
                secret: known.secret_id.clone(),
                team: known.team.clone(),
                model: if day % 2 == 0 { "gpt-5" } else { "claude-sonnet-4-5" }.into(),
                route: "/v1/chat/completions".into(),
                status: 200,
                bill: Bill::of_cost(Counts::of_totals(20_000, 0, 2_000), Money::from_nanos(45_000_000)),
                started_at: at,
                latency_ms: 2_000,
                first_byte_ms: Some(300),
                address: "10.0.0.1".into(),
                user_agent: "bench".into(),
                error: String::new(),
                tags: Vec::new(),
            });
        }
    }
    seed::record_usage(desk, &place.org.zone, &requests).await?;
    for known in known {
        seed::record_creation(desk, &place.org.id, &known.id, &known.name).await?;
    }
    Ok(())
}

/// People with the role of support, and an operator.
async fn add_desk(desk: &Desk) -> Result<(Vec<Caller>, Caller), OpError> {
    let now = desk.now();
    let emails: Vec<String> = (0..40).map(|number| format!("support-{number}@desk.example")).collect();
    let new = |email, platform| SeedPerson { name: "Sam", email, role: None, platform, password_hash: "" };
    let mut all: Vec<SeedPerson> = emails.iter().map(|email| new(email, PlatformRole::Support)).collect();
    all.push(new("operator@desk.example", PlatformRole::Operator));
    let (_, people) = seed::create_org(desk, "Desk", Zone::utc(), &all).await?;
    let caller = |person| {
        Caller::just_authenticated(person, SessionId::new(now, desk.id_entropy()), now, "10.0.0.1", "")
    };
    let mut support: Vec<Caller> = people.into_iter().map(caller).collect();
    let operator = support.pop().ok_or(OpError::NotFound)?;
    Ok((support, operator))
}

pub async fn seed(desk: &Desk, keys: usize) -> Result<Bench, OpError> {
    let second = keys / 20;
    let (large, owner, member) = add_org(desk, "Great Lakes", 60).await?;
    let (small, _, other) = add_org(desk, "Small Ponds", 5).await?;
    let (_, mut secrets) = fill(desk, &small, &other.person.id, second).await?;
    let (known, in_large) = fill(desk, &large, &member.person.id, keys - second).await?;
    secrets.extend(in_large);
    live(desk, &large, &known).await?;
    let (support, operator) = add_desk(desk).await?;
    Ok(Bench { org: large.org.id, owner, member, support, operator, known, secrets })
}

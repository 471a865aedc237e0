//! The shape of the demonstration, without a database: which keys there are, what becomes of them and what they use.
//! The same seed and the same moment give the same plan. Budgets are chosen last, from the spend that was planned.

use keydesk_core::domain::addresses::AllowList;
use keydesk_core::domain::bounds::Bounds;
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::limits::{Budget, Limits};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::{Day, Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::scope::{ModelPattern, ModelScope};
use keydesk_core::domain::window::{Period, WindowStarts};

use super::words::{FJORD_KEYS, PEOPLE, PERSONAL, Part, WORK};

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;
const USAGE_DAYS: u32 = 90;
const OLDEST_DAYS: u64 = 200;
const CENTS: i64 = 10_000_000;

/// Splitmix64: good enough for a shape, and never used for a secret or an id.
pub struct Shape(pub u64);

impl Shape {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low).max(1) as u64) as i64
    }
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
    fn unit(&mut self) -> f64 {
        self.below(1 << 30) as f64 / (1_u64 << 30) as f64
    }
}

/// How a key is used: when, how often, with which models and how much at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// People ask, at all hours but mostly by day.
    Chat,
    /// Runs on pushes, in working hours.
    Ci,
    /// Long tasks with much context.
    Agent,
    /// After midnight, every night.
    Nightly,
    /// Many tokens, little money.
    Embed,
    /// Somebody's own, in working hours and now and then.
    Person,
}

impl Use {
    /// Of each hour of the day.
    fn hours(self) -> [u64; 24] {
        match self {
            Use::Chat => [2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 11, 13, 14, 14, 13, 11, 9, 8, 7, 6, 5, 3],
            Use::Ci | Use::Person => {
                [0, 0, 0, 0, 0, 0, 0, 3, 9, 14, 15, 13, 6, 11, 14, 15, 13, 9, 4, 2, 1, 1, 0, 0]
            }
            Use::Agent => [2, 1, 1, 1, 1, 1, 2, 4, 8, 11, 12, 12, 9, 11, 12, 12, 12, 10, 8, 6, 5, 5, 4, 3],
            Use::Nightly => [4, 20, 24, 14, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            Use::Embed => [5, 6, 6, 5, 4, 4, 4, 4, 5, 6, 6, 6, 5, 5, 6, 6, 5, 5, 4, 4, 4, 4, 4, 4],
        }
    }

    fn weekend(self) -> f64 {
        match self {
            Use::Chat => 0.45,
            Use::Ci => 0.05,
            Use::Agent => 0.3,
            Use::Nightly => 0.9,
            Use::Embed => 0.8,
            Use::Person => 0.1,
        }
    }

    fn models(self) -> &'static [&'static str] {
        match self {
            Use::Chat => {
                &["gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash", "gpt-4.1", "mistral-large-latest"]
            }
            Use::Ci => &["gpt-5", "claude-sonnet-4-5", "gpt-5-mini", "deepseek-chat"],
            Use::Agent => &["claude-sonnet-4-5", "claude-opus-4-5", "gpt-5", "gemini-2.5-pro"],
            Use::Nightly => &["gemini-2.5-pro", "claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "deepseek-chat"],
            Use::Embed => &["text-embedding-3-large", "text-embedding-3-small"],
            Use::Person => {
                &["claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "gemini-2.5-flash", "claude-opus-4-5"]
            }
        }
    }

    /// Input and output tokens of a request, from and to.
    fn tokens(self) -> [(i64, i64); 2] {
        match self {
            Use::Chat => [(8_000, 90_000), (600, 6_000)],
            Use::Ci => [(40_000, 160_000), (2_000, 12_000)],
            Use::Agent => [(60_000, 190_000), (4_000, 24_000)],
            Use::Nightly => [(60_000, 190_000), (4_000, 24_000)],
            Use::Embed => [(90_000, 280_000), (0, 1)],
            Use::Person => [(10_000, 120_000), (800, 10_000)],
        }
    }

    fn address(self, shape: &mut Shape) -> String {
        let (a, b) = (shape.below(4), 10 + shape.below(200));
        match self {
            Use::Ci => format!("203.0.113.{b}"),
            Use::Person => format!("10.30.{a}.{b}"),
            Use::Chat | Use::Agent | Use::Nightly | Use::Embed => format!("10.20.{a}.{b}"),
        }
    }

    /// Networks that hold every address above.
    fn networks(self) -> &'static str {
        match self {
            Use::Ci => "203.0.113.0/24",
            Use::Person => "10.30.0.0/16\n2001:db8:30::/48",
            Use::Chat | Use::Agent | Use::Nightly | Use::Embed => "10.20.0.0/16\n198.51.100.7",
        }
    }
}

/// What becomes of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Active,
    ExpiresSoon,
    Disabled,
    Expired,
    Revoked,
    /// Spends more than its budget of this month.
    Over,
    /// Has spent most of it.
    Near,
}

/// One planned request.
pub struct PlannedUse {
    pub at: Moment,
    pub model: &'static str,
    pub route: String,
    pub status: i64,
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    pub cost: Money,
    pub latency_ms: i64,
    pub address: String,
    pub user_agent: &'static str,
}

/// One planned key. People and teams are numbers into the words' lists.
pub struct PlannedKey {
    pub spec: KeySpec,
    pub team: Option<usize>,
    pub owner: usize,
    /// Who makes it, and later switches, edits or revokes it.
    pub actor: usize,
    pub created: Moment,
    pub fate: Fate,
    /// When the fate comes, for those to which one comes.
    pub fate_at: Moment,
    /// It was off for a while and came back.
    pub paused: Option<(Moment, Moment)>,
    /// A budget or limit was changed: what it was before, and when it changed.
    pub before: Option<(KeySpec, Moment)>,
    pub usage: Vec<PlannedUse>,
}

struct Draft {
    name: String,
    note: &'static str,
    team: Option<usize>,
    owner: usize,
    kind: Use,
    /// Requests on a working day.
    rate: f64,
}

pub fn northwind(now: Moment, zone: &Zone, models: &[Model]) -> Vec<PlannedKey> {
    let mut shape = Shape(0x6e6f_7274_6877_696e);
    let mut drafts = Vec::new();
    for (team, work) in WORK.iter().enumerate() {
        let inside: Vec<usize> = members(team).collect();
        for &(base, variants, kind, note) in *work {
            for variant in variants.split(' ') {
                let rate = match variant {
                    "prod" | "prod-eu" | "main" | "nightly" | "web" => 2.2 + 6.0 * shape.unit(),
                    "staging" | "smoke" | "weekly" => 0.3 + 0.7 * shape.unit(),
                    "dev" | "draft" | "pilot" => 0.1 + 0.4 * shape.unit(),
                    "legacy" | "archive" | "2025" | "spring" => 0.0,
                    _ => 0.5 + 2.4 * shape.unit(),
                };
                let name = if variant == "." { base.to_owned() } else { format!("{base}-{variant}") };
                drafts.push(Draft { name, note, team: Some(team), owner: *shape.pick(&inside), kind, rate });
            }
        }
    }
    for (owner, &(_, mailbox, _, teams)) in PEOPLE.iter().enumerate() {
        for (what, note) in PERSONAL {
            if shape.below(10) < 9 {
                let rate = if shape.below(4) == 0 { 0.0 } else { 0.3 + 1.6 * shape.unit() };
                let team = Some(teams[0]).filter(|_| shape.below(5) > 0);
                drafts.push(Draft {
                    name: format!("{what}-{mailbox}"),
                    note,
                    team,
                    owner,
                    kind: Use::Person,
                    rate,
                });
            }
        }
    }
    finish(drafts, &mut shape, now, zone, models)
}

pub fn fjord(now: Moment, zone: &Zone, models: &[Model]) -> Vec<PlannedKey> {
    let mut shape = Shape(0x666a_6f72_6400);
    let drafts = FJORD_KEYS.iter().map(|&(name, note, kind)| Draft {
        name: name.to_owned(),
        note,
        team: None,
        owner: 0,
        kind,
        rate: 1.0 + 2.0 * shape.unit(),
    });
    let drafts = drafts.collect();
    let mut keys = finish(drafts, &mut shape, now, zone, models);
    keys.iter_mut().for_each(|key| key.actor = 0);
    keys
}

/// What a team allows its keys: the first ones are bounded, the others may do what the organisation may.
pub fn bounds_of_team(number: usize) -> Bounds {
    let monthly = |dollars: i64| {
        vec![Budget { period: Period::Month, amount: Money::from_nanos(dollars * 1_000_000_000) }]
    };
    match number {
        0 => Bounds { budgets: monthly(20_000), ..Bounds::default() },
        1 => Bounds {
            budgets: monthly(5_000),
            limits: Limits { rpm: Some(1_000), ..Limits::default() },
            ..Bounds::default()
        },
        _ => Bounds::default(),
    }
}

fn members(team: usize) -> impl Iterator<Item = usize> {
    PEOPLE.iter().enumerate().filter(move |(_, (_, _, _, teams))| teams.contains(&team)).map(|(who, _)| who)
}

fn finish(
    drafts: Vec<Draft>,
    shape: &mut Shape,
    now: Moment,
    zone: &Zone,
    models: &[Model],
) -> Vec<PlannedKey> {
    let starts = WindowStarts::at(now, zone);
    let (mut over, mut near) = (0, 0);
    let small = drafts.len() < 20;
    drafts
        .into_iter()
        .map(|draft| {
            let age = 4 + shape.below(OLDEST_DAYS - 4);
            let born = if draft.rate == 0.0 { 110 + age % 90 } else { age };
            let created = working_time(shape, now, zone, born as u32);
            let costly = matches!(draft.kind, Use::Agent | Use::Ci | Use::Nightly);
            let busy = costly && draft.rate > 2.5 && born > 40;
            let fate = match shape.below(100) {
                _ if busy && over < 3 && !small => {
                    over += 1;
                    Fate::Over
                }
                _ if busy && near < 5 && !small => {
                    near += 1;
                    Fate::Near
                }
                _ if draft.rate == 0.0 => *shape.pick(&[Fate::Expired, Fate::Revoked, Fate::Disabled]),
                0..5 if born > 25 => Fate::Revoked,
                5..10 if born > 20 => Fate::Disabled,
                10..16 if born > 35 => Fate::Expired,
                16..22 => Fate::ExpiresSoon,
                _ => Fate::Active,
            };
            // Somewhere in the last three quarters of its life.
            let life = now.ms() - created.ms();
            let ended = created.plus_ms(life / 4 + shape.between(0, life * 7 / 10));
            let fate_at = match fate {
                Fate::Disabled | Fate::Revoked | Fate::Expired => ended,
                Fate::ExpiresSoon => now.plus_ms(shape.between(9 * HOUR, 6 * DAY + 20 * HOUR)),
                Fate::Active | Fate::Over | Fate::Near => now,
            };
            let until = if fate_at < now { fate_at } else { now };
            let paused = (fate == Fate::Active && born > 30 && shape.below(14) == 0).then(|| {
                let off = created.plus_ms(life / 3 + shape.between(0, life / 3));
                (off, off.plus_ms(shape.between(2 * HOUR, 4 * DAY)))
            });
            let own = shape.below(draft.kind.models().len() as u64) as usize;
            let usage = usage(&draft, own, (created, until), paused, shape, now, zone, models);
            let expires_at = match fate {
                Fate::Expired | Fate::ExpiresSoon => Some(fate_at),
                // A quarter never ends; the others have a date that is some way off.
                _ if shape.below(4) == 0 => None,
                _ => Some(now.plus_ms(shape.between(12 * DAY, 300 * DAY))),
            };
            let spec = KeySpec {
                name: draft.name,
                note: if shape.below(6) == 0 { String::new() } else { draft.note.to_owned() },
                team: None,
                owner: None,
                models: scope(draft.kind, own, shape),
                addresses: match shape.below(9) {
                    0 => AllowList::parse_lines(draft.kind.networks()).unwrap_or_default(),
                    _ => AllowList::default(),
                },
                budgets: budgets(fate, &usage, starts, shape, now),
                limits: limits(shape),
                expires_at,
            };
            let mut actors: Vec<usize> = vec![0, 1];
            if let Some(team) = draft.team {
                let administers =
                    |(_, _, part, _): &(&str, &str, Part, &[usize])| *part == Part::TeamAdmin(team);
                let admin = PEOPLE.iter().position(administers).unwrap_or(0);
                actors.extend([admin; 4]);
            }
            let before = (until.ms() - created.ms() > 20 * DAY && shape.below(5) == 0).then(|| {
                let mut before = spec.clone();
                match before.budgets.first_mut() {
                    Some(budget) => budget.amount = half(budget.amount),
                    None => before.limits.rpm = Some(30),
                }
                (before, created.plus_ms(shape.between(2 * DAY, 15 * DAY)))
            });
            PlannedKey {
                spec,
                team: draft.team,
                owner: draft.owner,
                actor: *shape.pick(&actors),
                created,
                fate,
                fate_at,
                paused,
                before,
                usage,
            }
        })
        .collect()
}

/// Between eight and six on a working day, `days` ago or up to two days earlier.
fn working_time(shape: &mut Shape, now: Moment, zone: &Zone, days: u32) -> Moment {
    let mut day = Day::of(now, zone).back(days);
    while weekday(day, zone) > 4 {
        day = day.back(1);
    }
    day.start(zone).plus_ms(8 * HOUR + shape.between(0, 10 * HOUR))
}

/// Monday is 0. Noon keeps clear of the hours in which clocks change.
fn weekday(day: Day, zone: &Zone) -> i64 {
    (day.start(zone).plus_ms(12 * HOUR).ms().div_euclid(DAY) + 3).rem_euclid(7)
}

#[expect(clippy::too_many_arguments, reason = "a plan is drawn from all of them")]
fn usage(
    draft: &Draft,
    own: usize,
    (from, until): (Moment, Moment),
    paused: Option<(Moment, Moment)>,
    shape: &mut Shape,
    now: Moment,
    zone: &Zone,
    models: &[Model],
) -> Vec<PlannedUse> {
    let mut usage = Vec::new();
    if draft.rate == 0.0 || (draft.rate < 2.5 && shape.below(9) == 0) {
        return usage;
    }
    let kind = draft.kind;
    let names = kind.models();
    let hours = kind.hours();
    let sum: u64 = hours.iter().sum();
    // Growing by up to a half over the three months, or shrinking a little.
    let growth = shape.unit() * 0.65 - 0.15;
    // One key in eight has a few wild days.
    let burst = (shape.below(8) == 0).then(|| shape.below(u64::from(USAGE_DAYS) - 4) as u32);
    for ago in (0..=USAGE_DAYS).rev() {
        let day = Day::of(now, zone).back(ago);
        let start = day.start(zone);
        let weekend = if weekday(day, zone) > 4 { kind.weekend() } else { 1.0 };
        let wild = burst.is_some_and(|at| (at..at + 3).contains(&ago));
        let grown = 1.0 + growth * f64::from(USAGE_DAYS - ago) / f64::from(USAGE_DAYS);
        let mean = draft.rate * weekend * grown * if wild { 4.5 } else { 1.0 };
        let count = (mean * (0.6 + 0.8 * shape.unit()) + shape.unit()) as u64;
        for _ in 0..count {
            let mut left = shape.below(sum);
            let hour = hours
                .iter()
                .position(|weight| {
                    let here = left < *weight;
                    left = left.saturating_sub(*weight);
                    here
                })
                .unwrap_or(12);
            let at = start.plus_ms(hour as i64 * HOUR + shape.between(0, HOUR));
            let off = paused.is_some_and(|(off, on)| off <= at && at < on);
            // Two thirds go to the key's usual model.
            let model = if shape.below(3) > 0 { names[own] } else { names[(own + 1) % names.len()] };
            let planned = request(kind, model, at, shape, models);
            if from < at && at < until && !off {
                usage.push(planned);
            }
        }
    }
    usage.sort_by_key(|planned| planned.at);
    usage
}

fn request(kind: Use, model: &'static str, at: Moment, shape: &mut Shape, models: &[Model]) -> PlannedUse {
    let [(in_low, in_high), (out_low, out_high)] = kind.tokens();
    // Many small requests and a few large ones.
    let skew = shape.unit() * (0.4 + 0.6 * shape.unit());
    let status = if shape.below(70) == 0 { *shape.pick(&[500, 529, 400]) } else { 200 };
    let within = |low: i64, high: i64| low + ((high - low) as f64 * skew) as i64;
    let (input, output) =
        if status == 200 { (within(in_low, in_high), within(out_low, out_high)) } else { (0, 0) };
    let cached = if kind == Use::Embed { 0 } else { input * shape.between(0, 70) / 100 };
    let cost = models.iter().find(|known| known.id == model).map_or(Money::ZERO, |known| {
        [(input - cached, known.input_price), (cached, known.cached_price), (output, known.output_price)]
            .into_iter()
            .map(|(tokens, price)| Money::for_tokens(tokens, price))
            .sum()
    });
    let route = match model {
        _ if kind == Use::Embed => "/v1/embeddings".to_owned(),
        model if model.starts_with("claude") => "/v1/messages".to_owned(),
        model if model.starts_with("gemini") => format!("/v1beta/models/{model}:generateContent"),
        _ => "/v1/chat/completions".to_owned(),
    };
    PlannedUse {
        at,
        model,
        route,
        status,
        input,
        output,
        cached,
        cost,
        latency_ms: 180 + output * shape.between(7, 16) + shape.between(0, 900),
        address: kind.address(shape),
        user_agent: match model {
            model if model.starts_with("claude") => "Anthropic/Python 0.74.0",
            model if model.starts_with("gemini") => "google-genai-sdk/1.50.0",
            _ if kind == Use::Ci => "OpenAI/JS 6.9.0",
            _ => "OpenAI/Python 2.8.0",
        },
    }
}

fn scope(kind: Use, own: usize, shape: &mut Shape) -> ModelScope {
    let names = kind.models();
    let pair = format!("{}\n{}", names[own], names[(own + 1) % names.len()]);
    let text = match shape.below(10) {
        0 => return ModelScope::Every,
        1..4 => names.join("\n"),
        4 => format!("{pair}\nclaude-*"),
        5 => format!("{pair}\ngpt-5*\ngemini-2.5-*"),
        _ => pair,
    };
    let patterns: Vec<ModelPattern> = ModelScope::parse_lines(&text).unwrap_or_default();
    ModelScope::Listed(patterns)
}

fn limits(shape: &mut Shape) -> Limits {
    Limits {
        rpm: *shape.pick(&[Some(60), Some(60), Some(120), Some(300), Some(600), None]),
        tpm: *shape.pick(&[Some(100_000), Some(250_000), Some(500_000), Some(2_000_000), None]),
        concurrent: *shape.pick(&[Some(4), Some(8), Some(8), Some(16), None, None]),
    }
}

fn half(amount: Money) -> Money {
    Money::from_nanos((amount.nanos() / 2).max(CENTS * 100))
}

fn spent_since(usage: &[PlannedUse], since: Moment) -> i64 {
    usage.iter().filter(|planned| planned.at >= since).map(|planned| planned.cost.nanos()).sum()
}

fn budgets(
    fate: Fate,
    usage: &[PlannedUse],
    starts: WindowStarts,
    shape: &mut Shape,
    now: Moment,
) -> Vec<Budget> {
    let dollars = CENTS * 100;
    let month = spent_since(usage, starts.month);
    let all = spent_since(usage, Moment::from_ms(0));
    let budget = |period, nanos| Budget { period, amount: Money::from_nanos(nanos) };
    // In the first hours of a month nothing was spent yet: then the budget is one for all time.
    let (period, spent) = if month > 2 * dollars { (Period::Month, month) } else { (Period::Total, all) };
    match fate {
        Fate::Over => return vec![budget(period, round_down(spent - spent / 40))],
        Fate::Near => {
            let share = shape.between(83, 97);
            return vec![budget(period, (spent / share * 100 / dollars + 1) * dollars)];
        }
        Fate::Active | Fate::ExpiresSoon | Fate::Disabled | Fate::Expired | Fate::Revoked => {}
    }
    // Early in a month its spend says little, so the last thirty days do.
    let early = now.ms() - starts.month.ms() < 8 * DAY;
    let usual = if early { spent_since(usage, now.plus_days(-30)) } else { month };
    let of_month = |shape: &mut Shape| round_up((usual / shape.between(24, 74) * 100).max(2 * dollars));
    match shape.below(12) {
        0 | 1 => vec![],
        2 => vec![budget(Period::Total, round_up((all * 2).max(20 * dollars)))],
        3 => vec![budget(Period::Week, round_up((usual / 2).max(5 * dollars)))],
        4 => {
            let amount = of_month(shape);
            vec![budget(Period::Month, amount), budget(Period::Day, round_up((amount / 6).max(2 * dollars)))]
        }
        _ => vec![budget(Period::Month, of_month(shape))],
    }
}

/// Amounts that people choose: two digits, of which the second is 0 or 5 (or any, below twenty).
fn round_down(nanos: i64) -> i64 {
    let step = step_of(nanos);
    (nanos / step * step).max(CENTS * 100)
}

fn round_up(nanos: i64) -> i64 {
    let step = step_of(nanos);
    (nanos + step - 1) / step * step
}

fn step_of(nanos: i64) -> i64 {
    match nanos / (CENTS * 100) {
        0..20 => CENTS * 100,
        20..100 => CENTS * 500,
        100..300 => CENTS * 2_500,
        _ => CENTS * 10_000,
    }
}

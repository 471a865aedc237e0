//! The plan of the demonstration, without a database: which keys there are, what becomes of them and what they use.
//! The same seed and the same moment give the same plan. Budgets are chosen last, from the spend that was planned.

use keydesk_core::domain::addresses::AllowList;
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::bounds::Bounds;
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::limits::{Budget, Limits};
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::{Day, Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::scope::{ModelPattern, ModelScope};
use keydesk_core::domain::window::{Period, WindowStarts};

use super::use_pattern::{Dice, Use};
use super::words::{FJORD_KEYS, PEOPLE, PERSONAL, Part, WORK};

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;
const USAGE_DAYS: u32 = 90;
const OLDEST_DAYS: u64 = 200;
const CENTS: i64 = 10_000_000;

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
    pub bill: Bill,
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
    let mut dice = Dice::new(0x6e6f_7274_6877_696e);
    let mut drafts = Vec::new();
    for (team, work) in WORK.iter().enumerate() {
        let inside: Vec<usize> = members(team).collect();
        for &(base, variants, kind, note) in *work {
            for variant in variants.split(' ') {
                let rate = match variant {
                    "prod" | "prod-eu" | "main" | "nightly" | "web" => 2.2 + 6.0 * dice.unit(),
                    "staging" | "smoke" | "weekly" => 0.3 + 0.7 * dice.unit(),
                    "dev" | "draft" | "pilot" => 0.1 + 0.4 * dice.unit(),
                    "legacy" | "archive" | "2025" | "spring" => 0.0,
                    _ => 0.5 + 2.4 * dice.unit(),
                };
                let name = if variant == "." { base.to_owned() } else { format!("{base}-{variant}") };
                drafts.push(Draft { name, note, team: Some(team), owner: *dice.pick(&inside), kind, rate });
            }
        }
    }
    for (owner, &(_, mailbox, _, teams)) in PEOPLE.iter().enumerate() {
        for (what, note) in PERSONAL {
            if dice.below(10) < 9 {
                let rate = if dice.below(4) == 0 { 0.0 } else { 0.3 + 1.6 * dice.unit() };
                let team = Some(teams[0]).filter(|_| dice.below(5) > 0);
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
    Planner { dice, now, zone, models, over: 3, near: 5 }.keys(drafts)
}

pub fn fjord(now: Moment, zone: &Zone, models: &[Model]) -> Vec<PlannedKey> {
    let mut dice = Dice::new(0x666a_6f72_6400);
    let drafts = FJORD_KEYS.iter().map(|&(name, note, kind)| Draft {
        name: name.to_owned(),
        note,
        team: None,
        owner: 0,
        kind,
        rate: 1.0 + 2.0 * dice.unit(),
    });
    let drafts = drafts.collect();
    let mut keys = Planner { dice, now, zone, models, over: 0, near: 0 }.keys(drafts);
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

/// What the keys of one organisation are planned with.
struct Planner<'a> {
    dice: Dice,
    now: Moment,
    zone: &'a Zone,
    models: &'a [Model],
    /// How many more keys may pass their budget, or come near it.
    over: u32,
    near: u32,
}

impl Planner<'_> {
    fn keys(mut self, drafts: Vec<Draft>) -> Vec<PlannedKey> {
        drafts.into_iter().map(|draft| self.key(draft)).collect()
    }

    fn key(&mut self, draft: Draft) -> PlannedKey {
        let age = 4 + self.dice.below(OLDEST_DAYS - 4);
        let born = if draft.rate == 0.0 { 110 + age % 90 } else { age };
        let created = self.working_time(born as u32);
        let life = self.now.ms() - created.ms();
        let fate = self.fate(&draft, born);
        let fate_at = self.fate_at(fate, created);
        let until = fate_at.min(self.now);
        let paused = (fate == Fate::Active && born > 30 && self.dice.below(14) == 0).then(|| {
            let off = created.plus_ms(life / 3 + self.dice.between(0, life / 3));
            (off, off.plus_ms(self.dice.between(2 * HOUR, 4 * DAY)))
        });
        let own = self.dice.below(draft.kind.models().len() as u64) as usize;
        let usage = self.usage(&draft, own, (created, until), paused);
        let spec = self.spec(&draft, fate, fate_at, own, &usage);
        let before = (until.ms() - created.ms() > 20 * DAY && self.dice.below(5) == 0).then(|| {
            let mut before = spec.clone();
            match before.budgets.first_mut() {
                Some(budget) => budget.amount = half(budget.amount),
                None => before.limits.rpm = Some(30),
            }
            (before, created.plus_ms(self.dice.between(2 * DAY, 15 * DAY)))
        });
        let (team, owner, actor) = (draft.team, draft.owner, self.actor(draft.team));
        PlannedKey { spec, team, owner, actor, created, fate, fate_at, paused, before, usage }
    }

    fn fate(&mut self, draft: &Draft, born: u64) -> Fate {
        let costly = matches!(draft.kind, Use::Agent | Use::Ci | Use::Nightly);
        let busy = costly && draft.rate > 2.5 && born > 40;
        match self.dice.below(100) {
            _ if busy && self.over > 0 => {
                self.over -= 1;
                Fate::Over
            }
            _ if busy && self.near > 0 => {
                self.near -= 1;
                Fate::Near
            }
            _ if draft.rate == 0.0 => *self.dice.pick(&[Fate::Expired, Fate::Revoked, Fate::Disabled]),
            0..5 if born > 25 => Fate::Revoked,
            5..10 if born > 20 => Fate::Disabled,
            10..16 if born > 35 => Fate::Expired,
            16..22 => Fate::ExpiresSoon,
            _ => Fate::Active,
        }
    }

    fn fate_at(&mut self, fate: Fate, created: Moment) -> Moment {
        let life = self.now.ms() - created.ms();
        match fate {
            // Somewhere in the last three quarters of its life.
            Fate::Disabled | Fate::Revoked | Fate::Expired => {
                created.plus_ms(life / 4 + self.dice.between(0, life * 7 / 10))
            }
            Fate::ExpiresSoon => self.now.plus_ms(self.dice.between(9 * HOUR, 6 * DAY + 20 * HOUR)),
            Fate::Active | Fate::Over | Fate::Near => self.now,
        }
    }

    fn spec(
        &mut self,
        draft: &Draft,
        fate: Fate,
        fate_at: Moment,
        own: usize,
        usage: &[PlannedUse],
    ) -> KeySpec {
        let dice = &mut self.dice;
        let expires_at = match fate {
            Fate::Expired | Fate::ExpiresSoon => Some(fate_at),
            // A quarter never expires; the others have a date that is some way off.
            _ if dice.below(4) == 0 => None,
            _ => Some(self.now.plus_ms(dice.between(12 * DAY, 300 * DAY))),
        };
        KeySpec {
            name: draft.name.clone(),
            note: if dice.below(6) == 0 { String::new() } else { draft.note.to_owned() },
            team: None,
            owner: None,
            models: scope(draft.kind, own, dice),
            addresses: match dice.below(9) {
                0 => AllowList::parse_lines(draft.kind.networks()).unwrap_or_default(),
                _ => AllowList::default(),
            },
            budgets: budgets(fate, usage, WindowStarts::at(self.now, self.zone), dice, self.now),
            limits: limits(dice),
            expires_at,
            // What runs unattended is rotated by reminders.
            rotate_days: draft.name.starts_with("ci").then_some(30),
            rotates_itself: false,
        }
    }

    /// Mostly the team's admin; else an owner or admin of the organisation.
    fn actor(&mut self, team: Option<usize>) -> usize {
        let mut actors = vec![0, 1];
        if let Some(team) = team {
            let administers = |(_, _, part, _): &(&str, &str, Part, &[usize])| *part == Part::TeamAdmin(team);
            actors.extend([PEOPLE.iter().position(administers).unwrap_or(0); 4]);
        }
        *self.dice.pick(&actors)
    }

    /// Between eight and six on a working day, `days` ago or up to two days earlier.
    fn working_time(&mut self, days: u32) -> Moment {
        let mut day = Day::of(self.now, self.zone).back(days);
        while weekday(day, self.zone) > 4 {
            day = day.back(1);
        }
        day.start(self.zone).plus_ms(8 * HOUR + self.dice.between(0, 10 * HOUR))
    }

    /// The requests of one key while it lives, `from` to `until`, and is not paused. `own` is its usual model.
    fn usage(
        &mut self,
        draft: &Draft,
        own: usize,
        (from, until): (Moment, Moment),
        paused: Option<(Moment, Moment)>,
    ) -> Vec<PlannedUse> {
        let mut usage = Vec::new();
        if draft.rate == 0.0 || (draft.rate < 2.5 && self.dice.below(9) == 0) {
            return usage;
        }
        let (kind, names) = (draft.kind, draft.kind.models());
        // Growing by up to a half over the three months, or shrinking a little.
        let growth = self.dice.unit() * 0.65 - 0.15;
        // One key in eight has a few wild days.
        let burst = (self.dice.below(8) == 0).then(|| self.dice.below(u64::from(USAGE_DAYS) - 4) as u32);
        for ago in (0..=USAGE_DAYS).rev() {
            let day = Day::of(self.now, self.zone).back(ago);
            let start = day.start(self.zone);
            let weekend = if weekday(day, self.zone) > 4 { kind.weekend() } else { 1.0 };
            let wild = burst.is_some_and(|at| (at..at + 3).contains(&ago));
            let grown = 1.0 + growth * f64::from(USAGE_DAYS - ago) / f64::from(USAGE_DAYS);
            let mean = draft.rate * weekend * grown * if wild { 4.5 } else { 1.0 };
            let count = (mean * (0.6 + 0.8 * self.dice.unit()) + self.dice.unit()) as u64;
            for _ in 0..count {
                let at = start.plus_ms(self.hour(kind) * HOUR + self.dice.between(0, HOUR));
                let off = paused.is_some_and(|(off, on)| off <= at && at < on);
                // Two thirds go to the key's usual model.
                let model = if self.dice.below(3) > 0 { names[own] } else { names[(own + 1) % names.len()] };
                let planned = request(kind, model, at, &mut self.dice, self.models);
                if from < at && at < until && !off {
                    usage.push(planned);
                }
            }
        }
        usage.sort_by_key(|planned| planned.at);
        usage
    }

    /// An hour of the day, the busy ones more often.
    fn hour(&mut self, kind: Use) -> i64 {
        let hours = kind.hours();
        let mut left = self.dice.below(hours.iter().sum());
        for (hour, weight) in (0..).zip(hours) {
            if left < weight {
                return hour;
            }
            left -= weight;
        }
        12
    }
}

/// Monday is 0. Noon keeps clear of the hours in which clocks change.
fn weekday(day: Day, zone: &Zone) -> i64 {
    (day.start(zone).plus_ms(12 * HOUR).ms().div_euclid(DAY) + 3).rem_euclid(7)
}

fn request(kind: Use, model: &'static str, at: Moment, dice: &mut Dice, models: &[Model]) -> PlannedUse {
    let [(in_low, in_high), (out_low, out_high)] = kind.tokens();
    // Many small requests and a few large ones.
    let skew = dice.unit() * (0.4 + 0.6 * dice.unit());
    let status = if dice.below(70) == 0 { *dice.pick(&[500, 529, 400]) } else { 200 };
    let within = |low: i64, high: i64| low + ((high - low) as f64 * skew) as i64;
    let (input, output) =
        if status == 200 { (within(in_low, in_high), within(out_low, out_high)) } else { (0, 0) };
    let cached = if kind == Use::Embed { 0 } else { input * dice.between(0, 70) / 100 };
    let used = Counts::of_totals(input, cached, output);
    let bill = models
        .iter()
        .find(|known| known.id == model)
        .map_or_else(Bill::nothing, |known| Bill::at_price_of(known, used.into(), false));
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
        bill,
        latency_ms: 180 + output * dice.between(7, 16) + dice.between(0, 900),
        address: kind.address(dice),
        user_agent: match model {
            model if model.starts_with("claude") => "Anthropic/Python 0.74.0",
            model if model.starts_with("gemini") => "google-genai-sdk/1.50.0",
            _ if kind == Use::Ci => "OpenAI/JS 6.9.0",
            _ => "OpenAI/Python 2.8.0",
        },
    }
}

fn scope(kind: Use, own: usize, dice: &mut Dice) -> ModelScope {
    let names = kind.models();
    let pair = format!("{}\n{}", names[own], names[(own + 1) % names.len()]);
    let text = match dice.below(10) {
        0 => return ModelScope::Every,
        1..4 => names.join("\n"),
        4 => format!("{pair}\nclaude-*"),
        5 => format!("{pair}\ngpt-5*\ngemini-2.5-*"),
        _ => pair,
    };
    let patterns: Vec<ModelPattern> = ModelScope::parse_lines(&text).unwrap_or_default();
    ModelScope::Listed(patterns)
}

fn limits(dice: &mut Dice) -> Limits {
    Limits {
        rpm: *dice.pick(&[Some(60), Some(60), Some(120), Some(300), Some(600), None]),
        tpm: *dice.pick(&[Some(100_000), Some(250_000), Some(500_000), Some(2_000_000), None]),
        concurrent: *dice.pick(&[Some(4), Some(8), Some(8), Some(16), None, None]),
    }
}

fn half(amount: Money) -> Money {
    Money::from_nanos((amount.nanos() / 2).max(CENTS * 100))
}

fn spent_since(usage: &[PlannedUse], since: Moment) -> i64 {
    usage.iter().filter(|planned| planned.at >= since).map(|planned| planned.bill.cost.nanos()).sum()
}

fn budgets(
    fate: Fate,
    usage: &[PlannedUse],
    starts: WindowStarts,
    dice: &mut Dice,
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
            let share = dice.between(83, 97);
            return vec![budget(period, (spent / share * 100 / dollars + 1) * dollars)];
        }
        Fate::Active | Fate::ExpiresSoon | Fate::Disabled | Fate::Expired | Fate::Revoked => {}
    }
    // Early in a month its spend says little, so the last thirty days do.
    let early = now.ms() - starts.month.ms() < 8 * DAY;
    let usual = if early { spent_since(usage, now.plus_days(-30)) } else { month };
    let of_month = |dice: &mut Dice| round_up((usual / dice.between(24, 74) * 100).max(2 * dollars));
    match dice.below(12) {
        0 | 1 => vec![],
        2 => vec![budget(Period::Total, round_up((all * 2).max(20 * dollars)))],
        3 => vec![budget(Period::Week, round_up((usual / 2).max(5 * dollars)))],
        4 => {
            let amount = of_month(dice);
            vec![budget(Period::Month, amount), budget(Period::Day, round_up((amount / 6).max(2 * dollars)))]
        }
        _ => vec![budget(Period::Month, of_month(dice))],
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

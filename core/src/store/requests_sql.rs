//! The text of the log of requests: one statement over `usage` and `rejections`, put together from closed sets of fragments.
//! Each part reads no more rows from its index than the page has, as far as one index can say what is wanted.

use super::dialect::Dialect;
use crate::domain::gate::Gate;
use crate::domain::ids::{KeyId, OrgId, PersonId, RequestId, TeamId};
use crate::domain::moment::Moment;
use crate::domain::page::Cursor;
use crate::domain::request_filter::StatusFilter;
use crate::domain::request_log::reasons_of;

/// The columns of an entry, of a settled request.
macro_rules! usage_columns {
    () => {
        "SELECT key_id, team_id, owner_id, started_at, started_at AS first_at, CAST(1 AS BIGINT) AS times, request_id, model_id, route,
            status, error, input_tokens, output_tokens, cached_tokens, cost, estimated, latency_ms, address, '' AS gate, '' AS reason,
            request_id AS place, meters, price_id, is_priced,
            (SELECT c.cost_before FROM usage_corrections c WHERE c.request_id = usage.request_id AND c.number = 1) AS first_cost,
            first_byte_ms, user_agent, COALESCE(provider, '') AS provider, tags"
    };
}

macro_rules! of_usage {
    () => {
        concat!(usage_columns!(), " FROM usage")
    };
}

/// What tells rejections of one moment apart.
macro_rules! rejection_place {
    () => {
        "key_id || ' ' || gate || ' ' || reason || ' ' || model_id"
    };
}

macro_rules! of_rejections {
    () => {
        concat!("SELECT key_id, team_id, owner_id, last_at AS started_at, first_at, times, request_id, model_id, route,
            CAST(0 AS BIGINT) AS status, '' AS error,
            CAST(NULL AS BIGINT) AS input_tokens, CAST(NULL AS BIGINT) AS output_tokens, CAST(NULL AS BIGINT) AS cached_tokens,
            CAST(NULL AS BIGINT) AS cost, CAST(NULL AS BIGINT) AS estimated, CAST(NULL AS BIGINT) AS latency_ms, address, gate, reason,
            ", rejection_place!(), " AS place, '' AS meters, CAST(NULL AS TEXT) AS price_id, CAST(1 AS BIGINT) AS is_priced,
            CAST(NULL AS BIGINT) AS first_cost, CAST(NULL AS BIGINT) AS first_byte_ms, '' AS user_agent, '' AS provider, '' AS tags
        FROM rejections")
    };
}
pub(super) use {of_rejections, of_usage, rejection_place, usage_columns};

/// Whose requests a person sees who does not see all of them: those that were made while the key was theirs, or in one of
/// these teams.
#[derive(Clone, Copy, Debug)]
pub struct SeenBy<'a> {
    /// The person.
    pub person: &'a PersonId,
    /// The teams that they administer.
    pub teams: &'a [TeamId],
}

/// Which requests of an organisation.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFilter<'a> {
    /// Of one of these keys; `None` is all keys.
    pub keys: Option<&'a [KeyId]>,
    /// Of keys that were in this team.
    pub team: Option<&'a TeamId>,
    /// Of keys that this person owned.
    pub owner: Option<&'a PersonId>,
    /// For exactly this model.
    pub model: Option<&'a str>,
    /// What became of them.
    pub status: Option<StatusFilter>,
    /// Rejected by this gate.
    pub gate: Option<Gate>,
    /// From exactly this address.
    pub address: Option<&'a str>,
    /// With this id.
    pub request: Option<&'a RequestId>,
    /// With this tag.
    pub tag: Option<&'a str>,
    /// From this moment on.
    pub since: Option<Moment>,
    /// Up to and with this moment.
    pub until: Option<Moment>,
    /// Only those that used something without a price.
    pub not_priced: bool,
    /// `None` for a person who sees all of them.
    pub seen_by: Option<SeenBy<'a>>,
}

pub(super) enum Bind {
    Text(String),
    Number(i64),
}

/// The parameters of a statement.
struct Binds(Vec<Bind>);

impl Binds {
    fn add(&mut self, value: Bind) -> String {
        self.0.push(value);
        format!("${}", self.0.len())
    }

    fn text(&mut self, text: &str) -> String {
        self.add(Bind::Text(text.replace('\0', "\u{fffd}")))
    }
}

/// A place in the list: a moment, and what tells entries of that moment apart.
pub(super) struct Beyond<'a> {
    pub(super) backwards: bool,
    pub(super) at: Moment,
    pub(super) place: &'a str,
}

impl<'a> Beyond<'a> {
    /// Before the first entry.
    pub(super) const START: Beyond<'static> =
        Beyond { backwards: false, at: Moment::from_ms(i64::MAX), place: "" };

    pub(super) fn cursor(at: &'a Cursor) -> Self {
        Self { backwards: at.backwards(), at: Moment::from_ms(at.seq()), place: at.value() }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Table {
    Usage,
    Rejections,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Usage => "usage",
            Table::Rejections => "rejections",
        }
    }

    fn at(self) -> &'static str {
        match self {
            Table::Usage => "started_at",
            Table::Rejections => "last_at",
        }
    }
}

/// One way through a table: the index, and what it is read for besides the filter. An empty name is the primary key.
struct Way {
    index: &'static str,
    more: String,
}

/// Both what narrows everything and what a statement is read through.
struct Text<'a> {
    dialect: Dialect,
    of: &'a RequestFilter<'a>,
    binds: Binds,
}

impl Text<'_> {
    /// Whether a table has any such request at all.
    fn has_any(&self, table: Table) -> bool {
        let of = self.of;
        match table {
            Table::Usage => of.gate.is_none() && of.status != Some(StatusFilter::Rejected),
            // What reached no provider used nothing, and its tags were not read.
            Table::Rejections => {
                of.tag.is_none()
                    && !of.not_priced
                    && match of.status {
                        Some(StatusFilter::Answered) => false,
                        Some(StatusFilter::Exactly(status)) => !reasons_of(status).is_empty(),
                        Some(StatusFilter::Failed) => of.gate.is_none(),
                        Some(StatusFilter::Rejected) | None => true,
                    }
            }
        }
    }

    /// The conditions of the filter, but for keys and for who sees it.
    fn conditions(&mut self, table: Table) -> String {
        let of = *self.of;
        let mut text = "org_id = $1".to_owned();
        let same = [
            ("team_id", of.team.map(TeamId::as_str)),
            ("owner_id", of.owner.map(PersonId::as_str)),
            ("model_id", of.model),
            ("address", of.address),
            ("request_id", of.request.map(RequestId::as_str)),
        ];
        for (column, value) in same {
            if let Some(value) = value {
                text += &format!(" AND {column} = {}", self.binds.text(value));
            }
        }
        for (moment, side) in [(of.since, ">="), (of.until, "<=")] {
            if let Some(moment) = moment {
                let moment = self.binds.add(Bind::Number(moment.ms()));
                text += &format!(" AND {} {side} {moment}", table.at());
            }
        }
        match (table, of.status) {
            (Table::Usage, Some(StatusFilter::Answered)) => text += " AND status < 400",
            (Table::Usage, Some(StatusFilter::Failed)) => text += " AND status >= 400",
            (Table::Usage, Some(StatusFilter::Exactly(status))) => {
                // In the words of `usage_failed`.
                text += if status >= 400 { " AND status >= 400" } else { "" };
                text += &format!(" AND status = {}", self.binds.add(Bind::Number(status)));
            }
            (Table::Rejections, Some(StatusFilter::Failed)) => text += " AND gate = ''",
            (Table::Rejections, Some(StatusFilter::Rejected)) => text += " AND gate <> ''",
            (Table::Rejections, Some(StatusFilter::Exactly(status))) => {
                let reasons = serde_json::to_string(&reasons_of(status)).unwrap_or_default();
                let reasons = self.binds.text(&reasons);
                text += &format!(" AND {}", self.dialect.any_of("reason", &reasons));
            }
            (Table::Usage, Some(StatusFilter::Rejected))
            | (Table::Rejections, Some(StatusFilter::Answered)) => {}
            (_, None) => {}
        }
        if table == Table::Usage && of.not_priced {
            text += " AND is_priced = 0";
        }
        if let Some(gate) = of.gate.filter(|_| table == Table::Rejections) {
            text += &format!(" AND gate = {}", self.binds.text(gate.as_str()));
        }
        text
    }

    /// What a person sees, of requests that are found by something else.
    fn seen(&mut self) -> String {
        let Some(SeenBy { person, teams }) = self.of.seen_by else { return String::new() };
        let person = self.binds.text(person.as_str());
        if teams.is_empty() {
            return format!(" AND owner_id = {person}");
        }
        let teams: Vec<&str> = teams.iter().map(TeamId::as_str).collect();
        let teams = self.binds.text(&serde_json::to_string(&teams).unwrap_or_default());
        format!(" AND (owner_id = {person} OR {})", self.dialect.any_of("team_id", &teams))
    }

    /// The ways that together find each request once.
    fn ways(&mut self, table: Table) -> Vec<Way> {
        let of = *self.of;
        if of.request.is_some() || of.tag.is_some() && table == Table::Usage {
            let index = if table == Table::Usage { "" } else { "by_request" };
            let keys = of.keys.map(|keys| {
                let keys: Vec<&str> = keys.iter().map(KeyId::as_str).collect();
                let keys = self.binds.text(&serde_json::to_string(&keys).unwrap_or_default());
                format!(" AND {}", self.dialect.any_of("key_id", &keys))
            });
            return vec![Way { index, more: format!("{}{}", keys.unwrap_or_default(), self.seen()) }];
        }
        if let Some(keys) = of.keys {
            let index = match table {
                Table::Usage if of.not_priced => "by_key_not_priced",
                _ => "by_key",
            };
            let seen = self.seen();
            let way = |key: &KeyId| {
                let more = format!(" AND key_id = {}{seen}", self.binds.text(key.as_str()));
                Way { index, more }
            };
            return keys.iter().map(way).collect();
        }
        if let Some(SeenBy { person, teams }) = of.seen_by {
            return self.ways_of(person, teams);
        }
        let failed = match of.status {
            Some(StatusFilter::Failed) => true,
            Some(StatusFilter::Exactly(status)) => table == Table::Usage && status >= 400,
            Some(StatusFilter::Answered | StatusFilter::Rejected) | None => false,
        };
        let index = match table {
            Table::Usage if of.not_priced => "not_priced",
            Table::Usage if failed => "failed",
            Table::Rejections if of.gate.is_some() || failed => "by_gate",
            _ if of.address.is_some() => "by_address",
            _ if of.owner.is_some() => "by_owner",
            _ if of.team.is_some() => "by_team",
            _ if of.model.is_some() => "by_model",
            _ => "by_org",
        };
        vec![Way { index, more: String::new() }]
    }

    /// A person's own, and those of each team of theirs that are not.
    fn ways_of(&mut self, person: &PersonId, teams: &[TeamId]) -> Vec<Way> {
        let of = *self.of;
        let me = self.binds.text(person.as_str());
        let own = Way { index: "by_owner", more: format!(" AND owner_id = {me}") };
        let is_mine = of.owner.map(|owner| owner == person);
        let wanted = |team: &&TeamId| is_mine != Some(true) && of.team.is_none_or(|only| only == *team);
        let mut ways: Vec<Way> = if is_mine == Some(false) { vec![] } else { vec![own] };
        for team in teams.iter().filter(wanted) {
            let team = self.binds.text(team.as_str());
            ways.push(Way { index: "by_team", more: format!(" AND team_id = {team} AND owner_id <> {me}") });
        }
        ways
    }
}

/// The statement and its parameters; `None` when nothing can be found.
pub(super) fn text(
    dialect: Dialect,
    org: &OrgId,
    of: &RequestFilter<'_>,
    beyond: &Beyond<'_>,
    max: usize,
) -> Option<(String, Vec<Bind>)> {
    let binds = Binds(vec![
        Bind::Text(org.to_string()),
        Bind::Number(beyond.at.ms()),
        Bind::Text(beyond.place.to_owned()),
        Bind::Number(i64::try_from(max).unwrap_or(i64::MAX)),
    ]);
    let mut text = Text { dialect, of, binds };
    let (side, way) = if beyond.backwards { (">", "ASC") } else { ("<", "DESC") };
    let mut parts = Vec::new();
    for table in [Table::Usage, Table::Rejections] {
        if !text.has_any(table) {
            continue;
        }
        let conditions = text.conditions(table);
        let tag = of.tag.map(|tag| text.binds.text(tag));
        for Way { index, more } in text.ways(table) {
            let through = match index {
                "" => String::new(),
                index => dialect.through(&format!("{}_{index}", table.name())),
            };
            let (from, at, place) = match (table, &tag) {
                (Table::Usage, Some(tag)) => (
                    format!(
                        concat!(
                            usage_columns!(),
                            " FROM (SELECT request_id AS tagged, at AS tagged_at FROM usage_tags WHERE org_id = $1 AND tag = {}) t
                            CROSS JOIN usage WHERE usage.request_id = t.tagged AND "
                        ),
                        tag
                    ),
                    "t.tagged_at",
                    "t.tagged",
                ),
                (Table::Usage, None) => (format!("{}{through} WHERE ", of_usage!()), table.at(), "request_id"),
                (Table::Rejections, _) => {
                    (format!("{}{through} WHERE ", of_rejections!()), table.at(), rejection_place!())
                }
            };
            parts.push(format!(
                "SELECT * FROM ({from}{conditions}{more} AND {at} {side}= $2 AND ({at} {side} $2 OR {place} {side} $3)
                ORDER BY {at} {way}, {place} {way} LIMIT $4) AS part_{}",
                parts.len()
            ));
        }
    }
    if parts.is_empty() {
        return None;
    }
    let sql = format!(
        "SELECT * FROM ({}) AS requests ORDER BY started_at {way}, place {way} LIMIT $4",
        parts.join(" UNION ALL ")
    );
    Some((sql, text.binds.0))
}

/// The texts that are put together, for the test that prepares them: every two filters, for everyone and for a person.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let (org, keys) = (OrgId::new(Moment::from_ms(0), [0; 10]), [KeyId::new(Moment::from_ms(0), [0; 10])]);
    let (person, teams) =
        (PersonId::new(Moment::from_ms(0), [0; 10]), [TeamId::new(Moment::from_ms(0), [0; 10])]);
    let request = RequestId::new(Moment::from_ms(0), [0; 10]);
    let all = RequestFilter::default();
    let single = [
        RequestFilter { keys: Some(&keys), ..all },
        RequestFilter { team: teams.first(), ..all },
        RequestFilter { owner: Some(&person), ..all },
        RequestFilter { model: Some("m"), ..all },
        RequestFilter { status: Some(StatusFilter::Failed), ..all },
        RequestFilter { status: Some(StatusFilter::Exactly(403)), ..all },
        RequestFilter { status: Some(StatusFilter::Rejected), ..all },
        RequestFilter { gate: Some(Gate::Budget), ..all },
        RequestFilter { address: Some("a"), ..all },
        RequestFilter { request: Some(&request), ..all },
        RequestFilter { tag: Some("t"), ..all },
        RequestFilter { not_priced: true, since: Some(Moment::from_ms(0)), ..all },
        all,
    ];
    let mut texts = Vec::new();
    for seen_by in [None, Some(SeenBy { person: &person, teams: &teams })] {
        for (first, one) in single.iter().enumerate() {
            for (second, two) in single.iter().enumerate().skip(first) {
                let of = RequestFilter {
                    keys: one.keys.or(two.keys),
                    team: one.team.or(two.team),
                    owner: one.owner.or(two.owner),
                    model: one.model.or(two.model),
                    status: one.status.or(two.status),
                    gate: one.gate.or(two.gate),
                    address: one.address.or(two.address),
                    request: one.request.or(two.request),
                    tag: one.tag.or(two.tag),
                    since: one.since.or(two.since),
                    until: one.until.or(two.until),
                    not_priced: one.not_priced || two.not_priced,
                    seen_by,
                };
                let beyond = Beyond { backwards: (first + second) % 2 == 1, ..Beyond::START };
                texts.extend(text(dialect, &org, &of, &beyond, 1).map(|(sql, _)| sql));
            }
        }
    }
    texts
}

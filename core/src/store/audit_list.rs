//! The audit as people read it: newest first, narrowed, page by page. One statement, put together from closed sets of
//! fragments, never from typed text. Which index leads is decided by what narrows most: see `Text::whole`.

use sqlx::AssertSqlSafe;

use super::audit::{EVENT_COLUMNS, EventRow};
use super::dialect::Dialect;
use super::keys::is_live;
use super::permit::compare;
use super::{StoreError, Via, run, statements};
use crate::domain::audit::{EventKind, PastEvent};
use crate::domain::ids::{KeyId, OrgId, TeamId};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::person::fold;
use crate::domain::policy::{Action, Chain, OperatorPermit, Permit};

/// Keys of one name that are told apart; there is one live one in each team, and any number of revoked ones.
const MAX_NAMESAKES: i64 = 20;
const MAX_PEOPLE: i64 = 500;

statements! {
    /// Two halves, because the index of live keys does not have the others.
    KEYS_NAMED = concat!("SELECT id, name FROM keys k WHERE k.org_id = $1 AND k.name_folded = $2 AND ", is_live!(),
        " UNION ALL SELECT id, name FROM keys WHERE org_id = $1 AND name_folded = $2
        AND status IN ('expired', 'revoked') LIMIT $3");
    KEY_NAME = "SELECT id, name FROM keys WHERE org_id = $1 AND id = $2";
    /// Also those who left: they did things.
    PEOPLE = "SELECT p.id, p.name, p.email FROM memberships m JOIN people p ON p.id = m.person_id
        WHERE m.org_id = $1 ORDER BY p.name, p.email LIMIT $2";
}

/// What to look for, resolved: ids and moments in place of names and days.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A person's id, or `system`.
    pub actor: Option<String>,
    /// Any of these keys.
    pub keys: Option<Vec<KeyId>>,
    /// This team, or a key that is in it now.
    pub team: Option<TeamId>,
    /// Empty for all.
    pub kinds: Vec<EventKind>,
    /// The first moment.
    pub from: Option<Moment>,
    /// The first moment after it.
    pub until: Option<Moment>,
}

/// Which side of an event to look at: the older one, or backwards the newer one.
#[derive(Clone, Copy)]
struct Beyond {
    backwards: bool,
    seq: i64,
}

impl From<&Cursor> for Beyond {
    fn from(at: &Cursor) -> Self {
        Self { backwards: at.backwards(), seq: at.seq() }
    }
}

fn way(beyond: Option<Beyond>) -> &'static str {
    if beyond.is_some_and(|beyond| beyond.backwards) { "ASC" } else { "DESC" }
}

enum Bind {
    Text(String),
    Number(i64),
}

/// A statement under construction: each value gets the next number.
struct Text {
    dialect: Dialect,
    conditions: String,
    /// The parameters of several keys, any of which an event may be about.
    each: Vec<String>,
    binds: Vec<Bind>,
}

impl Text {
    fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    fn text(&mut self, value: &str) -> String {
        self.bind(Bind::Text(value.to_owned()))
    }

    fn and(&mut self, condition: &str) {
        self.conditions += " AND ";
        self.conditions += condition;
    }

    fn new(dialect: Dialect, chain: &str, wanted: &Wanted, beyond: Option<Beyond>) -> Self {
        let mut text = Self { dialect, conditions: String::new(), each: vec![], binds: vec![] };
        // An organisation's chain has the organisation's id.
        let org = text.text(chain);
        text.conditions = format!("e.chain_id = {org}");
        if let Some(actor) = &wanted.actor {
            let actor = text.text(actor);
            text.and(&format!("e.actor_id = {actor}"));
        }
        match wanted.keys.as_deref() {
            None => {}
            Some([key]) => {
                let key = text.text(key.as_str());
                text.and(&format!("e.subject_id = {key}"));
            }
            // Each its own stretch of an index: see `whole`.
            Some(keys) => text.each = keys.iter().map(|key| text.text(key.as_str())).collect(),
        }
        if let Some(team) = &wanted.team {
            let team = text.text(team.as_str());
            let few = format!(
                "SELECT CAST({team} AS TEXT) AS id UNION ALL SELECT k.id FROM keys k WHERE k.org_id = {org} AND k.team_id = {team}"
            );
            let about = dialect.events_about(&few, &org);
            text.and(&about);
        }
        // Numbers and times go the same way, but for clocks that disagree a little. Numbers a day further out bound the
        // walk through the primary key; the times themselves decide.
        if let Some(from) = wanted.from {
            let at = text.bind(Bind::Number(from.ms()));
            let early = text.bind(Bind::Number(from.plus_days(-1).ms()));
            text.and(&format!(
                "e.at >= {at} AND e.seq >= COALESCE((SELECT t.seq FROM audit_events t WHERE t.chain_id = {org}
                AND t.at < {early} ORDER BY t.at DESC, t.seq DESC LIMIT 1), 0)"
            ));
        }
        if let Some(until) = wanted.until {
            let at = text.bind(Bind::Number(until.ms()));
            let late = text.bind(Bind::Number(until.plus_days(1).ms()));
            text.and(&format!(
                "e.at < {at} AND e.seq <= COALESCE((SELECT t.seq FROM audit_events t WHERE t.chain_id = {org}
                AND t.at >= {late} ORDER BY t.at, t.seq LIMIT 1), 9007199254740991)"
            ));
        }
        if let Some(Beyond { backwards, seq }) = beyond {
            let seq = text.bind(Bind::Number(seq));
            text.and(&format!("e.seq {} {seq}", if backwards { ">" } else { "<" }));
        }
        text
    }

    /// Each key and each kind has its own stretch of an index: of several, the newest of each are gathered first, so that
    /// a rare one does not cost a walk through all the others.
    fn whole(&self, kinds: &[EventKind], way: &str, max: usize) -> String {
        let literal = |kind: &EventKind| format!("'{}'", kind.as_str());
        let all_kinds: Vec<String> = kinds.iter().map(literal).collect();
        let of_kinds = match all_kinds.as_slice() {
            [] => String::new(),
            [kind] => format!(" AND e.kind = {kind}"),
            kinds => format!(" AND e.kind IN ({})", kinds.join(", ")),
        };
        let stretches: Vec<String> = match (self.each.as_slice(), all_kinds.as_slice()) {
            ([], [] | [_]) => vec![],
            ([], kinds) => kinds.iter().map(|kind| format!(" AND e.kind = {kind}")).collect(),
            (keys, _) => keys.iter().map(|key| format!(" AND e.subject_id = {key}{of_kinds}")).collect(),
        };
        let conditions = &self.conditions;
        let narrowed = if stretches.is_empty() {
            format!("{conditions}{of_kinds}")
        } else {
            let newest: Vec<String> = stretches
                .iter()
                .map(|stretch| {
                    format!(
                        "SELECT seq FROM (SELECT e.seq FROM audit_events e WHERE {conditions}{stretch}
                        ORDER BY e.seq {way} LIMIT {max}) stretch"
                    )
                })
                .collect();
            format!("e.chain_id = $1 AND {}", self.dialect.among("e.seq", &newest.join(" UNION ALL ")))
        };
        format!(
            "SELECT {EVENT_COLUMNS} FROM audit_events e WHERE {narrowed} ORDER BY e.seq {way} LIMIT {max}"
        )
    }
}

async fn rows(
    via: &mut impl Via,
    chain: &str,
    wanted: &Wanted,
    beyond: Option<Beyond>,
    max: usize,
) -> Result<Vec<PastEvent>, StoreError> {
    let text = Text::new(Dialect::of(via), chain, wanted, beyond);
    let whole = text.whole(&wanted.kinds, way(beyond), max);
    let rows: Vec<EventRow> = run!(via, fetch_all, {
        let mut query = sqlx::query_as::<_, EventRow>(AssertSqlSafe(whole.clone()));
        for bind in &text.binds {
            query = match bind {
                Bind::Text(value) => query.bind(value),
                Bind::Number(value) => query.bind(value),
            };
        }
        query
    })?;
    rows.into_iter().map(PastEvent::try_from).collect()
}

/// One page, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    via: &mut impl Via,
    permit: &Permit,
    wanted: &Wanted,
    at: Option<&Cursor>,
) -> Result<Page<PastEvent>, StoreError> {
    compare(permit, &[Action::SeeAudit], None)?;
    let events = rows(via, permit.org().as_str(), wanted, at.map(Beyond::from), PAGE_ROWS + 1).await?;
    Ok(Page::read(events, at, |event| (String::new(), event.seq.to_string())))
}

/// One page of the installation's own chain, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_installation(
    via: &mut impl Via,
    permit: &OperatorPermit,
    at: Option<&Cursor>,
) -> Result<Page<PastEvent>, StoreError> {
    compare(permit, &[Action::SeeInstallationAudit], None)?;
    let chain = Chain::Installation;
    let events = rows(via, chain.id(), &Wanted::default(), at.map(Beyond::from), PAGE_ROWS + 1).await?;
    Ok(Page::read(events, at, |event| (String::new(), event.seq.to_string())))
}

/// The next events of an export, newest first, at most `max` of those numbered below `below`.
///
/// # Errors
/// When the database does not answer.
pub async fn chunk(
    via: &mut impl Via,
    permit: &Permit,
    wanted: &Wanted,
    below: i64,
    max: usize,
) -> Result<Vec<PastEvent>, StoreError> {
    compare(permit, &[Action::ExportAudit], None)?;
    rows(via, permit.org().as_str(), wanted, Some(Beyond { backwards: false, seq: below }), max).await
}

/// Id and name of each key that has this name, or had it last; or of the key with this id.
///
/// # Errors
/// When the database does not answer.
pub async fn keys_called(
    via: &mut impl Via,
    org: &OrgId,
    text: &str,
) -> Result<Vec<(KeyId, String)>, StoreError> {
    let found: Vec<(String, String)> = if KeyId::parse(text).is_some() {
        run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(KEY_NAME).bind(org.as_str()).bind(text))?
    } else {
        let name = fold(text).replace('\0', "\u{fffd}");
        run!(
            via,
            fetch_all,
            sqlx::query_as::<_, (String, String)>(KEYS_NAMED)
                .bind(org.as_str())
                .bind(&name)
                .bind(MAX_NAMESAKES)
        )?
    };
    found
        .into_iter()
        .map(|(id, name)| Ok((KeyId::parse(&id).ok_or(StoreError::Unreadable { column: "keys.id" })?, name)))
        .collect()
}

/// Id, name and email address of each person who is or was in the organisation, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn people(via: &mut impl Via, org: &OrgId) -> Result<Vec<(String, String, String)>, StoreError> {
    run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, String)>(PEOPLE).bind(org.as_str()).bind(MAX_PEOPLE)
    )
}

fn there_text(dialect: Dialect) -> String {
    let among = dialect.json_list("$2");
    format!(
        "SELECT id FROM keys WHERE org_id = $1 AND id IN {among}
        UNION ALL SELECT id FROM teams WHERE org_id = $1 AND id IN {among}
        UNION ALL SELECT person_id FROM memberships WHERE org_id = $1 AND removed_at IS NULL AND person_id IN {among}"
    )
}

/// Which of these keys, teams and people the organisation has.
///
/// # Errors
/// When the database does not answer.
pub async fn still_there(via: &mut impl Via, org: &OrgId, ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let text = there_text(Dialect::of(via));
    let list = serde_json::to_string(ids).unwrap_or_default();
    run!(
        via,
        fetch_all,
        sqlx::query_scalar::<_, String>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&list)
    )
}

/// A list's statement with its values, for the test that asks for its plan: text, and each value as a literal.
pub fn example(dialect: Dialect, org: &OrgId, wanted: &Wanted, at: Option<&Cursor>) -> String {
    let beyond = at.map(Beyond::from);
    let text = Text::new(dialect, org.as_str(), wanted, beyond);
    let mut whole = text.whole(&wanted.kinds, way(beyond), PAGE_ROWS + 1);
    for (at, bind) in text.binds.iter().enumerate().rev() {
        let literal = match bind {
            Bind::Text(value) => format!("'{value}'"),
            Bind::Number(value) => value.to_string(),
        };
        whole = whole.replace(&format!("${}", at + 1), &literal);
    }
    whole
}

/// Every text that differs between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let moment = Some(Moment::from_ms(0));
    let org = OrgId::new(Moment::from_ms(0), [0; 10]);
    let key = |n| KeyId::new(Moment::from_ms(0), [n; 10]);
    let team = Some(TeamId::new(Moment::from_ms(0), [0; 10]));
    let all = Wanted { actor: Some("per".into()), team, from: moment, until: moment, ..Wanted::default() };
    let mut texts = vec![there_text(dialect)];
    for keys in [None, Some(vec![key(1)]), Some(vec![key(1), key(2)])] {
        for kinds in [&EventKind::ALL[..0], &EventKind::ALL[..1], EventKind::ALL] {
            for backwards in [true, false] {
                let wanted = Wanted { keys: keys.clone(), kinds: kinds.to_vec(), ..all.clone() };
                let beyond = Some(Beyond { backwards, seq: 9 });
                texts.push(Text::new(dialect, org.as_str(), &wanted, beyond).whole(kinds, way(beyond), 51));
            }
        }
    }
    texts
}

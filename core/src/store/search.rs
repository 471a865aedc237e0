//! Keys by the words of a search: one text per key in `key_search`, with trigrams, for names, notes and model patterns;
//! people and teams by their own rows. Texts are put together from closed fragments; all that was typed is bound.
//!
//! A key matches when each word is in its text or names its owner or its team. So it is found through the index of texts,
//! where every word is in its text, or else through the keys of the people and teams that one of the words names.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, MAX_SEARCH, like_contains};
use super::{Db, StoreError, Tx, Unaudited, Via, changed, run, statements};
use crate::domain::ids::KeyId;
use crate::domain::key::KeySpec;
use crate::domain::key_filter::StateFilter;
use crate::domain::key_format::{any_case, valid_last_four};
use crate::domain::moment::Moment;
use crate::domain::scope::ModelScope;
use crate::domain::search::{codes, folded, is_indexed, search_text, words};

/// People and teams that one word may name, each; words with more are compared row by row.
const MAX_NAMED: usize = 1_000;
/// Keys of the people and teams that a word names, or of the whole list, which are read one by one in place of the index.
const FEW_KEYS: i64 = 5_000;

statements! {
    WRITE = "INSERT INTO key_search (seq, org_id, text) SELECT seq, org_id, CAST($2 AS TEXT) FROM keys WHERE id = $1
        ON CONFLICT (seq) DO UPDATE SET text = excluded.text WHERE key_search.text <> excluded.text";
    MISSING = "SELECT s.seq, k.name, k.note FROM key_search s JOIN keys k ON k.seq = s.seq WHERE s.text = ''
        ORDER BY s.seq LIMIT 500";
    PATTERNS = "SELECT pattern FROM scopes JOIN keys k ON k.id = holder_id WHERE k.seq = $1 AND holder_kind = 'key'";
    FILL = "UPDATE key_search SET text = $2 WHERE seq = $1";
    NAMED = "SELECT 'person', p.id FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.org_id = $1
            AND (p.name_folded LIKE $2 ESCAPE '\\' OR p.email LIKE $2 ESCAPE '\\')
        UNION ALL SELECT 'team', t.id FROM teams t WHERE t.org_id = $1 AND t.name_folded LIKE $2 ESCAPE '\\' LIMIT $3";
    NAMED_ANYWHERE = "SELECT 'person', p.id FROM people p
            WHERE p.name_folded LIKE $1 ESCAPE '\\' OR p.email LIKE $1 ESCAPE '\\'
        UNION ALL SELECT 'team', t.id FROM teams t WHERE t.name_folded LIKE $1 ESCAPE '\\' LIMIT $2";
}

/// Writes what a key is found by, with the key itself.
pub(super) async fn write(tx: &mut Tx, id: &KeyId, spec: &KeySpec) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(WRITE).bind(id.as_str()).bind(text_of(spec)))?;
    Ok(())
}

/// What a key is found by.
pub(super) fn text_of(spec: &KeySpec) -> String {
    let patterns = match &spec.models {
        ModelScope::Every => vec![],
        ModelScope::Listed(patterns) => patterns.iter().map(|pattern| pattern.as_str()).collect(),
    };
    search_text(&spec.name, &spec.note, patterns)
}

/// Makes the texts that a migration left empty, as no database folds like the program.
pub(super) async fn fill(db: &Db) -> Result<(), StoreError> {
    loop {
        let mut tx = db.write().await?;
        let rows: Vec<(i64, String, String)> =
            run!(&mut tx, fetch_all, sqlx::query_as::<_, (i64, String, String)>(MISSING))?;
        if rows.is_empty() {
            return Ok(());
        }
        for (seq, name, note) in &rows {
            let patterns: Vec<String> =
                run!(&mut tx, fetch_all, sqlx::query_scalar::<_, String>(PATTERNS).bind(seq))?;
            let text = search_text(name, note, patterns.iter().map(String::as_str));
            changed!(&mut tx, sqlx::query(FILL).bind(seq).bind(&text))?;
        }
        tx.save_unaudited(Unaudited::SearchText).await?;
    }
}

/// Whose keys are searched.
#[derive(Clone, Debug, Default)]
pub(super) struct Within {
    /// `None` is every organisation, for support.
    pub(super) org: Option<String>,
    /// Only keys that this person owns or administers.
    pub(super) person: Option<String>,
    /// Only keys of this team.
    pub(super) team: Option<String>,
    /// Only keys with a secret made then or before.
    pub(super) made_before: Option<Moment>,
    /// Only keys in this state, at this moment.
    pub(super) state: Option<(StateFilter, Moment)>,
    /// For keys that are due for rotation: those without a period of their own are, when their secret was made then or before.
    pub(super) due: Option<i64>,
}

/// The newest keys that match.
#[derive(Clone)]
pub(super) struct Hits {
    /// Their numbers, newest first.
    pub(super) seqs: Vec<i64>,
    /// Whether there are no others.
    pub(super) all: bool,
}

/// A word of a search.
#[derive(Clone, Debug, Default, PartialEq)]
struct Word {
    text: String,
    people: Vec<String>,
    teams: Vec<String>,
    /// It names more people or teams than are listed.
    more: bool,
    /// Its people and teams have too many keys to read them one by one.
    many_keys: bool,
}

impl Word {
    fn names_any(&self) -> bool {
        self.more || !self.people.is_empty() || !self.teams.is_empty()
    }

    /// Whether all keys that match it are found by their text or by the keys of those it names.
    fn in_index(&self) -> bool {
        is_indexed(&self.text) && !self.more && !self.many_keys
    }
}

/// Where a statement begins.
#[derive(Clone, Copy, PartialEq)]
enum Side<'a> {
    /// At the index of texts.
    Index,
    /// At the newest key.
    Newest,
    /// At the keys that the search is narrowed to, or of the organisation.
    Few,
    /// At the keys of the people and teams that a word names.
    Named(&'a Word),
    /// At keys with one of these last four characters: a JSON list.
    LastFour(&'a str),
    /// At keys of the organisation with exactly this name.
    Name(&'a str),
}

/// A statement and what is bound, in order.
struct Sql {
    dialect: Dialect,
    text: String,
    binds: Vec<String>,
}

macro_rules! bound {
    ($query:expr, $sql:expr) => {{
        let mut query = $query;
        for value in &$sql.binds {
            query = query.bind(value);
        }
        query
    }};
}

impl Sql {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), binds: vec![] }
    }

    fn bind(&mut self, value: impl Into<String>) -> String {
        self.binds.push(value.into());
        format!("${}", self.binds.len())
    }

    /// Whether `column` is one of these ids. Postgres counts with a list that it can read while it plans.
    fn one_of(&mut self, column: &str, ids: &[String]) -> String {
        match self.dialect {
            Dialect::Sqlite => {
                let list = self.bind(serde_json::to_string(ids).unwrap_or_default());
                format!("{column} IN (SELECT value FROM json_each({list}))")
            }
            Dialect::Postgres => {
                let list = self.bind(ids.join(","));
                format!("{column} = ANY (string_to_array({list}, ','))")
            }
        }
    }

    fn contains(&mut self, word: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("instr(s.text, {}) > 0", self.bind(word)),
            Dialect::Postgres => {
                let mut text = format!("s.text LIKE {} ESCAPE '\\'", self.bind(like_contains(word)));
                let codes = codes(word);
                if !codes.is_empty() {
                    // In order, as they stand in the text. Postgres makes trigrams of letters in ASCII in every locale.
                    text += &format!(" AND s.text LIKE {}", self.bind(format!("% {} %", codes.join(" %"))));
                }
                text
            }
        }
    }

    fn named(&mut self, word: &Word) -> String {
        if word.more {
            let like = self.bind(like_contains(&word.text));
            return format!(
                "EXISTS (SELECT 1 FROM people p WHERE p.id = k.owner_id
                    AND (p.name_folded LIKE {like} ESCAPE '\\' OR p.email LIKE {like} ESCAPE '\\'))
                OR EXISTS (SELECT 1 FROM teams t WHERE t.id = k.team_id AND t.name_folded LIKE {like} ESCAPE '\\')"
            );
        }
        let people = self.one_of("k.owner_id", &word.people);
        let teams = self.one_of("k.team_id", &word.teams);
        format!("{people} OR {teams}")
    }

    fn matches(&mut self, word: &Word) -> String {
        let contains = self.contains(&word.text);
        if !word.names_any() {
            return format!("({contains})");
        }
        let named = self.named(word);
        format!("({contains} OR {named})")
    }

    /// The keys of those whom a word names.
    fn keys_of(&mut self, word: &Word) -> String {
        let people = self.one_of("k.owner_id", &word.people);
        let teams = self.one_of("t.id", &word.teams);
        format!(
            "SELECT k.seq FROM keys k WHERE {people}
            UNION ALL SELECT k.seq FROM teams t JOIN keys k ON k.org_id = t.org_id AND k.team_id = t.id WHERE {teams}"
        )
    }

    /// The keys that the search is narrowed to by a person or a team.
    fn narrowed(&mut self, within: &Within) -> Option<String> {
        let org = within.org.clone().unwrap_or_default();
        if let Some(person) = &within.person {
            let (org, person) = (self.bind(org), self.bind(person));
            return Some(seen_by(&org, &person));
        }
        let team = within.team.as_ref()?;
        let (org, team) = (self.bind(org), self.bind(team));
        Some(format!("SELECT k.seq FROM keys k WHERE k.org_id = {org} AND k.team_id = {team}"))
    }

    /// The conditions that are not about words.
    fn conditions(&mut self, within: &Within, few: bool) -> String {
        let mut text = String::new();
        if let Some(org) = &within.org {
            let org = self.bind(org);
            text += &format!(" AND s.org_id = {org}");
        }
        if few {
            if let Some(narrowed) = self.narrowed(within) {
                text += &format!(" AND {}", self.dialect.among("s.seq", &narrowed));
            }
        } else if let Some(person) = &within.person {
            let person = self.bind(person);
            text += &format!(
                " AND (k.owner_id = {person} OR k.team_id IN (SELECT m.team_id FROM team_members m
                JOIN teams t ON t.id = m.team_id AND t.archived_at IS NULL
                WHERE m.person_id = {person} AND m.role = 'admin'))"
            );
        }
        if let Some(team) = &within.team {
            let team = self.bind(team);
            text += &format!(" AND k.team_id = {team}");
        }
        if let Some(before) = within.made_before {
            let before = self.bind(before.ms().to_string());
            text += &format!(" AND k.secret_created_at <= CAST({before} AS BIGINT)");
        }
        if let Some((state, now)) = &within.state {
            text += &match state {
                StateFilter::RotationDue => {
                    let now = self.bind(now.ms().to_string());
                    // No secret was made before 1970.
                    let due = self.bind(within.due.unwrap_or(-1).to_string());
                    format!(
                        " AND k.status IN ('active', 'disabled') AND (k.secret_created_at <= CASE WHEN k.rotate_days IS NULL
                        THEN CAST({due} AS BIGINT) ELSE CAST({now} AS BIGINT) - k.rotate_days * CAST(86400000 AS BIGINT) END)"
                    )
                }
                StateFilter::Live => " AND k.status IN ('active', 'disabled')".to_owned(),
                StateFilter::Only(status) => format!(" AND k.status = '{}'", status.as_str()),
                StateFilter::Expiring => {
                    let (now, week) =
                        (self.bind(now.ms().to_string()), self.bind(now.plus_days(7).ms().to_string()));
                    format!(
                        " AND k.status = 'active' AND k.expires_at > CAST({now} AS BIGINT)
                        AND k.expires_at < CAST({week} AS BIGINT)"
                    )
                }
            };
        }
        text
    }
}

/// The keys that a person owns or administers, as two lists: an OR would make the databases look at every key.
pub(super) fn seen_by(org: &str, person: &str) -> String {
    format!(
        "SELECT k.seq FROM keys k WHERE k.owner_id = {person}
        UNION ALL SELECT k.seq FROM team_members m
        JOIN teams t ON t.id = m.team_id AND t.archived_at IS NULL
        JOIN keys k ON k.org_id = {org} AND k.team_id = m.team_id
        WHERE m.person_id = {person} AND m.role = 'admin'"
    )
}

/// The newest keys that match, found from one side.
fn hits_text(dialect: Dialect, within: &Within, words: &[Word], from: Side<'_>) -> Sql {
    let mut sql = Sql::new(dialect);
    let mut text = "SELECT k.seq FROM ".to_owned();
    let beside = "key_search s CROSS JOIN keys k WHERE k.seq = s.seq";
    text += match (dialect, from) {
        (Dialect::Sqlite, Side::Index) => {
            "key_search_index n CROSS JOIN key_search s CROSS JOIN keys k WHERE s.seq = n.rowid AND k.seq = s.seq"
        }
        _ => beside,
    };
    match from {
        Side::Index if dialect == Dialect::Sqlite => {
            let phrase = index_phrase(words);
            text += &format!(" AND n.key_search_index MATCH {}", sql.bind(phrase));
        }
        Side::Index | Side::Newest | Side::Few => {}
        Side::Named(word) => {
            let keys = sql.keys_of(word);
            text += &format!(" AND {}", dialect.among("s.seq", &keys));
        }
        Side::LastFour(list) => {
            let org = within.org.as_ref().map(|org| format!("x.org_id = {} AND ", sql.bind(org)));
            let some_case = dialect.any_of("x.last_four", &sql.bind(list));
            let keys = format!(
                "SELECT f.seq FROM key_secrets x JOIN keys f ON f.id = x.key_id WHERE {}{some_case}",
                org.unwrap_or_default()
            );
            text += &format!(" AND {}", dialect.among("s.seq", &keys));
        }
        Side::Name(name) => {
            let org = sql.bind(within.org.clone().unwrap_or_default());
            // Every status, as the index of names has it in between.
            let keys = format!(
                "SELECT f.seq FROM keys f WHERE f.org_id = {org} AND f.status IN ('active', 'disabled', 'expired', 'revoked')
                AND f.name_folded = {}",
                sql.bind(name)
            );
            text += &format!(" AND {}", dialect.among("s.seq", &keys));
        }
    }
    let few = from == Side::Few || dialect == Dialect::Postgres;
    text += &sql.conditions(within, few);
    for word in words {
        text += &match from {
            Side::LastFour(_) | Side::Name(_) => continue,
            Side::Index if word.in_index() => format!(" AND {}", sql.contains(&word.text)),
            _ => format!(" AND {}", sql.matches(word)),
        };
    }
    // In the index's own order where there is one; SQLite would sort by another.
    let order = if from == Side::Index && dialect == Dialect::Sqlite { "n.rowid" } else { "s.seq" };
    sql.text = format!("{text} ORDER BY {order} DESC LIMIT {}", MAX_SEARCH + 1);
    sql
}

/// What the index of texts is asked for: pieces of three characters without overlap, as one in the middle says nothing
/// more and costs as much.
fn index_phrase(words: &[Word]) -> String {
    let mut pieces: Vec<String> = Vec::new();
    for word in words.iter().filter(|word| word.in_index()) {
        let codes = codes(&word.text).into_iter().map(|code| format!(" {code} "));
        for part in [word.text.clone()].into_iter().chain(codes) {
            let chars: Vec<char> = part.chars().collect();
            let starts = (0..chars.len() / 3).map(|at| at * 3);
            let last = chars.len().checked_sub(3).filter(|last| last % 3 != 0);
            for at in starts.chain(last) {
                let piece: String = chars[at..at + 3].iter().collect();
                let quoted = format!("\"{}\"", piece.replace('"', "\"\""));
                if !pieces.contains(&quoted) {
                    pieces.push(quoted);
                }
            }
        }
    }
    pieces.join(" AND ")
}

/// Whether there are at most this many of the keys.
async fn is_few(via: &mut impl Via, mut sql: Sql, keys: &str) -> Result<bool, StoreError> {
    sql.text = format!("SELECT COUNT(*) FROM (SELECT 1 FROM ({keys}) those LIMIT {}) counted", FEW_KEYS + 1);
    let count =
        run!(via, fetch_one, bound!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.text.clone())), sql))?;
    Ok(count <= FEW_KEYS)
}

async fn read_word(via: &mut impl Via, within: &Within, text: String) -> Result<Word, StoreError> {
    type Row = (String, String);
    let (like, limit) = (like_contains(&text), MAX_NAMED as i64 + 1);
    let rows: Vec<Row> = match &within.org {
        Some(org) => run!(via, fetch_all, sqlx::query_as::<_, Row>(NAMED).bind(org).bind(&like).bind(limit))?,
        None => run!(via, fetch_all, sqlx::query_as::<_, Row>(NAMED_ANYWHERE).bind(&like).bind(limit))?,
    };
    let mut word = Word { text, more: rows.len() > MAX_NAMED, ..Word::default() };
    for (kind, id) in rows {
        if kind == "person" { &mut word.people } else { &mut word.teams }.push(id);
    }
    if word.names_any() && !word.more {
        let mut sql = Sql::new(Dialect::of(via));
        let keys = sql.keys_of(&word);
        word.many_keys = !is_few(via, sql, &keys).await?;
    }
    Ok(word)
}

/// The words of a search with those whom they name, and where to begin. Asked once for all states.
pub(super) struct Search {
    words: Vec<Word>,
    /// Few keys come into question, so that no index is needed.
    few: bool,
    /// The whole text, folded.
    name: String,
    last_fours: Option<String>,
}

/// Reads what the words name. `text` is as it was typed.
pub(super) async fn prepare(via: &mut impl Via, within: &Within, text: &str) -> Result<Search, StoreError> {
    let mut read = Vec::new();
    for word in words(text) {
        read.push(read_word(via, within, word).await?);
    }
    let mut few = false;
    // Postgres decides by itself whether to take the index.
    if Dialect::of(via) == Dialect::Sqlite
        && let Some(org) = &within.org
    {
        let mut sql = Sql::new(Dialect::Sqlite);
        let keys = match sql.narrowed(within) {
            Some(keys) => keys,
            None => format!("SELECT s.seq FROM key_search s WHERE s.org_id = {}", sql.bind(org)),
        };
        few = is_few(via, sql, &keys).await?;
    }
    let last_fours = valid_last_four(text.trim()).then(|| any_case(text.trim()));
    let last_fours = last_fours.map(|all| serde_json::to_string(&all).unwrap_or_default());
    Ok(Search { words: read, few, name: folded(text), last_fours })
}

/// The statements of one search.
fn sides(dialect: Dialect, search: &Search) -> Vec<Side<'_>> {
    let begin = match dialect {
        _ if search.few => Side::Few,
        Dialect::Sqlite if !search.words.iter().any(Word::in_index) => Side::Newest,
        _ => Side::Index,
    };
    let mut sides = vec![begin];
    if begin == Side::Index {
        sides.extend(search.words.iter().filter(|word| word.names_any() && word.in_index()).map(Side::Named));
    }
    sides.extend(search.last_fours.as_deref().map(Side::LastFour));
    sides
}

/// The newest keys that match, at most a little more than `MAX_SEARCH` of them.
pub(super) async fn hits(via: &mut impl Via, within: &Within, search: &Search) -> Result<Hits, StoreError> {
    let dialect = Dialect::of(via);
    let mut statements: Vec<Sql> = sides(dialect, search)
        .into_iter()
        .map(|from| hits_text(dialect, within, &search.words, from))
        .collect();
    let (mut found, mut all) = (BTreeSet::new(), true);
    while let Some(sql) = statements.pop() {
        let rows: Vec<i64> =
            run!(via, fetch_all, bound!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.text.clone())), sql))?;
        if rows.len() > MAX_SEARCH && all {
            // The newest may leave out an old key of exactly this name.
            all = false;
            statements.push(match within.org {
                Some(_) => hits_text(dialect, within, &search.words, Side::Name(&search.name)),
                // As a line of its own in the texts: no index has the names of all organisations.
                None => {
                    let line = Word { text: format!("\n{}\n", search.name), ..Word::default() };
                    hits_text(dialect, within, &[line], Side::Index)
                }
            });
        }
        found.extend(rows);
    }
    Ok(Hits { seqs: found.into_iter().rev().collect(), all })
}

/// Examples of every text, with the values in them, for the tests that prepare and explain them.
pub(super) fn every_text(dialect: Dialect, org: &str, person: &str, now: Moment) -> Vec<(String, String)> {
    let word = |text: &str, named: bool, more: bool, many_keys: bool| {
        let ids = if named { vec![person.to_owned()] } else { vec![] };
        Word { text: text.into(), people: ids.clone(), teams: ids, more, many_keys }
    };
    let words = [
        word("0001234", false, false, false),
        word("lena", true, false, false),
        word("日本", false, false, false),
        word("bulk", true, true, false),
        word("x", true, false, true),
    ];
    let mut texts = Vec::new();
    let within = |org: Option<&str>, person: Option<&str>, team: Option<&str>, state| Within {
        org: org.map(str::to_owned),
        person: person.map(str::to_owned),
        team: team.map(str::to_owned),
        state,
        ..Within::default()
    };
    let mut withins = vec![
        ("an organisation", within(Some(org), None, None, None)),
        ("a person's keys", within(Some(org), Some(person), None, None)),
        ("a team", within(Some(org), None, Some(person), None)),
        ("every organisation", within(None, None, None, None)),
    ];
    let states = StateFilter::ALL
        .map(|state| ("a state", within(Some(org), Some(person), Some(person), Some((state, now)))));
    withins.extend(states);
    for (what, within) in &withins {
        let mut froms = vec![
            ("the index", Side::Index),
            ("a person", Side::Named(&words[1])),
            ("last four", Side::LastFour(r#"["aB3d"]"#)),
        ];
        if within.org.is_some() {
            froms.extend([("few", Side::Few), ("a name", Side::Name("bulk 0001234"))]);
        }
        for (from_what, from) in froms {
            for count in 1..=words.len() {
                let sql = hits_text(dialect, within, &words[..count], from);
                // The highest numbers first, as $1 begins $10.
                let text = sql.binds.iter().enumerate().rev().fold(sql.text.clone(), |text, (at, value)| {
                    text.replace(&format!("${}", at + 1), &format!("'{}'", value.replace('\'', "''")))
                });
                texts.push((format!("{what} from {from_what}, {count} words"), text));
            }
        }
    }
    texts
}

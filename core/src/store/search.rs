//! Keys by the words of a search: one text per key in `key_search`, with trigrams, for names, notes and model patterns;
//! people and teams by their own rows. Texts are put together from closed fragments; all that was typed is bound.
//!
//! A key matches when each word is in its text or names its owner or its team. So it is found through the index of texts,
//! where every word is in its text, or else through the keys of the people and teams that one of the words names.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, MAX_SEARCH, like_contains};
use super::{Db, StoreError, Tx, Unaudited, Via, changed, run, statements};
use crate::domain::ids::KeyId;
use crate::domain::key::{KeySpec, Status};
use crate::domain::key_filter::StateFilter;
use crate::domain::key_format::{any_case, valid_last_four};
use crate::domain::moment::Moment;
use crate::domain::scope::ModelScope;
use crate::domain::search::{codes, folded, is_indexed, search_text, words};

/// People and teams that one word may name, each; words with more are compared row by row.
const MAX_NAMED: usize = 1_000;
/// Keys of the people and teams that a word names, or of the whole list, which are read one by one in place of the index.
const FEW_KEYS: i64 = 5_000;
/// Texts that are looked at for how common a word is and its pieces are.
const SAMPLE: i64 = 500;
/// Pieces that the index of texts is asked for.
const MAX_PIECES: usize = 4;
/// One in so many keys matches: the newest `MAX_SEARCH` are sooner found by walking through all, newest first, than by
/// sorting what Postgres' index finds.
const COMMON: usize = 70;

statements! {
    HIGHEST = "SELECT MAX(seq) FROM key_search";
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
    /// The state of the keys that are wanted, at this moment; `None` is any.
    pub(super) state: Option<(StateFilter, Moment)>,
    /// For keys that are due for rotation: those without a period of their own are, when their secret was made then or before.
    pub(super) due: Option<i64>,
}

/// A key that matches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// Its number.
    pub(super) seq: i64,
    /// 3 for a key of exactly this name, 2 for one with these last four characters, 1 for a name that begins with the search.
    pub(super) rank: i64,
    pub(super) status: Status,
    /// It is in the wanted state.
    wanted: bool,
}

/// The newest keys that match.
pub(super) struct Hits {
    /// Those in the wanted state, oldest first: one more than `MAX_SEARCH` if there are more, and those of exactly this name
    /// or with these last four characters.
    pub(super) keys: Vec<Hit>,
    /// How many expired and revoked keys match, where it was asked; a status without any is left out. `None` is not counted,
    /// because more keys match than are listed.
    pub(super) ended: Vec<(Status, Option<i64>)>,
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

/// Which of the keys that match a statement reads, newest first.
#[derive(Clone, Copy)]
struct Part {
    /// Only those in the wanted state.
    wanted: bool,
    /// Only those with a lower number.
    before: Option<i64>,
    limit: usize,
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
    /// At keys of the organisation with exactly the name that is searched for.
    Name,
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

    fn contains(&mut self, search: &Search, word: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("instr(s.text, {}) > 0", self.bind(word)),
            // Its index is asked for the pieces, unless they tell too little.
            Dialect::Postgres if search.pieces.len() > 1 => {
                format!("strpos(s.text, {}) > 0", self.bind(word))
            }
            Dialect::Postgres => format!("s.text LIKE {} ESCAPE '\\'", self.bind(like_contains(word))),
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

    fn matches(&mut self, search: &Search, word: &Word) -> String {
        let contains = self.contains(search, &word.text);
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
        text
    }

    /// Whether the key is in the wanted state.
    fn in_state(&mut self, within: &Within) -> String {
        let Some((state, now)) = within.state else { return "TRUE".to_owned() };
        match state {
            StateFilter::RotationDue => {
                // No secret was made before 1970.
                let due = self.bind(within.due.unwrap_or(-1).to_string());
                let now = self.bind(now.ms().to_string());
                let due = is_due(&format!("CAST({now} AS BIGINT)"), &format!("CAST({due} AS BIGINT)"));
                format!("k.status IN ('active', 'disabled') AND {due}")
            }
            StateFilter::Live => "k.status IN ('active', 'disabled')".to_owned(),
            StateFilter::Only(status) => format!("k.status = '{}'", status.as_str()),
            StateFilter::Expiring => {
                let (now, week) =
                    (self.bind(now.ms().to_string()), self.bind(now.plus_days(7).ms().to_string()));
                format!(
                    "k.status = 'active' AND k.expires_at > CAST({now} AS BIGINT) AND k.expires_at < CAST({week} AS BIGINT)"
                )
            }
        }
    }

    /// How well the key matches the whole search: `Hit::rank`.
    fn rank(&mut self, search: &Search) -> String {
        let (name, typed) = (self.bind(&search.name), self.bind(&search.typed));
        format!(
            "CASE WHEN k.name_folded = {name} THEN 3 WHEN k.last_four = {typed} THEN 2
            WHEN substr(k.name_folded, 1, length({name})) = {name} THEN 1 ELSE 0 END"
        )
    }
}

/// Whether the secret of the key is due for rotation. A key without a period of its own is when its secret was made at
/// `by_org` or before.
pub(super) fn is_due(now: &str, by_org: &str) -> String {
    format!(
        "k.secret_created_at <= CASE WHEN k.rotate_days IS NULL THEN {by_org} ELSE {now} - k.rotate_days * 86400000 END"
    )
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
fn hits_text(dialect: Dialect, within: &Within, search: &Search, from: Side<'_>, part: Part) -> Sql {
    let mut sql = Sql::new(dialect);
    let (words, rank, state) = (&search.words, sql.rank(search), sql.in_state(within));
    let mut text = format!(
        "SELECT k.seq, {rank} AS place, k.status, CASE WHEN {state} THEN 1 ELSE 0 END AS wanted FROM "
    );
    // Texts first, and the key of each. Postgres would walk through all keys beside them.
    text += match (dialect, from) {
        (Dialect::Sqlite, Side::Index) => {
            "key_search_index n CROSS JOIN key_search s CROSS JOIN keys k WHERE s.seq = n.rowid AND k.seq = s.seq"
        }
        (Dialect::Sqlite, _) => "key_search s CROSS JOIN keys k WHERE k.seq = s.seq",
        (Dialect::Postgres, _) => {
            "key_search s CROSS JOIN LATERAL (SELECT * FROM keys WHERE keys.seq = s.seq LIMIT 1) k WHERE TRUE"
        }
    };
    match from {
        Side::Index if dialect == Dialect::Sqlite => {
            let quoted = search.pieces.iter().map(|piece| format!("\"{}\"", piece.replace('"', "\"\"")));
            let phrase = quoted.collect::<Vec<_>>().join(" AND ");
            text += &format!(" AND n.key_search_index MATCH {}", sql.bind(phrase));
        }
        Side::Index => {
            for piece in &search.pieces {
                text += &format!(" AND s.text LIKE {}", sql.bind(format!("%{piece}%")));
            }
        }
        Side::Newest | Side::Few => {}
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
        Side::Name => {
            let org = sql.bind(within.org.clone().unwrap_or_default());
            // Every status, as the index of names has it in between.
            let keys = format!(
                "SELECT f.seq FROM keys f WHERE f.org_id = {org} AND f.status IN ('active', 'disabled', 'expired', 'revoked')
                AND f.name_folded = {}",
                sql.bind(&search.name)
            );
            text += &format!(" AND {}", dialect.among("s.seq", &keys));
        }
    }
    let few = from == Side::Few || dialect == Dialect::Postgres;
    text += &sql.conditions(within, few);
    // In the index's own order where there is one; SQLite would sort by another. Postgres would rather walk through all
    // keys in their order than sort what the index finds, because it expects more of it.
    let order = match (dialect, from) {
        (Dialect::Sqlite, Side::Index) => "n.rowid",
        (Dialect::Postgres, Side::Index) if search.pieces.len() > 1 => "s.seq + 0",
        _ => "s.seq",
    };
    if let Some(before) = part.before {
        text += &format!(" AND {order} < CAST({} AS BIGINT)", sql.bind(before.to_string()));
    }
    if part.wanted {
        text += &format!(" AND {state}");
    }
    for word in words {
        text += &match from {
            Side::LastFour(_) | Side::Name => continue,
            Side::Index if word.in_index() => format!(" AND {}", sql.contains(search, &word.text)),
            _ => format!(" AND {}", sql.matches(search, word)),
        };
    }
    let limit = sql.bind(part.limit.to_string());
    text += &format!(" ORDER BY {order} DESC LIMIT CAST({limit} AS BIGINT)");
    sql.text = dialect.json_rows("seq, place, status, wanted", &text);
    sql
}

/// Pieces of three characters of what the index finds, without overlap, as one in the middle says nothing more. Postgres
/// has them of letters and digits only, and in every locale of those in ASCII.
fn pieces(dialect: Dialect, words: &[Word]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in words.iter().filter(|word| word.in_index()) {
        let codes = codes(&word.text).into_iter().map(|code| format!(" {code} "));
        for part in [word.text.clone()].into_iter().chain(codes) {
            let chars: Vec<char> = part.chars().collect();
            let starts = (0..chars.len() / 3).map(|at| at * 3);
            let last = chars.len().checked_sub(3).filter(|last| last % 3 != 0);
            for at in starts.chain(last) {
                let piece = &chars[at..at + 3];
                let indexed = dialect == Dialect::Sqlite || piece.iter().all(char::is_ascii_alphanumeric);
                let piece: String = piece.iter().collect();
                if indexed && !pieces.contains(&piece) {
                    pieces.push(piece);
                }
            }
        }
    }
    pieces
}

/// What the index of texts is asked for, and whether the words are common. The index reads a list for each piece, and one
/// that is in very many texts takes longest and tells least, so it is asked for those that fewest of some texts have.
async fn rarest(
    via: &mut impl Via,
    within: &Within,
    words: &[Word],
) -> Result<(Vec<String>, bool), StoreError> {
    let dialect = Dialect::of(via);
    let mut pieces = pieces(dialect, words);
    if pieces.is_empty() {
        return Ok((pieces, false));
    }
    let highest: Option<i64> = run!(via, fetch_one, sqlx::query_scalar::<_, Option<i64>>(HIGHEST))?;
    // Not evenly, as names can have the same pattern.
    let step = highest.unwrap_or(0) / SAMPLE + 1;
    let seqs: Vec<i64> = (0..SAMPLE).map(|at| at * step + at * at % step + 1).collect();
    let mut sql = Sql::new(dialect);
    let list = sql.bind(serde_json::to_string(&seqs).unwrap_or_default());
    sql.text = sample_text(dialect, &list);
    let sample: Vec<(String, String)> = json_rows(via, &sql).await?;
    pieces.sort_by_cached_key(|piece| sample.iter().filter(|(_, text)| text.contains(piece)).count());
    pieces.truncate(MAX_PIECES);
    let own = sample.iter().filter(|(org, _)| within.org.as_ref().is_none_or(|own| own == org));
    let of = own.clone().count();
    let all_words =
        |text: &str| words.iter().filter(|word| word.in_index()).all(|word| text.contains(&word.text));
    let matching = own.filter(|(_, text)| all_words(text)).count();
    Ok((pieces, of > COMMON && matching * COMMON >= of))
}

fn sample_text(dialect: Dialect, list: &str) -> String {
    let texts =
        format!("SELECT s.org_id, s.text FROM key_search s WHERE {}", dialect.any_number_of("s.seq", list));
    dialect.json_rows("org_id, text", &texts)
}

/// Whether there are at most `FEW_KEYS` of the keys.
async fn is_few(via: &mut impl Via, mut sql: Sql, keys: &str) -> Result<bool, StoreError> {
    sql.text = format!("SELECT 1 FROM ({keys}) those LIMIT 1 OFFSET {FEW_KEYS}");
    let one = run!(
        via,
        fetch_optional,
        bound!(sqlx::query_scalar::<_, i32>(AssertSqlSafe(sql.text.clone())), sql)
    )?;
    Ok(one.is_none())
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
    if word.names_any() && !word.more && is_indexed(&word.text) {
        let mut sql = Sql::new(Dialect::of(via));
        let keys = sql.keys_of(&word);
        word.many_keys = !is_few(via, sql, &keys).await?;
    }
    Ok(word)
}

/// The words of a search with those whom they name, and where to begin.
#[derive(Clone, Default)]
struct Search {
    words: Vec<Word>,
    /// Few keys come into question, so that no index is needed.
    few: bool,
    /// As it was typed.
    typed: String,
    /// The whole text, folded.
    name: String,
    last_fours: Option<String>,
    /// What the index is asked for, where it is.
    pieces: Vec<String>,
    common: bool,
}

/// Reads what the words name.
async fn prepare(via: &mut impl Via, within: &Within, text: &str) -> Result<Search, StoreError> {
    let mut read = Vec::new();
    for word in words(text) {
        read.push(read_word(via, within, word).await?);
    }
    let typed = text.trim().replace('\0', "\u{fffd}");
    let last_fours =
        valid_last_four(&typed).then(|| serde_json::to_string(&any_case(&typed)).unwrap_or_default());
    let search = Search { words: read, name: folded(text), typed, last_fours, ..Search::default() };
    // Postgres decides by itself whether to read a few one by one.
    if Dialect::of(via) == Dialect::Sqlite
        && let Some(org) = &within.org
    {
        let mut sql = Sql::new(Dialect::Sqlite);
        let keys = match sql.narrowed(within) {
            Some(keys) => keys,
            None => format!("SELECT s.seq FROM key_search s WHERE s.org_id = {}", sql.bind(org)),
        };
        if is_few(via, sql, &keys).await? {
            return Ok(Search { few: true, ..search });
        }
    }
    let (pieces, common) = rarest(via, within, &search.words).await?;
    Ok(Search { pieces, common, ..search })
}

/// The statements of one search.
fn sides(dialect: Dialect, search: &Search) -> Vec<Side<'_>> {
    let begin = match dialect {
        _ if search.few => Side::Few,
        Dialect::Sqlite if !search.words.iter().any(Word::in_index) => Side::Newest,
        Dialect::Postgres if search.common => Side::Newest,
        _ => Side::Index,
    };
    let mut sides = vec![begin];
    if begin == Side::Index {
        sides.extend(search.words.iter().filter(|word| word.names_any() && word.in_index()).map(Side::Named));
    }
    sides.extend(search.last_fours.as_deref().map(Side::LastFour));
    sides
}

/// The newest keys that match. `text` is as it was typed.
pub(super) async fn find(
    via: &mut impl Via,
    within: &Within,
    text: &str,
    count_ended: bool,
) -> Result<Hits, StoreError> {
    let search = prepare(via, within, text).await?;
    let mut found = BTreeMap::new();
    // One search for all states, unless it finds more than it lists. An index reads its lists to the end for any number.
    let listed = if count_ended && !search.common { 2 * MAX_SEARCH } else { MAX_SEARCH };
    let newest = Part { wanted: !count_ended, before: None, limit: listed + 1 };
    let reached = read(via, within, &search, newest, &mut found).await?;
    let mut ended = Vec::new();
    for status in [Status::Expired, Status::Revoked].into_iter().filter(|_| count_ended) {
        let count = found.values().filter(|hit| hit.status == status).count() as i64;
        match reached {
            Some(_) => ended.push((status, None)),
            None => ended.extend((count > 0).then_some((status, Some(count)))),
        }
    }
    let dialect = Dialect::of(via);
    if let Some(before) = reached {
        let wanted = found.values().filter(|hit| hit.wanted && hit.seq >= before).count();
        let limit = (MAX_SEARCH + 1).saturating_sub(wanted);
        // The newest may leave out an old key of exactly this name.
        let every = Part { wanted: false, before: None, limit: MAX_SEARCH };
        let named = match within.org {
            Some(_) => hits_text(dialect, within, &search, Side::Name, every),
            // As a line of its own in the texts: no index has the names of all organisations.
            None => {
                let words = vec![Word { text: format!("\n{}\n", search.name), ..Word::default() }];
                let (pieces, _) = rarest(via, within, &words).await?;
                hits_text(dialect, within, &Search { words, pieces, ..search.clone() }, Side::Index, every)
            }
        };
        found.extend(rows(via, named).await?.into_iter().map(|hit| (hit.seq, hit)));
        if limit > 0 {
            let others = Part { wanted: true, before: Some(before), limit };
            read(via, within, &search, others, &mut found).await?;
        }
    }
    let mut keys: Vec<Hit> = found.into_values().filter(|hit| hit.wanted).collect();
    let newest = keys.len().saturating_sub(MAX_SEARCH + 1);
    let newest = keys.get(newest).map_or(0, |hit| hit.seq);
    keys.retain(|hit| hit.seq >= newest || hit.rank > 1);
    Ok(Hits { keys, ended })
}

/// Reads a part of what each side finds. Gives the number above which none is missing, where one found more.
async fn read(
    via: &mut impl Via,
    within: &Within,
    search: &Search,
    part: Part,
    found: &mut BTreeMap<i64, Hit>,
) -> Result<Option<i64>, StoreError> {
    let dialect = Dialect::of(via);
    let mut reached = None;
    for from in sides(dialect, search) {
        let hits = rows(via, hits_text(dialect, within, search, from, part)).await?;
        if hits.len() == part.limit {
            reached = reached.max(hits.iter().map(|hit| hit.seq).min());
        }
        found.extend(hits.into_iter().map(|hit| (hit.seq, hit)));
    }
    Ok(reached)
}

async fn rows(via: &mut impl Via, sql: Sql) -> Result<Vec<Hit>, StoreError> {
    let rows: Vec<(i64, i64, String, i64)> = json_rows(via, &sql).await?;
    let hit = |(seq, rank, status, wanted): (i64, i64, String, i64)| {
        let status = Status::parse(&status).ok_or(StoreError::Unreadable { column: "keys.status" })?;
        Ok(Hit { seq, rank, status, wanted: wanted == 1 })
    };
    rows.into_iter().map(hit).collect()
}

/// Runs what `Dialect::json_rows` wrote.
async fn json_rows<T: serde::de::DeserializeOwned>(
    via: &mut impl Via,
    sql: &Sql,
) -> Result<Vec<T>, StoreError> {
    let json =
        run!(via, fetch_one, bound!(sqlx::query_scalar::<_, String>(AssertSqlSafe(sql.text.clone())), sql))?;
    serde_json::from_str(&json).map_err(|_| StoreError::Unreadable { column: "key_search" })
}

/// Examples of every text, with the values in them, for the tests that prepare and explain them.
pub(super) fn every_text(dialect: Dialect, org: &str, person: &str, now: Moment) -> Vec<(String, String)> {
    let word = |text: &str, named: bool, more: bool, many_keys: bool| {
        let ids = if named { vec![person.to_owned()] } else { vec![] };
        Word { text: text.into(), people: ids.clone(), teams: ids, more, many_keys }
    };
    let search = Search {
        name: "bulk 0001234".into(),
        typed: "Bulk 0001234".into(),
        pieces: vec!["000".into(), "123".into()],
        ..Search::default()
    };
    let words = [
        word("0001234", false, false, false),
        word("lena", true, false, false),
        word("日本", false, false, false),
        word("bulk", true, true, false),
        word("x", true, false, true),
    ];
    let mut texts = vec![("every organisation's sample".to_owned(), sample_text(dialect, "'[1,2]'"))];
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
            froms.extend([("few", Side::Few), ("the newest", Side::Newest), ("a name", Side::Name)]);
        }
        for (from_what, from) in froms {
            for count in 1..=words.len() {
                let search = Search { words: words[..count].to_vec(), ..search.clone() };
                let part =
                    Part { wanted: count % 2 == 0, before: (count > 2).then_some(1_234), limit: 1_001 };
                let sql = hits_text(dialect, within, &search, from, part);
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

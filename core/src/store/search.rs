//! Keys by the words of a search: one text per key in `key_search`, with trigrams, for names, notes and model patterns;
//! people and teams by their own rows. `search_sql` has the statements.
//!
//! A key matches when each word is in its text or names its owner or its team. So it is found through the index of texts,
//! where every word is in its text, or else through the keys of the people and teams that one of the words names.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, like_contains};
use super::search_sql::{Part, SAMPLE_RUN, Search, Side, Sql, Within, Word, hits_text, sample_text};
use super::{Db, StoreError, Tx, Unaudited, Via, changed, run, statements};
use crate::domain::ids::KeyId;
use crate::domain::key::{KeySpec, Status};
use crate::domain::key_format::{any_case, valid_last_four};
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
/// One in so many keys matches: the newest are sooner found by walking through all, newest first, than by
/// sorting what Postgres' index finds.
const COMMON: usize = 100;

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
    /// Those in the wanted state, oldest first: one more than was asked for if there are more, and those of exactly this name
    /// or with these last four characters.
    pub(super) keys: Vec<Hit>,
    /// How many expired and revoked keys match, where it was asked; a status without any is left out. `None` is not counted,
    /// because more keys match than are listed.
    pub(super) ended: Vec<(Status, Option<i64>)>,
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
    let runs = SAMPLE / SAMPLE_RUN;
    let step = (highest.unwrap_or(0) / runs + 1).max(SAMPLE_RUN);
    let firsts: Vec<i64> = (0..runs).map(|at| at * step + at * at % (step - SAMPLE_RUN + 1) + 1).collect();
    let mut sql = Sql::new(dialect);
    let list = sql.bind(serde_json::to_string(&firsts).unwrap_or_default());
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

/// The `newest` keys that match, and one more if there are more. `text` is as it was typed.
pub(super) async fn find(
    via: &mut impl Via,
    within: &Within,
    text: &str,
    newest: usize,
    count_ended: bool,
) -> Result<Hits, StoreError> {
    let search = prepare(via, within, text).await?;
    let mut found = BTreeMap::new();
    // One search for all states, unless it finds more than it lists. An index reads its lists to the end for any number.
    let listed = if count_ended && !search.common { 2 * newest } else { newest };
    let part = Part { wanted: !count_ended, before: None, limit: listed + 1 };
    let reached = read(via, within, &search, part, &mut found).await?;
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
        let limit = (newest + 1).saturating_sub(wanted);
        // The newest may leave out an old key of exactly this name.
        let every = Part { wanted: false, before: None, limit: newest };
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
    let oldest = keys.len().saturating_sub(newest + 1);
    let oldest = keys.get(oldest).map_or(0, |hit| hit.seq);
    keys.retain(|hit| hit.seq >= oldest || hit.rank > 1);
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

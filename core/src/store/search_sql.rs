//! The texts of a search's statements, put together from closed fragments; all that was typed is bound.

use super::dialect::{Dialect, like_contains};
use crate::domain::key_filter::StateFilter;
use crate::domain::moment::Moment;
use crate::domain::search::is_indexed;
use crate::domain::window::WindowStarts;

/// Whether a key was neither used nor created in `IDLE_DAYS` before a moment.
macro_rules! is_idle {
    ($now:literal) => {
        concat!("COALESCE(k.last_used_at, k.created_at) <= ", $now, " - 90 * CAST(86400000 AS BIGINT)")
    };
}
pub(super) use is_idle;

/// Whether a key has neither a budget nor a rate limit of its own.
macro_rules! no_limit {
    () => {
        "k.has_budget = 0 AND k.rpm IS NULL AND k.tpm IS NULL AND k.concurrent IS NULL"
    };
}
pub(super) use no_limit;

/// Texts of a sample that are read together, as neighbours cost less than others.
pub(super) const SAMPLE_RUN: i64 = 10;

/// Whose keys are searched.
#[derive(Clone, Debug, Default)]
pub(super) struct Within {
    /// `None` is every organisation, for support.
    pub(super) org: Option<String>,
    /// Only keys that this person owns or administers.
    pub(super) person: Option<String>,
    /// Only keys of this team.
    pub(super) team: Option<String>,
    /// Only keys that this person owns.
    pub(super) owner: Option<String>,
    /// Only keys with a secret made then or before.
    pub(super) made_before: Option<Moment>,
    /// The state of the keys that are wanted, at this moment; `None` is any.
    pub(super) state: Option<(StateFilter, Moment)>,
    /// For keys that are due for rotation: those without a period of their own are, when their secret was made then or before.
    pub(super) due: Option<i64>,
    /// For keys that are stopped or nearly so: the windows in which marks on budgets are valid.
    pub(super) starts: Option<WindowStarts>,
    /// Every active key of the organisation is stopped.
    pub(super) org_stopped: bool,
    /// Every active key of the organisation is near a limit.
    pub(super) org_near: bool,
}

/// A word of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) people: Vec<String>,
    pub(super) teams: Vec<String>,
    /// It names more people or teams than are listed.
    pub(super) more: bool,
    /// Its people and teams have too many keys to read them one by one.
    pub(super) many_keys: bool,
}

impl Word {
    pub(super) fn names_any(&self) -> bool {
        self.more || !self.people.is_empty() || !self.teams.is_empty()
    }

    /// Whether all keys that match it are found by their text or by the keys of those it names.
    pub(super) fn in_index(&self) -> bool {
        is_indexed(&self.text) && !self.more && !self.many_keys
    }
}

/// The words of a search with those whom they name, and where to begin.
#[derive(Clone, Default)]
pub(super) struct Search {
    pub(super) words: Vec<Word>,
    /// Few keys come into question, so that no index is needed.
    pub(super) few: bool,
    /// As it was typed.
    pub(super) typed: String,
    /// The whole text, folded.
    pub(super) name: String,
    pub(super) last_fours: Option<String>,
    /// What the index is asked for, where it is.
    pub(super) pieces: Vec<String>,
    pub(super) common: bool,
}

impl Search {
    /// Whether the texts alone say which keys match, so that no more keys are read than are listed.
    fn is_in_texts(&self, within: &Within, part: Part) -> bool {
        let any_state = !part.wanted || within.state.is_none();
        let any_key = within.team.is_none() && within.owner.is_none() && within.made_before.is_none();
        any_state && any_key && self.words.iter().all(Word::in_index)
    }
}

/// Which of the keys that match a statement reads, newest first.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Only those in the wanted state.
    pub(super) wanted: bool,
    /// Only those with a lower number.
    pub(super) before: Option<i64>,
    pub(super) limit: usize,
}

/// Where a statement begins.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side<'a> {
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
pub(super) struct Sql {
    pub(super) dialect: Dialect,
    pub(super) text: String,
    pub(super) binds: Vec<String>,
}

impl Sql {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), binds: vec![] }
    }

    pub(super) fn bind(&mut self, value: impl Into<String>) -> String {
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
    pub(super) fn keys_of(&mut self, word: &Word) -> String {
        let people = self.one_of("k.owner_id", &word.people);
        let teams = self.one_of("t.id", &word.teams);
        format!(
            "SELECT k.seq FROM keys k WHERE {people}
            UNION ALL SELECT k.seq FROM teams t JOIN keys k ON k.org_id = t.org_id AND k.team_id = t.id WHERE {teams}"
        )
    }

    /// The keys that the search is narrowed to by a person or a team.
    pub(super) fn narrowed(&mut self, within: &Within) -> Option<String> {
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
        if let Some(owner) = &within.owner {
            let owner = self.bind(owner);
            text += &format!(" AND k.owner_id = {owner}");
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
            StateFilter::Stopped if within.org_stopped => "k.status = 'active'".to_owned(),
            StateFilter::Stopped => self.is_marked(within, "reached"),
            StateFilter::NearLimit if within.org_near => "k.status = 'active'".to_owned(),
            StateFilter::NearLimit => self.is_marked(within, "near"),
            StateFilter::Idle => {
                let now = self.bind(now.ms().to_string());
                let idle = is_idle!("{now}").replace("{now}", &format!("CAST({now} AS BIGINT)"));
                format!("k.status IN ('active', 'disabled') AND {idle}")
            }
            StateFilter::Unlimited => {
                concat!("k.status IN ('active', 'disabled') AND ", no_limit!()).to_owned()
            }
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

    fn is_marked(&mut self, within: &Within, level: &str) -> String {
        // Without windows no mark is valid.
        let of = |start: fn(WindowStarts) -> Moment| within.starts.map_or(-1, |starts| start(starts).ms());
        let starts = [of(|starts| starts.month), of(|starts| starts.week), of(|starts| starts.day)];
        let [month, week, day] =
            starts.map(|start| format!("CAST({} AS BIGINT)", self.bind(start.to_string())));
        format!("k.status = 'active' AND {}", is_marked(level, &month, &week, &day))
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

/// Whether a mark on a budget, `b`, is of the window that is now.
pub(super) fn valid_mark(month: &str, week: &str, day: &str) -> String {
    format!(
        "b.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN {month} WHEN 'week' THEN {week} ELSE {day} END"
    )
}

/// Whether a budget of the key or of its team has such a mark.
pub(super) fn is_marked(level: &str, month: &str, week: &str, day: &str) -> String {
    let valid = valid_mark(month, week, day);
    let of = |kind: &str, id: &str| {
        format!(
            "EXISTS (SELECT 1 FROM budget_marks b WHERE b.holder_kind = '{kind}' AND b.holder_id = {id}
                AND b.level = '{level}' AND {valid})"
        )
    };
    format!("({} OR {})", of("key", "k.id"), of("team", "k.team_id"))
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
pub(super) fn hits_text(
    dialect: Dialect,
    within: &Within,
    search: &Search,
    from: Side<'_>,
    part: Part,
) -> Sql {
    let mut sql = Sql::new(dialect);
    let (words, rank, state) = (&search.words, sql.rank(search), sql.in_state(within));
    let columns = format!("k.seq, {rank} AS place, k.status, CASE WHEN {state} THEN 1 ELSE 0 END AS wanted");
    // Texts first, and the key of each. Postgres would walk through all keys beside them.
    let key_of_text = "CROSS JOIN LATERAL (SELECT * FROM keys WHERE keys.seq = s.seq LIMIT 1) k";
    let texts_alone = dialect == Dialect::Postgres && from == Side::Index && search.is_in_texts(within, part);
    let mut text = match (dialect, from) {
        (Dialect::Sqlite, Side::Index) => {
            "key_search_index n CROSS JOIN key_search s CROSS JOIN keys k WHERE s.seq = n.rowid AND k.seq = s.seq"
                .to_owned()
        }
        (Dialect::Sqlite, _) => "key_search s CROSS JOIN keys k WHERE k.seq = s.seq".to_owned(),
        (Dialect::Postgres, _) if texts_alone => "key_search s WHERE TRUE".to_owned(),
        (Dialect::Postgres, _) => format!("key_search s {key_of_text} WHERE TRUE"),
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
    let found = match texts_alone {
        true => format!("SELECT {columns} FROM (SELECT s.seq FROM {text}) s {key_of_text}"),
        false => format!("SELECT {columns} FROM {text}"),
    };
    sql.text = dialect.json_rows("seq, place, status, wanted", &found);
    sql
}

/// Runs of `SAMPLE_RUN` texts that begin at these numbers: a JSON list.
pub(super) fn sample_text(dialect: Dialect, list: &str) -> String {
    let texts = match dialect {
        Dialect::Sqlite => format!(
            "SELECT s.org_id, s.text FROM json_each({list}) first CROSS JOIN key_search s
            WHERE s.seq >= first.value AND s.seq < first.value + {SAMPLE_RUN}"
        ),
        Dialect::Postgres => format!(
            "SELECT s.org_id, s.text FROM jsonb_array_elements_text(CAST({list} AS JSONB)) first CROSS JOIN LATERAL
            (SELECT org_id, text FROM key_search WHERE seq >= CAST(first AS BIGINT) ORDER BY seq LIMIT {SAMPLE_RUN}) s"
        ),
    };
    dialect.json_rows("org_id, text", &texts)
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

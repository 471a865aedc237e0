//! What is added up from requests, part by part, and the statement that finds where a part differs from what it is added up
//! from. `verify` tells people what it finds, and `repair` puts it right.
//!
//! Days, hours and tags are compared with the requests, from the first day of which every request is still there. Roll-ups by
//! day and month, and counters, are compared with the days. Each comparison is one statement, so it sees one moment, also
//! while requests are settled.
//!
//! Of counters, those of all time are compared, and of days, weeks and months the windows that `ComparedWindows` lists. A
//! window is made of whole days, as requests are booked in them: settlement has both from one moment and one time zone. So
//! neither hours nor requests are needed, also where clocks change or a zone is half an hour off.

use super::dialect::Dialect;
use super::rollups;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Moment, Zone};
use crate::domain::spend_check::ComparedWindows;
use crate::domain::tags::OTHER_TAGS;

statements! {
    BASIS = "SELECT COALESCE(raw_from, ''), zone, zone_since, spend_version FROM orgs WHERE id = $1";
    MOVE = "UPDATE orgs SET spend_version = spend_version + 1 WHERE id = $1";
}

/// Something that is added up. A part is compared with what comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The days of each key by model, provider, team and owner.
    Days,
    /// The hours of keys, owners, teams and the organisation.
    Hours,
    /// The days of each key's tags.
    Tags,
    /// Days and months of keys, owners, teams and the organisation.
    Months,
    /// The counters of keys, teams and the organisation.
    Counters,
}

/// The sums of a roll-up's row, by which all parts are compared.
pub(super) const MEASURES: [&str; 5] = ["requests", "input_tokens", "output_tokens", "cached_tokens", "cost"];

impl Part {
    /// In the order in which they are repaired.
    pub const ALL: [Part; 5] = [Part::Days, Part::Hours, Part::Tags, Part::Months, Part::Counters];

    /// In the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Part::Days => "days",
            Part::Hours => "hours",
            Part::Tags => "tags",
            Part::Months => "days and months",
            Part::Counters => "counters",
        }
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Part::Days => "spend_daily",
            Part::Tags => "tag_daily",
            Part::Hours | Part::Months => "rollups",
            Part::Counters => "counters",
        }
    }

    /// What makes one row of the table, within an organisation.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Part::Days => &["key_id", "day", "model_id", "provider", "team_id", "owner_id"],
            Part::Tags => &["key_id", "day", "tag", "model_id", "team_id", "owner_id"],
            Part::Hours | Part::Months => {
                &["holder_kind", "holder_id", "grain", "bucket", "model_id", "provider"]
            }
            Part::Counters => &["holder_kind", "holder_id", "period", "window_start"],
        }
    }

    /// The columns of the table's primary key. A person may own keys in several organisations.
    pub(super) fn unique(self) -> String {
        let org = if self.table() == "rollups" { ", org_id" } else { "" };
        format!("{}{org}", self.keys().join(", "))
    }

    /// The table's sums, each with its place among `MEASURES`.
    pub(super) const fn measures(self) -> &'static [(&'static str, usize)] {
        match self {
            Part::Counters => &[("requests", 0), ("tokens", 1), ("spent", 4)],
            Part::Days | Part::Hours | Part::Tags | Part::Months => {
                &[(MEASURES[0], 0), (MEASURES[1], 1), (MEASURES[2], 2), (MEASURES[3], 3), (MEASURES[4], 4)]
            }
        }
    }

    /// The order in which a settlement writes the table's rows, so that a repair that writes many cannot deadlock with one.
    pub(super) const fn order(self) -> &'static str {
        match self {
            Part::Days => "key_id, day, model_id, provider, team_id, owner_id",
            Part::Tags => "key_id, day, tag, model_id, team_id, owner_id",
            Part::Hours | Part::Months => {
                "CASE holder_kind WHEN 'key' THEN 1 WHEN 'owner' THEN 2 WHEN 'team' THEN 3 ELSE 4 END, holder_id,
                CASE grain WHEN 'month' THEN 1 WHEN 'day' THEN 2 ELSE 3 END, bucket, model_id, provider"
            }
            Part::Counters => {
                "CASE holder_kind WHEN 'key' THEN 1 WHEN 'team' THEN 2 ELSE 3 END, holder_id,
                CASE period WHEN 'total' THEN 1 WHEN 'month' THEN 2 WHEN 'week' THEN 3 ELSE 4 END, window_start"
            }
        }
    }

    /// A name for people, of one row or of several that they see as one.
    pub(super) fn label(self) -> String {
        let holder =
            "CASE holder_kind WHEN 'org' THEN 'the organisation' ELSE holder_kind || ' ' || holder_id END";
        match self {
            Part::Days => {
                "'the days of ' || key_id || CASE team_id WHEN '' THEN '' ELSE ' in ' || team_id END
                || ' of ' || owner_id || ' with ' || model_id"
                    .to_owned()
            }
            Part::Tags => "'the tags of ' || key_id".to_owned(),
            Part::Hours | Part::Months => format!("'the ' || grain || 's of ' || {holder}"),
            Part::Counters => {
                format!(
                    "CASE period WHEN 'total' THEN '' ELSE 'the open ' || period || ' of ' END || {holder}"
                )
            }
        }
    }

    /// The rows as they are stored: of the organisation `$1` and with what `Basis::range` says as `$2`.
    fn counted(self, dialect: Dialect) -> String {
        let from = match self {
            Part::Days => "spend_daily t WHERE t.org_id = $1 AND t.day >= $2".to_owned(),
            Part::Tags => "tag_daily t WHERE t.org_id = $1 AND t.day >= $2".to_owned(),
            Part::Hours => "rollups t WHERE t.org_id = $1 AND t.grain = 'hour' AND t.bucket >= $2".to_owned(),
            Part::Months => {
                format!("rollups t WHERE t.org_id = $1 AND t.grain <> 'hour' AND {}", rollups::ANY_RANGE)
            }
            Part::Counters => format!(
                "{} w JOIN counters t ON t.org_id = $1 AND t.holder_kind IN ('key', 'team', 'org') AND t.period = w.period
                    AND t.window_start = w.start",
                rollups::windows(dialect)
            ),
        };
        let keys = self.keys().iter().map(|key| format!("t.{key}, ")).collect::<String>();
        let sum = |(place, name): (usize, &str)| {
            let own = self.measures().iter().find(|(_, at)| *at == place).map_or("0", |(own, _)| *own);
            format!("{own} AS {name}")
        };
        let sums: Vec<String> = MEASURES.into_iter().enumerate().map(sum).collect();
        format!("SELECT {keys}{} FROM {from}", sums.join(", "))
    }

    /// The same rows, added up again.
    pub(super) fn summed(self, dialect: Dialect) -> String {
        match self {
            Part::Days => rollups::days(),
            Part::Tags => rollups::tags(dialect, OTHER_TAGS),
            Part::Hours => rollups::hours(),
            Part::Months => rollups::days_and_months(),
            Part::Counters => rollups::counters(dialect),
        }
    }

    /// The rows that differ: what makes one, and each measure as it is stored and as it should be.
    pub(super) fn differing(self, dialect: Dialect) -> String {
        let keys = self.keys().join(", ");
        let list = |each: &dyn Fn(&str) -> String, between: &str| MEASURES.map(each).join(between);
        format!(
            "SELECT {keys}, {} FROM (
                SELECT {keys}, {} FROM ({}) counted UNION ALL SELECT {keys}, {} FROM ({}) summed
            ) pairs GROUP BY {keys} HAVING {}",
            list(
                &|name| {
                    format!("SUM(counted_{name}) AS counted_{name}, SUM(summed_{name}) AS summed_{name}")
                },
                ", "
            ),
            list(&|name| format!("{name} AS counted_{name}, 0 AS summed_{name}"), ", "),
            self.counted(dialect),
            list(&|name| format!("0, {name}"), ", "),
            self.summed(dialect),
            list(&|name| format!("SUM(counted_{name}) <> SUM(summed_{name})"), " OR "),
        )
    }
}

/// What a comparison goes by, of one organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The first day of which every request is still there; empty is the very first.
    pub(super) first: String,
    /// The time zone's name as it is stored.
    pub(super) zone_name: String,
    /// The time zone of its days.
    pub zone: Zone,
    /// Since when; `None` is always.
    pub zone_since: Option<Moment>,
}

impl Basis {
    /// What a part's comparison has as `$2`.
    pub(super) fn range(&self, part: Part, now: Moment) -> String {
        match part {
            Part::Days | Part::Hours | Part::Tags => self.first.clone(),
            Part::Months => String::new(),
            Part::Counters => {
                let windows = ComparedWindows::at(now, &self.zone, self.zone_since).compared;
                let days = |days: Option<_>| match days {
                    Some((first, after)) => {
                        [first, after].map(|day: crate::domain::moment::Day| day.to_string())
                    }
                    None => [String::new(), "9999-99-99".to_owned()],
                };
                let rows: Vec<_> = windows
                    .into_iter()
                    .map(|window| (window.period.as_str(), window.start.ms(), days(window.days)))
                    .map(|(period, start, [from, to])| (period, start, from, to))
                    .collect();
                serde_json::to_string(&rows).unwrap_or_default()
            }
        }
    }
}

/// What comparisons of the organisation go by, and how many repairs and re-ratings it has had.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn basis(via: &mut impl Via, org: &OrgId) -> Result<(Basis, i64), StoreError> {
    let row = run!(
        via,
        fetch_one,
        sqlx::query_as::<_, (String, String, Option<i64>, i64)>(BASIS).bind(org.as_str())
    );
    let (first, zone_name, zone_since, version) = row?;
    let zone = Zone::parse(&zone_name).ok_or(StoreError::Unreadable { column: "orgs.zone" })?;
    Ok((Basis { first, zone_name, zone, zone_since: zone_since.map(Moment::from_ms) }, version))
}

/// For a transaction that changes requests and sums other than a settlement does, before it reads or locks any of them: a
/// repair that has compared them and not written yet compares again.
///
/// # Errors
/// When the database cannot be written.
pub(super) async fn moving(tx: &mut Tx, org: &OrgId) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(MOVE).bind(org.as_str()))?;
    Ok(())
}

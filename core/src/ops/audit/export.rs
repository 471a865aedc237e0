//! The audit as a file. Asking for one is itself written down, with the filter; the events are then read in chunks, so
//! that a large audit needs no large memory.

use serde::{Deserialize, Serialize};

use super::super::OpError;
use super::super::access::{Caller, open_org, reopen_org};
use super::list::{KeysMeant, keys_meant, wanted};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind, PastEvent, SYSTEM};
use crate::domain::audit_filter::{AuditFilter, Kinds};
use crate::domain::audit_words;
use crate::domain::ids::TeamId;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::policy::{Action, Chain, On};
use crate::store::audit_list::{self, Wanted};
use crate::store::{audit, teams};

const CHUNK_ROWS: usize = 500;

/// As a browser sends it: the list's own parameters, and which kind of file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportForm {
    /// The organisation's slug.
    pub org: String,
    /// `csv` or `jsonl`.
    pub format: String,
    /// The actor: a person's id, or `system`. Empty for every actor.
    pub person: String,
    /// A key's id or its name. Empty for everything.
    pub key: String,
    /// A team's id, for the team itself and the keys that are in it now. Empty for everything.
    pub team: String,
    /// A kind of event or a group of kinds. Empty for every kind.
    pub kind: String,
    /// The first day, of the organisation's calendar, such as 2026-11-20; empty is no bound.
    pub from: String,
    /// The last day, which is included; empty is no bound.
    pub to: String,
}

/// The kinds of files that an export can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values, with a line of column names.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl Format {
    /// Reads the word of a form: `csv` or `jsonl`. `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::JsonLines),
            _ => None,
        }
    }

    /// The format's name in the export's audit event.
    pub fn label(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::JsonLines => "JSON Lines",
        }
    }
}

/// An export under way.
pub struct Export {
    /// The organisation's slug.
    pub slug: String,
    /// The organisation's time zone, for times in sentences.
    pub zone: Zone,
    /// Which kind of file.
    pub format: Format,
    /// When it was asked for.
    pub at: Moment,
    caller: Caller,
    wanted: Option<Wanted>,
    below: i64,
}

impl ExportForm {
    /// # Errors
    /// `Invalid` for a day that is none; a filter that is not understood must not become a larger file.
    fn filter(&self) -> Result<AuditFilter, OpError> {
        let day = |field: &str, text: &str| match text {
            "" => Ok(None),
            text => Day::parse(text).map(Some).ok_or_else(|| {
                OpError::say(field, "A day looks like 2026-11-20. Choose one in the filter again.")
            }),
        };
        let kinds = Kinds::parse(&self.kind);
        if kinds.as_str() != self.kind {
            return Err(OpError::say(
                "kind",
                "There is no such kind of event. Choose one in the filter again.",
            ));
        }
        let team = match self.team.as_str() {
            "" => None,
            text => Some(TeamId::parse(text).ok_or_else(|| {
                OpError::say("team", "There is no such team. Choose one in the filter again.")
            })?),
        };
        Ok(AuditFilter {
            person: self.person.clone(),
            key: self.key.clone(),
            team,
            kinds,
            from: day("from", &self.from)?,
            to: day("to", &self.to)?,
            page: None,
        })
    }
}

/// Writes down that a person exports, and answers what `Export::next` reads.
///
/// # Errors
/// `Forbidden` for callers who may not export; `Invalid` when the filter is not understood.
pub async fn export(desk: &Desk, caller: &Caller, form: &ExportForm) -> Result<Export, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let permit = context.permit(Action::ExportAudit, On::Org)?;
    let format =
        Format::parse(&form.format).ok_or_else(|| OpError::say("format", "Choose CSV or JSON Lines."))?;
    let filter = form.filter()?;
    let org = &context.org;
    let keys = keys_meant(&mut tx, &org.id, &filter.key).await?;
    if keys == KeysMeant::Secret {
        return Err(OpError::say("key", "Name the key; a whole secret is not looked up here."));
    }
    let below = audit::head(&mut tx, &Chain::Org(org.id.clone())).await?.map_or(0, |(seq, _)| seq) + 1;

    let person = match filter.person.as_str() {
        "" => None,
        SYSTEM => Some("Keydesk itself".to_owned()),
        id => {
            let people = audit_list::people(&mut tx, &org.id).await?;
            let name = people.into_iter().find(|(known, ..)| known == id).map(|(_, name, _)| name);
            Some(name.unwrap_or_else(|| "someone outside the organisation".into()))
        }
    };
    let teams = teams::in_use(&mut tx, &org.id).await?;
    let team = filter.team.as_ref().map(|id| {
        teams
            .iter()
            .find(|team| team.id == *id)
            .map_or_else(|| "none of today's".into(), |team| team.name.clone())
    });
    let kinds = match filter.kinds {
        Kinds::All => None,
        Kinds::Group(group) => Some(group.label().to_owned()),
        Kinds::One(kind) => Some(audit_words::kind(kind).to_owned()),
    };
    let key = (!filter.key.trim().is_empty()).then(|| filter.key.trim().chars().take(200).collect());
    let day = |day: Option<Day>| day.map(|day| day.to_string());
    let words: Vec<String> = [
        ("person", person),
        ("key", key),
        ("team", team),
        ("kind", kinds),
        ("from", day(filter.from)),
        ("to", day(filter.to)),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| format!("{name} {value}")))
    .collect();
    let filtered = (!words.is_empty()).then(|| Change::added("filter", ChangeValue::List(words)));
    let changes = [Change::added("format", format.label())].into_iter().chain(filtered);
    let event = Event::new(EventKind::AuditExported, org.id.as_str(), &org.name).with(changes);
    tx.save(&permit, event, now).await?;
    let wanted = wanted(&filter, &keys, &org.zone);
    let (slug, zone, caller) = (org.slug.clone(), org.zone.clone(), caller.clone());
    Ok(Export { slug, zone, format, at: now, caller, wanted, below })
}

impl Export {
    /// The next events, newest first; none when all were given. Each call takes a connection only for itself, and asks again
    /// whether the caller may export.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden` when they may not any more; `Store` when the database cannot be read.
    pub async fn next(&mut self, desk: &Desk) -> Result<Vec<PastEvent>, OpError> {
        let Some(wanted) = &self.wanted else { return Ok(vec![]) };
        let mut read = desk.db.read().await?;
        let context = reopen_org(&mut read, &self.caller, &self.slug).await?;
        let permit = context.permit(Action::ExportAudit, On::Org)?;
        let events = audit_list::chunk(&mut read, &permit, wanted, self.below, CHUNK_ROWS).await?;
        self.below = events.last().map_or(0, |event| event.seq);
        Ok(events)
    }
}

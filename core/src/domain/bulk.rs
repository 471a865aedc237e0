//! One act on several keys: what is asked for, and what it comes to for each key.

use serde::{Deserialize, Serialize};

use super::csv::csv_lines;
use super::expiry::Expiry;
use super::ids::{KeyId, TeamId};
use super::policy::Action;

/// How many keys one act takes at most.
pub const MAX_BULK: usize = 100;

/// What can be done with several keys at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BulkAct {
    /// Each gets a new secret, one after the other.
    Rotate,
    /// They are taken out of use until they are enabled again.
    Disable,
    /// They are taken back into use.
    Enable,
    /// They go to a team, or to none.
    Move,
    /// They get an expiry, or none.
    Expire,
    /// They are taken out of use for good.
    Revoke,
}

impl BulkAct {
    /// Each, in the order in which they are offered.
    pub const ALL: [BulkAct; 6] =
        [BulkAct::Rotate, BulkAct::Disable, BulkAct::Enable, BulkAct::Move, BulkAct::Expire, BulkAct::Revoke];

    /// The word in forms and addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            BulkAct::Rotate => "rotate",
            BulkAct::Disable => "disable",
            BulkAct::Enable => "enable",
            BulkAct::Move => "move",
            BulkAct::Expire => "expire",
            BulkAct::Revoke => "revoke",
        }
    }

    /// Reads the word that [`BulkAct::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }

    /// What it is to one key.
    pub fn action(self) -> Action {
        match self {
            BulkAct::Rotate => Action::RotateKey,
            BulkAct::Disable => Action::DisableKey,
            BulkAct::Enable => Action::EnableKey,
            BulkAct::Move | BulkAct::Expire => Action::EditKey,
            BulkAct::Revoke => Action::RevokeKey,
        }
    }

    /// The act on so many keys: `Revoke 11 keys`.
    pub fn words(self, count: usize) -> String {
        let keys = if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
        match self {
            BulkAct::Rotate => format!("Rotate {keys}"),
            BulkAct::Disable => format!("Disable {keys}"),
            BulkAct::Enable => format!("Enable {keys}"),
            BulkAct::Move => format!("Move {keys}"),
            BulkAct::Expire => format!("Set expiration of {keys}"),
            BulkAct::Revoke => format!("Revoke {keys}"),
        }
    }
}

/// One act with what it needs.
#[derive(Clone, Debug)]
pub enum BulkChange {
    /// Each key gets a new secret on a page of its own; never in one go.
    Rotate,
    /// As [`BulkAct::Disable`].
    Disable,
    /// As [`BulkAct::Enable`].
    Enable,
    /// To this team, or to none.
    Move(Option<TeamId>),
    /// A day's end or never, so that the same act a second time changes nothing.
    Expire(Expiry),
    /// As [`BulkAct::Revoke`].
    Revoke {
        /// How many keys the person typed: required when one of them is in use.
        confirmed: Option<usize>,
    },
}

impl BulkChange {
    /// The act without what it needs.
    pub fn act(&self) -> BulkAct {
        match self {
            BulkChange::Rotate => BulkAct::Rotate,
            BulkChange::Disable => BulkAct::Disable,
            BulkChange::Enable => BulkAct::Enable,
            BulkChange::Move(_) => BulkAct::Move,
            BulkChange::Expire(_) => BulkAct::Expire,
            BulkChange::Revoke { .. } => BulkAct::Revoke,
        }
    }
}

/// A key of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The key's id.
    pub id: KeyId,
    /// The version that the preview showed.
    pub version: Option<i64>,
}

/// What an act comes to for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It changes, or was changed.
    Change,
    /// It was so already.
    Already,
    /// It stays as it is, and the words say why.
    Not,
}

/// What happened to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRow {
    /// The key's id.
    pub id: String,
    /// Its name; empty where the caller may not see it.
    pub name: String,
    /// Its team's name; empty for none.
    pub team: String,
    /// Its owner's name.
    pub owner: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was done, or why not.
    pub words: String,
}

/// What happened to each key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The act.
    pub act: BulkAct,
    /// A row for each selected key, in the order of the selection.
    pub rows: Vec<OutcomeRow>,
}

impl Outcome {
    /// How many keys came to this.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// The rows as a CSV file with a line of column names.
    pub fn csv(&self) -> Vec<u8> {
        let head = ["id", "name", "team", "owner", "outcome", "reason"].map(str::to_owned);
        let cells = |row: &OutcomeRow| {
            let outcome = match row.verdict {
                Verdict::Change => "done",
                Verdict::Already => "unchanged",
                Verdict::Not => "not done",
            };
            let OutcomeRow { id, name, team, owner, words, .. } = row.clone();
            [id, name, team, owner, outcome.to_owned(), words]
        };
        csv_lines(&std::iter::once(head).chain(self.rows.iter().map(cells)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_a_file_without_formulas() {
        let row = |name: &str, verdict, words: &str| OutcomeRow {
            id: "key_1".into(),
            name: name.into(),
            team: "Crew".into(),
            owner: "@Ana".into(),
            verdict,
            words: words.into(),
        };
        let outcome = Outcome {
            act: BulkAct::Revoke,
            rows: vec![
                row("=1+1", Verdict::Change, "Revoked"),
                row("b", Verdict::Already, "Already revoked"),
                row("c,d", Verdict::Not, "-"),
            ],
        };
        assert_eq!(
            String::from_utf8(outcome.csv()).unwrap(),
            "id,name,team,owner,outcome,reason\r\n\
            key_1,'=1+1,Crew,'@Ana,done,Revoked\r\n\
            key_1,b,Crew,'@Ana,unchanged,Already revoked\r\n\
            key_1,\"c,d\",Crew,'@Ana,not done,'-\r\n"
        );
    }
}

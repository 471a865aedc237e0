//! The form of an act on several keys: text as it was sent, and the act that it becomes.

use serde::{Deserialize, Serialize};

use super::key::parse_expiry;
use super::parts::Take;
use crate::domain::bulk::{BulkAct, BulkChange, MAX_BULK, Selected};
use crate::domain::expiry::Expiry;
use crate::domain::field_error::FieldError;
use crate::domain::ids::{KeyId, TeamId};
use crate::domain::parse_error::ParseError;
use crate::domain::reauth::Reauth;

/// In `BulkForm::team`: no team.
pub const NO_TEAM: &str = "none";

/// One act on several keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BulkForm {
    /// The organisation's slug.
    pub org: String,
    /// As [`BulkAct::as_str`].
    pub act: String,
    /// Ids of keys, each with a dot and the version that was shown where that is known.
    pub keys: Vec<String>,
    /// A team's id or [`NO_TEAM`], with the act `move`; empty is not chosen yet.
    pub team: String,
    /// `date` or `never`, with the act `expire`; empty is not chosen yet.
    pub expiry: String,
    /// The last day that the keys work, with the expiry `date`.
    pub expires_on: String,
    /// How many keys are revoked, typed to confirm it for keys in use.
    pub count: String,
    /// The query of the list that the keys were selected in.
    pub back: String,
    /// Asked for with more than one key.
    pub reauth: Reauth,
}

impl BulkForm {
    /// The selected keys, each once, in their order.
    ///
    /// # Errors
    /// `keys` when none or too many are selected.
    pub fn selected(&self) -> Result<Vec<Selected>, Vec<FieldError>> {
        let mut selected: Vec<Selected> = Vec::new();
        for text in &self.keys {
            let (id, version) = text.split_once('.').unwrap_or((text, ""));
            let Some(id) = KeyId::parse(id) else { continue };
            if selected.iter().all(|other| other.id != id) {
                selected.push(Selected { id, version: version.parse().ok() });
            }
        }
        match selected.len() {
            0 => Err(vec![FieldError::say("keys", "Select at least one key.")]),
            1..=MAX_BULK => Ok(selected),
            _ => Err(vec![FieldError::say("keys", "Select at most 100 keys at a time.")]),
        }
    }

    /// # Errors
    /// `act` when it is none.
    pub fn act(&self) -> Result<BulkAct, Vec<FieldError>> {
        BulkAct::parse(&self.act).ok_or_else(|| vec![FieldError::say("act", "Choose an action.")])
    }

    /// What is asked for; `None` while its team or expiry is not chosen yet.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn change(&self) -> Result<Option<BulkChange>, Vec<FieldError>> {
        let mut errors = Vec::new();
        Ok(Some(match self.act()? {
            BulkAct::Rotate => BulkChange::Rotate,
            BulkAct::Disable => BulkChange::Disable,
            BulkAct::Enable => BulkChange::Enable,
            BulkAct::Revoke => BulkChange::Revoke { confirmed: self.count.trim().parse().ok() },
            BulkAct::Move => match self.team.as_str() {
                "" => return Ok(None),
                NO_TEAM => BulkChange::Move(None),
                team => {
                    let team =
                        TeamId::parse(team).ok_or_else(|| ParseError::new("Choose a team from the list."));
                    BulkChange::Move(Some(errors.take("team", team).ok_or(errors)?))
                }
            },
            BulkAct::Expire if self.expiry.is_empty() => return Ok(None),
            BulkAct::Expire => {
                let expiry = parse_expiry(&self.expiry, &self.expires_on).and_then(|expiry| match expiry {
                    Expiry::Never | Expiry::On(_) => Ok(expiry),
                    Expiry::Keep | Expiry::Days(_) => Err(ParseError::new("Choose when the keys expire.")),
                });
                BulkChange::Expire(errors.take("expiry", expiry).ok_or(errors)?)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::{Day, Moment};

    fn id(n: u8) -> KeyId {
        KeyId::new(Moment::from_ms(1), [n; 10])
    }

    #[test]
    fn each_key_is_selected_once_and_at_most_a_hundred() {
        let form = |keys: Vec<String>| BulkForm { keys, ..BulkForm::default() }.selected();
        let two = form(vec![format!("{}.7", id(2)), id(1).to_string(), id(2).to_string(), "key_?".into()]);
        let expected = [Selected { id: id(2), version: Some(7) }, Selected { id: id(1), version: None }];
        assert_eq!(two.unwrap(), expected);
        assert!(form(vec![]).is_err());
        assert_eq!(form((0..100).map(|n| id(n).to_string()).collect()).unwrap().len(), 100);
        assert!(form((0..101).map(|n| id(n).to_string()).collect()).is_err());
    }

    #[test]
    fn what_is_not_chosen_yet_is_no_mistake() {
        let form = |act: &str, team: &str, expiry: &str, on: &str| {
            let form = BulkForm {
                act: act.into(),
                team: team.into(),
                expiry: expiry.into(),
                expires_on: on.into(),
                ..BulkForm::default()
            };
            form.change().map_err(|errors| errors[0].field.clone())
        };
        assert!(matches!(form("move", "", "", ""), Ok(None)));
        assert!(matches!(form("move", "none", "", ""), Ok(Some(BulkChange::Move(None)))));
        assert!(matches!(form("expire", "", "", ""), Ok(None)));
        let day = Day::parse("2027-01-31").unwrap();
        let on = form("expire", "", "date", "2027-01-31");
        assert!(matches!(on, Ok(Some(BulkChange::Expire(Expiry::On(on)))) if on == day));
        for (act, team, expiry, field) in [
            ("move", "team_?", "", "team"),
            ("expire", "", "keep", "expiry"),
            ("expire", "", "30", "expiry"),
            ("expire", "", "date", "expiry"),
            ("sell", "", "", "act"),
        ] {
            assert_eq!(form(act, team, expiry, "").unwrap_err(), field);
        }
    }
}

//! The forms of an organisation's balance.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::field_error::FieldError;
use crate::domain::ledger::{AddEntry, EntryKind, NewEntry, parse_amount, parse_note};
use crate::domain::parse_error::ParseError;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntryForm {
    /// `credit` or `debit`.
    pub kind: String,
    /// Dollars above zero, also for a debit.
    pub amount: String,
    /// What the entry is for; must not be empty.
    pub note: String,
}

impl EntryForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<NewEntry, Vec<FieldError>> {
        let kind = match EntryKind::parse(&self.kind) {
            Some(kind @ (EntryKind::Credit | EntryKind::Debit)) => Ok(kind),
            Some(EntryKind::Opening) | None => Err(ParseError::new("Choose Add credit or Take out.")),
        };
        let mut errors = Vec::new();
        let kind = errors.take("kind", kind);
        let amount = errors.take("amount", parse_amount(&self.amount));
        let note = errors.take("note", parse_note(&self.note));
        match (kind, amount, note) {
            (Some(kind), Some(amount), Some(note)) => Ok(NewEntry { kind, amount, note }),
            _ => Err(errors),
        }
    }
}

/// Adds an entry to an organisation's balance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnterForm {
    /// The organisation's slug.
    pub org: String,
    /// The number that the entry gets: the next one when the form was drawn.
    pub seq: i64,
    /// The entry to add.
    pub entry: EntryForm,
}

/// Sets whether an organisation's balance is enforced.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnforceForm {
    /// The organisation's slug.
    pub org: String,
    /// `on` or `off`.
    pub enforce: String,
}

impl EnterForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<AddEntry, Vec<FieldError>> {
        Ok(AddEntry { org: self.org.clone(), seq: self.seq, entry: self.entry.parse()? })
    }
}

impl EnforceForm {
    /// Whether to enforce the balance.
    ///
    /// # Errors
    /// A sentence when it is neither.
    pub fn parse(&self) -> Result<bool, Vec<FieldError>> {
        match self.enforce.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(vec![FieldError::say("enforce", "Choose on or off.")]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::MAX_NOTE;
    use crate::domain::money::Money;

    fn form(kind: &str, amount: &str, note: &str) -> EntryForm {
        EntryForm { kind: kind.into(), amount: amount.into(), note: note.into() }
    }

    fn wrong(form: &EntryForm) -> Vec<String> {
        form.parse().unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn every_mistake_in_an_entry_is_found_at_once() {
        assert_eq!(wrong(&EntryForm::default()), ["kind", "amount", "note"]);
        assert_eq!(wrong(&form("opening", "-5", " ")), ["kind", "amount", "note"]);
        assert_eq!(wrong(&form("credit", "0", "Invoice 7")), ["amount"]);
        assert_eq!(wrong(&form("debit", "1", &"x".repeat(MAX_NOTE + 1))), ["note"]);
        assert_eq!(wrong(&form("debit", "1", "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE")), ["note"]);
    }

    #[test]
    fn a_debit_is_typed_above_zero_and_kept_below() {
        let entry = form("debit", "$1,250.50", " Invoice 7 ").parse().unwrap();
        assert_eq!(entry.signed(), Money::from_nanos(-1_250_500_000_000));
        assert_eq!(entry.note, "Invoice 7");
        assert_eq!(
            form("credit", "2k", "Invoice 7").parse().unwrap().signed(),
            Money::from_nanos(2_000_000_000_000)
        );
    }
}

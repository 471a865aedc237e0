//! What was paid into an organisation and taken out of it, and the balance that comes of it: the sum of its entries less
//! what was spent since the first of them that counts. Entries are only ever added; a mistake is set right by another one.

use super::audit::SYSTEM;
use super::moment::Moment;
use super::money::{Money, parse_budget};
use super::parse_error::ParseError;
use super::person::visible_name;

/// The longest note of an entry, in characters.
pub const MAX_NOTE: usize = 200;
/// All credits of an organisation together, and all its debits: their sums stay far from what a number can hold.
const MAX_ALTOGETHER: Money = Money::from_nanos(4_000_000_000 * 1_000_000_000);

/// What an entry does to the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Written once, when the balance is first enforced: as much as was spent until then.
    Opening,
    /// Adds to what was paid in.
    Credit,
    /// Adds to what was taken out.
    Debit,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [EntryKind; 3] = [EntryKind::Opening, EntryKind::Credit, EntryKind::Debit];

    /// The word in the database and in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Opening => "opening",
            EntryKind::Credit => "credit",
            EntryKind::Debit => "debit",
        }
    }

    /// Reads the word that [`EntryKind::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// As pages call it.
    pub fn words(self) -> &'static str {
        match self {
            EntryKind::Opening => "Opening",
            EntryKind::Credit => "Credit",
            EntryKind::Debit => "Debit",
        }
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1 in each organisation.
    pub seq: i64,
    /// When it was entered.
    pub at: Moment,
    /// What it does to the balance.
    pub kind: EntryKind,
    /// Below zero for a debit.
    pub amount: Money,
    /// What it is for, as the operator typed it; empty for the opening.
    pub note: String,
    /// A person's id, or `system`.
    pub actor_id: String,
    /// The person's name then, or why the program acted.
    pub actor_name: String,
}

impl Entry {
    /// Who entered it: a person by name, or the program and why.
    pub fn who(&self) -> String {
        match self.actor_id.as_str() {
            SYSTEM => format!("Keydesk ({})", self.actor_name),
            _ => self.actor_name.clone(),
        }
    }

    /// `a credit of $50.00`, for sentences.
    pub fn description(&self) -> String {
        match self.kind {
            EntryKind::Opening => "the opening entry".into(),
            EntryKind::Credit => format!("a credit of {}", self.amount),
            EntryKind::Debit => format!("a debit of {}", Money::ZERO.saturating_sub(self.amount)),
        }
    }
}

/// What an organisation has left, and what it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The sum of all credits.
    pub paid_in: Money,
    /// Above zero.
    pub taken_out: Money,
    /// What was spent before spend began to count; `None` until the balance is enforced for the first time.
    pub opening: Option<Money>,
    /// When spend began to count; `None` until then.
    pub opened_at: Option<Moment>,
    /// All that was ever spent.
    pub spent: Money,
    /// The number of the newest entry; 0 without any.
    pub last_seq: i64,
    /// Since when requests are refused at a balance of nothing; `None` while they are not.
    pub enforced_at: Option<Moment>,
}

impl Balance {
    /// What was spent since spend counts.
    pub fn spent_since(&self) -> Money {
        self.opening.map_or(Money::ZERO, |opening| self.spent.saturating_sub(opening))
    }

    /// What remains: paid in, less taken out and spent since spend counts. May be below zero.
    pub fn left(&self) -> Money {
        self.paid_in.saturating_sub(self.taken_out).saturating_sub(self.spent_since())
    }

    /// Requests are refused now.
    pub fn refuses(&self) -> bool {
        self.enforced_at.is_some() && self.left() <= Money::ZERO
    }

    /// There is something to show: it is enforced, or something was ever entered.
    pub fn is_kept(&self) -> bool {
        self.enforced_at.is_some() || self.last_seq > 0
    }

    /// # Errors
    /// A sentence when the entry would take the sums beyond what is kept.
    pub fn check(&self, new: &NewEntry) -> Result<(), ParseError> {
        let (so_far, word) = match new.kind {
            EntryKind::Debit => (self.taken_out, "taken out"),
            EntryKind::Opening | EntryKind::Credit => (self.paid_in, "paid in"),
        };
        if so_far.saturating_add(new.amount) > MAX_ALTOGETHER {
            return Err(ParseError::new(format!(
                "With this, more than {MAX_ALTOGETHER} would be {word} in total. Enter a smaller amount."
            )));
        }
        Ok(())
    }
}

/// An entry that a person asks for. The amount is above zero whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// A credit or a debit; the form accepts no opening.
    pub kind: EntryKind,
    /// Above zero, also for a debit.
    pub amount: Money,
    /// What it is for, 1 to 200 characters.
    pub note: String,
}

/// An entry with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddEntry {
    /// The organisation's slug.
    pub org: String,
    /// The number that the entry gets: one more than the newest entry that the operator saw.
    pub seq: i64,
    /// The entry itself.
    pub entry: NewEntry,
}

impl NewEntry {
    /// As the ledger keeps it: below zero for a debit.
    pub fn signed(&self) -> Money {
        match self.kind {
            EntryKind::Debit => Money::ZERO.saturating_sub(self.amount),
            EntryKind::Opening | EntryKind::Credit => self.amount,
        }
    }

    /// The entry says the same as this one.
    pub fn is(&self, entry: &Entry) -> bool {
        (self.kind, self.signed(), self.note.as_str()) == (entry.kind, entry.amount, entry.note.as_str())
    }
}

/// The amount of an entry, in dollars above zero.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse_amount(text: &str) -> Result<Money, ParseError> {
    match text.trim() {
        "" => Err(ParseError::new("The amount is empty. Enter dollars, such as 250 or 1,250.50.")),
        text => parse_budget(text),
    }
}

/// What an entry is for.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse_note(text: &str) -> Result<String, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::new("Enter what it is for, such as the invoice number."));
    }
    visible_name(text, "Note", MAX_NOTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(amount: i64) -> Money {
        Money::from_nanos(amount * 1_000_000_000)
    }

    #[test]
    fn the_balance_is_what_was_paid_in_less_what_was_taken_out_and_spent_since() {
        let balance = Balance {
            paid_in: dollars(100),
            taken_out: dollars(10),
            opening: Some(dollars(40)),
            spent: dollars(65),
            ..Balance::default()
        };
        assert_eq!((balance.spent_since(), balance.left()), (dollars(25), dollars(65)));
        // Until it is enforced for the first time, nothing that is spent counts.
        assert_eq!(Balance { opening: None, ..balance }.left(), dollars(90));
    }

    #[test]
    fn only_an_enforced_balance_of_nothing_refuses() {
        let none = Balance { opening: Some(Money::ZERO), ..Balance::default() };
        assert!(!none.refuses());
        let enforced = Balance { enforced_at: Some(Moment::from_ms(1)), ..none };
        assert!(enforced.refuses());
        assert!(!Balance { paid_in: Money::from_nanos(1), ..enforced }.refuses());
    }

    #[test]
    fn sums_stay_within_what_is_kept() {
        let entry = |kind| NewEntry { kind, amount: dollars(1_000_000_000), note: "x".into() };
        let full = Balance { paid_in: dollars(3_000_000_001), ..Balance::default() };
        assert!(full.check(&entry(EntryKind::Credit)).is_err());
        assert!(full.check(&entry(EntryKind::Debit)).is_ok());
    }
}

//! Editing what others may edit at the same time. Each editable type lists its fields in one table; what changed, what the
//! audit says of it and what two edits become together all come from that table.

use super::audit::{Change, ChangeValue};
use super::audit_words;
use super::field_error::FieldError;
use super::moment::Zone;
use super::parse_error::ParseError;

/// One field of an editable type.
pub struct EditField<S: Editable> {
    /// The form field's name and the audit's.
    pub name: &'static str,
    /// Whether the two values differ.
    pub differs: fn(&S, &S) -> bool,
    /// Takes the second's value over into the first.
    pub take: fn(&mut S, &S),
    /// The value as the audit stores it.
    pub value: fn(&S, &S::Names) -> ChangeValue,
}

/// An [`EditField`] that is a field of the struct, or a field of one of its fields.
macro_rules! edit_field {
    ($name:literal, $($path:ident).+, |$own:pat_param, $names:pat_param| $value:expr) => {
        EditField {
            name: $name,
            differs: |a, b| a.$($path).+ != b.$($path).+,
            take: |to, from| to.$($path).+.clone_from(&from.$($path).+),
            value: |$own, $names| $value,
        }
    };
}
pub(crate) use edit_field;

/// What people edit field by field.
pub trait Editable: Clone + PartialEq + 'static {
    /// What its ids are called.
    type Names;

    /// Every field, in the order in which the audit lists changes.
    const FIELDS: &'static [EditField<Self>];

    /// The form field under which a conflict about a field is shown.
    fn form_field(&self, field: &'static str) -> &'static str {
        field
    }

    /// `self` as a conflict tells it, beside `other`: a field whose words are long may leave out what both have.
    fn beside(&self, _other: &Self) -> Self {
        self.clone()
    }

    /// The audit's before and after of each field that differs from `before`.
    fn changes_since(&self, before: &Self, names: &Self::Names) -> Vec<Change> {
        let changed = Self::FIELDS.iter().filter(|field| (field.differs)(self, before));
        let change = |field: &EditField<Self>| {
            Change::replaced(field.name, (field.value)(before, names), (field.value)(self, names))
        };
        changed.map(change).collect()
    }

    /// `self` with the fields that differ between `base` and `mine` taken from `mine`.
    fn merged(&self, base: &Self, mine: &Self) -> Self {
        let mut merged = self.clone();
        for field in Self::FIELDS.iter().filter(|field| (field.differs)(mine, base)) {
            (field.take)(&mut merged, mine);
        }
        merged
    }

    /// Both values beside each field that `mine` and `self` both changed from `base`, to different values. Moments are in
    /// `zone`.
    fn conflicts(&self, base: &Self, mine: &Self, names: &Self::Names, zone: &Zone) -> Vec<FieldError> {
        let both = |field: &&EditField<Self>| {
            let differ = field.differs;
            differ(mine, base) && differ(self, base) && differ(self, mine)
        };
        Self::FIELDS.iter().filter(both).map(|field| self.conflict(field, mine, names, zone)).collect()
    }

    /// Both values of one field, for a person who has to choose.
    fn conflict(&self, field: &EditField<Self>, mine: &Self, names: &Self::Names, zone: &Zone) -> FieldError {
        let words = |of: &Self| audit_words::value(&(field.value)(of, names), zone);
        let sentence =
            format!("Now: {}. You entered: {}.", words(&self.beside(mine)), words(&mine.beside(self)));
        FieldError::new(mine.form_field(field.name), ParseError::new(sentence))
    }
}

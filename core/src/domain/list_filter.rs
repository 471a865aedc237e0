//! Which members, teams, organisations and models a list shows: the meaning of its address. Keys and the audit have
//! files of their own.

use super::meter::Meter;
use super::model::KnownModel;
use super::money::Money;
use super::page::Cursor;

/// Which members of an organisation.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Part of a name or of an email address; empty is every member.
    pub search: String,
    /// People who left or were removed, in place of those who are in.
    pub left: bool,
    /// `None` is the first page.
    pub page: Option<Cursor>,
}

/// Which teams of an organisation.
#[derive(Clone, Debug, Default)]
pub struct TeamFilter {
    /// Part of a name; empty is every team.
    pub search: String,
    /// The archived ones, in place of those in use.
    pub archived: bool,
}

/// Which organisations of the installation.
#[derive(Clone, Debug, Default)]
pub struct OrgFilter {
    /// Part of a name or of an address; empty is every one.
    pub search: String,
    /// Only those that are suspended.
    pub suspended: bool,
    /// `None` is the first page.
    pub page: Option<Cursor>,
}

/// Which models of the catalogue, and in what order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFilter {
    /// Part of an id, of a vendor or of a provider's name; empty is every one.
    pub search: String,
    /// Only those that a provider serves (`true`), or only those that none does (`false`).
    pub served: Option<bool>,
    /// What they are sorted by.
    pub sort: ModelSort,
    /// The dearest, or the last by name, first.
    pub descending: bool,
}

impl ModelFilter {
    /// Whether the list shows the model.
    pub fn takes(&self, known: &KnownModel) -> bool {
        let search = self.search.trim().to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&search);
        self.served.is_none_or(|served| known.served_by.is_some() == served)
            && (found(&known.model.id)
                || found(&known.model.provider)
                || known.served_by.as_deref().is_some_and(found))
    }
}

/// What models are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelSort {
    /// Their ids.
    #[default]
    Id,
    /// The vendors' names.
    Vendor,
    /// The provider's name; models that none serves are first.
    Served,
    /// The price of input.
    Input,
    /// The price of output.
    Output,
}

impl ModelSort {
    /// Each, in the order of the columns.
    pub const ALL: [ModelSort; 5] =
        [ModelSort::Id, ModelSort::Vendor, ModelSort::Served, ModelSort::Input, ModelSort::Output];

    /// The word in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            ModelSort::Id => "model",
            ModelSort::Vendor => "vendor",
            ModelSort::Served => "served",
            ModelSort::Input => "input",
            ModelSort::Output => "output",
        }
    }

    /// The word of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }

    /// What is compared: prices as amounts, words as people read them, and the id last.
    pub fn key(self, known: &KnownModel) -> (Money, String, String) {
        let model = &known.model;
        let (amount, words) = match self {
            ModelSort::Id => (Money::ZERO, String::new()),
            ModelSort::Vendor => (Money::ZERO, model.provider.to_lowercase()),
            ModelSort::Served => (Money::ZERO, known.served_by.clone().unwrap_or_default().to_lowercase()),
            ModelSort::Input => (model.rate(Meter::Input).unwrap_or_default(), String::new()),
            ModelSort::Output => (model.rate(Meter::Output).unwrap_or_default(), String::new()),
        };
        (amount, words, model.id.clone())
    }
}

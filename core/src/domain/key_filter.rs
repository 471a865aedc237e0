//! Which keys a list shows, in what order and from where on: the meaning of a list's address. The store turns it into
//! SQL and the pages turn it into links.

use super::ids::TeamId;
use super::key::Status;
use super::page::Cursor;

/// The longest search text, in characters; the longest name has half as many.
pub const MAX_SEARCH: usize = 200;
/// Characters from which on a search looks inside names; shorter ones find names that begin with them. The index is made
/// of three characters.
pub const SEARCH_INSIDE_FROM: usize = 3;

/// Which keys a list shows, and in what order. The order never changes which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of a name, or the last four characters of a secret; empty for all.
    pub search: String,
    /// Only keys in these states.
    pub state: StateFilter,
    /// Only keys of this team.
    pub team: Option<TeamId>,
    /// What they are sorted by.
    pub sort: Sort,
    /// The newest, latest, largest or last by name first.
    pub descending: bool,
    /// `None` is the first page.
    pub page: Option<Cursor>,
}

impl KeyFilter {
    /// It is the first page of all live keys.
    pub fn is_plain(&self) -> bool {
        self.search.trim().is_empty()
            && self.state == StateFilter::Live
            && self.team.is_none()
            && self.page.is_none()
    }
}

/// Which states a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// Active and disabled keys, as everywhere that live keys are counted.
    Live,
    /// One status.
    Only(Status),
    /// Active, and expiring within a week.
    Expiring,
}

/// What keys are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When they were created.
    Created,
    /// Their names, in lower case of all scripts.
    Name,
    /// When they were last used; never is before every moment.
    LastUsed,
    /// When they expire; never is after every moment.
    Expires,
    /// Spend of this month.
    Spend,
}

impl StateFilter {
    /// Each, in the order of the page's filters.
    pub const ALL: [StateFilter; 6] = [
        StateFilter::Live,
        StateFilter::Only(Status::Active),
        StateFilter::Expiring,
        StateFilter::Only(Status::Disabled),
        StateFilter::Only(Status::Expired),
        StateFilter::Only(Status::Revoked),
    ];

    /// The word in an address; empty for live keys.
    pub fn as_str(self) -> &'static str {
        match self {
            StateFilter::Live => "",
            StateFilter::Expiring => "expiring",
            StateFilter::Only(status) => status.as_str(),
        }
    }

    /// The word on a page.
    pub fn label(self) -> &'static str {
        match self {
            StateFilter::Live => "All live",
            StateFilter::Only(Status::Active) => "Active",
            StateFilter::Expiring => "Expiring",
            StateFilter::Only(Status::Disabled) => "Disabled",
            StateFilter::Only(Status::Expired) => "Expired",
            StateFilter::Only(Status::Revoked) => "Revoked",
        }
    }

    /// The word of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Sort {
    /// Each, in no order that matters.
    pub const ALL: [Sort; 5] = [Sort::Created, Sort::Name, Sort::LastUsed, Sort::Expires, Sort::Spend];

    /// The word in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Created => "created",
            Sort::Name => "name",
            Sort::LastUsed => "used",
            Sort::Expires => "expires",
            Sort::Spend => "spend",
        }
    }

    /// The word of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }

    /// The direction that people mean when they first click the column.
    pub fn descends_first(self) -> bool {
        matches!(self, Sort::Created | Sort::LastUsed | Sort::Spend)
    }
}

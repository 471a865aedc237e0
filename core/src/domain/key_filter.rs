//! Which keys a list shows, in what order and from where on: the meaning of a list's URL. Plain data; the store turns
//! it into SQL and the pages into links.

use super::ids::TeamId;
use super::key::Status;

/// The longest search text, in characters; the longest name has half as many.
pub const MAX_SEARCH: usize = 200;

/// Which keys a list shows. It is what the URL's query says, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of a name, or the last four characters of a secret; empty for all.
    pub search: String,
    pub state: StateFilter,
    pub team: Option<TeamId>,
    pub sort: Sort,
    pub descending: bool,
    pub page: Option<Cursor>,
}

impl KeyFilter {
    /// Nothing is searched for or left out but revoked keys, and it is the first page.
    pub fn is_plain(&self) -> bool {
        self.search.trim().is_empty()
            && self.state == StateFilter::Live
            && self.team.is_none()
            && self.page.is_none()
    }
}

/// A place in a list to go on from: the sort value and number of the row at the edge of the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub backwards: bool,
    /// The row's name where names are sorted, else a whole number in decimal.
    pub value: String,
    pub seq: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// Everything that is not revoked.
    Live,
    Only(Status),
    /// Active, and ending within a week.
    Expiring,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Created,
    Name,
    LastUsed,
    Expires,
    /// Spend in this month; lists only keys that spent anything.
    Spend,
}

impl StateFilter {
    pub const ALL: [StateFilter; 6] = [
        StateFilter::Live,
        StateFilter::Only(Status::Active),
        StateFilter::Expiring,
        StateFilter::Only(Status::Disabled),
        StateFilter::Only(Status::Expired),
        StateFilter::Only(Status::Revoked),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            StateFilter::Live => "",
            StateFilter::Expiring => "expiring",
            StateFilter::Only(status) => status.as_str(),
        }
    }

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

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Sort {
    pub const ALL: [Sort; 5] = [Sort::Created, Sort::Name, Sort::LastUsed, Sort::Expires, Sort::Spend];

    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Created => "created",
            Sort::Name => "name",
            Sort::LastUsed => "used",
            Sort::Expires => "expires",
            Sort::Spend => "spend",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }

    /// The direction that people mean when they first click the column.
    pub fn descends_first(self) -> bool {
        matches!(self, Sort::Created | Sort::LastUsed | Sort::Spend)
    }
}

//! Which keys a list shows, in what order and from where on: the meaning of a list's address. The store turns it into
//! SQL and the pages turn it into links.

use super::ids::{PersonId, TeamId};
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
    /// Only keys whose secret is older.
    pub older: Option<SecretAge>,
    /// Only keys of this team.
    pub team: Option<TeamId>,
    /// Only keys that this person owns.
    pub owner: Option<PersonId>,
    /// What they are sorted by.
    pub sort: Sort,
    /// The newest, latest, largest or last by name first.
    pub descending: bool,
    /// `None` is the first page.
    pub page: Option<Cursor>,
}

impl KeyFilter {
    /// All keys of one state, newest first.
    pub fn in_state(state: StateFilter) -> Self {
        let (search, older, team, owner, page) = (String::new(), None, None, None, None);
        Self { search, state, older, team, owner, sort: Sort::Created, descending: true, page }
    }

    /// It is the first page of all live keys.
    pub fn is_plain(&self) -> bool {
        self.search.trim().is_empty()
            && self.state == StateFilter::Live
            && self.older.is_none()
            && self.team.is_none()
            && self.owner.is_none()
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
    /// Live, and due for rotation.
    RotationDue,
    /// Active, and nothing is left of a budget of its own, of its team or of its organisation, or of the balance.
    Stopped,
    /// Active, and a budget of its own, of its team or of its organisation is used to 80 % or more.
    NearLimit,
    /// Live, and neither used nor created in the last `IDLE_DAYS`.
    Idle,
    /// Live, without a budget and without a rate limit of its own.
    Unlimited,
}

/// For how many days an idle key was not used.
pub const IDLE_DAYS: i64 = 90;

/// Ages of a secret to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretAge {
    /// 90 days.
    Quarter,
    /// 180 days.
    Half,
    /// 365 days.
    Year,
}

impl SecretAge {
    /// Each, the youngest first.
    pub const ALL: [SecretAge; 3] = [SecretAge::Quarter, SecretAge::Half, SecretAge::Year];

    /// In days.
    pub fn days(self) -> i64 {
        match self {
            SecretAge::Quarter => 90,
            SecretAge::Half => 180,
            SecretAge::Year => 365,
        }
    }

    /// The words on a page.
    pub fn label(self) -> &'static str {
        match self {
            SecretAge::Quarter => "Secret older than 90 days",
            SecretAge::Half => "Secret older than 180 days",
            SecretAge::Year => "Secret older than 1 year",
        }
    }

    /// The number of days in an address.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|age| age.days().to_string() == text)
    }
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
    /// When their current secrets were made.
    Rotated,
    /// Spend of this month.
    Spend,
}

impl StateFilter {
    /// Each that an address can name.
    pub const ALL: [StateFilter; 11] = {
        let [live, stopped, near, expiring, due, idle, unlimited, disabled, expired, revoked] = Self::OFFERED;
        let active = StateFilter::Only(Status::Active);
        [live, active, stopped, near, expiring, due, idle, unlimited, disabled, expired, revoked]
    };

    /// The page's filters, in their order.
    pub const OFFERED: [StateFilter; 10] = [
        StateFilter::Live,
        StateFilter::Stopped,
        StateFilter::NearLimit,
        StateFilter::Expiring,
        StateFilter::RotationDue,
        StateFilter::Idle,
        StateFilter::Unlimited,
        StateFilter::Only(Status::Disabled),
        StateFilter::Only(Status::Expired),
        StateFilter::Only(Status::Revoked),
    ];

    /// Those that need a look, the most urgent first.
    pub const LOOKS: [StateFilter; 6] = [
        StateFilter::Stopped,
        StateFilter::NearLimit,
        StateFilter::Expiring,
        StateFilter::RotationDue,
        StateFilter::Idle,
        StateFilter::Unlimited,
    ];

    /// The word in an address; empty for live keys.
    pub fn as_str(self) -> &'static str {
        match self {
            StateFilter::Live => "",
            StateFilter::Expiring => "expiring",
            StateFilter::RotationDue => "due",
            StateFilter::Stopped => "stopped",
            StateFilter::NearLimit => "near",
            StateFilter::Idle => "idle",
            StateFilter::Unlimited => "unlimited",
            StateFilter::Only(status) => status.as_str(),
        }
    }

    /// The word on a page.
    pub fn label(self) -> &'static str {
        match self {
            StateFilter::Live => "All live",
            StateFilter::Only(Status::Active) => "Active",
            StateFilter::Expiring => "Expiring",
            StateFilter::RotationDue => "Due for rotation",
            StateFilter::Stopped => "Stopped",
            StateFilter::NearLimit => "Near a limit",
            StateFilter::Idle => "Idle 90 days",
            StateFilter::Unlimited => "Without a limit",
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
    pub const ALL: [Sort; 6] =
        [Sort::Created, Sort::Name, Sort::LastUsed, Sort::Expires, Sort::Rotated, Sort::Spend];

    /// The word in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Created => "created",
            Sort::Name => "name",
            Sort::LastUsed => "used",
            Sort::Expires => "expires",
            Sort::Rotated => "rotated",
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

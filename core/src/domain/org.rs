//! An organisation, as everything that belongs to it needs to know it, and what it decides about its keys.

use serde::{Deserialize, Serialize};

use super::ids::OrgId;
use super::key_format::DEFAULT_PREFIX;
use super::limits::Limits;
use super::moment::{Day, Moment, Zone};
use super::money::Money;
use super::parse_error::ParseError;
use super::person::{Email, visible_name};
use super::policy::MembersCreate;

/// An organisation as menus name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgName {
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// Its name.
    pub name: String,
}

/// An organisation and its settings.
#[derive(Clone, Debug)]
pub struct Org {
    /// The organisation's id.
    pub id: OrgId,
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// The organisation's name.
    pub name: String,
    /// Budgets' windows turn and days end in this zone.
    pub zone: Zone,
    /// What its secrets begin with.
    pub key_prefix: String,
    /// While it is suspended, requests with its keys are rejected.
    pub suspended: bool,
    /// What it requires of its keys and people.
    pub rules: OrgRules,
    /// What the form of a new key is filled in with.
    pub defaults: KeyDefaults,
    /// The first day of which every single request is still there; `None` is the very first.
    pub raw_from: Option<Day>,
    /// Goes up with each change of the settings; a change names the version it started from.
    pub version: i64,
}

/// An organisation in the installation's list.
#[derive(Clone, Debug)]
pub struct ListedOrg {
    /// Its id.
    pub id: OrgId,
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// Its name, as people typed it.
    pub name: String,
    /// Where its months begin.
    pub zone: Zone,
    /// When it was created.
    pub created_at: Moment,
    /// `None` while it is not suspended.
    pub suspended_at: Option<Moment>,
    /// At most one more than `MAX_KEYS_COUNTED`.
    pub live_keys: i64,
    /// Active members.
    pub people: i64,
}

/// Where counting the keys of a listed organisation stops.
pub const MAX_KEYS_COUNTED: i64 = 10_000;

impl Org {
    /// As an organisation begins: nothing suspended, nothing ruled, the usual defaults.
    pub fn new(id: OrgId, slug: String, name: String, zone: Zone) -> Self {
        Self {
            id,
            slug,
            name,
            zone,
            key_prefix: DEFAULT_PREFIX.into(),
            suspended: false,
            rules: OrgRules::default(),
            defaults: KeyDefaults::default(),
            raw_from: None,
            version: 1,
        }
    }
}

/// What an organisation asks of its keys and people. `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrgRules {
    /// The longest time from now, in days, that a key may be given.
    pub max_key_days: Option<i64>,
    /// Live keys that one member may own; owners and admins are not counted.
    pub max_keys_per_member: Option<i64>,
    /// Whether members may create keys for themselves.
    pub members_create: MembersCreate,
    /// Owners and admins need a second factor.
    pub second_factor: bool,
    /// Days after which keys without a setting of their own are due for rotation; `None` is never.
    pub rotate_days: Option<i64>,
    /// Every key may rotate itself, whatever its own setting says.
    pub self_rotation: bool,
    /// By how much budgets and the balance may be passed.
    pub overshoot: Overshoot,
    /// What happens to requests without a price.
    pub unpriced: Unpriced,
    /// Days after which single requests are deleted, and roll-ups stay; `None` is never.
    pub raw_days: Option<i64>,
}

/// By how much the budgets of an organisation, its teams and its keys, and its balance, may be passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overshoot {
    /// Not at all: a request passes when what it may cost at most fits.
    None,
    /// By one request: all requests in flight but the dearest one fit at their worst.
    #[default]
    OneRequest,
}

impl Overshoot {
    /// The word in forms and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Overshoot::None => "none",
            Overshoot::OneRequest => "one_request",
        }
    }

    /// Reads the word that [`Overshoot::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Overshoot::None, Overshoot::OneRequest].into_iter().find(|choice| choice.as_str() == text)
    }
}

/// What happens to a request whose price is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpriced {
    /// It is refused.
    #[default]
    Refuse,
    /// It passes, and its usage is marked "not priced".
    Allow,
}

impl Unpriced {
    /// The word in forms and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unpriced::Refuse => "refuse",
            Unpriced::Allow => "allow",
        }
    }

    /// Reads the word that [`Unpriced::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Unpriced::Refuse, Unpriced::Allow].into_iter().find(|choice| choice.as_str() == text)
    }
}

/// What the form of a new key is filled in with. Stored as JSON; what a stored one lacks is as in the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyDefaults {
    /// Every model, new ones too; otherwise today's models.
    pub every_model: bool,
    /// Per month; `None` is no limit.
    pub month: Option<Money>,
    /// How fast the new key may go.
    pub limits: Limits,
    /// Days until a new key expires; `None` is never.
    pub days: Option<i64>,
}

impl Default for KeyDefaults {
    /// A small budget, modest rates, an end in sight.
    fn default() -> Self {
        Self {
            every_model: false,
            month: Some(Money::from_nanos(50_000_000_000)),
            limits: Limits { rpm: Some(60), tpm: Some(100_000), concurrent: Some(8) },
            days: Some(90),
        }
    }
}

/// The longest name of an organisation, in characters.
pub const MAX_ORG_NAME: usize = 100;

/// An organisation's name, which stands on every page of it.
///
/// # Errors
/// When nothing of it is visible, it is too long, or it looks like a secret.
pub fn parse_org_name(text: &str) -> Result<String, ParseError> {
    visible_name(text, "Name", MAX_ORG_NAME)
}

/// The zone of an IANA name.
///
/// # Errors
/// When the time zone database has no such name.
pub fn parse_zone(text: &str) -> Result<Zone, ParseError> {
    Zone::parse(text.trim())
        .ok_or_else(|| ParseError::new("Unknown time zone. Enter one such as Europe/Zurich or UTC."))
}

/// An organisation that an operator creates.
#[derive(Clone, Debug)]
pub struct NewOrg {
    /// The organisation's name.
    pub name: String,
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// Budgets' windows turn and days end in this zone.
    pub zone: Zone,
    /// The owner's.
    pub email: Email,
}

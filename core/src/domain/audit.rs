//! What can be recorded. The set is closed: an event that is not listed cannot be written, and a reader can tell
//! every kind apart. Events hold names and values that people may read later, and never a secret or its hash.

use serde::{Deserialize, Serialize};

/// Who did it: a person at the desk, or the program on someone's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    Person { id: super::ids::PersonId, name: String },
    System { why: &'static str },
}

impl Actor {
    /// The id that the audit row keeps; `system` for the command line.
    pub fn id(&self) -> &str {
        match self {
            Actor::Person { id, .. } => id.as_str(),
            Actor::System { .. } => SYSTEM,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Actor::Person { name, .. } => name,
            Actor::System { why } => why,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $verb:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind { $($(#[$doc])* $name),+ }

        impl EventKind {
            pub const ALL: &[EventKind] = &[$(EventKind::$name),+];

            pub fn as_str(self) -> &'static str {
                match self { $(EventKind::$name => $text),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(EventKind::$name),)+ _ => None }
            }

            /// The verb of the sentence "<actor> <verb> <subject>".
            pub fn verb(self) -> &'static str {
                match self { $(EventKind::$name => $verb),+ }
            }
        }
    };
}

kinds! {
    OrgCreated = "org.created", "created";
    OrgEdited = "org.edited", "changed the settings of";
    OrgSuspended = "org.suspended", "suspended";
    OrgResumed = "org.resumed", "resumed";
    BalanceCredited = "balance.credited", "added to the balance of";
    BalanceDebited = "balance.debited", "took out of the balance of";
    /// From now on requests are refused at a balance of nothing.
    BalanceEnforced = "balance.enforced", "began to enforce the balance of";
    BalanceNotEnforced = "balance.not_enforced", "stopped enforcing the balance of";
    KeyCreated = "key.created", "created";
    KeyEdited = "key.edited", "edited";
    KeyDisabled = "key.disabled", "disabled";
    KeyEnabled = "key.enabled", "enabled";
    KeyRevoked = "key.revoked", "revoked";
    /// Its owner left, and somebody decided that it goes on until its end.
    KeyKept = "key.kept", "let run on after its owner left";
    TeamCreated = "team.created", "created";
    TeamEdited = "team.edited", "edited";
    TeamArchived = "team.archived", "archived";
    TeamRestored = "team.restored", "restored";
    /// The subject is the team; the change names the person.
    TeamPersonAdded = "team.person_added", "added somebody to";
    TeamPersonChanged = "team.person_changed", "changed somebody's role in";
    TeamPersonRemoved = "team.person_removed", "removed somebody from";
    MemberInvited = "member.invited", "invited";
    InvitationResent = "member.invitation_resent", "sent a new invitation to";
    InvitationWithdrawn = "member.invitation_withdrawn", "withdrew the invitation of";
    MemberJoined = "member.joined", "joined as";
    MemberRoleChanged = "member.role_changed", "changed the role of";
    MemberDisabled = "member.disabled", "disabled";
    MemberEnabled = "member.enabled", "enabled";
    MemberRemoved = "member.removed", "removed";
    MemberLeft = "member.left", "left as";
    PersonRenamed = "person.renamed", "changed the name of";
    PasswordReset = "password.reset", "set a new password through a one-time link for";
    PasswordChanged = "password.changed", "changed the password of";
    SessionsEnded = "sessions.ended", "ended sessions of";
    SecondFactorOn = "second_factor.on", "turned on the second factor of";
    SecondFactorOff = "second_factor.off", "turned off the second factor of";
    RecoveryCodesMade = "recovery_codes.made", "made new recovery codes for";
    RecoveryCodeUsed = "recovery_codes.used", "used a recovery code of";
    ProviderAdded = "provider.added", "connected";
    ProviderEdited = "provider.edited", "changed";
    ProviderRetired = "provider.retired", "retired";
    ModelAdded = "model.added", "added";
    ModelEdited = "model.edited", "changed";
    ModelRouted = "model.routed", "routed";
    ModelRetired = "model.retired", "retired";
    SupportAccessed = "support.accessed", "looked at";
    AuditExported = "audit.exported", "exported the audit of";
}

/// One field's value before and after, as people read it. `None` is "not there".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// An event about to be saved with the change that it tells of.
#[derive(Clone, Debug)]
pub struct Event {
    pub kind: EventKind,
    pub subject_id: String,
    pub subject_name: String,
    pub changes: Vec<Change>,
}

impl Event {
    pub fn new(kind: EventKind, subject_id: impl Into<String>, subject_name: impl Into<String>) -> Self {
        Self { kind, subject_id: subject_id.into(), subject_name: subject_name.into(), changes: Vec::new() }
    }

    pub fn with(mut self, changes: Vec<Change>) -> Self {
        self.changes = changes;
        self
    }
}

/// An event as it is read back. `audit_words` makes a sentence of it.
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// Counted from 1 in each organisation, without holes.
    pub seq: i64,
    pub at: super::moment::Moment,
    /// A person's id, or `system`.
    pub actor_id: String,
    pub actor_name: String,
    pub kind: EventKind,
    pub subject_id: String,
    pub subject_name: String,
    pub changes: Vec<Change>,
    pub address: String,
    pub request_id: String,
}

impl PastEvent {
    /// The value that a field has after the event.
    pub fn after(&self, field: &str) -> Option<&str> {
        self.changes.iter().find(|change| change.field == field)?.after.as_deref()
    }

    /// The value that a field had before the event.
    pub fn before(&self, field: &str) -> Option<&str> {
        self.changes.iter().find(|change| change.field == field)?.before.as_deref()
    }
}

/// Whose doing an event was when nobody was signed in.
pub const SYSTEM: &str = "system";

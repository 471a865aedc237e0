//! What the audit can record. The set of kinds is closed, and changes are typed values. Events contain names and values
//! that people may read later, and never a secret or its hash.

use serde::{Deserialize, Serialize};

use super::addresses::AllowList;
use super::ids::{KeyId, PersonId};
use super::limits::Budget;
use super::moment::Moment;
use super::money::Money;
use super::scope::ModelScope;

/// Who did it: a person, or the program by itself or on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in person.
    Person {
        /// Their id.
        id: PersonId,
        /// Their name now.
        name: String,
    },
    /// A key that acts on itself.
    Key {
        /// Its id.
        id: KeyId,
        /// Its name now.
        name: String,
    },
    /// The program.
    System {
        /// On what occasion, such as "command line".
        why: &'static str,
    },
}

impl Actor {
    /// The id that the audit row keeps; `system` for the command line.
    pub fn id(&self) -> &str {
        match self {
            Actor::Person { id, .. } => id.as_str(),
            Actor::Key { id, .. } => id.as_str(),
            Actor::System { .. } => SYSTEM,
        }
    }

    /// The name that the audit row keeps.
    pub fn name(&self) -> &str {
        match self {
            Actor::Person { name, .. } | Actor::Key { name, .. } => name,
            Actor::System { why } => why,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind { $($(#[$doc])* $name),+ }

        impl EventKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[EventKind] = &[$(EventKind::$name),+];

            /// The word in the database, in exports and in filters.
            pub fn as_str(self) -> &'static str {
                match self { $(EventKind::$name => $text),+ }
            }

            /// Reads what [`EventKind::as_str`] writes; `None` for any other text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(EventKind::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// An organisation was created.
    OrgCreated = "org.created";
    /// An organisation's settings changed.
    OrgEdited = "org.edited";
    /// An organisation's alerts changed: thresholds, and what people get who chose nothing.
    AlertsEdited = "alerts.edited";
    /// A webhook for alerts was added.
    WebhookAdded = "webhook.added";
    /// A webhook for alerts was removed.
    WebhookRemoved = "webhook.removed";
    /// An organisation was suspended.
    OrgSuspended = "org.suspended";
    /// A suspension ended.
    OrgResumed = "org.resumed";
    /// Credit was added to a balance.
    BalanceCredited = "balance.credited";
    /// Credit was taken out of a balance.
    BalanceDebited = "balance.debited";
    /// Requests are rejected from now on at a balance of zero.
    BalanceEnforced = "balance.enforced";
    /// Requests are allowed again at a balance of zero.
    BalanceNotEnforced = "balance.not_enforced";
    /// Past requests were charged at another price.
    SpendRerated = "spend.rerated";
    /// Counters or roll-ups were brought to the sums of the requests.
    SpendRepaired = "spend.repaired";
    /// A key was created.
    KeyCreated = "key.created";
    /// A key's fields changed.
    KeyEdited = "key.edited";
    /// A key was disabled.
    KeyDisabled = "key.disabled";
    /// A disabled key was enabled.
    KeyEnabled = "key.enabled";
    /// A key got a new secret. The changes name both by their last four characters.
    KeyRotated = "key.rotated";
    /// A key's previous secret was ended before its time.
    SecretEnded = "key.secret_ended";
    /// A key's previous secret got another end.
    SecretExtended = "key.secret_extended";
    /// A key's previous secret became the current one again, and the new one was ended.
    RotationUndone = "key.rotation_undone";
    /// A secret of a key was reported as leaked. What was done about it is an event of its own.
    SecretLeaked = "key.secret_leaked";
    /// A key was revoked for good.
    KeyRevoked = "key.revoked";
    /// The owner of a key left, and an admin lets it run until it expires.
    KeyKept = "key.kept";
    /// An expired key gets a later expiry and is in use again.
    KeyExtended = "key.extended";
    /// A key or a team got a limit that only reports.
    ShadowLimitSet = "shadow_limit.set";
    /// A limit that only reported is enforced from now on.
    ShadowLimitEnforced = "shadow_limit.enforced";
    /// A limit that only reported was removed.
    ShadowLimitRemoved = "shadow_limit.removed";
    /// A person asked for more of a budget that stops a key, or for a new key.
    AskMade = "ask.made";
    /// A person took an ask back.
    AskWithdrawn = "ask.withdrawn";
    /// An ask was granted: more of a budget for a time, or leave to create the key.
    AskGranted = "ask.granted";
    /// An ask was refused.
    AskRefused = "ask.refused";
    /// A team was created.
    TeamCreated = "team.created";
    /// A team's fields changed.
    TeamEdited = "team.edited";
    /// A team was archived.
    TeamArchived = "team.archived";
    /// An archived team was restored.
    TeamRestored = "team.restored";
    /// A person was added to a team. The subject is the team; the change names the person.
    TeamPersonAdded = "team.person_added";
    /// A person's role in a team changed.
    TeamPersonChanged = "team.person_changed";
    /// A person was removed from a team.
    TeamPersonRemoved = "team.person_removed";
    /// A person was invited by email.
    MemberInvited = "member.invited";
    /// An invitation got a new link.
    InvitationResent = "member.invitation_resent";
    /// An open invitation was withdrawn.
    InvitationWithdrawn = "member.invitation_withdrawn";
    /// A person joined the organisation.
    MemberJoined = "member.joined";
    /// A member's role changed.
    MemberRoleChanged = "member.role_changed";
    /// A member was disabled.
    MemberDisabled = "member.disabled";
    /// A disabled member was enabled.
    MemberEnabled = "member.enabled";
    /// A member was removed.
    MemberRemoved = "member.removed";
    /// A member left by themselves.
    MemberLeft = "member.left";
    /// A person changed their name.
    PersonRenamed = "person.renamed";
    /// A password was set through a one-time link.
    PasswordReset = "password.reset";
    /// A person changed their password.
    PasswordChanged = "password.changed";
    /// A person ended sessions of theirs.
    SessionsEnded = "sessions.ended";
    /// Two-factor authentication was turned on.
    SecondFactorOn = "second_factor.on";
    /// Two-factor authentication was turned off.
    SecondFactorOff = "second_factor.off";
    /// New recovery codes replaced the old ones.
    RecoveryCodesMade = "recovery_codes.made";
    /// A recovery code was used to sign in.
    RecoveryCodeUsed = "recovery_codes.used";
    /// Every session was ended, and every open link with it.
    EveryoneSignedOut = "everyone.signed_out";
    /// The key that encrypts 2FA secrets, webhooks and cookies was replaced.
    CookieKeyRotated = "cookie_key.rotated";
    /// A provider was added.
    ProviderAdded = "provider.added";
    /// A provider's fields changed.
    ProviderEdited = "provider.edited";
    /// The connection to a provider was tested.
    ProviderTested = "provider.tested";
    /// A provider was retired.
    ProviderRetired = "provider.retired";
    /// A model was added.
    ModelAdded = "model.added";
    /// A model's fields changed.
    ModelEdited = "model.edited";
    /// A model got another provider, or none.
    ModelRouted = "model.routed";
    /// A model was retired.
    ModelRetired = "model.retired";
    /// A model got another price, from now or from later on. The changes compare it with the price in force.
    PriceSet = "model.price_set";
    /// A price that had not started was withdrawn.
    PriceWithdrawn = "model.price_withdrawn";
    /// Support viewed something of the organisation.
    SupportAccessed = "support.accessed";
    /// The audit was exported.
    AuditExported = "audit.exported";
}

/// One field's value before and after. `None` is "not there".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field's stable name; `audit_words::field` has the words.
    pub field: String,
    /// What it was.
    pub before: Option<ChangeValue>,
    /// What it is now.
    pub after: Option<ChangeValue>,
}

impl Change {
    /// A field that had no value before.
    pub fn added(field: &str, after: impl Into<ChangeValue>) -> Self {
        Self { field: field.into(), before: None, after: Some(after.into()) }
    }

    /// A field that has no value any more.
    pub fn removed(field: &str, before: impl Into<ChangeValue>) -> Self {
        Self { field: field.into(), before: Some(before.into()), after: None }
    }

    /// A field that has another value now.
    pub fn replaced(field: &str, before: impl Into<ChangeValue>, after: impl Into<ChangeValue>) -> Self {
        Self { field: field.into(), before: Some(before.into()), after: Some(after.into()) }
    }
}

/// A value as `audit_events.changes` stores it: JSON with the variant's name as its key, such as `{"limit":60}`.
/// Variants may be added; renaming or retyping one makes stored events unreadable. `audit_words` has the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeValue {
    /// A name, or text as a person typed it.
    Text(String),
    /// Several names.
    List(Vec<String>),
    /// One of a closed set of options.
    Choice(Choice),
    /// A number of things.
    Count(i64),
    /// An amount in nano-dollars.
    Money(Money),
    /// The budget of one period in nano-dollars; `None` is no limit.
    Budget(Option<Money>),
    /// All budgets of a key or a team; an empty list is no limit.
    Budgets(Vec<Budget>),
    /// A rate limit or another upper bound; `None` is no limit.
    Limit(Option<i64>),
    /// A number of days; `None` is no limit.
    Days(Option<i64>),
    /// A timeout in milliseconds.
    Milliseconds(i64),
    /// When a key expires, in milliseconds since 1970; `None` is never.
    Expiry(Option<Moment>),
    /// Which models may be used.
    Models(ModelScope),
    /// From which addresses a key may be used.
    Addresses(AllowList),
    /// A key's team by name; `None` is no team.
    Team(Option<String>),
    /// A person in a team.
    TeamMember {
        /// The person's name.
        name: String,
        /// What they are in the team.
        role: Choice,
    },
    /// A whole secret that was searched for. It is not stored.
    Secret,
}

/// Options of which exactly one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Owner of an organisation.
    Owner,
    /// Admin of an organisation.
    Admin,
    /// Member of an organisation, or of a team.
    Member,
    /// Admin of a team.
    TeamAdmin,
    /// New keys may use every model, also those added later.
    EveryModel,
    /// New keys may use the models that exist when the key is created.
    CurrentModels,
    /// Members may not create keys.
    NoKeys,
    /// Members may create keys in their teams.
    InTeams,
    /// Members may create keys with and without a team.
    Anywhere,
    /// Owners and admins need two-factor authentication.
    Required,
    /// Two-factor authentication is each person's choice.
    Optional,
    /// No reminder to rotate keys.
    NoReminder,
    /// A key is due for rotation when its organisation says so.
    OrgReminder,
    /// A key may rotate itself, or all keys of the organisation may.
    Allowed,
    /// A key may not rotate itself.
    NotAllowed,
    /// Keys may rotate themselves where their own settings allow it.
    ByKey,
    /// Budgets are never passed.
    NoOvershoot,
    /// Budgets may be passed by one request.
    OneRequestMore,
    /// Requests without a price are refused.
    RefuseUnpriced,
    /// Requests without a price pass.
    AllowUnpriced,
    /// Single requests are never deleted.
    Forever,
}

impl From<String> for ChangeValue {
    fn from(text: String) -> Self {
        ChangeValue::Text(text)
    }
}

impl From<&str> for ChangeValue {
    fn from(text: &str) -> Self {
        ChangeValue::Text(text.into())
    }
}

impl From<Money> for ChangeValue {
    fn from(amount: Money) -> Self {
        ChangeValue::Money(amount)
    }
}

impl From<Choice> for ChangeValue {
    fn from(choice: Choice) -> Self {
        ChangeValue::Choice(choice)
    }
}

/// An event about to be saved, in the transaction of the change.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The id of what it happened to.
    pub subject_id: String,
    /// Its name, which may be another one later.
    pub subject_name: String,
    /// The fields that changed.
    pub changes: Vec<Change>,
}

impl Event {
    /// An event without changes.
    pub fn new(kind: EventKind, subject_id: impl Into<String>, subject_name: impl Into<String>) -> Self {
        Self { kind, subject_id: subject_id.into(), subject_name: subject_name.into(), changes: Vec::new() }
    }

    /// The same event with these changes.
    pub fn with(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes = changes.into_iter().collect();
        self
    }

    /// The same event with the fields of something new: none of them had a value before.
    pub fn with_new(self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.with(changes.into_iter().map(|change| Change { before: None, ..change }))
    }
}

/// An event as it is read back. `audit_words` makes a sentence of it.
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// Counted from 1 in each organisation, without gaps.
    pub seq: i64,
    /// When it was saved.
    pub at: Moment,
    /// A person's id, or `system`.
    pub actor_id: String,
    /// The person's name then, or why the program acted.
    pub actor_name: String,
    /// What happened.
    pub kind: EventKind,
    /// The id of what it happened to.
    pub subject_id: String,
    /// Its name then.
    pub subject_name: String,
    /// The fields that changed.
    pub changes: Vec<Change>,
    /// The client's address, where it is known.
    pub address: String,
    /// The request's id, where it is known.
    pub request_id: String,
}

impl PastEvent {
    /// The change of a field, if it is one of the event's.
    pub fn change(&self, field: &str) -> Option<&Change> {
        self.changes.iter().find(|change| change.field == field)
    }

    /// The value that a field has after the event.
    pub fn after(&self, field: &str) -> Option<&ChangeValue> {
        self.change(field)?.after.as_ref()
    }
}

/// The actor's id of events without a signed-in person.
pub const SYSTEM: &str = "system";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::window::Period;

    /// Stored events are read back by this form for as long as an installation lives.
    #[test]
    fn changes_have_a_stable_form() {
        let text = |text: &str| AllowList::parse_lines(text).unwrap();
        let budget = Budget { period: Period::Month, amount: Money::from_nanos(50_000_000_000) };
        let models = ModelScope::Listed(ModelScope::parse_lines("gpt-5, claude-*").unwrap());
        let values = [
            ChangeValue::Text("ci-prod".into()),
            ChangeValue::List(vec!["Data".into(), "Web".into()]),
            ChangeValue::Choice(Choice::TeamAdmin),
            ChangeValue::Count(3),
            ChangeValue::Money(Money::from_nanos(-1)),
            ChangeValue::Budget(None),
            ChangeValue::Budget(Some(budget.amount)),
            ChangeValue::Budgets(vec![budget]),
            ChangeValue::Limit(None),
            ChangeValue::Limit(Some(60)),
            ChangeValue::Days(Some(90)),
            ChangeValue::Milliseconds(10_000),
            ChangeValue::Expiry(None),
            ChangeValue::Expiry(Some(Moment::from_ms(1_795_000_000_000))),
            ChangeValue::Models(ModelScope::Every),
            ChangeValue::Models(models),
            ChangeValue::Addresses(text("10.0.0.0/8")),
            ChangeValue::Team(None),
            ChangeValue::TeamMember { name: "Bo Lind".into(), role: Choice::Member },
            ChangeValue::Secret,
        ];
        let mut lines = String::new();
        for value in values {
            let change = Change { field: "x".into(), before: None, after: Some(value) };
            let json = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
            lines.push_str(&format!("{json}\n"));
        }
        for choice in [
            Choice::Owner,
            Choice::Admin,
            Choice::Member,
            Choice::TeamAdmin,
            Choice::EveryModel,
            Choice::CurrentModels,
            Choice::NoKeys,
            Choice::InTeams,
            Choice::Anywhere,
            Choice::Required,
            Choice::Optional,
        ] {
            lines.push_str(&format!("{}\n", serde_json::to_string(&choice).unwrap()));
        }
        insta::assert_snapshot!(lines);
    }
}

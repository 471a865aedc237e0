//! Which events a page or an export of the audit shows: the meaning of its address. The store turns it into SQL and the
//! pages turn it into links.

use super::audit::EventKind;
use super::ids::TeamId;
use super::moment::Day;
use super::page::Cursor;

/// Kinds of events that people look for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Changes of keys.
    Keys,
    /// Changes of teams and of who is in them.
    Teams,
    /// Invitations and memberships.
    People,
    /// Passwords, sessions and second factors.
    SignIn,
    /// Settings, status and balance of the organisation.
    Organisation,
    /// What support looked at, and exports.
    Watching,
    /// Providers and models: in the installation's audit only.
    Catalogue,
}

impl Group {
    /// Each, in the order of the page's filter.
    pub const ALL: [Group; 7] = [
        Group::Keys,
        Group::Teams,
        Group::People,
        Group::SignIn,
        Group::Organisation,
        Group::Watching,
        Group::Catalogue,
    ];

    /// The word in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Keys => "keys",
            Group::Teams => "teams",
            Group::People => "people",
            Group::SignIn => "sign-in",
            Group::Organisation => "organisation",
            Group::Watching => "watching",
            Group::Catalogue => "catalogue",
        }
    }

    /// The words on a page.
    pub fn label(self) -> &'static str {
        match self {
            Group::Keys => "Keys",
            Group::Teams => "Teams",
            Group::People => "People and invitations",
            Group::SignIn => "Passwords and sign-in",
            Group::Organisation => "The organisation",
            Group::Watching => "Support and exports",
            Group::Catalogue => "Providers and models",
        }
    }

    /// The one group that a kind is in.
    pub fn of(kind: EventKind) -> Group {
        use EventKind as K;
        match kind {
            K::KeyCreated
            | K::KeyEdited
            | K::KeyRotated
            | K::SecretEnded
            | K::SecretExtended
            | K::RotationUndone
            | K::SecretLeaked
            | K::KeyDisabled
            | K::KeyEnabled
            | K::KeyRevoked
            | K::KeyKept
            | K::KeyExtended
            | K::ShadowLimitSet
            | K::ShadowLimitEnforced
            | K::ShadowLimitRemoved
            | K::AskMade
            | K::AskWithdrawn
            | K::AskGranted
            | K::AskRefused => Group::Keys,
            K::TeamCreated
            | K::TeamEdited
            | K::TeamArchived
            | K::TeamRestored
            | K::TeamPersonAdded
            | K::TeamPersonChanged
            | K::TeamPersonRemoved => Group::Teams,
            K::MemberInvited
            | K::InvitationResent
            | K::InvitationWithdrawn
            | K::MemberJoined
            | K::MemberRoleChanged
            | K::MemberDisabled
            | K::MemberEnabled
            | K::MemberRemoved
            | K::MemberLeft
            | K::PersonRenamed => Group::People,
            K::PasswordReset
            | K::PasswordChanged
            | K::SessionsEnded
            | K::SecondFactorOn
            | K::SecondFactorOff
            | K::RecoveryCodesMade
            | K::RecoveryCodeUsed
            | K::EveryoneSignedOut
            | K::CookieKeyRotated => Group::SignIn,
            K::ProviderAdded
            | K::ProviderEdited
            | K::ProviderTested
            | K::ProviderRetired
            | K::ModelAdded
            | K::ModelEdited
            | K::ModelRouted
            | K::ModelRetired
            | K::PriceSet
            | K::PriceWithdrawn => Group::Catalogue,
            K::OrgCreated
            | K::OrgEdited
            | K::AlertsEdited
            | K::WebhookAdded
            | K::WebhookRemoved
            | K::OrgSuspended
            | K::OrgResumed
            | K::BalanceCredited
            | K::BalanceDebited
            | K::BalanceEnforced
            | K::BalanceNotEnforced
            | K::SpendRerated
            | K::SpendRepaired => Group::Organisation,
            K::SupportAccessed | K::AuditExported => Group::Watching,
        }
    }

    /// Every kind in the group.
    pub fn kinds(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.iter().copied().filter(move |kind| Group::of(*kind) == self)
    }
}

/// Which kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// Every kind.
    #[default]
    All,
    /// The kinds of a group.
    Group(Group),
    /// One kind.
    One(EventKind),
}

impl Kinds {
    /// The words of `as_str`; anything else is every kind.
    pub fn parse(text: &str) -> Self {
        let group = Group::ALL.into_iter().find(|group| group.as_str() == text).map(Kinds::Group);
        group.or_else(|| EventKind::parse(text).map(Kinds::One)).unwrap_or_default()
    }

    /// The word in an address; empty for every kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Kinds::All => "",
            Kinds::Group(group) => group.as_str(),
            Kinds::One(kind) => kind.as_str(),
        }
    }

    /// The kinds one by one; empty for every kind.
    pub fn list(self) -> Vec<EventKind> {
        match self {
            Kinds::All => vec![],
            Kinds::Group(group) => group.kinds().collect(),
            Kinds::One(kind) => vec![kind],
        }
    }
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The actor: a person's id, or `system`. Empty for every actor.
    pub person: String,
    /// A key's id or its name. Empty for everything.
    pub key: String,
    /// The team itself and the keys that are in it now.
    pub team: Option<TeamId>,
    /// The kinds of events.
    pub kinds: Kinds,
    /// The first day, of the organisation's calendar.
    pub from: Option<Day>,
    /// The last day, which is included.
    pub to: Option<Day>,
    /// `None` is the newest page.
    pub page: Option<Cursor>,
}

impl AuditFilter {
    /// Nothing is left out; it may be any page.
    pub fn is_plain(&self) -> bool {
        *self == AuditFilter { page: self.page.clone(), ..AuditFilter::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_one_group_and_reads_back() {
        let mut count = 0;
        for group in Group::ALL {
            assert_eq!(Kinds::parse(group.as_str()), Kinds::Group(group));
            let kinds: Vec<_> = group.kinds().collect();
            assert!(!kinds.is_empty());
            count += kinds.len();
        }
        assert_eq!(count, EventKind::ALL.len());
        for kind in EventKind::ALL {
            assert_eq!(Kinds::parse(kind.as_str()), Kinds::One(*kind));
        }
        assert_eq!(Kinds::parse("nothing of the kind"), Kinds::All);
    }
}

//! Which events a page or an export of the audit holds: the meaning of its URL. Plain data; the store turns it into SQL
//! and the pages into links.

use super::audit::EventKind;
use super::ids::TeamId;
use super::moment::Day;

/// Kinds of events that people look for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Keys,
    Teams,
    People,
    SignIn,
    Organisation,
    Watching,
    /// Providers and models: in the installation's audit only.
    Catalogue,
}

impl Group {
    pub const ALL: [Group; 7] = [
        Group::Keys,
        Group::Teams,
        Group::People,
        Group::SignIn,
        Group::Organisation,
        Group::Watching,
        Group::Catalogue,
    ];

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

    pub fn of(kind: EventKind) -> Group {
        use EventKind as K;
        match kind {
            K::KeyCreated | K::KeyEdited | K::KeyDisabled | K::KeyEnabled | K::KeyRevoked | K::KeyKept => {
                Group::Keys
            }
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
            | K::RecoveryCodeUsed => Group::SignIn,
            K::ProviderAdded
            | K::ProviderEdited
            | K::ProviderRetired
            | K::ModelAdded
            | K::ModelEdited
            | K::ModelRouted
            | K::ModelRetired => Group::Catalogue,
            K::OrgCreated
            | K::OrgEdited
            | K::OrgSuspended
            | K::OrgResumed
            | K::BalanceCredited
            | K::BalanceDebited
            | K::BalanceEnforced
            | K::BalanceNotEnforced => Group::Organisation,
            K::SupportAccessed | K::AuditExported => Group::Watching,
        }
    }

    pub fn kinds(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.iter().copied().filter(move |kind| Group::of(*kind) == self)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    #[default]
    All,
    Group(Group),
    One(EventKind),
}

impl Kinds {
    /// The words of `as_str`; anything else is every kind.
    pub fn parse(text: &str) -> Self {
        let group = Group::ALL.into_iter().find(|group| group.as_str() == text).map(Kinds::Group);
        group.or_else(|| EventKind::parse(text).map(Kinds::One)).unwrap_or_default()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Kinds::All => "",
            Kinds::Group(group) => group.as_str(),
            Kinds::One(kind) => kind.as_str(),
        }
    }

    /// Empty for all.
    pub fn list(self) -> Vec<EventKind> {
        match self {
            Kinds::All => vec![],
            Kinds::Group(group) => group.kinds().collect(),
            Kinds::One(kind) => vec![kind],
        }
    }
}

/// Which events. It is what the URL's query says, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Who did it: a person's id, or `system`. Empty for everybody.
    pub person: String,
    /// A key's id or its name. Empty for everything.
    pub key: String,
    /// The team itself and the keys that are in it now.
    pub team: Option<TeamId>,
    pub kinds: Kinds,
    /// Days of the organisation's calendar, both included.
    pub from: Option<Day>,
    pub to: Option<Day>,
    pub page: Option<Cursor>,
}

/// A place in the list to go on from: the number of the event at the edge of the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub backwards: bool,
    pub seq: i64,
}

impl AuditFilter {
    /// Nothing is left out.
    pub fn is_plain(&self) -> bool {
        *self == AuditFilter { page: self.page, ..AuditFilter::default() }
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

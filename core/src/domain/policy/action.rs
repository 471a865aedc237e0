//! Everything that can be asked for, and which audit events record it.

use crate::domain::audit::EventKind;

/// Everything that can be asked for. docs/ROLES.md has a row for each, and a test compares it with `allows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// List the keys that the caller may see.
    ListKeys,
    /// See one key.
    SeeKey,
    /// Create a key, in a team or without one.
    CreateKey,
    /// Change a key's fields, its team or its owner; extend it after it expired.
    EditKey,
    /// Take a key out of use until it is enabled again.
    DisableKey,
    /// Put a disabled key back in use.
    EnableKey,
    /// Give a key a new secret; end, extend or take back its previous one.
    RotateKey,
    /// Take a key out of use for good.
    RevokeKey,
    /// Report that a secret of a key leaked.
    ReportLeak,
    /// Test a secret against the gateway, from the desk.
    TestSecret,
    /// List the asks that the caller made or may answer.
    ListAsks,
    /// Ask for more of a budget that stops a key, or for a new key; withdraw that.
    AskForMore,
    /// Grant or refuse an ask. The object is whose budget it is about, or the key that is yet to be made.
    AnswerAsk,
    /// List the teams that the caller may see.
    ListTeams,
    /// See one team.
    SeeTeam,
    /// Create a team.
    CreateTeam,
    /// Its name, model scope, budgets and limits.
    EditTeam,
    /// Archive a team, or restore it.
    ArchiveTeam,
    /// Who is in it, and who looks after it.
    ManageTeamPeople,
    /// List the members that the caller may see.
    ListMembers,
    /// See one member.
    SeeMember,
    /// Invite a person, make a new link for an invitation, or withdraw it.
    Invite,
    /// Change a member's role in the organisation.
    ChangeRole,
    /// End a member's access; role, teams and keys stay.
    DisableMember,
    /// Give a disabled member access again.
    EnableMember,
    /// Take a member out of the organisation and its teams.
    RemoveMember,
    /// Leave the organisation.
    Leave,
    /// See what was spent: of the organisation, or the caller's part of it.
    SeeSpend,
    /// See the organisation's settings.
    SeeSettings,
    /// Change the organisation's settings.
    EditSettings,
    /// Read the organisation's audit.
    SeeAudit,
    /// Export the organisation's audit, which is recorded.
    ExportAudit,
    /// Create an organisation with its first owner.
    CreateOrg,
    /// Suspend an organisation: requests with its keys are rejected.
    SuspendOrg,
    /// End a suspension.
    ResumeOrg,
    /// What the organisation has left, and its ledger.
    SeeBalance,
    /// Compare counters and roll-ups with the requests, and see what that found before.
    CheckSpend,
    /// Make counters and roll-ups again from the requests.
    RepairSpend,
    /// Credits, debits, and whether requests stop at nothing.
    ChangeBalance,
    /// Charge past requests at another price.
    RerateSpend,
    /// A password, a second factor, sessions: one's own, told to the organisations that one belongs to.
    OwnAccount,
    /// Taking up an invitation.
    Join,
    /// A support person's look into an organisation, for its audit.
    AccessAsSupport,
    /// Only ever the program's own: the set-up of an installation, and a password set through a one-time link.
    SetUp,
    /// Set a new password through a one-time link.
    ResetPassword,
    /// Providers and models: the operators' own.
    AddProvider,
    /// Change a provider's fields.
    EditProvider,
    /// Call a provider to see whether it answers.
    TestProvider,
    /// Take a provider out of use; its models are not served then.
    RetireProvider,
    /// Add a model to the catalogue.
    AddModel,
    /// Change a model's fields, its route among them.
    EditModel,
    /// Route a model to another provider, or to none.
    RouteModel,
    /// Give a model another price, now or later.
    SetPrice,
    /// Withdraw a price that has not started.
    WithdrawPrice,
    /// Take a model out of the catalogue.
    RetireModel,
    /// The installation's own audit.
    SeeInstallationAudit,
    /// End every session and every open link, as after a restored backup. Only the command line does.
    SignEveryoneOut,
    /// Seal what the cookie key seals with another one. Only the command line does.
    RotateCookieKey,
}

impl Action {
    /// Of the installation, not of one organisation: recorded in the installation's audit chain too.
    pub(super) fn of_installation(self) -> bool {
        use Action as A;
        matches!(
            self,
            A::CreateOrg | A::SuspendOrg | A::ResumeOrg | A::ChangeBalance | A::RerateSpend | A::SetUp
        ) || self.of_catalogue()
    }

    /// On providers and models, which belong to no organisation.
    pub(super) fn of_catalogue(self) -> bool {
        use Action as A;
        matches!(
            self,
            A::AddProvider
                | A::EditProvider
                | A::TestProvider
                | A::RetireProvider
                | A::AddModel
                | A::EditModel
                | A::RouteModel
                | A::RetireModel
                | A::SetPrice
                | A::WithdrawPrice
                | A::SeeInstallationAudit
        )
    }

    /// About the person who acts and no other caller: the permit's object is that person.
    pub(super) fn on_oneself(self) -> bool {
        matches!(self, Action::Leave | Action::Join | Action::OwnAccount)
    }

    /// The kinds of audit event that record this action: a write under its permit owes one of them. Empty for what only
    /// reads, except for looks and exports, which are recorded although they change nothing.
    pub fn recorded_as(self) -> &'static [EventKind] {
        use EventKind as E;
        match self {
            Action::CreateKey => &[E::KeyCreated],
            Action::EditKey => &[
                E::KeyEdited,
                E::KeyKept,
                E::KeyExtended,
                E::ShadowLimitSet,
                E::ShadowLimitEnforced,
                E::ShadowLimitRemoved,
            ],
            Action::DisableKey => &[E::KeyDisabled],
            Action::EnableKey => &[E::KeyEnabled],
            Action::RotateKey => &[E::KeyRotated, E::SecretEnded, E::SecretExtended, E::RotationUndone],
            Action::RevokeKey => &[E::KeyRevoked],
            Action::ReportLeak => &[E::SecretLeaked],
            Action::AskForMore => &[E::AskMade, E::AskWithdrawn],
            Action::AnswerAsk => &[E::AskGranted, E::AskRefused],
            Action::CreateTeam => &[E::TeamCreated],
            Action::EditTeam => {
                &[E::TeamEdited, E::ShadowLimitSet, E::ShadowLimitEnforced, E::ShadowLimitRemoved]
            }
            Action::ArchiveTeam => &[E::TeamArchived, E::TeamRestored],
            Action::ManageTeamPeople => &[E::TeamPersonAdded, E::TeamPersonChanged, E::TeamPersonRemoved],
            Action::Invite => &[E::MemberInvited, E::InvitationResent, E::InvitationWithdrawn],
            Action::ChangeRole => &[E::MemberRoleChanged],
            Action::DisableMember => &[E::MemberDisabled],
            Action::EnableMember => &[E::MemberEnabled],
            Action::RemoveMember => &[E::MemberRemoved],
            Action::Leave => &[E::MemberLeft],
            Action::Join => &[E::MemberJoined],
            Action::EditSettings => &[E::OrgEdited, E::AlertsEdited, E::WebhookAdded, E::WebhookRemoved],
            Action::CreateOrg | Action::SetUp => &[E::OrgCreated],
            Action::SuspendOrg => &[E::OrgSuspended],
            Action::ResumeOrg => &[E::OrgResumed],
            Action::ChangeBalance => {
                &[E::BalanceCredited, E::BalanceDebited, E::BalanceEnforced, E::BalanceNotEnforced]
            }
            Action::RerateSpend => &[E::SpendRerated],
            Action::RepairSpend => &[E::SpendRepaired],
            Action::OwnAccount => &[
                E::PersonRenamed,
                E::PasswordChanged,
                E::SessionsEnded,
                E::SecondFactorOn,
                E::SecondFactorOff,
                E::RecoveryCodesMade,
                E::RecoveryCodeUsed,
            ],
            Action::ResetPassword => &[E::PasswordReset],
            Action::AddProvider => &[E::ProviderAdded],
            Action::EditProvider => &[E::ProviderEdited],
            Action::TestProvider => &[E::ProviderTested],
            Action::RetireProvider => &[E::ProviderRetired],
            Action::AddModel => &[E::ModelAdded],
            Action::EditModel => &[E::ModelEdited],
            Action::RouteModel => &[E::ModelRouted],
            Action::RetireModel => &[E::ModelRetired],
            Action::SetPrice => &[E::PriceSet],
            Action::WithdrawPrice => &[E::PriceWithdrawn],
            Action::AccessAsSupport => &[E::SupportAccessed],
            Action::ExportAudit => &[E::AuditExported],
            Action::SignEveryoneOut => &[E::EveryoneSignedOut],
            Action::RotateCookieKey => &[E::CookieKeyRotated],
            Action::ListKeys
            | Action::SeeKey
            | Action::TestSecret
            | Action::ListAsks
            | Action::ListTeams
            | Action::SeeTeam
            | Action::ListMembers
            | Action::SeeMember
            | Action::SeeSpend
            | Action::SeeSettings
            | Action::SeeAudit
            | Action::SeeBalance
            | Action::CheckSpend
            | Action::SeeInstallationAudit => &[],
        }
    }

    /// Still to be done in a suspended organisation: looking, taking keys out of use, leaving.
    pub fn while_suspended(self) -> bool {
        use Action as A;
        match self {
            A::ListKeys | A::SeeKey | A::TestSecret | A::DisableKey | A::RevokeKey | A::ReportLeak => true,
            A::ListTeams | A::SeeTeam | A::ListMembers | A::SeeMember | A::SeeSpend | A::ListAsks => true,
            A::DisableMember | A::RemoveMember | A::Leave => true,
            A::SeeSettings | A::SeeAudit | A::ExportAudit | A::AccessAsSupport => true,
            A::SuspendOrg | A::ResumeOrg | A::OwnAccount | A::ResetPassword => true,
            A::SeeBalance | A::ChangeBalance | A::RerateSpend | A::CheckSpend | A::RepairSpend => true,
            A::CreateKey | A::EditKey | A::EnableKey | A::RotateKey => false,
            A::AskForMore | A::AnswerAsk => false,
            A::CreateTeam | A::EditTeam | A::ArchiveTeam | A::ManageTeamPeople => false,
            A::Invite | A::Join | A::ChangeRole | A::EnableMember | A::EditSettings => false,
            A::CreateOrg | A::SetUp => false,
            // Of no organisation, so never asked.
            A::AddProvider | A::EditProvider | A::TestProvider | A::RetireProvider => false,
            A::AddModel | A::EditModel | A::RouteModel | A::RetireModel => false,
            A::SetPrice | A::WithdrawPrice => false,
            A::SeeInstallationAudit | A::SignEveryoneOut | A::RotateCookieKey => false,
        }
    }
}

//! Every page: its path and its component, in one list. All are rendered whole before they are sent.

use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::{SsrMode, path};

use crate::pages::NoPage;
use crate::pages::account::{AccountPage, PasswordPage, RecoveryCodesPage, SecondFactorPage, SessionsPage};
use crate::pages::alerts::{AlertSettingsPage, ChoicesPage, InboxPage};
use crate::pages::asks::{AskForKeyPage, AskForMorePage, AskPage, AsksPage};
use crate::pages::audit::{AuditPage, InstallationAuditPage};
use crate::pages::doctor::{DoctorPage, OwnKeyPage};
use crate::pages::installation::OperatorOverviewPage;
use crate::pages::keys::{
    BulkPage, DisableKeyPage, EditKeyPage, ExtendKeyPage, IssuedPage, KeyPage, KeysPage, NewKeyPage,
    RevokeKeyPage, RotateKeyPage, SecretPage,
};
use crate::pages::live_test::LiveTestPage;
use crate::pages::members::{
    InvitationPage, InvitePage, JoinPage, LeavePage, MemberPage, MembersPage, OffboardingPage,
    RemoveMemberPage,
};
use crate::pages::models::{
    CataloguePricePage, EditModelPage, ModelPage, ModelsPage, NewModelPage, RerateModelPage, RetireModelPage,
    WithdrawPricePage,
};
use crate::pages::orgs::{
    BalancePage, HomePage, NewOrgPage, OperatorBalancePage, OperatorPage, OrgCreatedPage, ResumeOrgPage,
    SettingsPage, SpendCheckPage, SuspendOrgPage,
};
use crate::pages::overview::OverviewPage;
use crate::pages::providers::{NewProviderPage, ProviderPage, ProvidersPage, RetireProviderPage};
use crate::pages::requests::{RequestPage, RequestsPage};
use crate::pages::session::{CodePage, ResetPage, SetUpPage, SignInPage};
use crate::pages::spend::SpendPage;
use crate::pages::support::SupportPage;
use crate::pages::teams::{
    AddPersonPage, ArchiveTeamPage, EditTeamPage, NewTeamPage, TeamPage, TeamPersonPage, TeamsPage,
};
use crate::pages::ticket::TicketPage;

#[component]
pub fn App() -> impl IntoView {
    view! {
        <Router>
            <Routes fallback=NoPage>
                <Route path=path!("/") view=HomePage ssr=SsrMode::Async />
                <Route path=path!("/sign-in") view=SignInPage ssr=SsrMode::Async />
                <Route path=path!("/sign-in/code") view=CodePage ssr=SsrMode::Async />
                <Route path=path!("/account") view=AccountPage ssr=SsrMode::Async />
                <Route path=path!("/account/password") view=PasswordPage ssr=SsrMode::Async />
                <Route path=path!("/account/sessions") view=SessionsPage ssr=SsrMode::Async />
                <Route path=path!("/account/second-factor") view=SecondFactorPage ssr=SsrMode::Async />
                <Route path=path!("/account/second-factor/codes") view=RecoveryCodesPage ssr=SsrMode::Async />
                <Route path=path!("/setup/:token") view=SetUpPage ssr=SsrMode::Async />
                <Route path=path!("/reset/:token") view=ResetPage ssr=SsrMode::Async />
                <Route path=path!("/operator") view=OperatorPage ssr=SsrMode::Async />
                <Route path=path!("/operator/overview") view=OperatorOverviewPage ssr=SsrMode::Async />
                <Route path=path!("/operator/new") view=NewOrgPage ssr=SsrMode::Async />
                <Route path=path!("/operator/audit") view=InstallationAuditPage ssr=SsrMode::Async />
                <Route path=path!("/operator/providers") view=ProvidersPage ssr=SsrMode::Async />
                <Route path=path!("/operator/providers/new") view=NewProviderPage ssr=SsrMode::Async />
                <Route path=path!("/operator/providers/:id") view=ProviderPage ssr=SsrMode::Async />
                <Route path=path!("/operator/providers/:id/retire") view=RetireProviderPage ssr=SsrMode::Async />
                <Route path=path!("/operator/models") view=ModelsPage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/new") view=NewModelPage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/show") view=ModelPage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/withdraw") view=WithdrawPricePage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/catalogue-price") view=CataloguePricePage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/edit") view=EditModelPage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/rerate") view=RerateModelPage ssr=SsrMode::Async />
                <Route path=path!("/operator/models/retire") view=RetireModelPage ssr=SsrMode::Async />
                <Route path=path!("/operator/:org/created") view=OrgCreatedPage ssr=SsrMode::Async />
                <Route path=path!("/operator/:org/suspend") view=SuspendOrgPage ssr=SsrMode::Async />
                <Route path=path!("/operator/:org/resume") view=ResumeOrgPage ssr=SsrMode::Async />
                <Route path=path!("/operator/:org/balance") view=OperatorBalancePage ssr=SsrMode::Async />
                <Route path=path!("/invite/:token") view=JoinPage ssr=SsrMode::Async />
                <Route path=path!("/doctor") view=OwnKeyPage ssr=SsrMode::Async />
                <Route path=path!("/support") view=SupportPage ssr=SsrMode::Async />
                <Route path=path!("/support/ticket") view=TicketPage ssr=SsrMode::Async />
                <Route path=path!("/:org") view=OverviewPage ssr=SsrMode::Async />
                <Route path=path!("/:org/audit") view=AuditPage ssr=SsrMode::Async />
                <Route path=path!("/:org/doctor") view=DoctorPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys") view=KeysPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/new") view=NewKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/bulk") view=BulkPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id") view=KeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/issued") view=IssuedPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/edit") view=EditKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/disable") view=DisableKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/secrets/:secret") view=SecretPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/ask") view=AskForMorePage ssr=SsrMode::Async />
                <Route path=path!("/:org/asks") view=AsksPage ssr=SsrMode::Async />
                <Route path=path!("/:org/asks/new") view=AskForKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/asks/:id") view=AskPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/extend") view=ExtendKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/rotate") view=RotateKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/keys/:id/revoke") view=RevokeKeyPage ssr=SsrMode::Async />
                <Route path=path!("/:org/spend") view=SpendPage ssr=SsrMode::Async />
                <Route path=path!("/:org/inbox") view=InboxPage ssr=SsrMode::Async />
                <Route path=path!("/:org/inbox/choices") view=ChoicesPage ssr=SsrMode::Async />
                <Route path=path!("/:org/live-test") view=LiveTestPage ssr=SsrMode::Async />
                <Route path=path!("/:org/requests") view=RequestsPage ssr=SsrMode::Async />
                <Route path=path!("/:org/requests/:id") view=RequestPage ssr=SsrMode::Async />
                <Route path=path!("/:org/settings") view=SettingsPage ssr=SsrMode::Async />
                <Route path=path!("/:org/settings/alerts") view=AlertSettingsPage ssr=SsrMode::Async />
                <Route path=path!("/:org/settings/balance") view=BalancePage ssr=SsrMode::Async />
                <Route path=path!("/:org/spend/check") view=SpendCheckPage ssr=SsrMode::Async />
                <Route path=path!("/:org/members") view=MembersPage ssr=SsrMode::Async />
                <Route path=path!("/:org/members/invite") view=InvitePage ssr=SsrMode::Async />
                <Route path=path!("/:org/members/:id") view=MemberPage ssr=SsrMode::Async />
                <Route path=path!("/:org/members/:id/remove") view=RemoveMemberPage ssr=SsrMode::Async />
                <Route path=path!("/:org/members/:id/keys") view=OffboardingPage ssr=SsrMode::Async />
                <Route path=path!("/:org/invitations/:id/issued") view=InvitationPage ssr=SsrMode::Async />
                <Route path=path!("/:org/leave") view=LeavePage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams") view=TeamsPage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams/new") view=NewTeamPage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams/:id") view=TeamPage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams/:id/edit") view=EditTeamPage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams/:id/archive") view=ArchiveTeamPage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams/:id/add") view=AddPersonPage ssr=SsrMode::Async />
                <Route path=path!("/:org/teams/:id/people/:person") view=TeamPersonPage ssr=SsrMode::Async />
            </Routes>
        </Router>
    }
}

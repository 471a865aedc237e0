//! Addresses of this program's own pages. A redirect goes nowhere else.

use keydesk_core::domain::alert::{Alert, AlertKind, SubjectKind};
use keydesk_core::domain::ids::{
    AskId, InvitationId, KeyId, PersonId, PriceId, ProviderId, RequestId, SecretId, TeamId,
};
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::forms::prefill::Prefill;
use keydesk_core::forms::ticket::TicketForm;
use leptos::prelude::IntoAttributeValue;

/// A path on this host, made by us or checked: no scheme, no host, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPath(String);

/// So that a path can stand as an attribute's value.
impl IntoAttributeValue for LocalPath {
    type Output = String;

    fn into_attribute_value(self) -> String {
        self.0
    }
}

impl From<LocalPath> for String {
    fn from(path: LocalPath) -> Self {
        path.0
    }
}

impl LocalPath {
    /// Accepts text from a request only if every browser stays on this host with it.
    pub fn parse(text: &str) -> Option<Self> {
        let safe = text.starts_with('/')
            && !text.starts_with("//")
            && !text.contains('\\')
            && text.len() <= 2_000
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !contains_secret(text);
        safe.then(|| Self(text.to_owned()))
    }

    pub fn home() -> Self {
        Self("/".into())
    }

    pub fn sign_in() -> Self {
        Self("/sign-in".into())
    }

    /// The second step of a sign-in.
    pub fn code() -> Self {
        Self("/sign-in/code".into())
    }

    pub fn account() -> Self {
        Self("/account".into())
    }

    pub fn password() -> Self {
        Self("/account/password".into())
    }

    pub fn sessions() -> Self {
        Self("/account/sessions".into())
    }

    pub fn second_factor() -> Self {
        Self("/account/second-factor".into())
    }

    pub fn recovery_codes() -> Self {
        Self("/account/second-factor/codes".into())
    }

    pub fn leave(org: &str) -> Self {
        Self(format!("/{org}/leave"))
    }

    pub fn support() -> Self {
        Self("/support".into())
    }

    /// A ticket with its fields, none of which may hold a secret.
    pub fn ticket(form: &TicketForm) -> Self {
        let filled = form.fields().into_iter().filter(|(_, text)| !text.is_empty()).collect::<Vec<_>>();
        Self("/support/ticket".into()).with_query(&serde_urlencoded::to_string(filled).unwrap_or_default())
    }

    /// A key's page, from one of its requests on.
    pub fn request(org: &str, key: &KeyId, request: &RequestId) -> Self {
        Self(format!("/{org}/keys/{key}?request={request}#requests"))
    }

    /// The log of an organisation's requests.
    pub fn requests(org: &str) -> Self {
        Self(format!("/{org}/requests"))
    }

    /// The log of one key's requests.
    pub fn requests_of(org: &str, key: &KeyId) -> Self {
        Self(format!("/{org}/requests?key={key}"))
    }

    /// A request's own page; `id` is as it was stored.
    pub fn one_request(org: &str, id: &str) -> Self {
        let id: String =
            id.chars().filter(|one| one.is_ascii_alphanumeric() || "-_".contains(*one)).collect();
        Self(format!("/{org}/requests/{id}"))
    }

    /// The key doctor of an organisation.
    pub fn doctor(org: &str) -> Self {
        Self(format!("/{org}/doctor"))
    }

    /// The public one, for a holder's own secret.
    pub fn own_doctor() -> Self {
        Self("/doctor".into())
    }

    /// Where people land.
    pub fn overview(org: &str) -> Self {
        Self(format!("/{org}"))
    }

    pub fn keys(org: &str) -> Self {
        Self(format!("/{org}/keys"))
    }

    pub fn key(org: &str, id: &KeyId) -> Self {
        Self(format!("/{org}/keys/{id}"))
    }

    /// The form that asks for more of a key's budgets.
    pub fn ask_for_more(org: &str, id: &KeyId) -> Self {
        Self(format!("/{org}/keys/{id}/ask"))
    }

    pub fn asks(org: &str) -> Self {
        Self(format!("/{org}/asks"))
    }

    pub fn ask(org: &str, id: &AskId) -> Self {
        Self(format!("/{org}/asks/{id}"))
    }

    /// The form that asks for a new key.
    pub fn ask_for_key(org: &str) -> Self {
        Self(format!("/{org}/asks/new"))
    }

    /// The form of a new key, filled in.
    pub fn new_key(org: &str, prefill: &Prefill) -> Self {
        let query = serde_urlencoded::to_string(prefill.pairs()).unwrap_or_default();
        Self(format!("/{org}/keys/new")).with_query(&query)
    }

    pub fn teams(org: &str) -> Self {
        Self(format!("/{org}/teams"))
    }

    pub fn team(org: &str, id: &TeamId) -> Self {
        Self(format!("/{org}/teams/{id}"))
    }

    pub fn issued(org: &str, id: &KeyId) -> Self {
        Self(format!("/{org}/keys/{id}/issued"))
    }

    /// The test of a secret.
    pub fn live_test(org: &str) -> Self {
        Self(format!("/{org}/live-test"))
    }

    /// `id` is that of a key, as a form sent it.
    pub fn rotate(org: &str, id: &str) -> Self {
        Self(format!("/{org}/keys/{id}/rotate"))
    }

    /// A secret of a key, by its id.
    pub fn secret(org: &str, key: &KeyId, secret: &SecretId) -> Self {
        Self(format!("/{org}/keys/{key}/secrets/{secret}"))
    }

    /// The preview of an act on several keys.
    pub fn bulk(org: &str) -> Self {
        Self(format!("/{org}/keys/bulk"))
    }

    pub fn extend(org: &str, id: &KeyId) -> Self {
        Self(format!("/{org}/keys/{id}/extend"))
    }

    pub fn edit_key(org: &str, id: &KeyId) -> Self {
        Self(format!("/{org}/keys/{id}/edit"))
    }

    /// The installation's organisations, for operators.
    pub fn operator() -> Self {
        Self("/operator".into())
    }

    /// What organisations spent, for operators.
    pub fn operator_overview() -> Self {
        Self("/operator/overview".into())
    }

    /// The installation's own audit.
    pub fn installation_audit() -> Self {
        Self("/operator/audit".into())
    }

    /// Where models are served.
    pub fn providers() -> Self {
        Self("/operator/providers".into())
    }

    pub fn provider(id: &ProviderId) -> Self {
        Self(format!("/operator/providers/{id}"))
    }

    /// The catalogue.
    pub fn models() -> Self {
        Self("/operator/models".into())
    }

    /// A page of one model. Ids contain slashes, so they are in the query.
    pub fn model(page: &str, id: &str) -> Self {
        let query = serde_urlencoded::to_string([("id", id)]).unwrap_or_default();
        Self(format!("/operator/models/{page}?{query}"))
    }

    /// Before a price of a model is withdrawn.
    pub fn withdraw_price(id: &str, price: &PriceId) -> Self {
        let query = serde_urlencoded::to_string([("id", id), ("price", price.as_str())]).unwrap_or_default();
        Self(format!("/operator/models/withdraw?{query}"))
    }

    pub fn org_created(org: &str) -> Self {
        Self(format!("/operator/{org}/created"))
    }

    /// An organisation's balance, for operators.
    pub fn operator_balance(org: &str) -> Self {
        Self(format!("/operator/{org}/balance"))
    }

    /// The same, for its own owners and admins.
    pub fn balance(org: &str) -> Self {
        Self(format!("/{org}/settings/balance"))
    }

    /// What the checks of an organisation's spend found.
    pub fn spend_check(org: &str) -> Self {
        Self(format!("/{org}/spend/check"))
    }

    pub fn audit(org: &str) -> Self {
        Self(format!("/{org}/audit"))
    }

    /// What was spent.
    pub fn spend(org: &str) -> Self {
        Self(format!("/{org}/spend"))
    }

    /// The same as a file.
    pub fn spend_csv(org: &str) -> Self {
        Self(format!("/{org}/spend.csv"))
    }

    /// Charges in the format that tools for costs read.
    pub fn spend_focus_csv(org: &str) -> Self {
        Self(format!("/{org}/spend-focus.csv"))
    }

    pub fn settings(org: &str) -> Self {
        Self(format!("/{org}/settings"))
    }

    /// The caller's inbox in an organisation.
    pub fn inbox(org: &str) -> Self {
        Self(format!("/{org}/inbox"))
    }

    /// What the caller gets into it, and by mail.
    pub fn alert_choices(org: &str) -> Self {
        Self(format!("/{org}/inbox/choices"))
    }

    /// What an organisation sets about its alerts.
    pub fn alert_settings(org: &str) -> Self {
        Self(format!("/{org}/settings/alerts"))
    }

    /// The page of what an alert is about.
    pub fn of_alert(org: &str, alert: &Alert) -> Self {
        let id = &alert.subject.id;
        match (alert.subject.kind, alert.facts.kind()) {
            (SubjectKind::Provider, _) => Self::providers().with_id(id),
            (SubjectKind::Key, _) => Self(format!("/{org}/keys/{id}")),
            (SubjectKind::Team, _) => Self(format!("/{org}/teams/{id}")),
            (SubjectKind::Org, AlertKind::Balance) => Self::balance(org),
            (SubjectKind::Org, _) => Self::settings(org),
        }
    }

    pub fn members(org: &str) -> Self {
        Self(format!("/{org}/members"))
    }

    pub fn invite(org: &str) -> Self {
        Self(format!("/{org}/members/invite"))
    }

    pub fn member(org: &str, id: &PersonId) -> Self {
        Self(format!("/{org}/members/{id}"))
    }

    /// The decision about the keys of a person who left.
    pub fn offboarding(org: &str, id: &PersonId) -> Self {
        Self(format!("/{org}/members/{id}/keys"))
    }

    /// The page that shows an invitation's link once.
    pub fn invitation(org: &str, id: &InvitationId) -> Self {
        Self(format!("/{org}/invitations/{id}/issued"))
    }

    /// A key's page, from an id that the operation has just accepted.
    pub fn with_id(self, id: &str) -> Self {
        Self(format!("{}/{id}", self.0))
    }

    pub fn with_query(self, query: &str) -> Self {
        if query.is_empty() { self } else { Self(format!("{}?{query}", self.0)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a key was pasted into the address. It must not reach another address or a page.
fn contains_secret(text: &str) -> bool {
    text.split(['/', '?']).any(|part| {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(part).unwrap_or_default();
        pairs.iter().any(|(name, value)| looks_like_secret(name) || looks_like_secret(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_leave_this_host_is_a_local_path() {
        for outside in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "evil",
            "/a b",
            "/a\r\nb",
            "",
            "/\u{e9}",
        ] {
            assert_eq!(LocalPath::parse(outside), None, "{outside:?}");
        }
        for secret in
            ["/acme/sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa", "/keys?q=sk%2Ddesk%2Daaaaaaaaaaaaaaaaaaaaaaaa&x=y"]
        {
            assert_eq!(LocalPath::parse(secret), None, "{secret:?}");
        }
        assert_eq!(LocalPath::parse("/acme/keys?q=x%20y").unwrap().as_str(), "/acme/keys?q=x%20y");
    }
}

//! One event, as the audit and a key's history draw it: the sentence, when, and behind a disclosure everything else.

use std::collections::BTreeSet;

use keydesk_core::domain::audit::{ChangeValue, EventKind, PastEvent};
use keydesk_core::domain::audit_words::{self, field, sentence};
use keydesk_core::domain::ids::{KeyId, PersonId, TeamId};
use keydesk_core::domain::moment::Zone;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};

/// What a row may link to.
pub struct Links<'a> {
    pub slug: &'a str,
    /// Ids of what is still there to be looked at.
    pub there: &'a BTreeSet<String>,
}

impl Links<'_> {
    fn href(&self, subject: &str) -> Option<String> {
        if !self.there.contains(subject) {
            return None;
        }
        let slug = self.slug;
        if let Some(id) = KeyId::parse(subject) {
            return Some(LocalPath::key(slug, &id).as_str().to_owned());
        }
        let place = match (TeamId::parse(subject), PersonId::parse(subject)) {
            (Some(_), _) => "teams",
            (_, Some(_)) => "members",
            (None, None) => return None,
        };
        Some(format!("/{slug}/{place}/{subject}"))
    }
}

/// `time` stands at the end of the line: relative in a short history, to the minute in the audit.
pub fn event_row(event: &PastEvent, links: &Links<'_>, time: AnyView, zone: &Zone) -> impl IntoView + use<> {
    view! {
        <li>
            {icon(sign(event.kind))} <p class="words">{linked(event, links, zone)}</p> {time} {each_change(event, zone)}
            {details(event, zone)}
        </li>
    }
}

/// A line for each field that changed, where one sentence could only name them.
fn each_change(event: &PastEvent, zone: &Zone) -> impl IntoView + use<> {
    let value = |value: &ChangeValue| match audit_words::value(value, zone) {
        text if text.is_empty() => "empty".to_owned(),
        text => text,
    };
    let lines: Vec<String> = event
        .changes
        .iter()
        .filter_map(|change| Some((change, change.before.as_ref()?, change.after.as_ref()?)))
        .map(|(change, before, after)| {
            format!("{}: from {} to {}", field(&change.field), value(before), value(after))
        })
        .collect();
    (lines.len() > 1)
        .then(|| lines.into_iter().map(|line| view! { <p class="sub">{line}</p> }).collect_view())
}

/// The sentence, with its subject as a link where that is one word of it.
fn linked(event: &PastEvent, links: &Links<'_>, zone: &Zone) -> AnyView {
    let text = sentence(event, zone);
    let name = event.subject_name.as_str();
    let parts = text.split_once(name).filter(|(_, rest)| !name.is_empty() && !rest.contains(name));
    match (parts, links.href(&event.subject_id)) {
        (Some((before, after)), Some(href)) => {
            view! { {before.to_owned()} <a href=href>{name.to_owned()}</a> {after.to_owned()} }.into_any()
        }
        _ => text.into_any(),
    }
}

fn sign(kind: EventKind) -> Icon {
    use EventKind as K;
    match kind {
        K::OrgCreated
        | K::KeyCreated
        | K::TeamCreated
        | K::TeamPersonAdded
        | K::MemberInvited
        | K::AskMade => Icon::Plus,
        K::BalanceCredited | K::ProviderAdded | K::ModelAdded => Icon::Plus,
        K::ProviderRetired | K::ModelRetired | K::PriceWithdrawn => Icon::Ban,
        K::OrgSuspended
        | K::KeyRevoked
        | K::SecretEnded
        | K::SecretLeaked
        | K::TeamArchived
        | K::MemberRemoved
        | K::AskRefused
        | K::AskWithdrawn
        | K::EveryoneSignedOut
        | K::InvitationWithdrawn => Icon::Ban,
        K::KeyDisabled | K::MemberDisabled => Icon::Pause,
        K::KeyRotated | K::CookieKeyRotated | K::SecretExtended | K::RotationUndone => Icon::Rotate,
        K::OrgResumed
        | K::KeyEnabled
        | K::KeyKept
        | K::KeyExtended
        | K::TeamRestored
        | K::MemberEnabled
        | K::AskGranted => Icon::Play,
        K::ShadowLimitRemoved => Icon::Ban,
        K::OrgEdited
        | K::ShadowLimitSet
        | K::ShadowLimitEnforced
        | K::AlertsEdited
        | K::WebhookAdded
        | K::WebhookRemoved
        | K::ProviderEdited
        | K::ProviderTested
        | K::ModelEdited
        | K::PriceSet
        | K::ModelRouted
        | K::BalanceDebited
        | K::BalanceEnforced
        | K::BalanceNotEnforced
        | K::SpendRerated
        | K::SpendRepaired
        | K::KeyEdited
        | K::TeamEdited
        | K::TeamPersonChanged
        | K::MemberRoleChanged
        | K::PersonRenamed
        | K::InvitationResent => Icon::Pen,
        K::MemberJoined => Icon::Person,
        K::MemberLeft | K::TeamPersonRemoved | K::SessionsEnded => Icon::Out,
        K::PasswordReset
        | K::PasswordChanged
        | K::SecondFactorOn
        | K::SecondFactorOff
        | K::RecoveryCodesMade
        | K::RecoveryCodeUsed => Icon::Shield,
        K::SupportAccessed => Icon::Search,
        K::AuditExported => Icon::List,
    }
}

fn details(event: &PastEvent, zone: &Zone) -> impl IntoView + use<> {
    let fact = |label: &'static str, value: AnyView| {
        view! {
            <div>
                <dt>{label}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let code = |text: &str| match text {
        "" => "Unknown".into_any(),
        text => view! { <code>{text.to_owned()}</code> }.into_any(),
    };
    let changes = (!event.changes.is_empty()).then(|| {
        let value =
            |side: &Option<ChangeValue>| match side.as_ref().map(|side| audit_words::value(side, zone)) {
                None => view! { <span class="muted">"–"</span> }.into_any(),
                Some(text) if text.is_empty() => view! { <span class="muted">"empty"</span> }.into_any(),
                Some(text) => text.into_any(),
            };
        let rows = event
            .changes
            .iter()
            .map(|change| {
                view! {
                    <tr>
                        <th scope="row">{field(&change.field).to_owned()}</th>
                        <td>{value(&change.before)}</td>
                        <td>{value(&change.after)}</td>
                    </tr>
                }
            })
            .collect_view();
        view! {
            <table class="table plain">
                <caption class="sr">{format!("What event {} changed", event.seq)}</caption>
                <thead>
                    <tr>
                        <th scope="col">"Field"</th>
                        <th scope="col">"Before"</th>
                        <th scope="col">"After"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
    });
    view! {
        <details class="more">
            <summary>
                {icon(Icon::Right)} "Details" <span class="sr">{format!(" of event {}", event.seq)}</span>
            </summary>
            <div class="stack">
                {changes}
                <dl class="facts">
                    {fact("When", event.at.exact(zone).into_any())} {fact("Event", event.seq.to_string().into_any())}
                    {fact("Address", code(&event.address))} {fact("Request", code(&event.request_id))}
                    {fact("Subject", code(&event.subject_id))} {fact("By", code(&event.actor_id))}
                </dl>
            </div>
        </details>
    }
}

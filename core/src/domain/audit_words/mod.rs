//! Audit events as sentences, and their parts as words. Pages, histories and exports all render events here, and stored
//! words are never read back: values are typed.

use super::audit::{Change, ChangeValue, Choice, EventKind, PastEvent, SYSTEM};
use super::ids::KeyId;
use super::limits::Budget;
use super::moment::Zone;
use super::money::Money;
use super::numbers::grouped;
use super::window::Period;

mod labels;
#[cfg(test)]
mod tests;

pub use labels::{field, kind};

/// The field of a change of the time zone that names the windows which started again.
pub const RESTARTED: &str = "restarted";
/// Longer values appear in the table of changes only, and not in the sentence.
const MAX_VALUE: usize = 60;

/// What happened: "Ana Ruiz changed the monthly budget of ci-prod from $50.00 to $80.00." Times are those of `zone`.
pub fn sentence(event: &PastEvent, zone: &Zone) -> String {
    use EventKind as K;
    let who = actor(event);
    let what = event.subject_name.as_str();
    let own = event.actor_id == event.subject_id;
    let after = |field: &str| event.after(field).map(|value| in_sentence(value, zone));
    let before = |field: &str| {
        event.change(field).and_then(|change| change.before.as_ref()).map(|value| in_sentence(value, zone))
    };
    let role = || after("role").map(|role| format!(" as {}", with_article(&role))).unwrap_or_default();
    let amount = || after("amount").unwrap_or_else(|| "an amount".into());
    let until = || after("until").map(|at| format!(" until {at}")).unwrap_or_default();
    let from_to = |field: &str| event.change(field).map(|change| values(change, zone)).unwrap_or_default();
    let whose = |thing: &str| {
        if own { format!("their {thing}") } else { format!("the {thing} of {what}") }
    };
    let of_whom = |action: &str| {
        if own { format!("{who} {action}.") } else { format!("{who} {action} for {what}.") }
    };
    match event.kind {
        K::OrgCreated => format!("{who} created the organisation {what}."),
        K::OrgEdited => {
            let restarted = match event.change(RESTARTED) {
                Some(_) => " The current day, week and month started again.",
                None => "",
            };
            format!("{}{restarted}", edited(event, &who, "organisation ", "settings", zone))
        }
        K::AlertsEdited => format!("{who} changed the alerts of {what}."),
        K::WebhookAdded => match after("webhook") {
            Some(webhook) => format!("{who} added the webhook {webhook} to {what}."),
            None => format!("{who} added a webhook to {what}."),
        },
        K::WebhookRemoved => match before("webhook") {
            Some(webhook) => format!("{who} removed the webhook {webhook} from {what}."),
            None => format!("{who} removed a webhook from {what}."),
        },
        K::OrgSuspended => format!("{who} suspended the organisation {what}."),
        K::OrgResumed => format!("{who} resumed the organisation {what}."),
        K::BalanceCredited => format!("{who} added {} to the balance of {what}.", amount()),
        K::BalanceDebited => format!("{who} took {} out of the balance of {what}.", amount()),
        K::BalanceEnforced => format!("{who} turned on balance enforcement for {what}."),
        K::BalanceNotEnforced => format!("{who} turned off balance enforcement for {what}."),
        K::SpendRerated => match (after("requests"), after("model")) {
            (Some(requests), Some(model)) => {
                let request = if requests == "1" { "request" } else { "requests" };
                let cost = from_to("cost");
                format!(
                    "{who} re-rated {requests} past {request} of {what} with {model}: the cost changed{cost}."
                )
            }
            _ => format!("{who} re-rated past requests of {what}."),
        },
        K::SpendRepaired => match event.change("spent") {
            Some(change) if change.before != change.after => {
                format!("{who} repaired the spend of {what}: it changed{}.", from_to("spent"))
            }
            _ => format!("{who} repaired the spend of {what}: its total is the same."),
        },
        K::KeyCreated => format!("{who} created the key {what}."),
        K::KeyEdited => edited(event, &who, "key ", "fields", zone),
        K::KeyDisabled => format!("{who} disabled the key {what}."),
        K::KeyEnabled => format!("{who} enabled the key {what}."),
        K::KeyRotated if own => format!("{who} rotated itself{}.", from_to("secret")),
        K::KeyRotated => format!("{who} rotated the key {what}{}.", from_to("secret")),
        K::SecretEnded => format!("{who} ended the previous secret of the key {what}."),
        K::SecretExtended => match after("secret_end") {
            Some(end) => format!("{who} changed the end of the previous secret of the key {what} to {end}."),
            None => format!("{who} changed the end of the previous secret of the key {what}."),
        },
        K::RotationUndone => format!("{who} undid the rotation of the key {what}{}.", from_to("secret")),
        K::SecretLeaked => match after("secret") {
            Some(secret) => format!("{who} reported the secret {secret} of the key {what} as leaked."),
            None => format!("{who} reported a secret of the key {what} as leaked."),
        },
        K::KeyRevoked => format!("{who} revoked the key {what}."),
        K::KeyKept => format!("{who} let the key {what} run on after its owner left."),
        K::KeyExtended => format!("{who} extended the expired key {what}{}.", from_to("expiry")),
        K::ShadowLimitSet => {
            format!("{who} set a limit that only reports for {what}{}.", limit_words(event, zone))
        }
        K::ShadowLimitEnforced => {
            format!("{who} enforced a limit of {what} that only reported{}.", limit_words(event, zone))
        }
        K::ShadowLimitRemoved => {
            format!("{who} removed a limit of {what} that only reported{}.", limit_words(event, zone))
        }
        K::AskMade => match after("amount") {
            Some(more) => format!("{who} asked for {more} more for {what}{}.", until()),
            None => format!("{who} asked for a new key, {what}."),
        },
        K::AskWithdrawn => format!("{who} withdrew an ask about {what}."),
        K::AskGranted => match after("amount") {
            Some(more) => format!("{who} granted {more} more for {what}{}.", until()),
            None => format!("{who} granted the new key {what}."),
        },
        K::AskRefused => format!("{who} refused an ask about {what}."),
        K::TeamCreated => format!("{who} created the team {what}."),
        K::TeamEdited => edited(event, &who, "team ", "fields", zone),
        K::TeamArchived => format!("{who} archived the team {what}."),
        K::TeamRestored => format!("{who} restored the team {what}."),
        K::TeamPersonAdded | K::TeamPersonChanged | K::TeamPersonRemoved => team_person(event, &who),
        K::MemberInvited => format!("{who} invited {what}{}.", role()),
        K::InvitationResent => format!("{who} sent a new invitation to {what}."),
        K::InvitationWithdrawn => format!("{who} withdrew the invitation of {what}."),
        K::MemberJoined if own => format!("{who} joined{}.", role()),
        K::MemberJoined => format!("{who} added {what}{}.", role()),
        K::MemberRoleChanged => format!("{who} changed {}{}.", whose("role"), from_to("role")),
        K::MemberDisabled => format!("{who} disabled {what}."),
        K::MemberEnabled => format!("{who} enabled {what} again."),
        K::MemberRemoved => format!("{who} removed {what}."),
        K::MemberLeft if own => format!("{who} left."),
        K::MemberLeft => format!("{who} ended the membership of {what}."),
        K::PersonRenamed => format!("{who} changed {}{}.", whose("name"), from_to("name")),
        K::PasswordReset => format!("A new password was set for {what} through a one-time link."),
        K::PasswordChanged => format!("{who} changed {}.", whose("password")),
        K::SessionsEnded if own => format!("{who} ended some of their sessions."),
        K::SessionsEnded => format!("{who} ended sessions of {what}."),
        K::SecondFactorOn => of_whom("turned on two-factor authentication"),
        K::SecondFactorOff => of_whom("turned off two-factor authentication"),
        K::RecoveryCodesMade => of_whom("made new recovery codes"),
        K::RecoveryCodeUsed => of_whom("used a recovery code"),
        K::EveryoneSignedOut => format!("{who} signed everyone out of {what} and ended every open link."),
        K::CookieKeyRotated => format!("{who} rotated the cookie key of {what}."),
        K::ProviderAdded => format!("{who} added the provider {what}."),
        K::ProviderEdited => edited(event, &who, "provider ", "fields", zone),
        K::ProviderTested => format!(
            "{who} tested the connection to {what}{}.",
            after("result").map(|result| format!(": {result}")).unwrap_or_default()
        ),
        K::ProviderRetired => format!("{who} retired the provider {what}."),
        K::ModelAdded => format!("{who} added the model {what}."),
        K::ModelEdited => edited(event, &who, "model ", "fields", zone),
        K::ModelRouted => match after("provider") {
            Some(provider) => format!("{who} routed the model {what} to {provider}."),
            None => format!("{who} routed the model {what} to no provider."),
        },
        K::ModelRetired => format!("{who} retired the model {what}."),
        K::PriceSet => {
            let from = after("price_starts").map(|at| format!(" from {at}")).unwrap_or_default();
            let change = match event
                .changes
                .iter()
                .filter(|change| change.field != "price_starts")
                .collect::<Vec<_>>()[..]
            {
                [change] if change.field.ends_with("_price") => {
                    format!(": {}{}", lower(field(&change.field)), values(change, zone))
                }
                _ => String::new(),
            };
            format!("{who} set another price for the model {what}{from}{change}.")
        }
        K::PriceWithdrawn => match before("price_starts") {
            Some(at) => format!("{who} withdrew the price of the model {what} that was to start {at}."),
            None => format!("{who} withdrew a price of the model {what} that had not started."),
        },
        K::SupportAccessed => match (after("list"), after("search")) {
            (Some(list), Some(text)) => format!("{who} (support) searched the {list} for “{text}”."),
            (Some(list), None) => format!("{who} (support) viewed the list of {list}."),
            (None, Some(text)) => format!("{who} (support) looked up {text}."),
            (None, None) => format!("{who} (support) viewed {what}."),
        },
        K::AuditExported => {
            let format = after("format").unwrap_or_else(|| "a file".into());
            match after("filter") {
                Some(filter) => format!("{who} exported part of the audit ({filter}) as {format}."),
                None => format!("{who} exported the whole audit as {format}."),
            }
        }
    }
}

/// Who did it: a person by name, a key that acted on itself, or the program and why.
pub fn actor(event: &PastEvent) -> String {
    if event.actor_id == SYSTEM {
        format!("Keydesk ({})", event.actor_name)
    } else if KeyId::parse(&event.actor_id).is_some() {
        format!("The key {}", event.actor_name)
    } else {
        event.actor_name.clone()
    }
}

fn team_person(event: &PastEvent, who: &str) -> String {
    let member = |side: Option<&ChangeValue>| match side {
        Some(ChangeValue::TeamMember { name, role }) => Some((name.clone(), choice(*role).to_lowercase())),
        _ => None,
    };
    let change = event.change("person");
    let before = member(change.and_then(|change| change.before.as_ref()));
    let after = member(change.and_then(|change| change.after.as_ref()));
    let team = &event.subject_name;
    match (before, after) {
        (None, Some((name, role))) => {
            format!("{who} added {name} to the team {team} as {}.", with_article(&role))
        }
        (Some((name, before)), Some((_, after))) => {
            format!("{who} changed the role of {name} in the team {team} from {before} to {after}.")
        }
        (Some((name, _)), None) => format!("{who} removed {name} from the team {team}."),
        (None, None) => match event.kind {
            EventKind::TeamPersonAdded => format!("{who} added a person to the team {team}."),
            EventKind::TeamPersonRemoved => format!("{who} removed a person from the team {team}."),
            _ => format!("{who} changed a role in the team {team}."),
        },
    }
}

/// ": requests per minute to 60", where the event has one change.
fn limit_words(event: &PastEvent, zone: &Zone) -> String {
    match event.changes.as_slice() {
        [Change { field, before: Some(before), after: None }] => {
            format!(": {} {}", lower(self::field(field)), in_sentence(before, zone))
        }
        [change] => format!(": {}{}", lower(field(&change.field)), values(change, zone)),
        _ => String::new(),
    }
}

/// With one change the sentence says its values; with several it lists the fields.
fn edited(event: &PastEvent, who: &str, thing: &str, fields: &str, zone: &Zone) -> String {
    let what = &event.subject_name;
    // A change that another one brings has a sentence of its own.
    let changes: Vec<&Change> = event.changes.iter().filter(|change| change.field != RESTARTED).collect();
    match changes.as_slice() {
        [] => format!("{who} edited the {thing}{what}."),
        [Change { field, before: Some(before), after: Some(after) }] if field == "name" => {
            format!("{who} renamed the {thing}{} to {}.", value(before, zone), value(after, zone))
        }
        [Change { before: Some(ChangeValue::Team(before)), after: Some(ChangeValue::Team(after)), .. }] => {
            let team = |side: &Option<String>| match side {
                None => "no team".to_owned(),
                Some(team) => format!("the team {team}"),
            };
            format!("{who} moved {what} from {} to {}.", team(before), team(after))
        }
        [change] => match one_budget(change) {
            Some((period, before, after)) => format!(
                "{who} changed the {} of {what} from {} to {}.",
                budget_name(period).to_lowercase(),
                limit(before.map(dollars)).to_lowercase(),
                limit(after.map(dollars)).to_lowercase()
            ),
            None => format!(
                "{who} changed the {} of {what}{}.",
                lower(field(&change.field)),
                values(change, zone)
            ),
        },
        changes => {
            let names: Vec<String> = changes.iter().map(|change| lower(field(&change.field))).collect();
            format!("{who} changed {} {fields} of {what}: {}.", names.len(), listed(&names))
        }
    }
}

/// When of all budgets only one changed: its period, and its amount before and after.
fn one_budget(change: &Change) -> Option<(Period, Option<Money>, Option<Money>)> {
    let (Some(ChangeValue::Budgets(before)), Some(ChangeValue::Budgets(after))) =
        (&change.before, &change.after)
    else {
        return None;
    };
    let amount = |budgets: &[Budget], period| {
        budgets.iter().find(|budget| budget.period == period).map(|budget| budget.amount)
    };
    let mut changed = Period::ALL.into_iter().filter_map(|period| {
        let (before, after) = (amount(before, period), amount(after, period));
        (before != after).then_some((period, before, after))
    });
    let only = changed.next()?;
    changed.next().is_none().then_some(only)
}

/// " from A to B", or nothing when that would be long.
fn values(change: &Change, zone: &Zone) -> String {
    let word = |side: &Option<ChangeValue>| match side.as_ref().map(|value| in_sentence(value, zone)) {
        None => "empty".to_owned(),
        Some(text) if text.is_empty() => "empty".into(),
        Some(text) => text,
    };
    let (before, after) = (word(&change.before), word(&change.after));
    let long = [&before, &after].iter().any(|text| text.chars().count() > MAX_VALUE || text.contains('\n'));
    match (long, &change.before) {
        (true, _) => String::new(),
        (false, None) => format!(" to {after}"),
        (false, Some(_)) => format!(" from {before} to {after}"),
    }
}

/// A value as a table of changes shows it. Times are those of `zone`.
pub fn value(value: &ChangeValue, zone: &Zone) -> String {
    match value {
        ChangeValue::Text(text) => text.clone(),
        ChangeValue::List(names) => names.join(", "),
        ChangeValue::Choice(option) => choice(*option).into(),
        ChangeValue::Count(count) => grouped(*count),
        ChangeValue::Money(amount) => dollars(*amount),
        ChangeValue::Budget(budget) => limit(budget.map(dollars)),
        ChangeValue::Budgets(budgets) => {
            let budget = |budget: &Budget| format!("{} {}", dollars(budget.amount), budget.period.label());
            let budgets = budgets.iter().map(budget).collect::<Vec<_>>();
            limit((!budgets.is_empty()).then(|| budgets.join(", ")))
        }
        ChangeValue::Limit(max) => limit(max.map(grouped)),
        ChangeValue::Days(Some(1)) => "1 day".into(),
        ChangeValue::Days(days) => limit(days.map(|days| format!("{} days", grouped(days)))),
        ChangeValue::Milliseconds(ms) => format!("{} ms", grouped(*ms)),
        ChangeValue::Expiry(at) => at.map_or("Never".into(), |at| at.exact(zone)),
        ChangeValue::Models(scope) => scope.listing(),
        ChangeValue::Addresses(list) if list.is_any() => "Any address".into(),
        ChangeValue::Addresses(list) => list.entries().join(", "),
        ChangeValue::Team(team) => team.clone().unwrap_or_else(|| "No team".into()),
        ChangeValue::TeamMember { name, role } => format!("{name}: {}", choice(*role).to_lowercase()),
        ChangeValue::Secret => "a whole secret".into(),
    }
}

/// In the middle of a sentence an option begins with a small letter, and a name stays as it is.
fn in_sentence(value: &ChangeValue, zone: &Zone) -> String {
    let text = self::value(value, zone);
    match value {
        ChangeValue::Choice(_)
        | ChangeValue::Budget(None)
        | ChangeValue::Limit(None)
        | ChangeValue::Days(None)
        | ChangeValue::Expiry(None)
        | ChangeValue::Team(None) => lower(&text),
        ChangeValue::Budgets(budgets) if budgets.is_empty() => lower(&text),
        ChangeValue::Addresses(list) if list.is_any() => lower(&text),
        _ => text,
    }
}

fn choice(choice: Choice) -> &'static str {
    match choice {
        Choice::Owner => "Owner",
        Choice::Admin => "Admin",
        Choice::Member => "Member",
        Choice::TeamAdmin => "Team admin",
        Choice::EveryModel => "Every model",
        Choice::CurrentModels => "Current models",
        Choice::NoKeys => "No",
        Choice::InTeams => "In their teams",
        Choice::Anywhere => "Also without a team",
        Choice::Required => "Required",
        Choice::Optional => "Optional",
        Choice::NoReminder => "No reminder",
        Choice::OrgReminder => "As the organisation says",
        Choice::Allowed => "Allowed",
        Choice::NotAllowed => "Not allowed",
        Choice::ByKey => "By each key's setting",
        Choice::NoOvershoot => "Never more than the budget",
        Choice::OneRequestMore => "Up to one request more",
        Choice::RefuseUnpriced => "Refused",
        Choice::Forever => "For ever",
        Choice::AllowUnpriced => "Allowed, marked \"not priced\"",
    }
}

fn limit(max: Option<String>) -> String {
    max.unwrap_or_else(|| "No limit".into())
}

/// `$5,000.00`, with every decimal where that would round.
fn dollars(amount: Money) -> String {
    const CENT: i64 = 10_000_000;
    if amount.nanos() % CENT == 0 {
        return amount.to_string();
    }
    let input = amount.input();
    match input.strip_prefix('-') {
        Some(input) => format!("-${input}"),
        None => format!("${input}"),
    }
}

fn budget_name(period: Period) -> &'static str {
    match period {
        Period::Total => "Total budget",
        Period::Month => "Monthly budget",
        Period::Week => "Weekly budget",
        Period::Day => "Daily budget",
    }
}

fn with_article(role: &str) -> String {
    let article = if role.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {role}")
}

fn lower(word: &str) -> String {
    let mut chars = word.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// "models, addresses and expiry"
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

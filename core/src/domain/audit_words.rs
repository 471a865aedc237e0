//! An event as a sentence, and its parts as words. The page, a key's history and the exports say the same, because they
//! all ask here. What an event does not hold is not guessed at.

use super::audit::{Change, EventKind, PastEvent, SYSTEM};

/// Values longer than this are told in the table of changes, not in the sentence.
const MAX_VALUE: usize = 60;

/// What happened: "Ana Ruiz changed the monthly budget of ci-prod from $50.00 to $80.00."
pub fn sentence(event: &PastEvent) -> String {
    use EventKind as K;
    let who = actor(event);
    let what = event.subject_name.as_str();
    let own = event.actor_id == event.subject_id;
    let role = || event.after("role").map(|role| format!(" as {}", with_article(role))).unwrap_or_default();
    let whose = |thing: &str| {
        if own { format!("their {thing}") } else { format!("the {thing} of {what}") }
    };
    match event.kind {
        K::OrgCreated => format!("{who} created the organisation {what}."),
        K::OrgEdited => edited(event, &who, "organisation ", "settings"),
        K::OrgSuspended => format!("{who} suspended the organisation {what}."),
        K::OrgResumed => format!("{who} resumed the organisation {what}."),
        K::BalanceCredited => format!("{who} added {} to the balance of {what}.", amount(event)),
        K::BalanceDebited => format!("{who} took {} out of the balance of {what}.", amount(event)),
        K::BalanceEnforced => format!("{who} began to enforce the balance of {what}."),
        K::BalanceNotEnforced => format!("{who} stopped enforcing the balance of {what}."),
        K::KeyCreated => format!("{who} created the key {what}."),
        K::KeyEdited => edited(event, &who, "key ", "fields"),
        K::KeyDisabled => format!("{who} disabled the key {what}."),
        K::KeyEnabled => format!("{who} enabled the key {what}."),
        K::KeyRevoked => format!("{who} revoked the key {what}."),
        K::KeyKept => format!("{who} let the key {what} run on after its owner left."),
        K::TeamCreated => format!("{who} created the team {what}."),
        K::TeamEdited => edited(event, &who, "team ", "fields"),
        K::TeamArchived => format!("{who} archived the team {what}."),
        K::TeamRestored => format!("{who} restored the team {what}."),
        K::TeamPersonAdded => {
            let (person, role) = placed(event.after("person"));
            let role = role.map(|role| format!(" as {}", with_article(role))).unwrap_or_default();
            format!("{who} added {person} to the team {what}{role}.")
        }
        K::TeamPersonChanged => {
            let ((person, before), (_, after)) =
                (placed(event.before("person")), placed(event.after("person")));
            let roles = before.zip(after).map(|(before, after)| format!(" from {before} to {after}"));
            format!("{who} changed the role of {person} in the team {what}{}.", roles.unwrap_or_default())
        }
        K::TeamPersonRemoved => {
            format!("{who} removed {} from the team {what}.", placed(event.before("person")).0)
        }
        K::MemberInvited => format!("{who} invited {what}{}.", role()),
        K::InvitationResent => format!("{who} sent a new invitation to {what}."),
        K::InvitationWithdrawn => format!("{who} withdrew the invitation of {what}."),
        K::MemberJoined if own => format!("{who} joined{}.", role()),
        K::MemberJoined => format!("{who} took {what} in{}.", role()),
        K::MemberRoleChanged => format!("{who} changed {}{}.", whose("role"), from_to(event, "role")),
        K::MemberDisabled => format!("{who} disabled {what}."),
        K::MemberEnabled => format!("{who} enabled {what} again."),
        K::MemberRemoved => format!("{who} removed {what}."),
        K::MemberLeft if own => format!("{who} left."),
        K::MemberLeft => format!("{who} took leave for {what}."),
        K::PersonRenamed => format!("{who} changed {}{}.", whose("name"), from_to(event, "name")),
        K::PasswordReset => format!("A new password was set for {what} through a one-time link."),
        K::PasswordChanged => format!("{who} changed {}.", whose("password")),
        K::SessionsEnded => format!("{who} ended sessions of {}.", if own { "their own" } else { what }),
        K::SecondFactorOn => format!("{who} turned on {}.", whose("second factor")),
        K::SecondFactorOff => format!("{who} turned off {}.", whose("second factor")),
        K::RecoveryCodesMade if own => format!("{who} made new recovery codes."),
        K::RecoveryCodesMade => format!("{who} made new recovery codes for {what}."),
        K::RecoveryCodeUsed if own => format!("{who} used a recovery code."),
        K::RecoveryCodeUsed => format!("{who} used a recovery code of {what}."),
        K::ProviderAdded => format!("{who} added the provider {what}."),
        K::ProviderEdited => edited(event, &who, "provider ", "fields"),
        K::ProviderRetired => format!("{who} retired the provider {what}."),
        K::ModelAdded => format!("{who} added the model {what}."),
        K::ModelEdited => edited(event, &who, "model ", "fields"),
        K::ModelRouted => match event.after("provider") {
            Some(provider) => format!("{who} routed the model {what} to {provider}."),
            None => format!("{who} routed the model {what} to no provider."),
        },
        K::ModelRetired => format!("{who} retired the model {what}."),
        K::SupportAccessed => looked(event, &who),
        K::AuditExported => {
            let format = event.after("format").unwrap_or("a file");
            let part = match event.after("filter") {
                Some(filter) => format!("part of the audit ({filter})"),
                None => "the whole audit".into(),
            };
            format!("{who} exported {part} as {format}.")
        }
    }
}

/// What was entered into the ledger.
fn amount(event: &PastEvent) -> &str {
    event.after("amount").unwrap_or("an amount")
}

/// Somebody's place in a team, "Bo Lind: team admin", in its two parts.
fn placed(side: Option<&str>) -> (&str, Option<&str>) {
    match side {
        None => ("somebody", None),
        Some(text) => text.rsplit_once(": ").map_or((text, None), |(person, role)| (person, Some(role))),
    }
}

/// Who did it: a person by name, or the program and why.
pub fn actor(event: &PastEvent) -> String {
    if event.actor_id == SYSTEM {
        format!("Keydesk ({})", event.actor_name)
    } else {
        event.actor_name.clone()
    }
}

/// One field changed is told with its values; of several, only what they are.
fn edited(event: &PastEvent, who: &str, thing: &str, fields: &str) -> String {
    let what = &event.subject_name;
    let several = || {
        let words: Vec<String> = event.changes.iter().map(|change| lower(field(&change.field))).collect();
        format!("{who} changed {} {fields} of {what}: {}.", words.len(), listed(&words))
    };
    match event.changes.as_slice() {
        [] => format!("{who} edited the {thing}{what}."),
        [change] if change.field == "name" => match (&change.before, &change.after) {
            (Some(before), Some(after)) => format!("{who} renamed the {thing}{before} to {after}."),
            _ => format!("{who} renamed {what}."),
        },
        [change] if change.field == "team" => {
            let place = |side: &Option<String>| match side.as_deref() {
                None | Some("" | "No team") => "no team".to_owned(),
                Some(team) => format!("the team {team}"),
            };
            format!("{who} moved {what} from {} to {}.", place(&change.before), place(&change.after))
        }
        [change] if change.field == "budgets" => match one_budget(change) {
            Some((word, before, after)) => {
                format!("{who} changed the {word} of {what} from {before} to {after}.")
            }
            None => format!("{who} changed the budgets of {what}{}.", values(change)),
        },
        [change] => format!("{who} changed the {} of {what}{}.", lower(field(&change.field)), values(change)),
        _ => several(),
    }
}

/// " from A to B", or nothing when it would be long.
fn from_to(event: &PastEvent, name: &str) -> String {
    event.changes.iter().find(|change| change.field == name).map(values).unwrap_or_default()
}

fn values(change: &Change) -> String {
    let word = |side: &Option<String>| match side.as_deref() {
        None | Some("") => "empty".to_owned(),
        // What forms call a choice is no name.
        Some(text @ ("No limit" | "Never" | "Any address" | "Nobody" | "No" | "Yes")) => text.to_lowercase(),
        Some(text) => text.to_owned(),
    };
    let (before, after) = (word(&change.before), word(&change.after));
    let long = [&before, &after].iter().any(|text| text.chars().count() > MAX_VALUE || text.contains('\n'));
    match (long, &change.before) {
        (true, _) => String::new(),
        (false, None) => format!(" to {after}"),
        (false, Some(_)) => format!(" from {before} to {after}"),
    }
}

/// When of all budgets one changed: its word and its two amounts.
fn one_budget(change: &Change) -> Option<(&'static str, String, String)> {
    const PERIODS: [(&str, &str); 4] = [
        (" per month", "monthly budget"),
        (" per week", "weekly budget"),
        (" per day", "daily budget"),
        (" in all", "budget in all"),
    ];
    let amount = |side: &Option<String>, label: &str| {
        let text = side.as_deref().unwrap_or_default();
        let found = text.split(", ").find_map(|budget| budget.strip_suffix(label));
        found.unwrap_or("no limit").to_owned()
    };
    let mut changed = PERIODS.iter().filter_map(|(label, word)| {
        let (before, after) = (amount(&change.before, label), amount(&change.after, label));
        (before != after).then_some((*word, before, after))
    });
    let only = changed.next()?;
    changed.next().is_none().then_some(only)
}

fn looked(event: &PastEvent, who: &str) -> String {
    let list = event.after("list");
    match (list, event.after("search")) {
        (Some(list), Some(words)) => format!("{who} (support) searched the {list} for “{words}”."),
        (Some(list), None) => format!("{who} (support) looked at the list of {list}."),
        (None, Some(words)) => format!("{who} (support) looked up {words}."),
        (None, None) => format!("{who} (support) looked at {}.", event.subject_name),
    }
}

fn with_article(role: &str) -> String {
    let role = role.to_lowercase();
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
        [max @ .., last] => format!("{} and {last}", max.join(", ")),
    }
}

/// A field's word, as tables of changes head their rows with it.
pub fn field(name: &str) -> &str {
    match name {
        "name" => "Name",
        "slug" => "Short name",
        "note" => "Note",
        "team" => "Team",
        "owner" => "Owner",
        "person" => "Person",
        "role" => "Role",
        "team_role" => "Role in the team",
        "email" => "Email address",
        "invited by" => "Invited by",
        "month" => "Monthly budget of new keys",
        "days" => "Life of new keys",
        "state" => "State",
        "models" => "Models",
        "addresses" => "Addresses",
        "budgets" => "Budgets",
        "rpm" => "Requests per minute",
        "tpm" => "Tokens per minute",
        "concurrent" => "Parallel requests",
        "expiry" => "Expiry",
        "zone" => "Time zone",
        "key_prefix" => "Key prefix",
        "key_defaults" => "Defaults of new keys",
        "max_key_days" => "Longest life of a key",
        "max_keys_per_member" => "Keys per member",
        "members_create" => "Keys that members create",
        "second_factor" => "Second factor",
        "list" => "List",
        "search" => "Searched for",
        "filter" => "Filter",
        "format" => "Format",
        "sessions" => "Sessions",
        "reason" => "Reason",
        "amount" => "Amount",
        "balance" => "Balance",
        "opening" => "Spent until then",
        "org_total" => "Budget in all",
        "org_month" => "Monthly budget",
        "org_week" => "Weekly budget",
        "org_day" => "Daily budget",
        other => other,
    }
}

/// The kind of event, as filters name it.
pub fn kind(kind: EventKind) -> &'static str {
    use EventKind as K;
    match kind {
        K::OrgCreated => "Organisation created",
        K::OrgEdited => "Settings changed",
        K::OrgSuspended => "Organisation suspended",
        K::OrgResumed => "Organisation resumed",
        K::BalanceCredited => "Credit added",
        K::BalanceDebited => "Credit taken out",
        K::BalanceEnforced => "Balance enforced",
        K::BalanceNotEnforced => "Balance no longer enforced",
        K::KeyCreated => "Key created",
        K::KeyEdited => "Key edited",
        K::KeyDisabled => "Key disabled",
        K::KeyEnabled => "Key enabled",
        K::KeyRevoked => "Key revoked",
        K::KeyKept => "Key kept after its owner left",
        K::TeamCreated => "Team created",
        K::TeamEdited => "Team edited",
        K::TeamArchived => "Team archived",
        K::TeamRestored => "Team restored",
        K::TeamPersonAdded => "Person added to a team",
        K::TeamPersonChanged => "Role in a team changed",
        K::TeamPersonRemoved => "Person removed from a team",
        K::MemberInvited => "Person invited",
        K::InvitationResent => "Invitation sent again",
        K::InvitationWithdrawn => "Invitation withdrawn",
        K::MemberJoined => "Member joined",
        K::MemberRoleChanged => "Role changed",
        K::MemberDisabled => "Member disabled",
        K::MemberEnabled => "Member enabled",
        K::MemberRemoved => "Member removed",
        K::MemberLeft => "Member left",
        K::PersonRenamed => "Person renamed",
        K::PasswordReset => "Password set through a link",
        K::PasswordChanged => "Password changed",
        K::SessionsEnded => "Sessions ended",
        K::SecondFactorOn => "Second factor turned on",
        K::SecondFactorOff => "Second factor turned off",
        K::RecoveryCodesMade => "Recovery codes made",
        K::RecoveryCodeUsed => "Recovery code used",
        K::ProviderAdded => "Provider added",
        K::ProviderEdited => "Provider edited",
        K::ProviderRetired => "Provider retired",
        K::ModelAdded => "Model added",
        K::ModelEdited => "Model edited",
        K::ModelRouted => "Model routed",
        K::ModelRetired => "Model retired",
        K::SupportAccessed => "Support looked",
        K::AuditExported => "Audit exported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;

    fn event(kind: EventKind, changes: &[(&str, Option<&str>, Option<&str>)]) -> PastEvent {
        PastEvent {
            seq: 1,
            at: Moment::from_ms(0),
            actor_id: "per_1".into(),
            actor_name: "Ana Ruiz".into(),
            kind,
            subject_id: "sub_1".into(),
            subject_name: "ci-prod".into(),
            changes: changes
                .iter()
                .map(|(field, before, after)| Change {
                    field: (*field).into(),
                    before: before.map(Into::into),
                    after: after.map(Into::into),
                })
                .collect(),
            address: String::new(),
            request_id: String::new(),
        }
    }

    fn said(kind: EventKind, changes: &[(&str, Option<&str>, Option<&str>)]) -> String {
        sentence(&event(kind, changes))
    }

    #[test]
    fn every_kind_has_a_sentence_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            for own in [false, true] {
                let mut event = event(*kind, &[]);
                if own {
                    event.subject_id = event.actor_id.clone();
                }
                let text = sentence(&event);
                assert!(text.ends_with('.') && !text.contains("  ") && !text.contains(".."), "{text:?}");
                assert!(text.contains("Ana Ruiz") || *kind == EventKind::PasswordReset, "{text:?}");
                assert!(own || text.contains("ci-prod") || *kind == EventKind::AuditExported, "{text:?}");
                if !own {
                    assert!(seen.insert(text.clone()), "two kinds say {text:?}");
                }
            }
            assert_ne!(super::kind(*kind), kind.as_str());
        }
        assert_eq!(seen.len(), EventKind::ALL.len());
    }

    #[test]
    fn a_single_change_is_told_with_its_values() {
        use EventKind as K;
        let budgets = |before, after| said(K::KeyEdited, &[("budgets", Some(before), Some(after))]);
        assert_eq!(
            budgets("$50.00 per month", "$80.00 per month"),
            "Ana Ruiz changed the monthly budget of ci-prod from $50.00 to $80.00."
        );
        assert_eq!(
            budgets("$1,050.00 per month, $5.00 per day", "$1,050.00 per month"),
            "Ana Ruiz changed the daily budget of ci-prod from $5.00 to no limit."
        );
        assert_eq!(
            budgets("$50.00 per month", "$5.00 per day"),
            "Ana Ruiz changed the budgets of ci-prod from $50.00 per month to $5.00 per day."
        );
        assert_eq!(
            said(K::KeyEdited, &[("rpm", Some("60"), Some("No limit"))]),
            "Ana Ruiz changed the requests per minute of ci-prod from 60 to no limit."
        );
        assert_eq!(
            said(K::KeyEdited, &[("name", Some("ci"), Some("ci-prod"))]),
            "Ana Ruiz renamed the key ci to ci-prod."
        );
        assert_eq!(
            said(K::KeyEdited, &[("team", Some("No team"), Some("Data"))]),
            "Ana Ruiz moved ci-prod from no team to the team Data."
        );
        assert_eq!(
            said(K::KeyEdited, &[("note", Some(""), Some(&"long ".repeat(40)))]),
            "Ana Ruiz changed the note of ci-prod."
        );
        assert_eq!(
            said(K::MemberRoleChanged, &[("role", Some("Member"), Some("Admin"))]),
            "Ana Ruiz changed the role of ci-prod from Member to Admin."
        );
    }

    #[test]
    fn several_changes_are_told_by_their_names() {
        let text = said(
            EventKind::KeyEdited,
            &[("models", Some("a"), Some("b")), ("rpm", None, Some("60")), ("expiry", None, Some("Never"))],
        );
        assert_eq!(text, "Ana Ruiz changed 3 fields of ci-prod: models, requests per minute and expiry.");
    }

    #[test]
    fn people_are_told_with_their_roles() {
        use EventKind as K;
        let member = [("person", None, Some("Bo Lind: team admin"))];
        assert_eq!(
            said(K::TeamPersonAdded, &member),
            "Ana Ruiz added Bo Lind to the team ci-prod as a team admin."
        );
        let (before, after) = (Some("Bo Lind: member"), Some("Bo Lind: team admin"));
        assert_eq!(
            said(K::TeamPersonChanged, &[("person", before, after)]),
            "Ana Ruiz changed the role of Bo Lind in the team ci-prod from member to team admin."
        );
        assert_eq!(
            said(K::TeamPersonRemoved, &[("person", before, None)]),
            "Ana Ruiz removed Bo Lind from the team ci-prod."
        );
        assert_eq!(
            said(K::MemberInvited, &[("role", None, Some("Admin"))]),
            "Ana Ruiz invited ci-prod as an admin."
        );
        let mut joined = event(K::MemberJoined, &[("role", None, Some("owner"))]);
        joined.subject_id = joined.actor_id.clone();
        assert_eq!(sentence(&joined), "Ana Ruiz joined as an owner.");
    }

    #[test]
    fn looks_of_support_say_at_what() {
        use EventKind as K;
        assert_eq!(said(K::SupportAccessed, &[]), "Ana Ruiz (support) looked at ci-prod.");
        let list = ("list", None, Some("keys"));
        assert_eq!(said(K::SupportAccessed, &[list]), "Ana Ruiz (support) looked at the list of keys.");
        assert_eq!(
            said(K::SupportAccessed, &[list, ("search", None, Some("ci"))]),
            "Ana Ruiz (support) searched the keys for “ci”."
        );
        assert_eq!(
            said(K::SupportAccessed, &[("search", None, Some("a whole secret"))]),
            "Ana Ruiz (support) looked up a whole secret."
        );
    }

    #[test]
    fn exports_say_of_what() {
        let format = ("format", None, Some("CSV"));
        assert_eq!(said(EventKind::AuditExported, &[format]), "Ana Ruiz exported the whole audit as CSV.");
        assert_eq!(
            said(EventKind::AuditExported, &[format, ("filter", None, Some("key ci-prod"))]),
            "Ana Ruiz exported part of the audit (key ci-prod) as CSV."
        );
    }

    #[test]
    fn the_program_is_no_person() {
        let mut event = event(EventKind::KeyCreated, &[]);
        event.actor_id = SYSTEM.into();
        event.actor_name = "command line".into();
        assert_eq!(sentence(&event), "Keydesk (command line) created the key ci-prod.");
    }
}

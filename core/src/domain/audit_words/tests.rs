use super::*;
use crate::domain::addresses::AllowList;
use crate::domain::moment::Moment;
use crate::domain::scope::ModelScope;

fn event(kind: EventKind, changes: impl IntoIterator<Item = Change>) -> PastEvent {
    PastEvent {
        seq: 1,
        at: Moment::from_ms(0),
        actor_id: "per_1".into(),
        actor_name: "Ana Ruiz".into(),
        kind,
        subject_id: "sub_1".into(),
        subject_name: "ci-prod".into(),
        changes: changes.into_iter().collect(),
        address: String::new(),
        request_id: String::new(),
    }
}

fn text(event: &PastEvent) -> String {
    sentence(event, &Zone::utc())
}

/// Every kind without changes: about another person or thing, and about the actor.
#[test]
fn every_kind_has_a_sentence_of_its_own() {
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = String::new();
    for kind in EventKind::ALL {
        for own in [false, true] {
            let mut event = event(*kind, []);
            if own {
                event.subject_id = event.actor_id.clone();
            }
            let text = text(&event);
            assert!(text.ends_with('.') && !text.contains("  ") && !text.contains(".."), "{text:?}");
            assert!(text.contains("Ana Ruiz") || *kind == EventKind::PasswordReset, "{text:?}");
            assert!(own || text.contains("ci-prod") || *kind == EventKind::AuditExported, "{text:?}");
            if !own {
                assert!(seen.insert(text.clone()), "two kinds have the sentence {text:?}");
            }
            if !own || !seen.contains(&text) {
                let own = if own { " (own)" } else { "" };
                lines.push_str(&format!("{}{own}: {text}\n", super::kind(*kind)));
            }
        }
        assert_ne!(super::kind(*kind), kind.as_str());
    }
    insta::assert_snapshot!(lines);
}

/// Changes of every type, as sentences and as rows of the table.
#[test]
fn changes_have_words() {
    use EventKind as K;
    let budget = |period, cents: i64| Budget { period, amount: Money::from_nanos(cents * 10_000_000) };
    let budgets = |list: &[Budget]| ChangeValue::Budgets(list.to_vec());
    let member = |role| ChangeValue::TeamMember { name: "Bo Lind".into(), role };
    let (month, day) = (budget(Period::Month, 105_000), budget(Period::Day, 500));
    let models = |text| ModelScope::Listed(ModelScope::parse_lines(text).unwrap());
    let events = [
        event(
            K::KeyEdited,
            [Change::replaced("budgets", budgets(&[month]), budgets(&[budget(Period::Month, 8_000)]))],
        ),
        event(K::KeyEdited, [Change::replaced("budgets", budgets(&[month, day]), budgets(&[month]))]),
        event(
            K::KeyEdited,
            [Change::replaced("budgets", budgets(&[]), budgets(&[budget(Period::Total, 1)]))],
        ),
        event(K::KeyEdited, [Change::replaced("budgets", budgets(&[month]), budgets(&[day]))]),
        event(
            K::KeyEdited,
            [Change::replaced("rpm", ChangeValue::Limit(Some(1_000)), ChangeValue::Limit(None))],
        ),
        event(K::KeyEdited, [Change::replaced("name", "ci", "ci-prod")]),
        event(
            K::KeyEdited,
            [Change::replaced("team", ChangeValue::Team(None), ChangeValue::Team(Some("Data".into())))],
        ),
        event(K::KeyEdited, [Change::replaced("note", "", "for the weekly run")]),
        event(K::KeyEdited, [Change::replaced("note", "", "long ".repeat(40))]),
        event(K::KeyEdited, [Change::replaced("owner", "Never", "No one")]),
        event(
            K::KeyEdited,
            [Change::replaced(
                "expiry",
                ChangeValue::Expiry(None),
                ChangeValue::Expiry(Some(Moment::from_ms(0))),
            )],
        ),
        event(
            K::KeyEdited,
            [Change::replaced(
                "addresses",
                ChangeValue::Addresses(AllowList::default()),
                ChangeValue::Addresses(AllowList::parse_lines("10.0.0.0/8 192.0.2.1").unwrap()),
            )],
        ),
        event(
            K::KeyEdited,
            [
                Change::replaced(
                    "models",
                    ChangeValue::Models(ModelScope::Every),
                    ChangeValue::Models(models("gpt-5, claude-*")),
                ),
                Change::replaced("rpm", ChangeValue::Limit(None), ChangeValue::Limit(Some(60))),
                Change::replaced("concurrent", ChangeValue::Limit(None), ChangeValue::Limit(Some(4))),
            ],
        ),
        event(
            K::KeyKept,
            [Change::replaced(
                "expiry",
                ChangeValue::Expiry(None),
                ChangeValue::Expiry(Some(Moment::from_ms(0))),
            )],
        ),
        event(
            K::OrgEdited,
            [Change::replaced(
                "org_week",
                ChangeValue::Budget(Some(Money::from_nanos(1))),
                ChangeValue::Budget(None),
            )],
        ),
        event(
            K::OrgEdited,
            [Change::replaced("days", ChangeValue::Days(Some(1)), ChangeValue::Days(Some(3_650)))],
        ),
        event(K::OrgEdited, [Change::replaced("members_create", Choice::NoKeys, Choice::Anywhere)]),
        event(K::OrgEdited, [Change::replaced("second_factor", Choice::Optional, Choice::Required)]),
        event(K::OrgEdited, [Change::replaced("models", Choice::EveryModel, Choice::CurrentModels)]),
        event(K::OrgSuspended, [Change::added("reason", "Unpaid since August")]),
        event(K::BalanceDebited, [Change::added("amount", Money::from_nanos(12_345_678_900))]),
        event(K::BalanceEnforced, [Change::added("balance", Money::from_nanos(-1_200_000_000))]),
        event(
            K::SpendRerated,
            [
                Change::added("model", "gpt-5"),
                Change::added("started_from", "1 Nov 2026 00:00:00 UTC"),
                Change::added("started_before", "21 Nov 2026 00:00:00 UTC"),
                Change::added("requests", ChangeValue::Count(1_204)),
                Change::replaced("cost", Money::from_nanos(12_345_678_900), Money::from_nanos(9_000_000_000)),
                Change::added("paid_price", "price_1"),
            ],
        ),
        event(
            K::SpendRepaired,
            [
                Change::added("sums", "counters"),
                Change::added("totals", ChangeValue::Count(3)),
                Change::replaced(
                    "spent",
                    Money::from_nanos(12_345_678_900),
                    Money::from_nanos(9_000_000_000),
                ),
                Change::replaced("requests", ChangeValue::Count(1_204), ChangeValue::Count(1_200)),
            ],
        ),
        event(K::TeamPersonAdded, [Change::added("person", member(Choice::TeamAdmin))]),
        event(
            K::TeamPersonChanged,
            [Change::replaced("person", member(Choice::Member), member(Choice::TeamAdmin))],
        ),
        event(K::TeamPersonRemoved, [Change::removed("person", member(Choice::Member))]),
        event(
            K::MemberInvited,
            [
                Change::added("role", Choice::Admin),
                Change::added("team", "Data"),
                Change::added("team_role", Choice::TeamAdmin),
            ],
        ),
        event(K::MemberRoleChanged, [Change::replaced("role", Choice::Member, Choice::Owner)]),
        event(
            K::MemberRemoved,
            [
                Change::removed("role", Choice::Member),
                Change::removed("teams", ChangeValue::List(vec!["Data".into(), "Web".into()])),
                Change::removed("open_invitations", ChangeValue::Count(2)),
            ],
        ),
        event(K::SupportAccessed, [Change::added("list", "keys")]),
        event(K::SupportAccessed, [Change::added("list", "keys"), Change::added("search", "ci")]),
        event(K::SupportAccessed, [Change::added("search", ChangeValue::Secret)]),
        event(K::AuditExported, [Change::added("format", "CSV")]),
        event(
            K::AuditExported,
            [
                Change::added("format", "CSV"),
                Change::added(
                    "filter",
                    ChangeValue::List(vec!["key ci-prod".into(), "from 2026-11-20".into()]),
                ),
            ],
        ),
    ];
    let mut lines = String::new();
    let cell =
        |side: &Option<ChangeValue>| side.as_ref().map_or("–".into(), |side| value(side, &Zone::utc()));
    for event in &events {
        lines.push_str(&format!("{}\n", text(event)));
        for change in &event.changes {
            lines.push_str(&format!(
                "    {}: {} → {}\n",
                field(&change.field),
                cell(&change.before),
                cell(&change.after)
            ));
        }
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn the_program_is_no_person() {
    let mut event = event(EventKind::KeyCreated, []);
    event.actor_id = SYSTEM.into();
    event.actor_name = "command line".into();
    assert_eq!(text(&event), "Keydesk (command line) created the key ci-prod.");
}

#[test]
fn a_change_of_time_zone_says_that_windows_started_again() {
    let zone =
        Change::replaced("zone", ChangeValue::Text("UTC".into()), ChangeValue::Text("Asia/Tokyo".into()));
    let restarted = Change::added(RESTARTED, ChangeValue::List(vec!["day with $1.00 spent".into()]));
    assert_eq!(
        text(&event(EventKind::OrgEdited, [zone, restarted])),
        "Ana Ruiz changed the time zone of ci-prod from UTC to Asia/Tokyo. The current day, week and month started again."
    );
}

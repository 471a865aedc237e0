//! An organisation's ledger, balance and own budgets, what keys say of them, and whether spend adds up.

use keydesk_core::domain::key::State;
use keydesk_core::domain::ledger::{Balance, Entry, EntryKind, NewEntry};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::page::{Cursor, PAGE_ROWS, Page};
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::ledger::{EnforceForm, EnterForm, EntryForm};
use keydesk_core::forms::parts::LimitField;
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::edit::EditConflict;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::orgs::{self, Entered, OperatorActor};
use keydesk_core::ops::{OpError, verify_spend};

use crate::support::submit;
use crate::support::*;

const DOLLAR: i64 = 1_000_000_000;

fn dollars(amount: i64) -> Money {
    Money::from_nanos(amount * DOLLAR)
}

fn entry(at: &At, seq: i64, kind: EntryKind, amount: &str) -> EnterForm {
    let note = format!("Invoice {seq}");
    EnterForm {
        org: at.org.slug.clone(),
        seq,
        entry: EntryForm { kind: kind.as_str().into(), amount: amount.into(), note },
    }
}

async fn enter(
    desk: &TestDesk,
    by: &At,
    form: &EnterForm,
) -> Result<Outcome<Entered, Option<NewEntry>>, OpError> {
    submit::add_entry_org(desk, OperatorActor::Operator(&by.caller), form).await
}

fn conflict(entered: Result<Outcome<Entered, Option<NewEntry>>, OpError>) -> EditConflict<Option<NewEntry>> {
    match entered.unwrap() {
        Outcome::Conflict(conflict) => *conflict,
        Outcome::Saved(_) | Outcome::Unchanged(_) => panic!("entered twice"),
    }
}

async fn enforce(desk: &TestDesk, by: &At, enforce: &str) -> Result<Balance, OpError> {
    let form = EnforceForm { org: by.org.slug.clone(), enforce: enforce.into() };
    submit::enforce_org(desk, OperatorActor::Operator(&by.caller), &form).await.map(|done| done.balance)
}

async fn balance(desk: &TestDesk, at: &At) -> Balance {
    orgs::balance(desk, OperatorActor::CommandLine, &at.org.slug, None).await.unwrap().balance
}

async fn spend(desk: &TestDesk, at: &At, issued: &IssuedKey, cost: Money) {
    let usage = desk.usage(at, issued, cost.nanos(), desk.now()).await;
    assert!(record(desk, &usage).await.unwrap());
}

/// Somebody who runs the installation and has no place in the organisation.
async fn operator(desk: &TestDesk, at: &At) -> At {
    desk.platform(at, PlatformRole::Operator).await
}

on_both!(
    fn the_balance_is_what_is_entered_less_what_is_spent_since_it_is_enforced(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        let issued = desk.create_key(&at, "ci").await;
        spend(&desk, &at, &issued, dollars(7)).await;
        enter(&desk, &op, &entry(&at, 1, EntryKind::Credit, "100")).await.unwrap();
        // Not counted yet: nothing was enforced.
        assert_eq!(
            (balance(&desk, &at).await.left(), balance(&desk, &at).await.opening),
            (dollars(100), None)
        );
        let on = enforce(&desk, &op, "on").await.unwrap();
        assert_eq!((on.left(), on.opening, on.last_seq), (dollars(100), Some(dollars(7)), 2));
        spend(&desk, &at, &issued, dollars(30)).await;
        let Outcome::Saved(Entered { left, .. }) =
            enter(&desk, &op, &entry(&at, 3, EntryKind::Debit, "12.50")).await.unwrap()
        else {
            panic!("not entered")
        };
        assert_eq!(left, Money::from_nanos(57_500_000_000));
        let now = balance(&desk, &at).await;
        assert_eq!(
            (now.paid_in, now.taken_out, now.spent_since()),
            (dollars(100), Money::from_nanos(12_500_000_000), dollars(30))
        );
        // The definition: the ledger's sum less all that was ever spent.
        let sum = desk.number("SELECT CAST(SUM(amount) AS BIGINT) FROM ledger").await;
        assert_eq!(sum - dollars(37).nanos(), now.left().nanos());
    }
);

on_both!(
    fn one_form_that_is_sent_twice_is_entered_once(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        let form = entry(&at, 1, EntryKind::Credit, "50");
        enter(&desk, &op, &form).await.unwrap();
        let again = conflict(enter(&desk, &op, &form).await);
        assert!(again.sentence.starts_with("This entry was already added"), "{}", again.sentence);
        assert!(again.sentence.contains("a credit of $50.00"), "{}", again.sentence);
        // What is in already is not offered for a second time.
        assert_eq!(again.merged, None);
        assert_eq!(balance(&desk, &at).await.left(), dollars(50));
        assert_eq!(
            desk.number(
                "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'balance.credited'"
            )
            .await,
            1
        );
        // Nor does a number that is yet to come let anything in.
        conflict(enter(&desk, &op, &entry(&at, 7, EntryKind::Credit, "50")).await);
        assert_eq!(balance(&desk, &at).await.last_seq, 1);
    }
);

on_both!(
    fn of_two_operators_at_one_number_the_second_sees_what_the_first_entered(desk: TestDesk) {
        let at = desk.owner().await;
        let (one, two) = (operator(&desk, &at).await, operator(&desk, &at).await);
        enter(&desk, &one, &entry(&at, 1, EntryKind::Credit, "50")).await.unwrap();
        // The very same words of somebody else are another entry.
        for (kind, amount) in [(EntryKind::Debit, "20"), (EntryKind::Credit, "50")] {
            let late = entry(&at, 1, kind, amount);
            let conflict = conflict(enter(&desk, &two, &late).await);
            let sentence = format!("{} added a credit of $50.00 in the meantime", one.caller.person.name);
            assert!(conflict.sentence.starts_with(&sentence), "{}", conflict.sentence);
            assert_eq!(conflict.merged, Some(late.entry.parse().unwrap()));
        }
        enter(&desk, &two, &entry(&at, 2, EntryKind::Debit, "20")).await.unwrap();
        assert_eq!(balance(&desk, &at).await.left(), dollars(30));
    }
);

on_both!(
    fn of_many_who_enter_at_once_under_one_number_one_is_entered(desk: TestDesk) {
        let at = desk.owner().await;
        let mut tries = tokio::task::JoinSet::new();
        for n in 1..=8 {
            let (desk, at) = (desk.clone(), operator(&desk, &at).await);
            tries.spawn(async move {
                let entered = enter(&desk, &at, &entry(&at, 1, EntryKind::Credit, &n.to_string())).await;
                matches!(entered.unwrap(), Outcome::Saved(_))
            });
        }
        let mut entered = 0;
        while let Some(done) = tries.join_next().await {
            entered += i32::from(done.unwrap());
        }
        assert_eq!(entered, 1);
        assert_eq!(desk.numbers("SELECT seq FROM ledger").await, [1]);
        assert_eq!(
            desk.number(
                "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'balance.credited'"
            )
            .await,
            1
        );
    }
);

on_both!(
    fn enforcement_begins_once_however_many_turn_it_on_and_while_entries_are_made(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci").await;
        spend(&desk, &at, &issued, dollars(9)).await;
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (desk, at) = (desk.clone(), operator(&desk, &at).await);
            tries.spawn(async move {
                if n % 4 == 3 {
                    let _ = enter(&desk, &at, &entry(&at, 1, EntryKind::Credit, "5")).await;
                    return false;
                }
                enforce(&desk, &at, "on").await.is_ok()
            });
        }
        let mut on = 0;
        while let Some(done) = tries.join_next().await {
            on += i32::from(done.unwrap());
        }
        // All of them may have met an entry at the same number; then one more turns it on.
        if on == 0 {
            enforce(&desk, &operator(&desk, &at).await, "on").await.unwrap();
        }
        assert!(on <= 1);
        let now = balance(&desk, &at).await;
        assert_eq!((now.opening, now.spent_since()), (Some(dollars(9)), Money::ZERO));
        assert_eq!(desk.number("SELECT COUNT(*) FROM ledger WHERE kind = 'opening'").await, 1);
        assert_eq!(
            desk.number(
                "SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'balance.enforced'"
            )
            .await,
            1
        );
    }
);

on_both!(
    fn enforcement_goes_off_and_on_again_without_a_second_opening(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        let issued = desk.create_key(&at, "ci").await;
        spend(&desk, &at, &issued, dollars(5)).await;
        assert!(matches!(enforce(&desk, &op, "off").await, Err(OpError::Conflict(_))));
        assert_eq!(enforce(&desk, &op, "on").await.unwrap().left(), Money::ZERO);
        assert!(matches!(enforce(&desk, &op, "on").await, Err(OpError::Conflict(_))));
        assert_eq!(refused(enforce(&desk, &op, "maybe").await).0, "enforce");
        assert_eq!(enforce(&desk, &op, "off").await.unwrap().enforced_at, None);
        // What is spent meanwhile counts.
        spend(&desk, &at, &issued, dollars(2)).await;
        let on = enforce(&desk, &op, "on").await.unwrap();
        assert_eq!((on.left(), on.opening, on.last_seq), (dollars(-2), Some(dollars(5)), 1));
        let events =
            "SELECT kind FROM audit_events WHERE org_id IS NOT NULL AND kind LIKE 'balance.%' ORDER BY seq";
        assert_eq!(
            desk.texts(events).await,
            ["balance.enforced", "balance.not_enforced", "balance.enforced"]
        );
        let first = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'balance.enforced' ORDER BY seq LIMIT 1";
        assert!(desk.texts(first).await[0].contains(r#"{"money":5000000000}"#));
    }
);

on_both!(
    fn only_an_operator_changes_a_balance_and_only_owners_and_admins_read_it(desk: TestDesk) {
        let at = desk.owner().await;
        // Whoever set the installation up is its operator; this organisation's people are not.
        let fjord = desk.other_org("Fjord", "UTC").await;
        let op = operator(&desk, &fjord).await;
        let admin = desk.member(&fjord, OrgRole::Admin).await;
        let member = desk.member(&fjord, OrgRole::Member).await;
        let support = desk.platform(&fjord, PlatformRole::Support).await;
        let form = entry(&fjord, 1, EntryKind::Credit, "50");
        for who in [&fjord, &admin, &member, &support] {
            assert!(matches!(enter(&desk, who, &form).await, Err(OpError::NotFound)));
            assert!(matches!(enforce(&desk, who, "on").await, Err(OpError::NotFound)));
            let seen = orgs::balance(&desk, OperatorActor::Operator(&who.caller), "fjord", None).await;
            assert!(matches!(seen, Err(OpError::NotFound)));
        }
        enter(&desk, &op, &form).await.unwrap();
        let reads = async |who: &At| orgs::own_balance(&desk, &who.caller, "fjord", None).await;
        for who in [&fjord, &admin] {
            assert_eq!(reads(who).await.unwrap().page.rows.len(), 1);
        }
        assert!(matches!(reads(&member).await, Err(OpError::Forbidden)));
        assert!(matches!(reads(&support).await, Err(OpError::Forbidden)));
        for who in [&op, &at] {
            assert!(matches!(reads(who).await, Err(OpError::NotFound)));
        }
        // Of the other organisation's money nothing changed.
        assert_eq!(balance(&desk, &at).await, Balance::default());
        let event = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'balance.credited'";
        let changes = desk.texts(event).await.concat();
        assert!(changes.contains(r#"{"money":50000000000}"#) && changes.contains("Invoice 1"), "{changes}");
    }
);

on_both!(
    fn mistakes_in_an_entry_enter_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        let wrong = |kind: &str, amount: &str, note: &str| {
            let entry = EntryForm { kind: kind.into(), amount: amount.into(), note: note.into() };
            EnterForm { org: at.org.slug.clone(), seq: 1, entry }
        };
        for (form, field) in [
            (wrong("opening", "5", "Invoice 7"), "kind"),
            (wrong("credit", "-5", "Invoice 7"), "amount"),
            (wrong("credit", "0", "Invoice 7"), "amount"),
            (wrong("debit", "5", "  "), "note"),
        ] {
            assert_eq!(refused(enter(&desk, &op, &form).await).0, field);
        }
        for _ in 0..4 {
            let next = balance(&desk, &at).await.last_seq + 1;
            enter(&desk, &op, &entry(&at, next, EntryKind::Credit, "1000000000")).await.unwrap();
        }
        // Sums stay within what a number holds.
        assert_eq!(refused(enter(&desk, &op, &entry(&at, 5, EntryKind::Credit, "1")).await).0, "amount");
        let nowhere = EnterForm { org: "nowhere".into(), ..entry(&at, 5, EntryKind::Credit, "1") };
        assert!(matches!(enter(&desk, &op, &nowhere).await, Err(OpError::NotFound)));
        assert_eq!(desk.number("SELECT COUNT(*) FROM ledger").await, 4);
    }
);

on_both!(
    fn the_database_refuses_to_change_an_entry(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        enter(&desk, &op, &entry(&at, 1, EntryKind::Credit, "50")).await.unwrap();
        for sql in ["UPDATE ledger SET amount = 0", "DELETE FROM ledger"] {
            assert!(desk.execute(sql).await.is_err(), "{sql}");
        }
        assert_eq!(balance(&desk, &at).await.left(), dollars(50));
    }
);

on_both!(
    fn the_ledger_pages_newest_first_both_ways(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        let all = PAGE_ROWS as i64 + 3;
        for seq in 1..=all {
            enter(&desk, &op, &entry(&at, seq, EntryKind::Credit, "1")).await.unwrap();
        }
        let page = async |at: &At, cursor: Option<&Cursor>| {
            orgs::balance(&desk, OperatorActor::CommandLine, &at.org.slug, cursor).await.unwrap().page
        };
        let seqs = |page: &Page<Entry>| page.rows.iter().map(|entry| entry.seq).collect::<Vec<_>>();
        let first = page(&at, None).await;
        assert_eq!((seqs(&first)[0], first.rows.len(), first.previous.is_none()), (all, PAGE_ROWS, true));
        let second = page(&at, first.next.as_ref()).await;
        assert_eq!((seqs(&second), second.next), (vec![3, 2, 1], None));
        let back = page(&at, second.previous.as_ref()).await;
        assert_eq!(seqs(&back), seqs(&first));
        assert_eq!((back.previous, back.next), (None, first.next));
        assert_eq!(balance(&desk, &at).await.left(), dollars(all));
    }
);

/// The settings' form as the page draws it now, with budgets set.
async fn with_budgets(desk: &TestDesk, at: &At, set: impl Fn(&mut SettingsForm)) -> SaveForm {
    let view = orgs::settings(desk, &at.caller, &at.org.slug).await.unwrap();
    let mut settings = SettingsForm::of(&view.settings);
    let was = serde_json::to_string(&settings).unwrap();
    set(&mut settings);
    SaveForm {
        org: at.org.slug.clone(),
        version: view.context.org.version,
        was,
        settings,
        ..Default::default()
    }
}

async fn save(desk: &TestDesk, at: &At, form: &SaveForm) -> Result<Outcome<String, SettingsForm>, OpError> {
    submit::save_org(desk, &at.caller, form).await
}

fn month(amount: &str) -> impl Fn(&mut SettingsForm) + use<'_> {
    move |form| form.org_month = LimitField::limit(amount)
}

on_both!(
    fn the_organisations_budgets_are_saved_with_its_settings(desk: TestDesk) {
        let at = desk.owner().await;
        let form = with_budgets(&desk, &at, |form| {
            month("500")(form);
            form.org_day = LimitField::limit("50");
        })
        .await;
        assert!(matches!(save(&desk, &at, &form).await, Ok(Outcome::Saved(_))));
        let issued = desk.create_key(&at, "ci").await;
        spend(&desk, &at, &issued, dollars(20)).await;
        let view = orgs::settings(&desk, &at.caller, &at.org.slug).await.unwrap();
        let uses: Vec<_> = view.left.budgets.iter().map(|used| (used.budget.summary(), used.spent)).collect();
        assert_eq!(
            uses,
            [("$500.00 per month".to_owned(), dollars(20)), ("$50.00 per day".to_owned(), dollars(20))]
        );
        let form = SettingsForm::of(&view.settings);
        assert_eq!((form.org_month, form.org_week), (LimitField::limit("500"), LimitField::none()));
        assert!(matches!(
            save(&desk, &at, &with_budgets(&desk, &at, |_| ()).await).await,
            Ok(Outcome::Unchanged(_))
        ));
        let changes = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.edited'";
        let changes = desk.texts(changes).await.concat();
        assert!(changes.contains("org_month") && changes.contains(r#"{"budget":500000000000}"#), "{changes}");

        // A day that is more than the month could never be reached.
        let wrong = with_budgets(&desk, &at, |form| form.org_day = LimitField::limit("501")).await;
        assert_eq!(refused(save(&desk, &at, &wrong).await).0, "org_day");
        let none = with_budgets(&desk, &at, |form| {
            form.org_month = LimitField::none();
            form.org_day = LimitField::none();
        });
        assert!(matches!(save(&desk, &at, &none.await).await, Ok(Outcome::Saved(_))));
        assert_eq!(desk.number("SELECT COUNT(*) FROM budgets WHERE holder_kind = 'org'").await, 0);
    }
);

on_both!(
    fn of_two_who_set_the_organisations_budget_the_second_sees_both_amounts(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.member(&at, OrgRole::Admin).await;
        let mine = with_budgets(&desk, &at, month("500")).await;
        let theirs = with_budgets(&desk, &other, month("900")).await;
        assert!(matches!(save(&desk, &other, &theirs).await, Ok(Outcome::Saved(_))));
        let Ok(Outcome::Conflict(conflict)) = save(&desk, &at, &mine).await else { panic!("saved over it") };
        assert_eq!(conflict.errors.len(), 1);
        assert_eq!(conflict.errors[0].field, "org_month");
        assert_eq!(conflict.errors[0].problem.sentence(), "Now: $900.00. You entered: $500.00.");
        assert_eq!(
            desk.numbers("SELECT amount FROM budgets WHERE holder_kind = 'org'").await,
            [900 * DOLLAR]
        );
    }
);

on_both!(
    fn keys_say_when_their_organisation_has_used_up_its_budget_or_its_balance(desk: TestDesk) {
        let at = desk.owner().await;
        let op = operator(&desk, &at).await;
        let mut wide = form("wide");
        wide.limits.month = LimitField::none();
        let (spender, other) = (desk.create(&at, wide).await.unwrap(), desk.create_key(&at, "other").await);
        let state = async |issued: &IssuedKey| desk.show(&at, issued).await.state(desk.now());
        spend(&desk, &at, &spender, dollars(20)).await;
        enforce(&desk, &op, "on").await.unwrap();
        assert_eq!(state(&other).await, State::OutOfBalance);
        enter(&desk, &op, &entry(&at, 2, EntryKind::Credit, "5")).await.unwrap();
        assert_eq!(state(&other).await, State::Active);
        spend(&desk, &at, &spender, dollars(5)).await;
        assert_eq!(state(&other).await, State::OutOfBalance);
        enforce(&desk, &op, "off").await.unwrap();
        assert_eq!(state(&other).await, State::Active);

        save(&desk, &at, &with_budgets(&desk, &at, month("25")).await).await.unwrap();
        let over = state(&other).await;
        assert!(matches!(over, State::OrgOverBudget { .. }), "{over:?}");
        // In the list too.
        let list =
            keydesk_core::ops::keys::list(&desk, &at.caller, &at.org.slug, &everything()).await.unwrap();
        for key in &list.page.rows {
            assert!(matches!(key.state(desk.now()), State::OrgOverBudget { .. }), "{}", key.name);
        }
        // The next month is a new window.
        desk.clock.advance(31 * DAY);
        assert_eq!(state(&other).await, State::Active);
        // Another organisation's keys feel nothing of it.
        let fjord = desk.other_org("Fjord", "UTC").await;
        let theirs = desk.create_key(&fjord, "theirs").await;
        assert_eq!(desk.show(&fjord, &theirs).await.state(desk.now()), State::Active);
    }
);

on_both!(
    fn the_check_of_spend_finds_what_is_not_the_sum_of_its_requests(desk: TestDesk) {
        let at = desk.owner().await;
        desk.other_org("Fjord", "UTC").await;
        let crew = desk.team(&at, "Crew").await;
        let issued = desk.create_key(&at, "ci").await;
        for cost in [1, 2_000_000_000, 7] {
            let mut usage = desk.usage(&at, &issued, cost, desk.now()).await;
            usage.team = (cost != 7).then(|| crew.id.clone());
            record(&desk, &usage).await.unwrap();
        }
        let differs = async || {
            let reports = verify_spend::spend_of_all(&desk).await.unwrap();
            assert_eq!(
                reports.iter().map(|report| report.slug.as_str()).collect::<Vec<_>>(),
                ["fjord", "northwind"]
            );
            assert_eq!((reports[0].requests, reports[1].requests), (0, 3));
            assert!(reports[0].differences.is_empty());
            reports[1].differences.iter().map(|difference| difference.of.clone()).collect::<Vec<_>>()
        };
        assert_eq!(differs().await, Vec::<String>::new());
        let one = verify_spend::spend_of(&desk, "northwind").await.unwrap();
        assert!(one.differences.is_empty());
        assert!(matches!(verify_spend::spend_of(&desk, "nowhere").await, Err(OpError::NotFound)));

        let set = async |sql: &str| desk.execute(sql).await.unwrap();
        set("UPDATE counters SET spent = spent + 1 WHERE holder_kind = 'team' AND period = 'total'").await;
        assert_eq!(differs().await, [format!("team {}", crew.id)]);
        let found = &verify_spend::spend_of(&desk, "northwind").await.unwrap().differences[0];
        assert_eq!((found.counted.spent.nanos(), found.summed.spent.nanos()), (2_000_000_002, 2_000_000_001));
        set("UPDATE counters SET spent = spent - 1 WHERE holder_kind = 'team' AND period = 'total'").await;
        set("DELETE FROM counters WHERE holder_kind = 'key' AND period = 'total'").await;
        set("UPDATE counters SET tokens = tokens + 1 WHERE holder_kind = 'org' AND period = 'total'").await;
        assert_eq!(differs().await, [format!("key {}", issued.id), "the organisation".to_owned()]);
        set("UPDATE spend_daily SET cached_tokens = cached_tokens + 1 WHERE team_id <> ''").await;
        let days = format!("the days of {} in {} of {} with gpt-5", issued.id, crew.id, at.caller.person.id);
        assert!(differs().await.contains(&days));
    }
);

//! Asking for more, and what a grant does: it counts from the answer to its end, and nowhere else.

use keydesk_core::admission::{limits, reserve};
use keydesk_core::domain::ask::AskState;
use keydesk_core::domain::bulk::{BulkChange, Selected, Verdict};
use keydesk_core::domain::ids::AskId;
use keydesk_core::domain::key::State;
use keydesk_core::domain::limit_use::HolderKind;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::team::Team;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::ask::{AskForm, AskKeyForm, GrantForm};
use keydesk_core::forms::key::{EditForm, KeyForm};
use keydesk_core::forms::parts::{LimitField, LimitFields};
use keydesk_core::ops::OpError;
use keydesk_core::ops::access::read_org;
use keydesk_core::ops::asks::{self, Answered, Made};
use keydesk_core::ops::keys::{self, IssuedKey};

use crate::meter::{ask as request, budget, context};
use crate::support::submit;
use crate::support::*;

const DOLLAR: i64 = 1_000_000_000;

/// A team with an admin and a member, and the member's key with a monthly budget of $10.
struct Place {
    at: At,
    lead: At,
    priya: At,
    team: Team,
    key: IssuedKey,
}

async fn place(desk: &TestDesk, month: Option<&str>) -> Place {
    let at = desk.owner().await;
    let team = desk.team(&at, "Platform").await;
    let (lead, priya) = (desk.member(&at, OrgRole::Member).await, desk.member(&at, OrgRole::Member).await);
    desk.join(&lead, &team, true).await;
    desk.join(&priya, &team, false).await;
    let limits = LimitFields {
        month: LimitField::of(month.map(str::to_owned)),
        ..LimitFields::of(&[], &Default::default())
    };
    let owner = priya.caller.person.id.to_string();
    let key = KeyForm { team: team.id.to_string(), owner, limits, ..form("ci-prod") };
    let key = desk.create(&at, key).await.unwrap();
    Place { at, lead, priya, team, key }
}

fn wish(place: &Place, budget: &str, amount: &str, until: &str) -> AskForm {
    AskForm {
        org: place.at.org.slug.clone(),
        key: place.key.id.to_string(),
        budget: budget.into(),
        amount: amount.into(),
        until: if until.is_empty() { "reset".into() } else { "date".into() },
        until_on: until.into(),
        reason: "The backfill".into(),
    }
}

async fn make(desk: &TestDesk, by: &At, form: &AskForm) -> Result<Made, OpError> {
    asks::ask_for_budget(desk, &by.caller, &form.parse()?).await
}

async fn grant(desk: &TestDesk, by: &At, id: &AskId, amount: &str) -> Result<Answered, OpError> {
    let form = GrantForm {
        org: by.org.slug.clone(),
        id: id.to_string(),
        amount: amount.into(),
        ..GrantForm::default()
    };
    asks::grant(desk, &by.caller, &form.parse()?).await
}

async fn passes(desk: &TestDesk, key: &IssuedKey) -> bool {
    let context = context(desk, key).await;
    reserve(desk, &context, &request(desk, DOLLAR, 0)).await.is_ok()
}

async fn spend(desk: &TestDesk, place: &Place, dollars: i64) {
    let mut usage = desk.usage(&place.at, &place.key, dollars * DOLLAR, desk.now()).await;
    usage.team = Some(place.team.id.clone());
    assert!(record(desk, &usage).await.unwrap());
}

async fn open_for(desk: &TestDesk, at: &At) -> i64 {
    read_org(desk, &at.caller, &at.org.slug).await.unwrap().open_asks
}

on_both!(
    fn a_granted_budget_lets_requests_through_until_its_time(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        spend(&desk, &place, 10).await;
        assert!(!passes(&desk, &place.key).await);
        let now = desk.now();
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "$50", "2026-11-28")).await.unwrap();
        let names: Vec<_> = made.people.iter().map(|person| person.email.clone()).collect();
        assert_eq!(names, std::slice::from_ref(&place.lead.caller.person.email), "the team's admin is asked");
        assert_eq!(
            (
                open_for(&desk, &place.lead).await,
                open_for(&desk, &place.at).await,
                open_for(&desk, &place.priya).await
            ),
            (1, 1, 0)
        );
        assert!(!passes(&desk, &place.key).await, "an ask alone lets nothing through");

        let answered = grant(&desk, &place.lead, &made.ask.id, "40").await.unwrap();
        assert_eq!(answered.ask.state, AskState::Granted);
        let granted = answered.ask.grant.unwrap();
        assert_eq!(granted.amount, Money::from_nanos(40 * DOLLAR));
        assert_eq!(open_for(&desk, &place.lead).await, 0);
        assert!(passes(&desk, &place.key).await);

        // Pages, and the limits that a gateway answers with, say the same.
        let key = desk.show(&place.at, &place.key).await;
        assert_eq!(key.budgets[0].limit(), Money::from_nanos(50 * DOLLAR));
        assert_eq!(key.budgets[0].granted, Some(granted));
        assert_eq!(key.spec().budgets[0].amount, Money::from_nanos(10 * DOLLAR), "the budget is as it was");
        let context = context(&desk, &place.key).await;
        let told = limits(&desk, &context).await.unwrap();
        assert_eq!(told[0].max, 50 * DOLLAR);

        // It ends by itself, to the millisecond.
        assert_eq!(granted.until, Moment::parse_utc("2026-11-28T23:00:00Z").unwrap());
        assert!(now < granted.until);
        desk.clock.set(granted.until.plus_ms(-1));
        assert!(passes(&desk, &place.key).await);
        desk.clock.set(granted.until);
        assert!(!passes(&desk, &place.key).await);
        let key = desk.show(&place.at, &place.key).await;
        assert!(matches!(key.state(desk.now()), State::OverBudget { .. }));
        assert_eq!(key.budgets[0].granted, None);
        let kinds = desk.texts("SELECT kind FROM audit_events WHERE kind LIKE 'ask.%' ORDER BY seq").await;
        assert_eq!(kinds, ["ask.made", "ask.granted"]);
    }
);

on_both!(
    fn only_those_who_may_edit_the_budget_answer_and_only_once(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        let other = desk.member(&place.at, OrgRole::Member).await;
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "5", "")).await.unwrap();
        let id = &made.ask.id;
        assert!(matches!(grant(&desk, &place.priya, id, "").await, Err(OpError::Forbidden)));
        assert!(matches!(grant(&desk, &other, id, "").await, Err(OpError::NotFound)));
        let seen = asks::show(&desk, &other.caller, &other.org.slug, id.as_str()).await;
        assert!(matches!(seen, Err(OpError::NotFound)));
        let (field, sentence) = refused(grant(&desk, &place.lead, id, "6").await);
        assert_eq!(field, "amount");
        assert!(sentence.ends_with("asked for $5.00. Enter that or less."), "{sentence}");

        // One at a time.
        let again = make(&desk, &place.priya, &wish(&place, "key-month", "7", "")).await;
        assert!(matches!(again, Err(OpError::Conflict(_))));

        // Two answers at once: one counts.
        let (one, two) = tokio::join!(grant(&desk, &place.lead, id, ""), grant(&desk, &place.at, id, ""));
        assert!(one.is_ok() ^ two.is_ok(), "{:?} {:?}", one.err(), two.err());
        assert_eq!(desk.number("SELECT COUNT(*) FROM grants").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'ask.granted'").await, 1);
        assert!(desk.execute("UPDATE grants SET amount = amount + 1").await.is_err());
        assert!(desk.execute("DELETE FROM grants").await.is_err());
    }
);

on_both!(
    fn an_ask_can_be_refused_or_withdrawn_and_made_again(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "5", "")).await.unwrap();
        let at = (place.at.org.slug.as_str(), made.ask.id.as_str());
        let withdrawn = asks::withdraw(&desk, &place.lead.caller, at.0, at.1).await;
        assert!(matches!(withdrawn, Err(OpError::Forbidden)));
        asks::withdraw(&desk, &place.priya.caller, at.0, at.1).await.unwrap();
        let late = asks::refuse(&desk, &place.lead.caller, at, "No").await;
        assert!(matches!(late, Err(OpError::Conflict(_))));
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "5", "")).await.unwrap();
        let at = (place.at.org.slug.as_str(), made.ask.id.as_str());
        let answered = asks::refuse(&desk, &place.at.caller, at, "Use the batch key").await.unwrap();
        assert_eq!(
            (answered.ask.state, answered.ask.note.as_str()),
            (AskState::Refused, "Use the batch key")
        );
        assert_eq!(answered.person.unwrap().email, place.priya.caller.person.email);
        let kinds = desk.texts("SELECT kind FROM audit_events WHERE kind LIKE 'ask.%' ORDER BY seq").await;
        assert_eq!(kinds, ["ask.made", "ask.withdrawn", "ask.made", "ask.refused"]);
        // Whoever loses the key can still read what they asked.
        let open = async |at: &At, open| {
            asks::list(&desk, &at.caller, &at.org.slug, open, None).await.unwrap().page.rows.len()
        };
        assert_eq!((open(&place.priya, true).await, open(&place.priya, false).await), (0, 2));
        let other = desk.member(&place.at, OrgRole::Member).await;
        assert_eq!(open(&other, false).await, 0);
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "5", "")).await.unwrap();
        let (lead, key) = (&place.lead.caller.person.id, &place.key.id);
        desk.execute(&format!("UPDATE keys SET owner_id = '{lead}' WHERE id = '{key}'")).await.unwrap();
        let slug = place.at.org.slug.as_str();
        asks::withdraw(&desk, &place.priya.caller, slug, made.ask.id.as_str()).await.unwrap();
    }
);

on_both!(
    fn an_ask_goes_to_the_holder_of_the_budget_that_stops_the_key(desk: TestDesk) {
        let place = place(&desk, None).await;
        let no_budget =
            asks::budget_form(&desk, &place.priya.caller, "northwind", place.key.id.as_str()).await;
        assert!(matches!(no_budget, Err(OpError::Conflict(_))));
        budget(&desk, &place.at, "team", place.team.id.as_str(), "month", 10 * DOLLAR).await;
        spend(&desk, &place, 10).await;
        let view =
            asks::budget_form(&desk, &place.priya.caller, "northwind", place.key.id.as_str()).await.unwrap();
        assert_eq!(view.budgets.len(), 1);
        assert_eq!(view.budgets[0].budget.holder.kind(), HolderKind::Team);
        let named: Vec<_> = view.budgets[0].contacts.iter().map(|person| person.name.clone()).collect();
        assert_eq!(named, ["Ana Petrov"], "the team's admin may not edit the team's budget");
        let made = make(&desk, &place.priya, &wish(&place, "team-month", "5", "")).await.unwrap();
        assert!(matches!(grant(&desk, &place.lead, &made.ask.id, "").await, Err(OpError::NotFound)));
        assert_eq!(open_for(&desk, &place.lead).await, 0);
        assert!(!passes(&desk, &place.key).await);
        grant(&desk, &place.at, &made.ask.id, "").await.unwrap();
        assert!(passes(&desk, &place.key).await);
        let context = read_org(&desk, &place.at.caller, "northwind").await.unwrap();
        assert!(context.principal.runs_org());
    }
);

on_both!(
    fn no_one_grants_a_key_more_than_its_team_may_spend(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        budget(&desk, &place.at, "team", place.team.id.as_str(), "month", 15 * DOLLAR).await;
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "20", "")).await.unwrap();
        let (field, sentence) = refused(grant(&desk, &place.lead, &made.ask.id, "").await);
        assert_eq!(field, "amount");
        assert_eq!(
            sentence,
            "Platform allows its keys at most $15.00 per month, and this key has $10.00. Enter $5.00 or less."
        );
        assert_eq!(open_for(&desk, &place.lead).await, 1, "the ask is still open");
        let granted = grant(&desk, &place.lead, &made.ask.id, "5").await.unwrap().ask.grant.unwrap();
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "1", "")).await.unwrap();
        let (_, sentence) = refused(grant(&desk, &place.at, &made.ask.id, "").await);
        assert!(sentence.contains("this key has $15.00 already"), "{sentence}");
        let view = asks::show(&desk, &place.lead.caller, "northwind", made.ask.id.as_str()).await.unwrap();
        assert_eq!(view.budget.unwrap().used.budget.period, Period::Month);

        // Nor through an edit of the budget while the grant runs.
        let raise = async |dollars: &str| {
            let drawn = desk.drawn(&place.lead, &place.key).await;
            let mut key = drawn.key.clone();
            key.limits.month = LimitField::limit(dollars);
            submit::edit_key(&desk, &place.lead.caller, &EditForm { key, ..drawn }).await
        };
        let (field, sentence) = refused(raise("15").await);
        assert_eq!(field, "month");
        assert!(
            sentence.starts_with("Platform allows at most $15.00 per month, and $5.00 more"),
            "{sentence}"
        );
        assert!(sentence.ends_with("Enter $10.00 or less."), "{sentence}");
        assert!(raise("9").await.is_ok());
        assert!(raise("10").await.is_ok());
        desk.clock.set(granted.until);
        assert!(raise("15").await.is_ok());
    }
);

on_both!(
    fn keys_are_not_moved_where_budget_and_grants_come_to_more_than_the_team_allows(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "40", "2026-11-28")).await.unwrap();
        let granted = grant(&desk, &place.lead, &made.ask.id, "").await.unwrap().ask.grant.unwrap();
        let small = desk.team(&place.at, "Small").await;
        budget(&desk, &place.at, "team", small.id.as_str(), "month", 45 * DOLLAR).await;
        let selected = [Selected { id: place.key.id.clone(), version: None }];
        let change = BulkChange::Move(Some(small.id.clone()));
        let (caller, slug) = (&place.at.caller, place.at.org.slug.as_str());
        let preview = async || {
            let view = keys::preview(&desk, caller, slug, &selected, (change.act(), Some(&change))).await;
            let row = view.unwrap().rows.remove(0);
            (row.verdict, row.words)
        };
        let (verdict, words) = preview().await;
        assert_eq!(verdict, Verdict::Not);
        assert!(
            words.starts_with("Small allows at most $45.00 per month, and $40.00 more is granted"),
            "{words}"
        );
        let (outcome, _) = keys::apply(&desk, caller, slug, &selected, &change).await.unwrap();
        assert_eq!((outcome.rows[0].verdict, &outcome.rows[0].words), (Verdict::Not, &words));
        assert_eq!(desk.show(&place.at, &place.key).await.team, Some(place.team.clone()));
        // Once the grant has ended, the budget fits.
        desk.clock.set(granted.until);
        assert_eq!(preview().await.0, Verdict::Change);
        keys::apply(&desk, caller, slug, &selected, &change).await.unwrap();
        assert_eq!(desk.show(&place.at, &place.key).await.team, Some(small));
    }
);

on_both!(
    fn a_budget_and_its_grants_come_to_no_more_than_a_budget_may_be(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        let made = make(&desk, &place.priya, &wish(&place, "key-month", "999999999", "")).await.unwrap();
        let (field, sentence) = refused(grant(&desk, &place.lead, &made.ask.id, "").await);
        assert_eq!((field.as_str(), sentence.contains("$1,000,000,000.00")), ("amount", true), "{sentence}");
        grant(&desk, &place.lead, &made.ask.id, "999999990").await.unwrap();
        assert!(passes(&desk, &place.key).await);
    }
);

on_both!(
    fn a_new_key_is_asked_for_and_granted(desk: TestDesk) {
        let place = place(&desk, Some("10")).await;
        let mut form = AskKeyForm {
            org: "northwind".into(),
            name: "web".into(),
            team: place.team.id.to_string(),
            amount: "25".into(),
            reason: "A new shop".into(),
        };
        let by_lead = asks::ask_for_key(&desk, &place.lead.caller, &form.parse().unwrap()).await;
        assert!(matches!(by_lead, Err(OpError::Conflict(_))), "they may create keys");
        let made = asks::ask_for_key(&desk, &place.priya.caller, &form.parse().unwrap()).await.unwrap();
        assert_eq!(made.people[0].email, place.lead.caller.person.email);
        form.name = "other".into();
        let second = asks::ask_for_key(&desk, &place.priya.caller, &form.parse().unwrap()).await;
        assert!(matches!(second, Err(OpError::Conflict(_))));
        let answered = grant(&desk, &place.lead, &made.ask.id, "").await.unwrap();
        assert_eq!((answered.ask.state, answered.ask.grant), (AskState::Granted, None));
        let view = asks::show(&desk, &place.lead.caller, "northwind", made.ask.id.as_str()).await.unwrap();
        assert!(view.may_create && !view.may_answer);
        let another = desk.team(&place.at, "Data").await;
        form.team = another.id.to_string();
        let not_theirs = asks::ask_for_key(&desk, &place.priya.caller, &form.parse().unwrap()).await;
        assert_eq!(refused(not_theirs).0, "team");
    }
);

//! Alerts: once per crossing on both databases, with two nodes and after a crash; who is told; and the outbox.

use std::collections::BTreeSet;

use keydesk_core::domain::alert::{
    AlertKind, ChannelForm, Choices, DeliveryState, Failure, OrgChoices, Thresholds, Via, Way,
    parse_webhook_url,
};
use keydesk_core::domain::ids::DeliveryId;
use keydesk_core::domain::ledger::EntryKind;
use keydesk_core::domain::moment::Day;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::forms::ledger::{EnforceForm, EnterForm, EntryForm};
use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::OpError;
use keydesk_core::ops::alerts::{
    self, InboxFilter, Look, NewWebhook, PostsDue, SlackDue, UserMail, WebhookDue,
};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::store::alert_sources::{self, AfterBudget, BudgetsWanted};

use crate::support::submit;
use crate::support::*;

const DOLLAR: i64 = 1_000_000_000;

async fn with_budget(desk: &TestDesk, at: &At, name: &str, dollars: &str) -> IssuedKey {
    let mut form = form(name);
    form.limits.month = LimitField::limit(dollars);
    desk.create(at, form).await.unwrap()
}

async fn spend(desk: &TestDesk, at: &At, key: &IssuedKey, cents: i64) {
    let usage = desk.usage(at, key, cents * DOLLAR / 100, desk.now()).await;
    assert!(record(desk, &usage).await.unwrap());
}

/// A second later, so that what is found later is also above in an inbox.
async fn look(desk: &TestDesk, what: Look) -> usize {
    desk.clock.advance(1_000);
    alerts::look(desk, what, true).await.unwrap()
}

/// What comes after it is mailed and posted.
async fn first_look(desk: &TestDesk) {
    assert_eq!(alerts::look(desk, Look::Everything, true).await.unwrap(), 0);
}

async fn inbox(desk: &TestDesk, at: &At) -> Vec<String> {
    let view = alerts::inbox(desk, &at.caller, &at.org.slug, InboxFilter::default(), None).await.unwrap();
    view.page.rows.iter().map(|entry| entry.alert.heading(&at.org.zone)).collect()
}

/// What is due on both ways.
struct Due {
    mails: Vec<UserMail>,
    slack: Vec<SlackDue>,
    webhooks: Vec<WebhookDue>,
}

async fn due(desk: &TestDesk) -> Due {
    let mails = alerts::mails_due(desk).await.unwrap();
    let PostsDue { slack, webhooks } = alerts::posts_due(desk).await.unwrap();
    Due { mails, slack, webhooks }
}

/// Sends what is due: to whom, and how many alerts in each mail.
async fn mails(desk: &TestDesk) -> Vec<(String, usize)> {
    let due = due(desk).await;
    for mail in &due.mails {
        alerts::sent(desk, &mail.attempts).await.unwrap();
    }
    due.mails.into_iter().map(|mail| (mail.email, mail.alerts.len())).collect()
}

on_both!(
    fn each_threshold_of_a_budget_alerts_once_in_its_window(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let key = with_budget(&desk, &at, "ci", "10").await;
        spend(&desk, &at, &key, 499).await;
        assert_eq!(look(&desk, Look::Recent).await, 0);
        spend(&desk, &at, &key, 1).await;
        assert_eq!(look(&desk, Look::Recent).await, 1);
        assert_eq!((look(&desk, Look::Recent).await, look(&desk, Look::Everything).await), (0, 0));
        // Two thresholds passed in one step are one alert.
        spend(&desk, &at, &key, 460).await;
        assert_eq!(look(&desk, Look::Recent).await, 1);
        assert_eq!(
            inbox(&desk, &at).await,
            ["ci has spent 96 % of $10.00 per month", "ci has spent 50 % of $10.00 per month"]
        );
        assert_eq!(desk.number("SELECT MAX(threshold) FROM alerts").await, 95);
        // A budget that is raised has lines of its own, and so has the next month.
        desk.execute(&format!("UPDATE budgets SET amount = {}", 19 * DOLLAR)).await.unwrap();
        assert_eq!((look(&desk, Look::Recent).await, look(&desk, Look::Recent).await), (1, 0));
        desk.clock.advance(20 * DAY);
        spend(&desk, &at, &key, 1_000).await;
        assert_eq!(look(&desk, Look::Recent).await, 1);
    }
);

on_both!(
    fn a_budget_that_is_set_below_what_is_spent_alerts_once_with_the_highest_threshold(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let key = desk.create_key(&at, "ci").await;
        spend(&desk, &at, &key, 1_000).await;
        desk.clock.advance(5 * HOUR);
        let (org, id) = (&at.org.id, &key.id);
        for (kind, id) in [("key", id.as_str()), ("org", org.as_str())] {
            desk.execute(&format!(
                "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount) VALUES ('{kind}', '{id}', 'total', '{org}', {})",
                5 * DOLLAR
            ))
            .await
            .unwrap();
        }
        assert_eq!(look(&desk, Look::Recent).await, 0, "no one spent lately");
        assert_eq!((look(&desk, Look::Everything).await, look(&desk, Look::Everything).await), (2, 0));
        assert_eq!(desk.number("SELECT CAST(SUM(threshold) AS BIGINT) FROM alerts").await, 190);
        assert_eq!(mails(&desk).await, [(OWNER_EMAIL.to_owned(), 2)], "one mail for both");
    }
);

on_both!(
    fn budgets_are_read_in_pages_and_each_of_them_once(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        for n in 0..5 {
            let key = with_budget(&desk, &at, &format!("ci {n}"), "10").await;
            spend(&desk, &at, &key, 900).await;
        }
        // Two budgets of one holder may be in two pages.
        desk.execute(&format!(
            "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount)
            SELECT 'key', id, 'day', org_id, {} FROM keys",
            10 * DOLLAR
        ))
        .await
        .unwrap();
        for (recent, max) in [(false, 1), (false, 3), (false, 5), (true, 1), (true, 4), (true, 100)] {
            let which = BudgetsWanted { percent: 50, recent, max };
            let (mut after, mut crossings) = (Some(AfterBudget::first()), Vec::new());
            while let Some(begin) = after {
                let mut read = desk.db.read().await.unwrap();
                let page = alert_sources::budgets(&mut read, &at.org.zone, desk.now(), which, &begin);
                let (found, next) = page.await.unwrap();
                assert!(i64::try_from(found.len()).unwrap() <= max);
                crossings.extend(found.into_iter().map(|spent| spent.crossing));
                after = next;
            }
            let all: BTreeSet<&String> = crossings.iter().collect();
            assert_eq!((crossings.len(), all.len()), (10, 10), "recent {recent}, {max} at once");
        }
    }
);

on_both!(
    fn the_first_look_of_an_installation_fills_inboxes_and_sends_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let url = parse_webhook_url("https://hooks.example.com/T0/xyz").unwrap();
        let room = NewWebhook { name: "room".into(), form: ChannelForm::Slack, url };
        let owner = desk.signed_in(&at).await;
        alerts::add_channel(&desk, &owner, &at.org.slug, &room).await.unwrap();
        let key = with_budget(&desk, &at, "ci", "10").await;
        let other = with_budget(&desk, &at, "other", "10").await;
        spend(&desk, &at, &key, 900).await;
        // One that is not complete does not end it.
        assert_eq!(look(&desk, Look::Recent).await, 1);
        spend(&desk, &at, &other, 600).await;
        assert_eq!(look(&desk, Look::Everything).await, 1);
        assert_eq!(inbox(&desk, &at).await.len(), 2);
        let sent = due(&desk).await;
        assert!(sent.mails.is_empty() && sent.slack.is_empty() && sent.webhooks.is_empty());
        // What is crossed from then on is sent, and what the first look found is not told again.
        spend(&desk, &at, &other, 300).await;
        assert_eq!(look(&desk, Look::Everything).await, 1);
        let sent = due(&desk).await;
        assert_eq!((sent.mails.len(), sent.mails[0].alerts.len(), sent.slack.len()), (1, 1, 1));
        assert_eq!(look(&desk, Look::Everything).await, 0);
    }
);

on_both!(
    fn a_balance_is_compared_with_what_the_last_entry_left(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let op = desk.platform(&at, PlatformRole::Operator).await;
        let key = desk.create_key(&at, "ci").await;
        desk.execute("DELETE FROM budgets").await.unwrap();
        spend(&desk, &at, &key, 700).await;
        let enter = async |seq: i64, kind: EntryKind, amount: &str| {
            let entry =
                EntryForm { kind: kind.as_str().into(), amount: amount.into(), note: "Invoice".into() };
            let form = EnterForm { org: at.org.slug.clone(), seq, entry };
            let entered = submit::add_entry_org(&desk, OperatorActor::Operator(&op.caller), &form).await;
            assert!(matches!(entered, Ok(Outcome::Saved(_))));
        };
        enter(1, EntryKind::Credit, "100").await;
        let form = EnforceForm { org: at.org.slug.clone(), enforce: "on".into() };
        submit::enforce_org(&desk, OperatorActor::Operator(&op.caller), &form).await.unwrap();
        spend(&desk, &at, &key, 9_600).await;
        assert_eq!((look(&desk, Look::Recent).await, look(&desk, Look::Recent).await), (1, 0));
        // $4 are left, and $96 more make $100: nothing of them is spent yet.
        enter(3, EntryKind::Credit, "96").await;
        assert_eq!(look(&desk, Look::Recent).await, 0);
        spend(&desk, &at, &key, 5_100).await;
        assert_eq!(look(&desk, Look::Recent).await, 1);
        // Of $49 that are left, $9 are taken out.
        enter(4, EntryKind::Debit, "9").await;
        assert_eq!(look(&desk, Look::Recent).await, 0);
        spend(&desk, &at, &key, 3_200).await;
        assert_eq!(look(&desk, Look::Recent).await, 1);
        let told: Vec<String> = inbox(&desk, &at).await;
        assert_eq!(
            told,
            [80, 51, 96].map(|spent| format!("{} has spent {spent} % of its balance", at.org.name))
        );
    }
);

on_both!(
    fn two_nodes_write_an_alert_and_lease_a_delivery_once(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        for n in 0..4 {
            let key = with_budget(&desk, &at, &format!("ci {n}"), "10").await;
            spend(&desk, &at, &key, 900).await;
        }
        let (one, other) = (desk.clone(), desk.clone());
        let (a, b) = tokio::join!(look(&one, Look::Everything), look(&other, Look::Everything));
        assert_eq!(a + b, 4);
        let (a, b) = tokio::join!(due(&one), due(&other));
        let mails: Vec<_> = a.mails.iter().chain(&b.mails).collect();
        assert_eq!(mails.iter().map(|mail| mail.alerts.len()).sum::<usize>(), 4);
        // And only one of them has the turn.
        assert!(alerts::take_turn(&desk, "alerts", "a", 30_000).await.unwrap());
        assert!(!alerts::take_turn(&desk, "alerts", "b", 30_000).await.unwrap());
        assert!(alerts::take_turn(&desk, "alerts", "a", 30_000).await.unwrap());
        desk.clock.advance(31_000);
        assert!(alerts::take_turn(&desk, "alerts", "b", 30_000).await.unwrap());
    }
);

on_both!(
    fn a_worker_that_is_killed_loses_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let key = with_budget(&desk, &at, "ci", "10").await;
        spend(&desk, &at, &key, 900).await;
        look(&desk, Look::Recent).await;
        // Leased, and never heard of again.
        let leased = due(&desk).await;
        assert_eq!(leased.mails.len(), 1);
        assert!(due(&desk).await.mails.is_empty());
        assert!(!alerts::any_due(&desk, Via::Mail).await.unwrap());
        desk.clock.advance(4 * MINUTE);
        let again = due(&desk).await;
        assert_eq!(again.mails[0].attempts[0].id, leased.mails[0].attempts[0].id);
        assert_eq!(again.mails[0].attempts[0].attempts, 2);
        alerts::sent(&desk, &again.mails[0].attempts).await.unwrap();
        // The first worker was only slow: what it says comes too late to count.
        alerts::failed(&desk, &leased.mails[0].attempts, None, Failure::Mail).await.unwrap();
        desk.clock.advance(10 * MINUTE);
        assert!(due(&desk).await.mails.is_empty());
    }
);

on_both!(
    fn a_person_gets_one_mail_a_minute_with_all_that_came(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let mut keys = Vec::new();
        for n in 0..6 {
            keys.push(with_budget(&desk, &at, &format!("ci {n}"), "10").await);
        }
        spend(&desk, &at, &keys[0], 600).await;
        look(&desk, Look::Recent).await;
        let me = || OWNER_EMAIL.to_owned();
        assert_eq!(mails(&desk).await, [(me(), 1)]);
        for key in &keys[1..] {
            desk.clock.advance(5_000);
            spend(&desk, &at, key, 600).await;
            look(&desk, Look::Recent).await;
            assert!(mails(&desk).await.is_empty());
        }
        desk.clock.advance(MINUTE);
        assert_eq!(mails(&desk).await, [(me(), 5)]);
        assert_eq!(inbox(&desk, &at).await.len(), 6);
        let read = alerts::mark_read(&desk, &at.caller, &at.org.slug, "").await.unwrap();
        assert_eq!(read, 6);
        let unread = InboxFilter { unread: true, kind: None };
        let view = alerts::inbox(&desk, &at.caller, &at.org.slug, unread, None).await.unwrap();
        assert_eq!((view.page.rows.len(), view.context.unread), (0, 0));
    }
);

on_both!(
    fn one_mail_has_all_that_is_due_however_much_it_is(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let key = with_budget(&desk, &at, "ci", "10").await;
        spend(&desk, &at, &key, 600).await;
        look(&desk, Look::Recent).await;
        let (alert, now) = (desk.texts("SELECT id FROM alerts").await.remove(0), desk.now());
        let (org, person, ms) = (&at.org.id, &at.caller.person.id, now.ms());
        let row = |n: u16| {
            let [high, low] = n.to_be_bytes();
            let id = DeliveryId::new(now, [high, low, 7, 7, 7, 7, 7, 7, 7, 7]);
            format!("('{id}', '{org}', '{alert}', 'mail', '{person}', 'pending', 0, {ms}, 0, '', {ms})")
        };
        let rows: Vec<String> = (0..1_200).map(row).collect();
        desk.execute(&format!(
            "INSERT INTO alert_deliveries (id, org_id, alert_id, via, person_id, state, attempts, next_at, leased_until, last_error,
                created_at)
            VALUES {}",
            rows.join(", ")
        ))
        .await
        .unwrap();
        assert_eq!(mails(&desk).await, [(OWNER_EMAIL.to_owned(), 1_201)]);
        desk.clock.advance(10 * MINUTE);
        assert!(mails(&desk).await.is_empty());
    }
);

on_both!(
    fn no_one_is_told_of_a_key_that_they_may_not_see(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let (lead, member, other) = (
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Member).await,
        );
        let team = desk.team(&at, "Web").await;
        for (person, admin) in [(&lead, true), (&member, false), (&other, false)] {
            desk.join(person, &team, admin).await;
        }
        let mut form = form("ci");
        form.team = team.id.to_string();
        form.limits.month = LimitField::limit("10");
        let key = desk.create(&at, form).await.unwrap();
        let give =
            |to: &At| format!("UPDATE keys SET owner_id = '{}' WHERE id = '{}'", to.caller.person.id, key.id);
        desk.execute(&give(&member)).await.unwrap();
        spend(&desk, &at, &key, 900).await;
        assert_eq!(look(&desk, Look::Everything).await, 1);
        for (person, entries) in [(&at, 1), (&lead, 1), (&member, 1), (&other, 0)] {
            assert_eq!(inbox(&desk, person).await.len(), entries);
        }
        let foreign = desk.other_org("Elsewhere", "UTC").await;
        assert!(inbox(&desk, &foreign).await.is_empty());
        let support = desk.platform(&at, PlatformRole::Support).await;
        let refused = alerts::inbox(&desk, &support.caller, &at.org.slug, InboxFilter::default(), None).await;
        assert!(matches!(refused, Err(OpError::Forbidden)));
        // Before the mail goes out, the key gets another owner: the one before is told nothing more.
        desk.execute(&give(&other)).await.unwrap();
        let told: Vec<String> = mails(&desk).await.into_iter().map(|(email, _)| email).collect();
        assert_eq!(told.len(), 2);
        assert!(!told.contains(&member.caller.person.email) && told.contains(&lead.caller.person.email));
        assert!(inbox(&desk, &member).await.is_empty());
        assert_eq!(
            desk.texts("SELECT last_error FROM alert_deliveries WHERE state = 'given_up'").await,
            ["gone"]
        );
        // No one marks another person's entry.
        let id = desk.texts("SELECT MIN(id) FROM alert_deliveries WHERE via = 'inbox'").await;
        let marked = alerts::mark_read(&desk, &other.caller, &at.org.slug, &id[0]).await.unwrap();
        assert_eq!(marked, 0);
    }
);

on_both!(
    fn people_choose_and_organisations_set_what_is_told(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let admin = desk.member(&at, OrgRole::Admin).await;
        let member = desk.member(&at, OrgRole::Member).await;
        let key = with_budget(&desk, &at, "ci", "10").await;
        let mut org = OrgChoices::default();
        org.0.thresholds = Thresholds::parse("90").ok();
        org.0.ways = AlertKind::ALL.into_iter().map(|kind| (kind, Way::Inbox)).collect();
        let slug = &at.org.slug;
        assert!(alerts::save_settings(&desk, &at.caller, slug, &org).await.unwrap());
        assert!(!alerts::save_settings(&desk, &at.caller, slug, &org).await.unwrap(), "no change");
        let refused = alerts::save_settings(&desk, &member.caller, slug, &org).await;
        assert!(matches!(refused, Err(OpError::Forbidden)));
        let kinds = "SELECT kind FROM audit_events WHERE kind LIKE 'alerts.%'";
        assert_eq!(desk.texts(kinds).await, ["alerts.edited"]);
        let own = Choices {
            thresholds: Thresholds::parse("60").ok(),
            ways: [(AlertKind::Budget, Way::Mail)].into(),
        };
        alerts::save_choices(&desk, &admin.caller, slug, &own).await.unwrap();
        assert_eq!(alerts::choices(&desk, &admin.caller, slug).await.unwrap().own, own);
        spend(&desk, &at, &key, 700).await;
        look(&desk, Look::Recent).await;
        assert_eq!((inbox(&desk, &at).await.len(), inbox(&desk, &admin).await.len()), (0, 1));
        spend(&desk, &at, &key, 250).await;
        look(&desk, Look::Recent).await;
        assert_eq!((inbox(&desk, &at).await.len(), inbox(&desk, &admin).await.len()), (1, 1));
        assert_eq!(mails(&desk).await, [(admin.caller.person.email.clone(), 1)]);
    }
);

on_both!(
    fn ends_rejections_and_spikes_alert_once_each(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let mut form = form("ci");
        form.expiry = "90".into();
        form.rotate_days = "60".into();
        let key = desk.create(&at, form).await.unwrap();
        let mut short = crate::support::form("short");
        short.expiry = "7".into();
        desk.create(&at, short).await.unwrap();
        let everything = async || look(&desk, Look::Everything).await;
        assert_eq!(everything().await, 0, "a key that is made for a week needs no alert");
        desk.clock.advance(30 * DAY + MINUTE);
        assert_eq!((everything().await, everything().await), (1, 0));
        desk.clock.advance(30 * DAY);
        assert_eq!(everything().await, 1, "of rotation, only what is due is left");
        let told = inbox(&desk, &at).await;
        assert!(told[0].starts_with("ci expires on 18 Feb 2027"), "{told:?}");
        assert!(told[1].starts_with("ci is due for rotation on 19 Jan 2027"), "{told:?}");

        let minute = desk.now().ms() / 60_000;
        let reject = |times: i64, minute: i64| {
            let (key, org, ms) = (&key.id, &at.org.id, minute * 60_000);
            format!(
                "INSERT INTO rejections (key_id, minute, gate, reason, model_id, org_id, times, first_at, last_at, route, address,
                    request_id)
                VALUES ('{key}', {minute}, 'rate', 'requests', '', '{org}', {times}, {ms}, {ms}, '', '', '')"
            )
        };
        desk.execute(&reject(19, minute)).await.unwrap();
        assert_eq!(look(&desk, Look::Recent).await, 0);
        desk.execute(&reject(1, minute - 5)).await.unwrap();
        assert_eq!((look(&desk, Look::Recent).await, look(&desk, Look::Recent).await), (1, 0));
        desk.clock.advance(61 * MINUTE);
        desk.execute(&reject(30, minute + 61)).await.unwrap();
        assert_eq!((look(&desk, Look::Recent).await, look(&desk, Look::Recent).await), (1, 0), "hourly");

        // Two Fridays with $2 by this hour, and one without anything.
        let today = Day::of(desk.now(), &at.org.zone);
        let rolled = |grain: &str, bucket: &str, cents: i64| {
            format!(
                "INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens,
                    output_tokens, cached_tokens, cost)
                VALUES ('{}', 'key', '{}', '{grain}', '{bucket}', 'gpt-5', '', 1, 1, 1, 0, {})",
                at.org.id,
                key.id,
                cents * DOLLAR / 100
            )
        };
        for weeks in [1, 3] {
            let before = today.back(7 * weeks);
            desk.execute(&rolled("hour", &format!("{before}T00"), 200)).await.unwrap();
            desk.execute(&rolled("hour", &format!("{before}T23"), 9_000)).await.unwrap();
        }
        desk.execute(&rolled("day", &today.to_string(), 800)).await.unwrap();
        assert_eq!(everything().await, 0, "four times is no spike");
        desk.execute(&format!("UPDATE rollups SET cost = {} WHERE grain = 'day'", 9 * DOLLAR)).await.unwrap();
        assert_eq!((everything().await, everything().await), (1, 0));
        assert!(inbox(&desk, &at).await[0].starts_with("ci has spent $9.00 today, 4.5 × its usual"));
    }
);

on_both!(
    fn webhooks_are_sealed_tried_again_and_given_up_after_a_day(desk: TestDesk) {
        let at = desk.owner().await;
        first_look(&desk).await;
        let slug = &at.org.slug;
        let add = async |name: &str, form: ChannelForm| {
            let url = parse_webhook_url("https://hooks.example.com/T0/xyz").unwrap();
            let new = NewWebhook { name: name.into(), form, url };
            alerts::add_channel(&desk, &at.caller, slug, &new).await.unwrap()
        };
        let room = add("room", ChannelForm::Slack).await;
        assert!(room.secret.is_none());
        let signed = add("bot", ChannelForm::Signed).await;
        let secret = signed.secret.unwrap();
        if let Some(file) = &desk.file {
            let bytes = std::fs::read(file).unwrap();
            let found = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!found("hooks.example.com/T0") && !found(secret.as_str()), "readable in the file");
        }
        let key = with_budget(&desk, &at, "ci", "10").await;
        for cents in [600, 300] {
            spend(&desk, &at, &key, cents).await;
            look(&desk, Look::Recent).await;
        }
        // Mails wait for no webhook: each way is leased by itself.
        assert_eq!(alerts::mails_due(&desk).await.unwrap().len(), 1);
        assert!(!alerts::any_due(&desk, Via::Mail).await.unwrap());
        assert!(alerts::any_due(&desk, Via::Webhook).await.unwrap());
        let first = due(&desk).await;
        assert_eq!((first.slack.len(), first.slack[0].alerts.len(), first.webhooks.len()), (1, 2, 2));
        assert_eq!(first.webhooks[0].secret.as_str(), secret.as_str());
        assert_eq!(first.slack[0].url.as_str(), "https://hooks.example.com/T0/xyz");
        alerts::sent(&desk, &first.slack[0].attempts).await.unwrap();
        let hangs = &first.webhooks[0];
        let fail = async |due: &Due| {
            for one in &due.webhooks {
                let attempts = std::slice::from_ref(&one.attempt);
                alerts::failed(&desk, attempts, Some(&one.channel), Failure::Status(500)).await.unwrap();
            }
        };
        fail(&first).await;
        assert!(due(&desk).await.webhooks.is_empty(), "not before a minute is over");
        let (mut tries, mut waited) = (1, 0);
        while waited < 30 * HOUR {
            desk.clock.advance(MINUTE);
            waited += MINUTE;
            let due = due(&desk).await;
            assert!(due.slack.is_empty(), "sent once");
            tries += due.webhooks.iter().filter(|one| one.attempt.id == hangs.attempt.id).count();
            fail(&due).await;
            if due.webhooks.is_empty() && waited % HOUR != 0 {
                desk.clock.advance(9 * MINUTE);
                waited += 9 * MINUTE;
            }
        }
        assert!((9..16).contains(&tries), "{tries} attempts in a day");
        let view = alerts::settings(&desk, &at.caller, slug, None).await.unwrap();
        let given_up: Vec<_> = view
            .log
            .rows
            .iter()
            .filter(|one| one.state == DeliveryState::GivenUp)
            .map(|one| (one.to.as_str(), one.failure))
            .collect();
        assert_eq!(given_up, [("bot", Some(Failure::Status(500))); 2]);

        // A test comes at once; what is due for a removed channel is given up.
        alerts::test_channel(&desk, &at.caller, slug, room.id.as_str()).await.unwrap();
        assert_eq!(due(&desk).await.slack[0].alerts, [None]);
        alerts::test_channel(&desk, &at.caller, slug, signed.id.as_str()).await.unwrap();
        alerts::remove_channel(&desk, &at.caller, slug, signed.id.as_str()).await.unwrap();
        assert!(due(&desk).await.webhooks.is_empty());
        let refused = alerts::test_channel(&desk, &at.caller, slug, signed.id.as_str()).await;
        assert!(matches!(refused, Err(OpError::NotFound)));
        // One person sends five in a minute.
        desk.clock.advance(MINUTE);
        let test = async || alerts::test_channel(&desk, &at.caller, slug, room.id.as_str()).await;
        for _ in 0..5 {
            test().await.unwrap();
        }
        assert!(matches!(test().await, Err(OpError::TooMany { retry_after_s: 1..=60 })));
        let admin = desk.member(&at, OrgRole::Admin).await;
        alerts::test_channel(&desk, &admin.caller, slug, room.id.as_str()).await.unwrap();
        desk.clock.advance(MINUTE);
        test().await.unwrap();
        let events = "SELECT kind FROM audit_events WHERE kind LIKE 'webhook.%' ORDER BY seq";
        assert_eq!(desk.texts(events).await, ["webhook.added", "webhook.added", "webhook.removed"]);
    }
);

//! What a request keeps of its meters and its price, and the correction of a wrong price afterwards.

use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::ids::PriceId;
use keydesk_core::domain::limits::Budget;
use keydesk_core::domain::meter::{Counts, Meter, Metered, ServedAs};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::price::Price;
use keydesk_core::domain::request_log::{RequestEntry, RequestUse};
use keydesk_core::domain::rerating::Rerating;
use keydesk_core::domain::tariff::Tariff;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::orgs::{OperatorActor, RatedOrg, plan, preview, rerate};
use keydesk_core::ops::requests::{RequestsQuery, of_key};
use keydesk_core::ops::{OpError, audit, catalogue, verify_spend};
use keydesk_core::store::spend::Usage;
use keydesk_core::store::verify::Why;

use crate::support::*;

const CHEAP: &str = r#"{"input":"1","cached_input":"0.1","output":"4"}"#;
const DEAR: &str = r#"{"input":"2.5","cached_input":"0.25","cache_write_short":"3.125","output":"10","searches":"10",
    "lines":[{"above":5000,"input":"5","output":"15"}],"factors":{"tier":{"flex":"0.5"}}}"#;

/// A price of gpt-5 that starts at a moment of its own.
async fn price(desk: &TestDesk, n: u8, tariff: &str) -> Price {
    catalogue::seed(desk).await.unwrap();
    let id = PriceId::new(Moment::from_ms(i64::from(n)), [n; 10]);
    let tariff: Tariff = serde_json::from_str(tariff).unwrap();
    let json = serde_json::to_string(&tariff).unwrap();
    desk.execute(&format!(
        "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
        VALUES ('{id}', 'gpt-5', {n}, 'operator', 'the price page', '{json}', 0, 'test')"
    ))
    .await
    .unwrap();
    Price {
        id,
        starts_at: Moment::from_ms(n.into()),
        source: "the price page".into(),
        ..Price::unrecorded(tariff)
    }
}

fn bill(price: &Price, metered: Metered) -> Bill {
    let cost = price.tariff.cost(&metered);
    Bill {
        metered,
        is_estimated: false,
        price: Some(price.id.clone()),
        cost: cost.amount,
        is_priced: cost.is_priced,
    }
}

async fn settle(desk: &TestDesk, at: &At, issued: &IssuedKey, bill: Bill) -> Usage {
    let usage = Usage { bill, ..desk.usage(at, issued, 0, desk.now()).await };
    assert!(record(desk, &usage).await.unwrap());
    usage
}

async fn entries(
    desk: &TestDesk,
    at: &At,
    issued: &IssuedKey,
    query: RequestsQuery<'_>,
) -> Vec<RequestEntry> {
    of_key(desk, &at.caller, &at.org.slug, issued.id.as_str(), query).await.unwrap().page.rows
}

async fn newest(desk: &TestDesk, at: &At, issued: &IssuedKey) -> RequestUse {
    entries(desk, at, issued, RequestsQuery::default()).await[0].used.clone().unwrap()
}

fn everything_until(desk: &TestDesk, price: &Price) -> Rerating {
    let model = "gpt-5".to_owned();
    Rerating { model, from: Moment::from_ms(0), to: desk.now().plus_ms(1), price: price.clone() }
}

async fn verified(desk: &TestDesk) {
    for report in verify_spend::spend_of_all(desk).await.unwrap() {
        assert!(report.adds_up(), "{:?} {:?}", report.differences, report.mischarged);
    }
}

const CLI: OperatorActor<'static> = OperatorActor::CommandLine;

on_both!(
    fn a_request_keeps_all_meters_how_it_was_served_and_its_price(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let price = price(&desk, 1, DEAR).await;
        let mut metered = Metered::default();
        for (n, meter) in Meter::ALL.into_iter().enumerate() {
            metered.counts.set(meter, n as i64 + 1);
        }
        metered.served_as = ServedAs { tier: "flex".into(), region: "eu".into(), speed: String::new() };
        let usage = settle(&desk, &at, &issued, bill(&price, metered.clone())).await;
        let used = newest(&desk, &at, &issued).await;
        assert_eq!(used.metered, metered);
        assert_eq!((used.price, used.cost, used.is_priced), (Some(price.id), usage.bill.cost, false));
        assert_eq!(used.first_cost, None);
        let tokens = [metered.counts.input(), metered.counts.output(), metered.counts.cached()];
        let columns = desk
            .texts("SELECT input_tokens || ' ' || output_tokens || ' ' || cached_tokens FROM usage")
            .await;
        assert_eq!(columns, [tokens.map(|count| count.to_string()).join(" ")]);
        // Old rows have their totals.
        desk.execute("UPDATE usage SET meters = ''").await.unwrap();
        let totals = Counts::of_totals(tokens[0], tokens[2], tokens[1]);
        assert_eq!(newest(&desk, &at, &issued).await.metered, totals.into());
    }
);

on_both!(
    fn requests_that_are_not_priced_are_counted_and_found(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let price = price(&desk, 1, CHEAP).await;
        let searched = Counts::of_totals(10, 0, 1).with(Meter::Searches, 1);
        for n in 0..30 {
            desk.clock.advance(1_000);
            let counts = if n % 10 == 0 { searched } else { Counts::of_totals(10, 0, 1) };
            settle(&desk, &at, &issued, bill(&price, counts.into())).await;
        }
        let query = RequestsQuery { not_priced: true, ..RequestsQuery::default() };
        let view = of_key(&desk, &at.caller, &at.org.slug, issued.id.as_str(), query).await.unwrap();
        assert_eq!((view.not_priced, view.page.rows.len(), view.only_not_priced), (3, 3, true));
        assert!(view.page.rows.iter().all(|entry| !entry.used.as_ref().unwrap().is_priced));
        assert_eq!(view.prices, [price]);
        let all = entries(&desk, &at, &issued, RequestsQuery::default()).await;
        assert_eq!(all.len(), 20);
        verified(&desk).await;
    }
);

on_both!(
    fn every_version_of_settlement_goes_on_working(desk: TestDesk) {
        if !matches!(desk.db, keydesk_core::store::Db::Postgres(..)) {
            return;
        }
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let price = price(&desk, 1, CHEAP).await;
        let secret = desk.secret_id(&issued).await;
        let calls = [
            ("v1", String::new()),
            ("v2", ", 'said so'".to_owned()),
            ("v3", format!(", '', '{{\"input\":1,\"output\":2,\"tier\":\"flex\"}}', '{}', 0", price.id)),
            ("v3", ", '', '', NULL, 1".to_owned()),
        ];
        for (version, more) in calls {
            desk.clock.advance(1_000);
            let (ms, id) = (desk.now().ms(), usage_id(&desk));
            let call = format!(
                "SELECT CAST(keydesk_settle_{version}('{id}', '{}', '{}', '{secret}', NULL, 'gpt-5', '/v1/responses', 200,
                    1, 2, 0, 9, {ms}, 4, NULL, '', '', 0, {ms}, {ms}, {ms}, '2026-11-27'{more}) AS INT)::bigint",
                at.org.id, issued.id
            );
            // Once, and not again.
            assert_eq!((desk.number(&call).await, desk.number(&call).await), (1, 0), "{version}");
        }
        let rows = entries(&desk, &at, &issued, RequestsQuery::default()).await;
        let used: Vec<_> = rows.iter().map(|entry| entry.used.clone().unwrap()).collect();
        assert_eq!(used.iter().map(|used| used.is_priced).collect::<Vec<_>>(), [true, false, true, true]);
        assert_eq!(used[1].price, Some(price.id));
        assert_eq!(used[1].metered.served_as.tier, "flex");
        for used in [&used[0], &used[2], &used[3]] {
            assert_eq!((&used.price, &used.metered), (&None, &Counts::of_totals(1, 0, 2).into()));
        }
        assert_eq!(rows[2].error, "said so");
        assert_eq!(desk.numbers("SELECT spent FROM counters WHERE period = 'total'").await, [36, 36]);
    }
);

fn usage_id(desk: &TestDesk) -> keydesk_core::domain::ids::RequestId {
    keydesk_core::domain::ids::RequestId::new(desk.now(), desk.id_entropy())
}

on_both!(
    fn any_requests_at_any_prices_are_re_rated_exactly_and_once(desk: TestDesk) {
        let at = desk.owner().await;
        let fjord = desk.other_org("Fjord", "Asia/Tokyo").await;
        let crew = desk.team(&at, "Crew").await;
        let keys = [desk.create_key(&at, "one").await, desk.create_key(&at, "two").await];
        let theirs = desk.create_key(&fjord, "theirs").await;
        let prices = [price(&desk, 1, CHEAP).await, price(&desk, 2, DEAR).await];
        let mut dice = Dice::new(7);
        for n in 0..240 {
            let (owner, issued) = match n % 4 {
                3 => (&fjord, &theirs),
                n => (&at, &keys[n % 2]),
            };
            // Two months, in both of which windows begin and end.
            let started_at = desk.now().plus_ms(-(dice.below(60 * DAY as u64) as i64));
            let mut metered = Metered::default();
            for meter in Meter::ALL {
                if dice.below(3) == 0 {
                    metered.counts.set(meter, dice.below(4_000) as i64);
                }
            }
            metered.served_as.tier = (*dice.one_of(&["", "flex", "priority"])).into();
            let mut usage = desk.usage(owner, issued, 0, started_at).await;
            usage.team = (n % 8 == 1).then(|| crew.id.clone());
            usage.model = (*dice.one_of(&["gpt-5", "gpt-5", "gpt-5-mini"])).into();
            usage.bill = match dice.below(4) {
                0 => Bill { metered, ..Bill::default() },
                1 => Bill::of_cost(metered, Money::from_nanos(dice.below(1_000_000) as i64)),
                _ => bill(dice.one_of(&prices), metered),
            };
            assert!(record(&desk, &usage).await.unwrap());
            if dice.below(8) == 0 {
                let id = &usage.request;
                desk.execute(&format!(
                    "UPDATE usage SET meters = '', price_id = NULL, is_priced = 1 WHERE request_id = '{id}'"
                ))
                .await
                .unwrap();
            }
        }
        verified(&desk).await;
        let spent = async || {
            desk.numbers("SELECT spent FROM counters ORDER BY holder_kind, holder_id, period, window_start")
                .await
        };
        let total = async || desk.number("SELECT CAST(SUM(cost) AS BIGINT) FROM usage").await;
        for (price, part) in prices.iter().zip([30, 10]).chain([(&prices[0], 60)]) {
            let mut of = everything_until(&desk, price);
            of.from = desk.now().plus_ms(-part * DAY);
            let (before, rows) = (total().await, desk.number("SELECT COUNT(*) FROM usage_corrections").await);
            let shown = preview(&desk, &CLI, &of).await.unwrap();
            assert_eq!(total().await, before, "a preview changes nothing");
            let done = rerate(&desk, &CLI, &of).await.unwrap();
            let sums = |rated: &[RatedOrg]| {
                rated.iter().map(|org| (org.slug.clone(), org.totals.clone())).collect::<Vec<_>>()
            };
            assert_eq!(sums(&shown), sums(&done), "what was shown is what was done");
            assert_eq!(done.len(), 2);
            verified(&desk).await;
            let by: i64 = done.iter().map(|org| org.totals.after.nanos() - org.totals.before.nanos()).sum();
            assert_eq!(total().await - before, by);
            let corrected: i64 = done.iter().map(|org| org.totals.requests).sum();
            assert_eq!(desk.number("SELECT COUNT(*) FROM usage_corrections").await - rows, corrected);
            // Every request of the model is at this price now, but for those whose cost came from elsewhere.
            let elsewhere = format!(
                "SELECT COUNT(*) FROM usage WHERE model_id = 'gpt-5' AND started_at >= {} AND meters NOT IN ('', '{{}}')
                    AND price_id <> '{}'",
                of.from.ms(), price.id
            );
            assert_eq!(desk.number(&elsewhere).await, 0);
            // Windows have their rows' sums too.
            for (kind, column) in [("key", "key_id"), ("team", "team_id"), ("org", "org_id")] {
                let windows = format!(
                    "SELECT COUNT(*) FROM counters c WHERE c.holder_kind = '{kind}' AND c.period = 'day' AND c.spent <> (
                        SELECT COALESCE(CAST(SUM(u.cost) AS BIGINT), 0) FROM usage u WHERE u.{column} = c.holder_id
                        AND u.started_at >= c.window_start AND u.started_at < c.window_start + {DAY})"
                );
                // No day of these weeks but the one on which Zurich's clocks go back has other than 24 hours.
                assert!(desk.number(&windows).await <= 1, "{kind}");
            }
            // Again, and nothing changes.
            let as_is = spent().await;
            assert!(preview(&desk, &CLI, &of).await.unwrap().is_empty());
            assert!(rerate(&desk, &CLI, &of).await.unwrap().is_empty());
            assert_eq!(spent().await, as_is);
        }
        let by_rows = "SELECT CAST(SUM(cost_after - cost_before) AS BIGINT) FROM usage_corrections";
        let first = "SELECT CAST(SUM(u.cost - c.cost_before) AS BIGINT) FROM usage u JOIN usage_corrections c
            ON c.request_id = u.request_id AND c.number = 1";
        assert_eq!(desk.number(by_rows).await, desk.number(first).await);
        // Each is in the audit of its organisation and of the installation, and the chains hold.
        let events = "SELECT COUNT(*) FROM audit_events WHERE kind = 'spend.rerated' AND chain_id";
        assert_eq!(desk.number(&format!("{events} = 'installation'")).await, 6);
        for org in [&at.org, &fjord.org] {
            assert_eq!(desk.number(&format!("{events} = '{}'", org.id)).await, 3);
        }
        let chains = audit::verify_all(&desk).await.unwrap();
        assert!(chains.iter().all(|chain| chain.broken.is_none()), "{chains:?}");
    }
);

on_both!(
    fn a_corrected_request_says_what_it_was_first_charged(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (wrong, right) = (price(&desk, 1, DEAR).await, price(&desk, 2, CHEAP).await);
        settle(&desk, &at, &issued, bill(&wrong, Counts::of_totals(1_000, 0, 100).into())).await;
        for price in [&right, &wrong, &right] {
            rerate(&desk, &CLI, &everything_until(&desk, price)).await.unwrap();
        }
        let used = newest(&desk, &at, &issued).await;
        assert_eq!((used.cost.nanos(), used.price), (1_400_000, Some(right.id)));
        assert_eq!(used.first_cost.unwrap().nanos(), 3_500_000);
        assert_eq!(desk.numbers("SELECT number FROM usage_corrections ORDER BY number").await, [1, 2, 3]);
        // The trace itself cannot be rewritten.
        for sql in ["DELETE FROM usage_corrections", "UPDATE usage_corrections SET cost_before = 0"] {
            assert!(desk.execute(sql).await.is_err(), "{sql}");
        }
    }
);

on_both!(
    fn a_period_and_a_model_bound_what_is_re_rated(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (wrong, right) = (price(&desk, 1, DEAR).await, price(&desk, 2, CHEAP).await);
        let start = desk.now();
        for n in 0..4 {
            desk.clock.set(start.plus_ms(n * HOUR));
            let mut usage = desk.usage(&at, &issued, 0, desk.now()).await;
            usage.bill = bill(&wrong, Counts::of_totals(1_000, 0, 100).into());
            assert!(record(&desk, &usage).await.unwrap());
        }
        let of = Rerating {
            from: start.plus_ms(HOUR),
            to: start.plus_ms(3 * HOUR),
            ..everything_until(&desk, &right)
        };
        let done = rerate(&desk, &CLI, &of).await.unwrap();
        assert_eq!(done[0].totals.requests, 2, "the end is not included");
        let other = Rerating { model: "gpt-5-mini".into(), ..everything_until(&desk, &right) };
        assert!(rerate(&desk, &CLI, &other).await.unwrap().is_empty());
        verified(&desk).await;
    }
);

on_both!(
    fn a_correction_is_in_the_windows_that_its_request_was_counted_in(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (wrong, right) = (price(&desk, 1, DEAR).await, price(&desk, 2, CHEAP).await);
        // Windows of three time zones overlap, of which two are an hour apart.
        for zone in ["Asia/Tokyo", "Europe/Zurich", "Europe/London"] {
            desk.execute(&format!("UPDATE orgs SET zone = '{zone}', zone_since = {}", desk.now().ms()))
                .await
                .unwrap();
            for hours in (0..60_i64).step_by(5) {
                let started_at = desk.now().plus_ms(-hours * (HOUR + 71_000));
                let usage = desk.usage(&at, &issued, 0, started_at).await;
                let bill = bill(&wrong, Counts::of_totals(1_000, 0, 100).into());
                assert!(record(&desk, &Usage { bill, ..usage }).await.unwrap());
            }
        }
        let off = |cost: i64| format!("SELECT COUNT(*) FROM counters WHERE spent <> requests * {cost}");
        assert_eq!(desk.number(&off(3_500_000)).await, 0);
        rerate(&desk, &CLI, &everything_until(&desk, &right)).await.unwrap();
        assert_eq!(desk.number(&off(1_400_000)).await, 0);
        verified(&desk).await;
    }
);

on_both!(
    fn a_preview_says_which_budgets_it_turns(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk
            .create(&at, {
                let mut form = form("ci-prod");
                form.limits.month = LimitField::limit("0.003");
                form
            })
            .await
            .unwrap();
        let (dear, cheap) = (price(&desk, 1, DEAR).await, price(&desk, 2, CHEAP).await);
        settle(&desk, &at, &issued, bill(&cheap, Counts::of_totals(1_000, 0, 100).into())).await;
        let turns = async |price| {
            let mut rated = preview(&desk, &CLI, &everything_until(&desk, price)).await.unwrap();
            rated.pop().unwrap().turns
        };
        let up = turns(&dear).await;
        assert_eq!((up.len(), up[0].whose.as_str(), up[0].is_exceeded()), (1, "key ci-prod", true));
        assert_eq!((up[0].before.nanos(), up[0].after.nanos()), (1_400_000, 3_500_000));
        let budget = Budget { period: Period::Month, amount: up[0].limit };
        assert_eq!((up[0].period, budget.amount.nanos()), (Some(Period::Month), 3_000_000));
        rerate(&desk, &CLI, &everything_until(&desk, &dear)).await.unwrap();
        assert_eq!(desk.show(&at, &issued).await.budgets[0].spent.nanos(), 3_500_000);
        let down = turns(&cheap).await;
        assert_eq!((down.len(), down[0].is_exceeded()), (1, false));
    }
);

on_both!(
    fn only_operators_re_rate_and_only_at_a_price_of_the_model(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (wrong, right) = (price(&desk, 1, DEAR).await, price(&desk, 2, CHEAP).await);
        settle(&desk, &at, &issued, bill(&wrong, Counts::of_totals(1_000, 0, 100).into())).await;
        desk.clock.advance(HOUR);
        let of = everything_until(&desk, &right);
        let period = (of.from, desk.now());
        let at_price = right.id.to_string();
        for caller in [
            desk.member(&at, OrgRole::Owner).await.caller,
            desk.member(&at, OrgRole::Admin).await.caller,
            desk.platform(&at, PlatformRole::Support).await.caller,
        ] {
            let by = OperatorActor::Operator(&caller);
            assert!(matches!(plan(&desk, &by, "gpt-5", period, &at_price).await, Err(OpError::NotFound)));
            assert!(matches!(preview(&desk, &by, &of).await, Err(OpError::NotFound)));
            assert!(matches!(rerate(&desk, &by, &of).await, Err(OpError::NotFound)));
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage_corrections").await, 0);
        let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
        let by = OperatorActor::Operator(&operator);
        for (model, at) in [
            ("gpt-5-mini", at_price.as_str()),
            ("gpt-5", "price_1"),
            ("gpt-5", "none"),
            ("unheard-of", "current"),
        ] {
            assert!(
                matches!(plan(&desk, &by, model, period, at).await, Err(OpError::Conflict(_))),
                "{model} {at}"
            );
        }
        let backwards = plan(&desk, &by, "gpt-5", (period.1, period.0), &at_price).await;
        assert!(matches!(backwards, Err(OpError::Conflict(_))));
        let plan = plan(&desk, &by, "gpt-5", period, &at_price).await.unwrap();
        assert_eq!(plan.price, right);
        assert_eq!(rerate(&desk, &by, &plan).await.unwrap()[0].totals.requests, 1);
        let who = desk.texts("SELECT actor_id FROM usage_corrections").await;
        assert_eq!(who, [operator.person.id.to_string()]);
    }
);

on_both!(
    fn the_check_of_spend_finds_a_request_that_is_not_what_its_price_says(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let (wrong, right) = (price(&desk, 1, DEAR).await, price(&desk, 2, CHEAP).await);
        settle(&desk, &at, &issued, bill(&wrong, Counts::of_totals(1_000, 0, 100).into())).await;
        rerate(&desk, &CLI, &everything_until(&desk, &right)).await.unwrap();
        let reasons = async |sql: &str| {
            desk.execute(&format!("UPDATE usage SET {sql}")).await.unwrap();
            let report = verify_spend::spend_of(&desk, &at.org.slug).await.unwrap();
            report.mischarged.into_iter().map(|found| found.why).collect::<Vec<_>>()
        };
        assert_eq!(reasons("status = 200").await, []);
        let as_it_was = format!("cost = 1400000, is_priced = 1, price_id = '{}'", right.id);
        assert_eq!(
            reasons("cost = cost + 1").await,
            [Why::Cost(Money::from_nanos(1_400_000)), Why::Correction(Money::from_nanos(1_400_000))]
        );
        assert_eq!(
            reasons(&format!("{as_it_was}, is_priced = 0").replace("is_priced = 1, ", "")).await,
            [Why::Priced(false)]
        );
        let unknown = PriceId::new(Moment::from_ms(9), [9; 10]);
        assert_eq!(reasons(&format!("is_priced = 1, price_id = '{unknown}'")).await, [Why::NoPrice(unknown)]);
        assert_eq!(reasons(&format!("{as_it_was}, meters = '{{\"input\":1}}'")).await, [Why::Meters]);
    }
);

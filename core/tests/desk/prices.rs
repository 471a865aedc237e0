//! The price book: prices over time, who wins, what a request pays, and models without a price, on both databases.
// sqlx here: it asks SQLite how it runs the statement that every request begins with.

use keydesk_core::admission::{
    AdmissionError, ModelLookup, ReservationRequest, find_reservation, look_up_model, priced_model, reserve,
};
use keydesk_core::domain::audit_words;
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::expected_use::{AskedUse, ExpectedUse, InputTokens};
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::imported::{Confirmed, Preview, Unconfirmed};
use keydesk_core::domain::meter::{Counts, Dimension, Meter};
use keydesk_core::domain::model::{EditModel, Model};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::domain::price::{Price, PriceOrigin};
use keydesk_core::domain::tariff::{Line, Rates, Tariff};
use keydesk_core::domain::tariff_words::{parse_line, parse_rates};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{OpError, audit, catalogue, models, prices};
use keydesk_core::store::{self, Db};

use super::meter::{CENT, budget, context, open_key};
use crate::support::*;

const GPT: &str = "gpt-5";

async fn operator(desk: &TestDesk) -> Caller {
    let at = desk.owner().await;
    catalogue::seed(desk).await.unwrap();
    desk.clock.advance(1);
    desk.platform(&at, PlatformRole::Operator).await.caller
}

fn tariff(rates: &str) -> Tariff {
    Tariff { rates: parse_rates(rates).unwrap(), ..Tariff::default() }
}

/// A request with so many tokens of input and, at most, of output.
fn wanted(request: RequestId, model: &Model, input: i64, output: i64) -> ReservationRequest {
    let asked = AskedUse::of(InputTokens::exactly(input), Some(output));
    ReservationRequest::new(request, model, &ExpectedUse::new(model, &asked, None))
}

/// An edit of the model as it stands now, with another price.
async fn edit(desk: &TestDesk, id: &str, rates: &str, starts: Option<Moment>) -> EditModel {
    let known = models::by_id(desk, id).await.unwrap();
    let price = Some(Price::unrecorded(tariff(rates))).filter(|price| !price.tariff.is_empty());
    let base = known.model.as_edited();
    EditModel { version: known.version, mine: Model { price, ..base.clone() }, base: Some(base), starts }
}

pub async fn set(desk: &TestDesk, id: &str, rates: &str, starts: Option<Moment>) -> Result<(), OpError> {
    let edit = edit(desk, id, rates, starts).await;
    match models::save(desk, OperatorActor::CommandLine, &edit).await? {
        Outcome::Saved(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}

/// The prices in force, as a request finds them.
async fn now(desk: &TestDesk, id: &str) -> String {
    match look_up_model(desk, id).await.unwrap() {
        ModelLookup::Unrouted(model) | ModelLookup::Routed(model, _) => model.price_words(),
        ModelLookup::Unknown => panic!("unknown"),
    }
}

async fn import(desk: &TestDesk, file: &str, confirmed: &Confirmed) -> Preview {
    let list = catalogue::read(file).unwrap();
    let before = catalogue::preview(desk, &list, false, confirmed).await.unwrap();
    let done = catalogue::import(desk, &list, false, confirmed).await.unwrap();
    assert_eq!(before, done, "the preview says what is done");
    desk.clock.advance(1);
    done
}

fn file(id: &str, price: &str) -> String {
    format!(r#"[{{"id": "{id}", "provider": "OpenAI", "price": {price}}}]"#)
}

#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, OpError>) -> String {
    match result.unwrap_err() {
        OpError::Invalid(errors) => errors[0].field.clone(),
        other => panic!("{other:?}"),
    }
}

on_both!(
    fn a_price_starts_at_its_millisecond_and_the_history_keeps_every_one(desk: TestDesk) {
        let boss = operator(&desk).await;
        let first = now(&desk, GPT).await;
        assert!(first.starts_with("input $1.25, cached input $0.125, output $10.00"), "{first}");
        let starts = desk.now().plus_ms(5_000);
        set(&desk, GPT, "input=2, output=8", Some(starts)).await.unwrap();
        desk.clock.set(starts.plus_ms(-1));
        assert_eq!(now(&desk, GPT).await, first);
        desk.clock.set(starts);
        assert_eq!(now(&desk, GPT).await, "input $2.00, output $8.00");
        // One that starts now holds until the next starts.
        let later = starts.plus_ms(9_000);
        set(&desk, GPT, "input=4", Some(later)).await.unwrap();
        desk.clock.advance(1);
        set(&desk, GPT, "input=3", None).await.unwrap();
        assert_eq!(now(&desk, GPT).await, "input $3.00");
        desk.clock.set(later);
        assert_eq!(now(&desk, GPT).await, "input $4.00");
        let book = prices::show(&desk, &boss, GPT).await.unwrap();
        let told: Vec<_> = book.prices.iter().map(|past| past.price.tariff.words()).collect();
        assert_eq!(told, ["input $4.00", "input $3.00", "input $2.00, output $8.00", first.as_str()]);
        let set_by: Vec<_> = book.prices.iter().map(|past| past.set_by.as_str()).collect();
        assert_eq!(set_by, ["command line"; 4]);
        // What held at any time can still be asked.
        let at = priced_model(&desk, GPT, starts.plus_ms(-1)).await.unwrap();
        assert_eq!(at.price_words(), first);
    }
);

on_both!(
    fn a_start_that_is_past_or_taken_is_refused_and_two_at_once_follow_each_other(desk: TestDesk) {
        operator(&desk).await;
        let soon = desk.now().plus_ms(10);
        for past in [desk.now(), desk.now().plus_ms(-1)] {
            assert_eq!(invalid(set(&desk, GPT, "input=9", Some(past)).await), "starts");
        }
        set(&desk, GPT, "input=9", Some(soon)).await.unwrap();
        assert_eq!(invalid(set(&desk, GPT, "input=8", Some(soon)).await), "starts");
        // Within a millisecond the second starts in the next.
        set(&desk, GPT, "input=7", None).await.unwrap();
        set(&desk, GPT, "input=6", None).await.unwrap();
        assert_eq!(now(&desk, GPT).await, "input $7.00");
        desk.clock.advance(1);
        assert_eq!(now(&desk, GPT).await, "input $6.00");
        // The same price at a moment of its own is stored; the same now is no change.
        assert!(matches!(
            models::save(&desk, OperatorActor::CommandLine, &edit(&desk, GPT, "input=6", None).await).await,
            Ok(Outcome::Unchanged(_))
        ));
        set(&desk, GPT, "input=6", Some(soon.plus_ms(9))).await.unwrap();
        let book = prices::by_id(&desk, GPT).await.unwrap();
        assert_eq!(book.coming().len(), 2);
    }
);

on_both!(
    fn a_price_is_withdrawn_before_it_starts_and_never_after(desk: TestDesk) {
        let boss = operator(&desk).await;
        let by = || OperatorActor::Operator(&boss);
        let starts = desk.now().plus_ms(1_000);
        set(&desk, GPT, "input=9", Some(starts)).await.unwrap();
        let id = prices::by_id(&desk, GPT).await.unwrap().coming()[0].price.id.to_string();
        for wrong in ["", "price_0", "price_00000000000000000000000000000000"] {
            let none = prices::withdraw(&desk, by(), GPT, wrong).await;
            assert!(matches!(none, Err(OpError::NotFound)), "{wrong}");
        }
        // Not through another model.
        assert!(matches!(prices::withdraw(&desk, by(), "gpt-4.1", &id).await, Err(OpError::NotFound)));
        prices::withdraw(&desk, by(), GPT, &id).await.unwrap();
        assert!(matches!(prices::withdraw(&desk, by(), GPT, &id).await, Err(OpError::Conflict(_))));
        // Its start is free again.
        set(&desk, GPT, "input=8", Some(starts)).await.unwrap();
        desk.clock.set(starts);
        assert_eq!(now(&desk, GPT).await, "input $8.00");
        let book = prices::show(&desk, &boss, GPT).await.unwrap();
        let in_force = book.known.model.price.as_ref().unwrap().id.to_string();
        assert!(matches!(prices::withdraw(&desk, by(), GPT, &in_force).await, Err(OpError::Conflict(_))));
        assert_eq!(book.prices.iter().filter(|past| past.withdrawn_at.is_some()).count(), 1);
        let page = audit::list_installation(&desk, &boss, None).await.unwrap().page;
        let told: Vec<String> =
            page.rows.iter().take(3).map(|event| audit_words::sentence(event, &Zone::utc())).collect();
        assert_eq!(
            told,
            [
                "Keydesk (command line) set another price for the model gpt-5 from 20 Nov 2026 12:00:01 UTC.",
                &format!(
                    "{} withdrew the price of the model gpt-5 that was to start 20 Nov 2026 12:00:01 UTC.",
                    boss.person.name
                ),
                "Keydesk (command line) set another price for the model gpt-5 from 20 Nov 2026 12:00:01 UTC."
            ]
        );
    }
);

on_both!(
    fn of_two_edits_at_once_one_price_is_stored(desk: TestDesk) {
        operator(&desk).await;
        let edits = [edit(&desk, GPT, "input=2", None).await, edit(&desk, GPT, "input=3", None).await];
        let mut saving = tokio::task::JoinSet::new();
        for edit in edits {
            let desk = desk.clone();
            saving.spawn(async move { models::save(&desk, OperatorActor::CommandLine, &edit).await });
        }
        let done = saving.join_all().await;
        let saved = done.iter().filter(|done| matches!(done, Ok(Outcome::Saved(_)))).count();
        assert_eq!(saved, 1, "{done:?}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM prices WHERE model_id = 'gpt-5'").await, 2);
    }
);

on_both!(
    fn an_operators_price_stays_when_a_catalogue_is_imported_until_it_is_confirmed_by_name(desk: TestDesk) {
        let boss = operator(&desk).await;
        let theirs = file(GPT, r#"{"input": "1.5", "cached_input": "0.15", "output": "10"}"#);
        // The catalogue's own price is moved.
        let done = import(&desk, &theirs, &Confirmed::default()).await;
        assert_eq!((done.models[0].unconfirmed, done.models[0].moves_price()), (None, true));
        assert_eq!(now(&desk, GPT).await, "input $1.50, cached input $0.15, output $10.00");
        set(&desk, GPT, "input=1, output=9", None).await.unwrap();
        desk.clock.advance(1);
        for confirmed in [Confirmed::default(), Confirmed { every_far_move: true, ..Confirmed::default() }] {
            let done = import(&desk, &theirs, &confirmed).await;
            assert_eq!(done.models[0].unconfirmed, Some(Unconfirmed::OperatorPrice));
            assert_eq!(now(&desk, GPT).await, "input $1.00, output $9.00");
        }
        // Nor when the model comes back.
        models::retire(&desk, OperatorActor::CommandLine, GPT).await.unwrap();
        let done = import(&desk, &theirs, &Confirmed::default()).await;
        assert_eq!(
            (done.models[0].unconfirmed, done.models[0].is_new),
            (Some(Unconfirmed::OperatorPrice), true)
        );
        assert_eq!(now(&desk, GPT).await, "input $1.00, output $9.00");
        let by_name = Confirmed { models: [GPT.to_owned()].into(), ..Confirmed::default() };
        import(&desk, &theirs, &by_name).await;
        assert_eq!(now(&desk, GPT).await, "input $1.50, cached input $0.15, output $10.00");
        assert!(prices::show(&desk, &boss, GPT).await.unwrap().catalogue.is_none());

        // A price that was taken away is the operator's choice as well.
        set(&desk, GPT, "", None).await.unwrap();
        desk.clock.advance(1);
        let done = import(&desk, &theirs, &Confirmed::default()).await;
        assert_eq!(done.models[0].unconfirmed, Some(Unconfirmed::OperatorPrice));
        assert_eq!(now(&desk, GPT).await, "no price");

        // Back from the operator's own price, on the page.
        set(&desk, GPT, "input=1, output=9", None).await.unwrap();
        desk.clock.advance(1);
        let offered = prices::show(&desk, &boss, GPT).await.unwrap().catalogue.unwrap();
        let by = OperatorActor::Operator(&boss);
        prices::take_catalogue_price(&desk, by, GPT).await.unwrap();
        let price = prices::show(&desk, &boss, GPT).await.unwrap().known.model.price.unwrap();
        assert_eq!((price.origin, &price.tariff), (PriceOrigin::Catalogue, &offered.tariff));
        let again = prices::take_catalogue_price(&desk, OperatorActor::CommandLine, GPT).await;
        assert!(matches!(again, Err(OpError::Conflict(_))));
    }
);

on_both!(
    fn a_price_that_moves_far_waits_until_it_is_confirmed_and_the_rest_is_imported(desk: TestDesk) {
        operator(&desk).await;
        let shipped = (now(&desk, GPT).await, now(&desk, "gpt-5-mini").await);
        let list = r#"[{"id": "gpt-5", "provider": "OpenAI", "price": {"input": "0", "output": "10"}, "context_tokens": 300000},
                {"id": "gpt-5-mini", "provider": "OpenAI", "price": {"input": "2.51", "output": "2"}},
                {"id": "gpt-5-nano", "provider": "OpenAI", "price": {"input": "0.5", "cached_input": "0.05", "output": "0.4"}},
                {"id": "gpt-4.1", "provider": "OpenAI"},
                {"id": "gpt-9", "provider": "OpenAI", "price": {"input": "0", "output": "0"}}]"#;
        let done = import(&desk, list, &Confirmed::default()).await;
        let held: Vec<_> = done.models.iter().map(|planned| planned.unconfirmed).collect();
        assert_eq!(held, [Some(Unconfirmed::FarMove), Some(Unconfirmed::FarMove), None, None, None]);
        let facts: Vec<_> = done
            .models
            .iter()
            .map(|planned| (planned.is_new, planned.other_changes, planned.is_unchanged()))
            .collect();
        assert_eq!(
            facts,
            [
                (false, true, false),
                (false, false, false),
                (false, false, false),
                (false, false, true),
                (true, false, false)
            ]
        );
        assert_eq!(now(&desk, GPT).await, shipped.0);
        assert_eq!(models::by_id(&desk, GPT).await.unwrap().model.context_tokens, Some(300_000));
        assert_eq!(now(&desk, "gpt-5-nano").await, "input $0.50, cached input $0.05, output $0.40");
        assert_eq!(now(&desk, "gpt-9").await, "input $0.00, output $0.00");
        let one = Confirmed { models: [GPT.to_owned()].into(), ..Confirmed::default() };
        import(&desk, list, &one).await;
        assert_eq!(now(&desk, GPT).await, "input $0.00, output $10.00");
        assert_eq!(now(&desk, "gpt-5-mini").await, shipped.1);
        import(&desk, list, &Confirmed { every_far_move: true, ..Confirmed::default() }).await;
        assert_eq!(now(&desk, "gpt-5-mini").await, "input $2.51, output $2.00");
        let twice = format!("[{0}, {0}]", r#"{"id": "a", "provider": "b"}"#);
        let list = catalogue::read(&twice).unwrap();
        let twice = catalogue::import(&desk, &list, false, &Confirmed::default()).await;
        assert!(matches!(twice, Err(OpError::Conflict(_))));
    }
);

on_both!(
    fn every_tariff_reads_back_exactly(desk: TestDesk) {
        operator(&desk).await;
        let nanos = [0, 1, 9, 125_000_000, 999_999_999, 1_000_000_000_000_000];
        for (at, start) in (0..nanos.len()).enumerate() {
            let price = |meter: Meter| Money::from_nanos(nanos[(meter as usize + start) % nanos.len()]);
            let rates = Meter::ALL
                .into_iter()
                .try_fold(Rates::default(), |rates, meter| rates.with(meter, price(meter)));
            let mut tariff = Tariff { rates: rates.unwrap(), ..Tariff::default() };
            for above in [1, 200_000, 1_000_000_000] {
                let line = Line { above, ..parse_line("1:input=4,audio_output=0.000000001").unwrap() };
                tariff = tariff.with_line(line).unwrap();
            }
            for (dimension, word, factor) in [
                (Dimension::Tier, "flex", 500_000),
                (Dimension::Region, "us", 1_100_000),
                (Dimension::Speed, "fast", 1),
            ] {
                tariff = tariff.with_factor(dimension, word, factor).unwrap();
            }
            let source = format!("https://example.com/{at}?a=\"ü\"");
            let price = Price { source, ..Price::unrecorded(tariff) };
            let mut edit = edit(&desk, GPT, "", None).await;
            edit.mine.price = Some(price.clone());
            models::save(&desk, OperatorActor::CommandLine, &edit).await.unwrap();
            desk.clock.advance(1);
            let stored = models::by_id(&desk, GPT).await.unwrap().model.price.unwrap();
            assert!(stored.says_the_same(&price), "{stored:?}");
            assert_eq!(stored.origin, PriceOrigin::Operator);
        }
    }
);

on_both!(
    fn a_model_without_a_price_is_not_used_where_a_budget_counts(desk: TestDesk) {
        let at = desk.owner().await;
        models::add(&desk, OperatorActor::CommandLine, &Model::unrouted("free/for-all", "Own"), None)
            .await
            .unwrap();
        let half =
            Model { price: Some(Price::unrecorded(tariff("input=1"))), ..Model::unrouted("embed", "Own") };
        models::add(&desk, OperatorActor::CommandLine, &half, None).await.unwrap();
        desk.clock.advance(1);
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let ask = async |id: &str, output: i64| {
            let (ModelLookup::Unrouted(model) | ModelLookup::Routed(model, _)) =
                look_up_model(&desk, id).await.unwrap()
            else {
                panic!("unknown")
            };
            wanted(RequestId::new(desk.now(), desk.id_entropy()), &model, 100, output)
        };
        // Without a budget it passes, and is not priced.
        let passed = reserve(&desk, &context, &ask("free/for-all", 10).await).await.unwrap();
        let model = priced_model(&desk, passed.model(), passed.started_at()).await.unwrap();
        let bill = Bill::at_price_of(&model, Counts::of_totals(100, 0, 10).into(), false);
        assert_eq!((bill.cost, bill.is_priced, bill.price), (Money::ZERO, false, None));

        let team = context.team().unwrap().to_string();
        let enforce =
            format!("UPDATE orgs SET balance_enforced_at = {} WHERE id = '{}'", desk.now().ms(), at.org.id);
        for (holder, whose) in [
            (Some(("key", issued.id.to_string())), format!("the key sk-…{}", issued.secret.last_four())),
            (Some(("team", team)), "the team Platform".to_owned()),
            (Some(("org", at.org.id.to_string())), "the organisation Northwind".to_owned()),
            (None, "the organisation Northwind".to_owned()),
        ] {
            match &holder {
                Some((kind, id)) => budget(&desk, &at, kind, id, "month", 100 * CENT).await,
                None => drop(desk.execute(&enforce).await.unwrap()),
            }
            for (id, output) in [("free/for-all", 10), ("embed", 10)] {
                let wanted = ask(id, output).await;
                let rejection = match reserve(&desk, &context, &wanted).await {
                    Err(AdmissionError::Rejected(rejection, Some(_))) => rejection,
                    other => panic!("{whose}: {:?}", other.map(|reserved| reserved.limits)),
                };
                assert_eq!(
                    (rejection.gate(), rejection.status(), rejection.code(), rejection.reason()),
                    (Gate::Budget, 403, "model_not_priced", Some("no_price"))
                );
                assert_eq!(
                    rejection.sentence("https://keys.example.com"),
                    format!(
                        "The model {id} has no price here, and the {} of {whose} counts what requests cost. Use another model, or ask your administrator to set its price.",
                        if holder.is_some() { "budget" } else { "balance" }
                    )
                );
            }
            if holder.is_some() {
                // No output, so its price suffices; and nothing is to be paid for a request without tokens.
                reserve(&desk, &context, &ask("embed", 0).await).await.unwrap();
            }
            desk.execute("DELETE FROM budgets; DELETE FROM reservations").await.unwrap();
        }
    }
);

on_both!(
    fn a_request_pays_the_price_at_which_it_was_let_in(desk: TestDesk) {
        let at = desk.owner().await;
        catalogue::seed(&desk).await.unwrap();
        desk.clock.advance(1);
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let first = priced_model(&desk, GPT, desk.now()).await.unwrap();
        let request = RequestId::new(desk.now(), desk.id_entropy());
        reserve(&desk, &context, &wanted(request.clone(), &first, 10, 10)).await.unwrap();
        desk.clock.advance(1);
        set(&desk, GPT, "input=100, output=100", None).await.unwrap();
        models::retire(&desk, OperatorActor::CommandLine, GPT).await.unwrap();
        desk.clock.advance(1_000);
        // As a gateway that settles through the API finds it.
        let found = find_reservation(&desk, &request).await.unwrap().unwrap();
        let model = priced_model(&desk, found.model(), found.started_at()).await.unwrap();
        let bill = Bill::at_price_of(&model, Counts::of_totals(1_000_000, 0, 0).into(), false);
        assert_eq!(
            (bill.cost.to_string(), bill.price),
            ("$1.25".to_owned(), first.price.map(|price| price.id))
        );
    }
);

on_both!(
    fn prices_of_an_older_installation_become_prices_of_the_book(desk: TestDesk) {
        desk.owner().await;
        let old =
            "DROP VIEW gateway_prices_v1; DROP VIEW gateway_models_v1; DROP TABLE prices; DELETE FROM models;
            ALTER TABLE models DROP COLUMN context_tokens; ALTER TABLE models DROP COLUMN max_output_tokens;
            ALTER TABLE models ADD COLUMN input_price BIGINT NOT NULL DEFAULT 0 CHECK (input_price >= 0);
            ALTER TABLE models ADD COLUMN output_price BIGINT NOT NULL DEFAULT 0 CHECK (output_price >= 0);
            ALTER TABLE models ADD COLUMN cached_price BIGINT NOT NULL DEFAULT 0 CHECK (cached_price >= 0);
            CREATE VIEW gateway_models_v1 AS SELECT id, input_price, output_price, cached_price FROM models";
        let (old, migration) = match &desk.db {
            Db::Sqlite { .. } => {
                (old.replace("BIGINT", "INTEGER"), include_str!("../../../migrations/sqlite/0012_prices.sql"))
            }
            Db::Postgres(..) => {
                let old = format!("DROP TRIGGER config_models ON models; {old}");
                (old, include_str!("../../../migrations/postgres/0012_prices.sql"))
            }
        };
        desk.execute(&old).await.unwrap();
        for (id, input, output, cached, retired) in [
            ("gpt-5", 1_250_000_000_i64, 10_000_000_000_i64, 125_000_000_i64, "NULL"),
            ("gpt-5-mini", 250_000_001, 2_000_000_000, 25_000_000, "NULL"),
            ("own", 1, 0, 999_999_999_999_999, "NULL"),
            ("far", i64::MAX, 1_000_000_000_000_000, 10, "NULL"),
            ("gone", 7, 7, 7, "5"),
        ] {
            desk.execute(&format!(
                "INSERT INTO models (id, provider, upstream_name, input_price, output_price, cached_price, created_at, retired_at)
                VALUES ('{id}', 'X', '', {input}, {output}, {cached}, 77, {retired})"
            ))
            .await
            .unwrap();
        }
        desk.execute(migration).await.unwrap();
        let mut told = Vec::new();
        for id in ["gpt-5", "gpt-5-mini", "own", "far", "gone"] {
            let model = priced_model(&desk, id, Moment::from_ms(77)).await.unwrap();
            let price = model.price.clone().unwrap();
            assert_eq!(price.starts_at.ms(), 77);
            told.push((id, price.origin.name(), model.price_words()));
        }
        assert_eq!(
            told,
            [
                ("gpt-5", "catalogue", "input $1.25, cached input $0.125, output $10.00".to_owned()),
                (
                    "gpt-5-mini",
                    "operator",
                    "input $0.250000001, cached input $0.025, output $2.00".to_owned()
                ),
                (
                    "own",
                    "operator",
                    "input $0.000000001, cached input $999999.999999999, output $0.00".to_owned()
                ),
                (
                    "far",
                    "operator",
                    "input $1,000,000.00, cached input $0.00000001, output $1,000,000.00".to_owned()
                ),
                (
                    "gone",
                    "operator",
                    "input $0.000000007, cached input $0.000000007, output $0.000000007".to_owned()
                ),
            ]
        );
        assert!(priced_model(&desk, "own", Moment::from_ms(76)).await.unwrap().price.is_none());
        // The view for other gateways has the same numbers as before.
        let view = "SELECT COALESCE(input_price, -1) || ' ' || COALESCE(output_price, -1) || ' ' || COALESCE(cached_price, -1)
            FROM gateway_models_v1 ORDER BY id";
        assert_eq!(
            desk.texts(view).await,
            [
                "1000000000000000 1000000000000000 10",
                "1250000000 10000000000 125000000",
                "250000001 2000000000 25000000",
                "1 0 999999999999999"
            ]
        );
    }
);

on_both!(
    fn the_views_for_gateways_tell_the_price_in_force_and_no_price(desk: TestDesk) {
        desk.owner().await;
        for (id, prices) in [
            ("a", r#"[[1, {"input": "0.3", "output": "0.000000001"}], [9999999999999, {"input": "9"}]]"#),
            ("b", "[]"),
            ("c", r#"[[1, {"input": "1"}], [2, {}]]"#),
        ] {
            let insert = format!(
                "INSERT INTO models (id, provider, upstream_name, created_at) VALUES ('{id}', 'X', '', 0)"
            );
            desk.execute(&insert).await.unwrap();
            for (start, tariff) in serde_json::from_str::<Vec<(i64, serde_json::Value)>>(prices).unwrap() {
                desk.execute(&format!(
                    "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
                    VALUES ('price_{id}{start:031}', '{id}', {start}, 'operator', '', '{tariff}', 0, '')"
                ))
                .await
                .unwrap();
            }
        }
        let view = "SELECT id || ' ' || COALESCE(input_price, -1) || ' ' || COALESCE(output_price, -1) || ' ' || COALESCE(cached_price, -1)
            FROM gateway_models_v1 ORDER BY id";
        assert_eq!(desk.texts(view).await, ["a 300000000 1 300000000", "b -1 -1 -1", "c -1 -1 -1"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM gateway_prices_v1").await, 4);
    }
);

/// Every request looks its model up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_look_up_of_a_model_reads_no_more_than_its_rows() {
    on_sqlite(|desk: TestDesk| async move {
        let Db::Sqlite { readers, .. } = &desk.db else { unreachable!() };
        let (_, text) = store::all_statements().into_iter().find(|(name, _)| *name == "SERVED").unwrap();
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")))
                .bind(GPT)
                .bind(0_i64)
                .fetch_all(readers)
                .await
                .unwrap();
        let steps: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
        assert!(steps.iter().any(|step| step.contains("prices_start_unique")), "{steps:#?}");
        assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{steps:#?}");
    })
    .await;
}

//! What a key spent is the same number everywhere: on its page, in its file, for its own user and in the database.

use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::ids::{OrgId, RequestId};
use keydesk_core::domain::meter::{Counts, Meter, Metered, ServedAs};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::money::Money;
use keydesk_core::store::spend::Usage;

use super::support::{TestApp, TestKey, TestRequest, Who, on_both};

async fn settle(app: &TestApp, key: &TestKey, bill: Bill) -> RequestId {
    settle_in(app, key, bill, Zone::utc()).await
}

async fn settle_in(app: &TestApp, key: &TestKey, bill: Bill, zone: Zone) -> RequestId {
    app.clock.advance(1_000);
    let org = app.texts(&format!("SELECT org_id FROM keys WHERE id = '{}'", key.id)).await;
    let org = OrgId::parse(&org[0]).unwrap();
    let usage = Usage {
        request: RequestId::new(app.now(), app.id_entropy()),
        org,
        key: key.id.clone(),
        secret: app.secret_of(&key.id).await,
        team: None,
        model: "gpt-5".into(),
        route: "/v1/responses".into(),
        status: 200,
        bill,
        started_at: app.now(),
        latency_ms: 900,
        first_byte_ms: None,
        address: "203.0.113.7".into(),
        user_agent: "test".into(),
        error: String::new(),
        tags: Vec::new(),
    };
    let id = usage.request.clone();
    assert!(app.settlements.settle(&app.db, &usage, &[], &zone).await.unwrap());
    id
}

on_both! {
    async fn the_page_the_file_the_api_and_the_rows_say_the_same(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci-prod").await;
        let owner = app.sign_in(Who::Owner).await;
        let page_path = format!("/acme/keys/{}", key.id);
        // Nothing to download, and nothing that is not priced.
        let page = app.get(&owner, &page_path).await.text;
        assert!(!page.contains("requests/export") && !page.contains("not priced"), "{page}");

        let flex = ServedAs { tier: "flex".into(), ..ServedAs::default() };
        let searched = Counts::of_totals(12_000, 9_000, 300).with(Meter::Searches, 2).with(Meter::Reasoning, 70);
        settle(&app, &key, Bill::of_cost(Counts::of_totals(100, 0, 20), Money::from_nanos(1_234))).await;
        let metered = Metered { counts: searched, served_as: flex, ..Metered::NONE };
        let not_priced = Bill { is_priced: false, is_estimated: true, ..Bill::of_cost(metered, Money::from_nanos(5_000_000_001)) };
        let id = settle(&app, &key, not_priced).await;
        for _ in 0..520 {
            settle(&app, &key, Bill::of_cost(Counts::of_totals(1, 0, 1), Money::from_nanos(7))).await;
        }
        // One that reached no provider is in the list, and not in the file.
        assert_eq!(app.try_key(&key.secret).await, 200);

        let rows = app.number("SELECT CAST(SUM(cost) AS BIGINT) FROM usage").await;
        assert_eq!(rows, 5_000_000_001 + 1_234 + 520 * 7);
        let key_view = TestRequest::get("/v1/key").header("authorization", &format!("Bearer {}", key.secret));
        let shown: serde_json::Value = serde_json::from_str(&app.ask(key_view).await.text).unwrap();
        assert_eq!(shown["spent"]["total_nanos"], rows);
        assert_eq!(shown["spent"]["requests_not_priced"], 1);
        assert_eq!(shown["spent"]["requests"], 522);

        let form = [("form[org]", "acme"), ("form[key]", key.id.as_str())];
        let file = app.post(&owner, "requests/export", &form).await;
        assert_eq!(file.status, 200, "{}", file.text);
        assert_eq!(file.header("content-type"), "text/csv; charset=utf-8; header=present");
        let name = format!("attachment; filename=\"requests-{}.csv\"", key.id);
        assert_eq!(file.header("content-disposition"), name);
        let mut reader = csv::Reader::from_reader(file.text.as_bytes());
        let columns: Vec<String> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 522);
        let cost = |line: &csv::StringRecord| Money::parse(&line[place("cost")]).unwrap();
        assert_eq!(lines.iter().map(cost).sum::<Money>().nanos(), rows);
        let one = lines.iter().find(|line| line[place("request")] == *id.as_str()).unwrap();
        let cells = ["input", "cached_input", "output", "reasoning", "searches", "tier", "priced", "estimated", "cost"];
        assert_eq!(
            cells.map(|name| one[place(name)].to_owned()),
            ["3000", "9000", "300", "70", "2", "flex", "no", "yes", "5.000000001"]
        );

        let page = app.get(&owner, &page_path).await.text;
        let total = Money::from_nanos(rows).to_string();
        assert!(page.contains(&format!("{total} total, 522 requests")), "{total} is not in {page}");
        assert!(page.contains("1 request was not priced") && page.contains("?priced=no#requests"), "{page}");
        // Those alone, with what they used.
        let page = app.get(&owner, &format!("{page_path}?priced=no")).await.text;
        for words in ["Only requests that were not priced", id.as_str(), "Searches", "Reasoning", "Service tier", "flex", "9,000"] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert_eq!(page.matches("/v1/responses").count(), 1);
    }
}

on_both! {
    async fn an_hour_of_a_report_leads_to_its_requests_and_no_others(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci-prod").await;
        let owner = app.sign_in(Who::Owner).await;
        let zone = &cast.org.zone;
        let bill = || Bill::of_cost(Counts::of_totals(100, 0, 20), Money::from_nanos(1_234_000_000));
        let id = settle_in(&app, &key, bill(), zone.clone()).await;
        let hour = app.now().booked_hour(zone);
        let (day, number) = hour.split_once('T').unwrap();
        let report = app.get(&owner, &format!("/acme/spend?from={day}&to={day}&by=hour")).await.text;
        let to = format!("/acme/requests?from={hour}&to={hour}");
        assert!(report.contains(&to.replace('&', "&amp;")), "{to} is not in {report}");
        assert!(app.get(&owner, &to).await.text.contains(id.as_str()));

        // The same as the form sends it, which shows what is chosen.
        let sent = format!("/acme/requests?from={day}&from_hour={number}&to={day}&to_hour={number}");
        let page = app.get(&owner, &sent).await.text;
        assert!(page.contains(id.as_str()) && page.contains(&format!("value=\"{number}\" selected")), "{page}");
        // Its file takes the hour from the page.
        let field = format!("name=\"form[from]\" value=\"{hour}\"");
        assert!(page.contains(&field), "{field} is not in {page}");
        let other = if number == "00" { "01" } else { "00" };
        let page = app.get(&owner, &format!("/acme/requests?from={day}T{other}&to={day}T{other}")).await.text;
        assert!(!page.contains(id.as_str()), "{page}");
        let page = app.get(&owner, "/acme/requests?from_hour=07").await.text;
        assert!(page.contains("An hour needs its day."), "{page}");
    }
}

fn records(text: &str) -> (Vec<String>, Vec<csv::StringRecord>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
    (columns, reader.records().map(Result::unwrap).collect())
}

on_both! {
    async fn the_report_and_its_files_say_what_the_rows_say(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let empty = app.get(&owner, "/acme/spend?period=today").await.text;
        assert!(empty.contains("Nothing was spent on") && !empty.contains("spend.csv"), "{empty}");
        let keys = [app.key(&cast, "ci-prod").await, app.key(&cast, "=1+1").await];
        for (key, nanos) in [(&keys[0], 1_234), (&keys[0], 2_000_000_000), (&keys[1], 500_000_001)] {
            settle(&app, key, Bill::of_cost(Counts::of_totals(100, 10, 20), Money::from_nanos(nanos))).await;
        }
        let rows = app.number("SELECT CAST(SUM(cost) AS BIGINT) FROM usage").await;
        let total = Money::from_nanos(rows);

        let query = "?group=key&by=hour";
        let page = app.get(&owner, &format!("/acme/spend{query}")).await;
        assert_eq!(page.status, 200);
        for part in [&total.to_string(), "$2.00", "80 %", "Spend by key", "new", "/acme/spend.csv?by=hour&amp;group=key"] {
            assert!(page.text.contains(part), "{part} is not in {}", page.text);
        }
        // A click narrows to the key and splits by model.
        let drill = format!("/acme/spend?by=hour&amp;key={}", keys[0].id);
        assert!(page.text.contains(&drill), "{drill} is not in {}", page.text);
        let narrowed = app.get(&owner, &drill.replace("&amp;", "&")).await.text;
        assert!(narrowed.contains("Spend by model") && narrowed.contains("Remove the filter key"), "{narrowed}");

        // From a row's number of requests to those requests, of the same days.
        let log = format!("/acme/requests?key={}&amp;from=", keys[0].id);
        assert!(page.text.contains(&log), "{log} is not in {}", page.text);
        // A key may be named in the form; its name is not the id of another.
        let named = app.get(&owner, "/acme/spend?key=CI-Prod&provider=&tag=").await.text;
        assert!(named.contains(&format!("value=\"{}\"", keys[0].id)) && named.contains("Remove the filter key"), "{named}");
        assert!(named.contains("$2.00") && !named.contains("No key has this name"), "{named}");
        let unknown = app.get(&owner, "/acme/spend?key=ci").await.text;
        assert!(unknown.contains("No key has this name or ID") && unknown.contains("Clear filters"), "{unknown}");
        for label in ["for=\"key-filter\"", "for=\"tag-filter\""] {
            assert!(page.text.contains(label), "{label} is not in {}", page.text);
        }

        let file = app.get(&owner, &format!("/acme/spend.csv{query}")).await;
        assert_eq!(file.header("content-type"), "text/csv; charset=utf-8; header=present");
        let (columns, lines) = records(&file.text);
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let cells = |column: &str| lines.iter().map(|line| line[place(column)].to_owned()).collect::<Vec<_>>();
        assert_eq!(cells("name"), ["ci-prod", "'=1+1", "Total"]);
        assert_eq!(cells("spent_usd"), ["2.000001234", "0.500000001", "2.500001235"]);
        assert_eq!(cells("share"), ["80 %", "20 %", "100 %"]);
        assert_eq!(cells("requests"), ["2", "1", "3"]);
        assert_eq!(cells("id")[0], keys[0].id.as_str());

        let file = app.get(&owner, "/acme/spend-focus.csv").await;
        let (columns, lines) = records(&file.text);
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
        assert_eq!((columns.len(), lines.len()), (43, 2));
        let sum: Money = lines.iter().map(|line| Money::parse(&line[place("BilledCost")]).unwrap()).sum();
        assert_eq!(sum, total);
        assert!(lines.iter().all(|line| &line[place("ServiceCategory")] == "AI and Machine Learning"));
        assert!(lines.iter().all(|line| line[place("ChargePeriodStart")] < line[place("ChargePeriodEnd")]));

        // The overview leads to the reports behind its figures.
        let overview = app.get(&owner, "/acme?by=key").await.text;
        for to in ["/acme/spend\"", "/acme/spend?period=last-month\"", "/acme/spend?period=30-days&amp;group=key\"", "/acme/requests\""] {
            assert!(overview.contains(to), "{to} is not in {overview}");
        }

        // What is not kept is said, and what is wrong is no error.
        let page = app.get(&owner, "/acme/spend?group=provider&tag=x").await;
        assert!(page.status == 200 && page.text.contains("Providers are not kept by tag"), "{}", page.text);
        assert_eq!(app.get(&owner, "/acme/spend-focus.csv?tag=x").await.status, 422);
        let page = app.get(&owner, "/acme/spend?period=decade&group=x&key=%F0%9F%92%A9&by=x&skip=-1&from=x").await;
        assert_eq!(page.status, 200);
    }
}

on_both! {
    async fn an_operator_sees_what_a_wrong_price_made_of_requests_and_corrects_it(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci-prod").await;
        let operator = app.sign_in(Who::Operator).await;
        settle(&app, &key, Bill::of_cost(Counts::of_totals(100, 0, 20), Money::from_nanos(1_234))).await;
        let price = app.texts("SELECT id FROM prices WHERE model_id = 'gpt-5'").await.remove(0);
        app.execute(&format!("UPDATE usage SET price_id = '{price}'")).await;
        let own = "/operator/models/rerate?id=gpt-5";
        let model = app.get(&operator, "/operator/models/show?id=gpt-5").await.text;
        assert!(model.contains(own), "{model}");
        let asked = |from: &str, to: &str, at: &str| format!("{own}&from={from}&to={to}&at={at}");
        for (from, to, at, says) in [
            ("", "2099-01-01", price.as_str(), "Enter a day such as"),
            ("2020-01-02", "2020-01-01", &price, "The period has to end after it begins."),
            ("2020-01-01", "2099-01-01", "none", "Choose one of the model’s prices."),
            ("2020-01-01", "2020-01-02", &price, "There is nothing to correct."),
        ] {
            let page = app.get(&operator, &asked(from, to, at)).await;
            assert!(page.status == 200 && page.text.contains(says), "{says}: {}", page.text);
            assert!(!page.text.contains("models/rerate\" data-enhance"), "{says}");
        }
        let page = app.get(&operator, &asked("2020-01-01", "2099-01-01", &price)).await.text;
        for part in ["$0.000001234", "$0.000325", "$0.000323766 more", "Correct 1 request"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(app.number("SELECT cost FROM usage").await, 1_234);
        let fields = [("form[id]", "gpt-5"), ("form[from]", "2020-01-01"), ("form[to]", "2099-01-01"), ("form[at]", &price)];
        let done = app.post_page(&operator, own, "models/rerate", &fields).await;
        assert_eq!((done.status, done.location()), (303, "/operator/models/show?id=gpt-5"));
        assert_eq!(app.number("SELECT cost FROM usage").await, 325_000);
        let again = app.get(&operator, &asked("2020-01-01", "2099-01-01", &price)).await.text;
        assert!(again.contains("There is nothing to correct."), "{again}");
        let audit = app.get(&operator, "/operator/audit").await.text;
        assert!(audit.contains("re-rated"), "{audit}");
    }
}

//! The log of an organisation's requests: what each filter finds, its pages, who sees what, a request's own page, and the
//! file.

use std::collections::BTreeSet;

use keydesk_core::admission::{KnownKey, RejectedRequest, Rejections};
use keydesk_core::domain::day_or_hour::DayOrHour;
use keydesk_core::domain::gate::{Gate, Rejection};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::moment::{Day, Moment, Zone};
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::request_filter::{LogFilter, StatusFilter};
use keydesk_core::domain::request_log::{Outcome, RequestFailure};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::OpError;
use keydesk_core::ops::audit::KeysMeant;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::requests::{LogExportForm, LogView, export_log, log, show};
use keydesk_core::store::spend::Usage;

use crate::support::*;

/// A settled request; the closure changes what it was.
async fn settle(desk: &TestDesk, at: &At, issued: &IssuedKey, change: impl FnOnce(&mut Usage)) -> String {
    desk.clock.advance(1_000);
    let mut usage = desk.usage(at, issued, 5, desk.now()).await;
    change(&mut usage);
    record(desk, &usage).await.unwrap();
    usage.request.to_string()
}

/// A rejection by the gate of models, or a failure before the request was sent.
async fn reject(desk: &TestDesk, at: &At, issued: &IssuedKey, failure: Option<RequestFailure>) -> String {
    desk.clock.advance(1_000);
    let (now, noted) = (desk.now(), Rejections::default());
    let id = RequestId::new(now, desk.id_entropy()).to_string();
    let key = KnownKey { key: issued.id.clone(), org: at.org.id.clone() };
    let request = RejectedRequest {
        route: "/v1/responses",
        model: "o3",
        address: "198.51.100.9".into(),
        request_id: id.clone(),
    };
    match failure {
        Some(failure) => noted.note_failure(&key, failure, &request, now),
        None => {
            let rejection = Rejection::Model { last_four: "abcd".into(), model: "o3".into() };
            noted.note(&key, &rejection, &request, now);
        }
    }
    noted.flush(&desk.db).await.unwrap();
    id
}

async fn view(desk: &TestDesk, at: &At, filter: &LogFilter) -> LogView {
    log(desk, &at.caller, &at.org.slug, filter).await.unwrap()
}

async fn found(desk: &TestDesk, at: &At, filter: LogFilter) -> Vec<String> {
    let rows = view(desk, at, &filter).await.page.rows;
    rows.into_iter().map(|entry| entry.request_id).collect()
}

fn plain() -> LogFilter {
    LogFilter::default()
}

on_both!(
    fn each_filter_finds_what_it_says(desk: TestDesk) {
        let at = desk.owner().await;
        let crew = desk.team(&at, "Crew").await;
        let web = desk.create_key(&at, "web").await;
        let job = desk.create(&at, KeyForm { team: crew.id.to_string(), ..form("job") }).await.unwrap();
        let other = desk.other_org("Other", "UTC").await;
        let foreign = desk.create_key(&other, "web").await;
        settle(&desk, &other, &foreign, |_| {}).await;

        let served = settle(&desk, &at, &web, |_| {}).await;
        let failed = settle(&desk, &at, &web, |usage| {
            (usage.status, usage.error, usage.address) = (502, "Far is away.".into(), "2001:db8::1".into());
        })
        .await;
        let free = settle(&desk, &at, &job, |usage| {
            (usage.team, usage.model, usage.bill.is_priced) = (Some(crew.id.clone()), "o3".into(), false);
            usage.tags = vec!["user=u-7".into(), "say \"hi\" \\n".into()];
        })
        .await;
        let unserved = reject(&desk, &at, &web, Some(RequestFailure::ModelNotServed)).await;
        let rejected = reject(&desk, &at, &job, None).await;

        let all = [&rejected, &unserved, &free, &failed, &served];
        let mine = at.caller.person.id.clone();
        let team = Some(crew.id.clone());
        let day = Day::of(desk.now(), &at.org.zone);
        let status = |status| LogFilter { status: Some(status), ..plain() };
        let cases = [
            (plain(), vec![0, 1, 2, 3, 4]),
            (LogFilter { key: "WEB".into(), ..plain() }, vec![1, 3, 4]),
            (LogFilter { key: job.id.to_string(), ..plain() }, vec![0, 2]),
            (LogFilter { key: "we".into(), ..plain() }, vec![]),
            (LogFilter { team: team.clone(), ..plain() }, vec![0, 2]),
            (LogFilter { owner: Some(mine.clone()), ..plain() }, vec![0, 1, 2, 3, 4]),
            (LogFilter { owner: Some(other.caller.person.id.clone()), ..plain() }, vec![]),
            (LogFilter { model: "o3".into(), ..plain() }, vec![0, 1, 2]),
            (status(StatusFilter::Answered), vec![2, 4]),
            (status(StatusFilter::Failed), vec![1, 3]),
            (status(StatusFilter::Rejected), vec![0]),
            (status(StatusFilter::Exactly(502)), vec![3]),
            (status(StatusFilter::Exactly(503)), vec![1]),
            (LogFilter { gate: Some(Gate::Model), ..plain() }, vec![0]),
            (LogFilter { gate: Some(Gate::Budget), ..plain() }, vec![]),
            (LogFilter { address: "2001:db8::1".into(), ..plain() }, vec![3]),
            (LogFilter { request: RequestId::parse(&unserved), ..plain() }, vec![1]),
            (LogFilter { request: RequestId::parse(&free), key: "web".into(), ..plain() }, vec![]),
            (LogFilter { tag: "user=u-7".into(), ..plain() }, vec![2]),
            (LogFilter { tag: "say \"hi\" \\n".into(), team: team.clone(), ..plain() }, vec![2]),
            (LogFilter { tag: "user=u".into(), ..plain() }, vec![]),
            (LogFilter { not_priced: true, ..plain() }, vec![2]),
            (LogFilter { from: Some(day.into()), to: Some(day.into()), ..plain() }, vec![0, 1, 2, 3, 4]),
            (LogFilter { to: Some(day.back(1).into()), ..plain() }, vec![]),
            (
                LogFilter { team, model: "o3".into(), status: Some(StatusFilter::Rejected), ..plain() },
                vec![0],
            ),
        ];
        for (filter, expected) in cases {
            let expected: Vec<&String> = expected.into_iter().map(|place: usize| all[place]).collect();
            assert_eq!(
                found(&desk, &at, filter.clone()).await.iter().collect::<Vec<_>>(),
                expected,
                "{filter:?}"
            );
        }
        let rows = view(&desk, &at, &plain()).await.page.rows;
        assert_eq!(rows[2].used.as_ref().unwrap().tags, ["user=u-7", "say \"hi\" \\n"]);
        assert_eq!((rows[0].gate, rows[0].team.as_ref()), (Some(Gate::Model), Some(&crew.id)));
        assert!(rows[0].advice().is_some() && rows[4].advice().is_none());
    }
);

on_both!(
    fn the_log_shows_what_was_theirs_at_the_time(desk: TestDesk) {
        let at = desk.owner().await;
        let (crew, ops) = (desk.team(&at, "Crew").await, desk.team(&at, "Ops").await);
        let lead = desk.member(&at, OrgRole::Member).await;
        desk.join(&lead, &crew, true).await;
        let member = desk.member(&at, OrgRole::Member).await;
        desk.join(&member, &crew, false).await;
        let support = desk.platform(&at, PlatformRole::Support).await;
        let elsewhere = desk.other_org("Elsewhere", "UTC").await;

        let of_crew =
            desk.create(&at, KeyForm { team: crew.id.to_string(), ..form("of crew") }).await.unwrap();
        let of_ops = desk.create(&at, KeyForm { team: ops.id.to_string(), ..form("of ops") }).await.unwrap();
        let own = desk
            .create(&at, KeyForm { owner: member.caller.person.id.to_string(), ..form("own") })
            .await
            .unwrap();
        let a = settle(&desk, &at, &of_crew, |usage| usage.team = Some(crew.id.clone())).await;
        let b = settle(&desk, &at, &of_ops, |usage| usage.team = Some(ops.id.clone())).await;
        let c = settle(&desk, &at, &own, |_| {}).await;
        let d = reject(&desk, &at, &of_crew, None).await;
        for who in [&at, &support] {
            assert_eq!(found(&desk, who, plain()).await, [&d, &c, &b, &a].map(String::clone));
        }
        assert_eq!(found(&desk, &lead, plain()).await, [d.clone(), a.clone()]);
        assert_eq!(found(&desk, &member, plain()).await, std::slice::from_ref(&c));
        assert!(matches!(
            log(&desk, &elsewhere.caller, &at.org.slug, &plain()).await,
            Err(OpError::NotFound)
        ));
        // No filter widens it.
        for filter in [
            LogFilter { key: "of ops".into(), ..plain() },
            LogFilter { team: Some(ops.id.clone()), ..plain() },
            LogFilter { request: RequestId::parse(&b), ..plain() },
            LogFilter { owner: Some(at.caller.person.id.clone()), ..plain() },
        ] {
            assert!(found(&desk, &member, filter.clone()).await.is_empty(), "{filter:?}");
            assert!(!found(&desk, &lead, filter).await.contains(&b));
        }
        // And none tells what it is called, or that it is there.
        let owner = at.caller.person.id.clone();
        let foreign = LogFilter {
            key: "of ops".into(),
            team: Some(ops.id.clone()),
            owner: Some(owner.clone()),
            ..plain()
        };
        let told = view(&desk, &member, &foreign).await;
        assert_eq!(told.keys, KeysMeant::Unknown);
        assert!(!told.names.has(ops.id.as_str()) && !told.names.has(owner.as_str()));
        let told = view(&desk, &member, &LogFilter { key: "own".into(), ..plain() }).await;
        assert!(matches!(&told.keys, KeysMeant::These(keys) if keys.len() == 1), "{:?}", told.keys);
        let theirs = LogFilter { team: Some(crew.id.clone()), ..plain() };
        assert_eq!(found(&desk, &lead, theirs).await, [d.clone(), a.clone()]);

        // The key goes to the other team and to the member: what was stays with the first.
        desk.execute(&format!(
            "UPDATE keys SET team_id = '{}', owner_id = '{}' WHERE id = '{}'",
            ops.id, member.caller.person.id, of_crew.id
        ))
        .await
        .unwrap();
        assert_eq!(found(&desk, &lead, plain()).await, [d.clone(), a.clone()]);
        assert_eq!(found(&desk, &member, plain()).await, std::slice::from_ref(&c));
        let one = async |who: &At, id: &str| show(&desk, &who.caller, &at.org.slug, id).await;
        let seen = one(&lead, &a).await.unwrap();
        assert!(!seen.sees_key && seen.names.name(of_crew.id.as_str()) == "of crew");
        // Who holds the key now sees its past on its page, and so each request of it.
        assert!(one(&member, &a).await.unwrap().sees_key);
        for (who, id) in [(&lead, &b), (&member, &b), (&elsewhere, &a)] {
            assert!(matches!(one(who, id).await, Err(OpError::NotFound)));
        }
        assert!(matches!(one(&at, "req_1").await, Err(OpError::NotFound)));
        let looks = desk.texts("SELECT changes FROM audit_events WHERE kind = 'support.accessed'").await;
        assert!(looks.iter().any(|changes| changes.contains("requests")), "{looks:?}");
    }
);

on_both!(
    fn an_hour_of_the_log_has_the_requests_that_are_counted_for_it(desk: TestDesk) {
        let at = desk.owner().await;
        assert_eq!(at.org.zone, Zone::parse("Europe/Zurich").unwrap());
        let key = desk.create_key(&at, "web").await;
        let times = [
            // 02:00 to 03:00 is twice, then never.
            "2026-10-24T23:59:59.999Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T01:59:59.999Z",
            "2026-10-25T02:00:00Z",
            "2026-03-29T00:59:59.999Z",
            "2026-03-29T01:00:00Z",
            // The last hour of a month.
            "2026-10-31T22:59:59.999Z",
            "2026-10-31T23:00:00Z",
        ];
        for time in times {
            let usage = desk.usage(&at, &key, 5, Moment::parse_utc(time).unwrap()).await;
            assert!(record(&desk, &usage).await.unwrap());
        }
        let within = |from: &str, to: &str| LogFilter {
            from: DayOrHour::parse(from),
            to: DayOrHour::parse(to),
            ..plain()
        };
        let mut counted = 0;
        for hour in desk.texts("SELECT DISTINCT booked FROM usage ORDER BY booked").await {
            let rows = desk.number(&format!("SELECT COUNT(*) FROM usage WHERE booked = '{hour}'")).await;
            let shown = found(&desk, &at, within(&hour, &hour)).await;
            assert_eq!(i64::try_from(shown.len()).unwrap(), rows, "{hour}");
            counted += shown.len();
        }
        assert_eq!(counted, times.len());
        let shown = async |from: &str, to: &str| found(&desk, &at, within(from, to)).await.len();
        assert_eq!(shown("2026-10-25T02", "2026-10-25T02").await, 4);
        assert_eq!(shown("2026-03-29T02", "2026-03-29T02").await, 0, "an hour that clocks skip is empty");
        assert_eq!(shown("2026-10-25", "2026-10-25T01").await, 1, "a day and an hour can be mixed");
        assert_eq!(shown("2026-10-25T03", "2026-10-31").await, 2);

        // The file is what the page shows.
        let caller = desk.signed_in(&at).await;
        let filter = ["from", "to"].map(|name| (name.to_owned(), "2026-10-25T02".to_owned()));
        let form = LogExportForm { org: at.org.slug.clone(), filter: filter.to_vec() };
        let mut file = export_log(&desk, &caller, &form).await.unwrap();
        assert_eq!(file.next(&desk).await.unwrap().0.len(), 4);
    }
);

on_both!(
    fn pages_go_both_ways_and_the_file_is_what_they_show(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "web").await;
        for n in 0..61 {
            if n % 3 == 0 {
                reject(&desk, &at, &key, None).await;
                desk.clock.advance(60_000);
            } else {
                settle(&desk, &at, &key, |usage| usage.status = if n % 2 == 0 { 500 } else { 200 }).await;
            }
        }
        let first = view(&desk, &at, &plain()).await;
        assert_eq!((first.page.rows.len(), first.page.previous.is_none()), (50, true));
        let second = view(&desk, &at, &LogFilter { page: first.page.next.clone(), ..plain() }).await;
        assert_eq!((second.page.rows.len(), second.page.before, second.page.next.is_none()), (11, 50, true));
        let back = view(&desk, &at, &LogFilter { page: second.page.previous, ..plain() }).await;
        assert_eq!(back.page.rows, first.page.rows);
        let all: BTreeSet<_> =
            first.page.rows.iter().chain(&second.page.rows).map(|entry| &entry.request_id).collect();
        assert_eq!(all.len(), 61);

        let caller = desk.signed_in(&at).await;
        let form = |name: &str, value: &str| LogExportForm {
            org: at.org.slug.clone(),
            filter: vec![(name.to_owned(), value.to_owned())],
        };
        let mut file = export_log(&desk, &caller, &form("status", "failed")).await.unwrap();
        let mut rows = Vec::new();
        loop {
            let (entries, names) = file.next(&desk).await.unwrap();
            if entries.is_empty() {
                break;
            }
            assert_eq!(names.name(key.id.as_str()), "web");
            rows.extend(entries);
        }
        let failed = found(&desk, &at, LogFilter { status: Some(StatusFilter::Failed), ..plain() }).await;
        assert_eq!(rows.iter().map(|entry| entry.request_id.clone()).collect::<Vec<_>>(), failed);
        assert!(rows.iter().all(|entry| entry.outcome == Outcome::Failed(None)) && rows.len() > 10);
        // A filter that is not understood must not become a larger file.
        for (name, value) in [("status", "fine"), ("from", "soon"), ("limit", "1"), ("team", "crew")] {
            assert!(matches!(export_log(&desk, &caller, &form(name, value)).await, Err(OpError::Invalid(_))));
        }
    }
);

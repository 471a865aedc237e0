//! Reports add up to the requests, whatever they are narrowed to and split by, and show each person their own part.

use std::collections::BTreeMap;

use jiff::Timestamp;
use keydesk_core::domain::ids::{OrgId, PersonId, TeamId};
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::{Day, Moment};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::report::{Dimension, Filters, Grain, Preset, ReportQuery, Span, Sums};
use keydesk_core::ops::report::{self, Report};
use keydesk_core::ops::{self, OpError};
use keydesk_core::store::dialect::Dialect;
use keydesk_core::store::report::{Asked, Part, Shape, example, example_of_charges};
use keydesk_core::store::spend::Usage;

use crate::support::*;

fn at_utc(text: &str) -> Moment {
    Moment::from_ms(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

async fn shown(desk: &TestDesk, at: &At, query: &ReportQuery) -> Report {
    report::show(desk, &at.caller, &at.org.slug, query).await.unwrap().report
}

/// One settled request, as its row has it.
struct Settled {
    booked: String,
    /// Key, team, owner, model, provider.
    values: [String; 5],
    tags: Vec<String>,
    sums: Sums,
}

impl Settled {
    fn of(&self, dimension: Dimension) -> Vec<&str> {
        match dimension {
            Dimension::Key => vec![&self.values[0]],
            Dimension::Team => vec![&self.values[1]],
            Dimension::Owner => vec![&self.values[2]],
            Dimension::Model => vec![&self.values[3]],
            Dimension::Provider => vec![&self.values[4]],
            Dimension::Tag => self.tags.iter().map(String::as_str).collect(),
        }
    }

    fn is_in(&self, span: Span, filters: &Filters) -> bool {
        let day = day(&self.booked[..10]);
        span.first <= day
            && day <= span.last
            && filters.set().all(|(dimension, value)| self.of(dimension).contains(&value))
    }
}

async fn settled(desk: &TestDesk) -> Vec<Settled> {
    let rows = desk
        .texts(
            "SELECT booked || '|' || key_id || '|' || COALESCE(team_id, '') || '|' || owner_id || '|' || model_id || '|' || provider
                || '|' || replace(tags, '\n', ',') || '|' || input_tokens || '|' || output_tokens || '|' || cached_tokens || '|' || cost
            FROM usage",
        )
        .await;
    rows.iter()
        .map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            let number = |at: usize| cells[at].parse::<i64>().unwrap();
            Settled {
                booked: cells[0].into(),
                values: [1, 2, 3, 4, 5].map(|at| cells[at].to_owned()),
                tags: cells[6].split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
                sums: Sums {
                    requests: 1,
                    input_tokens: number(7),
                    output_tokens: number(8),
                    cached_tokens: number(9),
                    cost: Money::from_nanos(number(10)),
                },
            }
        })
        .collect()
}

fn assert_adds_up(report: &Report, rows: &[Settled]) {
    let filters = &report.query.filters;
    let what = format!("{:?}", report.query);
    let inside: Vec<&Settled> = rows.iter().filter(|row| row.is_in(report.span, filters)).collect();
    let before: Vec<&Settled> = rows.iter().filter(|row| row.is_in(report.before, filters)).collect();
    assert_eq!(report.total, inside.iter().map(|row| row.sums).sum(), "{what}");
    assert_eq!(report.total_before, before.iter().map(|row| row.sums).sum(), "{what}");

    let letters = match report.grain {
        Grain::Hour => 13,
        Grain::Day => 10,
        Grain::Month => 7,
    };
    let mut groups: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut over_time: BTreeMap<&str, Money> = BTreeMap::new();
    for row in &inside {
        let mut of = report.query.group.map_or(vec![""], |group| row.of(group));
        if let (Some(Dimension::Tag), Some(tag)) = (report.query.group, filters.get(Dimension::Tag)) {
            of.retain(|one| *one == tag);
        }
        for group in of {
            let sums = groups.entry(group).or_default();
            *sums = *sums + row.sums;
            let bucket = over_time.entry(&row.booked[..letters]).or_default();
            *bucket = bucket.saturating_add(row.sums.cost);
        }
    }
    if report.query.group.is_some() {
        let found: BTreeMap<&str, Sums> = report.rows.iter().map(|row| (row.id.as_str(), row.sums)).collect();
        assert_eq!(found, groups, "{what}");
        let costs: Vec<Money> = report.rows.iter().map(|row| row.sums.cost).collect();
        assert!(costs.is_sorted_by(|a, b| a >= b), "{what}");
        for row in &report.rows {
            let of = |one: &&&Settled| one.of(report.query.group.unwrap()).contains(&row.id.as_str());
            assert_eq!(row.before, before.iter().filter(of).map(|one| one.sums).sum(), "{what}");
        }
        // Some spent only before.
        assert!(report.other.is_none_or(|(now, _)| now.is_nothing()), "{what}");
    }
    for (at, bucket) in report.buckets.iter().enumerate() {
        let parts = report.series.iter().map(|series| series.values[at]);
        let rest = report.rest.as_ref().map_or(Money::ZERO, |rest| rest[at]);
        let expected = over_time.remove(bucket.as_str()).unwrap_or_default();
        assert_eq!(parts.sum::<Money>().saturating_add(rest), expected, "{bucket} of {what}");
    }
    assert!(over_time.is_empty(), "{over_time:?} is in no bucket of {what}");
}

on_both!(
    fn every_report_is_the_sum_of_its_requests(desk: TestDesk) {
        let at = desk.owner().await;
        let next = desk.member(&at, OrgRole::Member).await;
        let teams = [desk.team(&at, "One").await, desk.team(&at, "Two").await];
        let mut keys = Vec::new();
        for n in 0..4 {
            keys.push(desk.create_key(&at, &format!("key {n}")).await);
        }
        let mut dice = Dice::new(7);
        // Clocks go back and forward in Zurich, months end, a leap day and a year end.
        let turns = [
            "2026-10-25T01:00:00Z",
            "2026-10-31T23:00:00Z",
            "2026-12-31T23:00:00Z",
            "2027-03-28T01:00:00Z",
            "2028-02-28T23:00:00Z",
            "2028-02-29T23:00:00Z",
        ]
        .map(at_utc);
        for n in 0..160 {
            // Half way the organisation moves across the date line, and keys change hands.
            if n == 80 {
                let (person, key) = (&next.caller.person.id, &keys[0].id);
                desk.execute("UPDATE orgs SET zone = 'Pacific/Apia'").await.unwrap();
                desk.execute(&format!("UPDATE keys SET owner_id = '{person}' WHERE id = '{key}'"))
                    .await
                    .unwrap();
            }
            let started_at = dice.one_of(&turns).plus_ms(dice.below(6 * HOUR as u64) as i64 - 3 * HOUR);
            let key = dice.one_of(&keys);
            let mut usage = desk.usage(&at, key, dice.below(3_000_000_000) as i64, started_at).await;
            usage.team = teams.get(dice.below(3) as usize).map(|team| team.id.clone());
            usage.model = (*dice.one_of(&["gpt-5", "claude-opus-4-5", "unheard-of"])).into();
            usage.tags = ["nightly", "docs", "eval"]
                .into_iter()
                .filter(|_| dice.below(3) == 0)
                .map(Into::into)
                .collect();
            let (input, cached, output) =
                (dice.below(900) as i64 + 100, dice.below(100) as i64, dice.below(500) as i64);
            usage.bill.metered = Counts::of_totals(input, cached, output).into();
            assert!(record(&desk, &usage).await.unwrap());
        }
        let rows = settled(&desk).await;
        assert_eq!(rows.len(), 160);

        let days: Vec<Day> = [
            "2026-10-01",
            "2026-10-24",
            "2026-10-25",
            "2026-10-31",
            "2026-11-01",
            "2026-12-31",
            "2027-01-01",
            "2027-03-27",
            "2027-03-28",
            "2028-02-28",
            "2028-02-29",
            "2028-03-01",
        ]
        .map(day)
        .to_vec();
        for n in 0..90 {
            let mut filters = Filters::default();
            for dimension in Dimension::ALL {
                if dice.below(4) == 0 {
                    let row = dice.one_of(&rows);
                    if let Some(value) = row.of(dimension).first() {
                        filters = filters.with(dimension, *value);
                    }
                }
            }
            let query = ReportQuery {
                preset: Preset::Custom,
                from: Some(*dice.one_of(&days)),
                to: Some(*dice.one_of(&days)),
                grain: *dice.one_of(&[None, Some(Grain::Hour), Some(Grain::Day), Some(Grain::Month)]),
                group: if n % 7 == 0 { None } else { Some(*dice.one_of(&Dimension::ALL)) },
                filters,
                skip: 0,
            };
            let found = shown(&desk, &at, &query).await;
            let used = |dimension| query.group == Some(dimension) || query.filters.get(dimension).is_some();
            assert_eq!(found.kept, !(used(Dimension::Tag) && used(Dimension::Provider)), "{query:?}");
            if found.kept {
                assert_adds_up(&found, &rows);
            }
            // The file of charges is the same money.
            if query.filters.get(Dimension::Tag).is_none() {
                let mut file =
                    report::charges(&desk, &desk.signed_in(&at).await, &at.org.slug, &query).await.unwrap();
                let mut sum = Money::ZERO;
                loop {
                    let (charges, names) = file.next(&desk).await.unwrap();
                    let Some(first) = charges.first() else { break };
                    assert!(names.key(first).starts_with("key "), "{}", names.key(first));
                    sum = sum.saturating_add(charges.iter().map(|charge| charge.sums.cost).sum());
                }
                assert_eq!(sum, found.total.cost, "{query:?}");
            }
        }
        // Whole months are read from roll-ups of months, and say the same.
        for (preset, today) in
            [(Preset::LastMonth, "2026-11-20T12:00:00Z"), (Preset::ThisYear, "2028-03-02T12:00:00Z")]
        {
            desk.clock.set(at_utc(today));
            for group in Dimension::ALL.map(Some) {
                let found = shown(&desk, &at, &ReportQuery { preset, group, ..ReportQuery::default() }).await;
                assert!(!found.total.is_nothing());
                assert_adds_up(&found, &rows);
            }
        }
    }
);

on_both!(
    fn a_report_adds_up_while_requests_are_settled(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        let mut settles = tokio::task::JoinSet::new();
        for model in ["gpt-5", "claude-opus-4-5", "unheard-of"] {
            let mut usages = Vec::new();
            for n in 0..60 {
                let usage = desk.usage(&at, &key, 1_000 + n, desk.now()).await;
                usages.push(Usage { model: model.into(), ..usage });
            }
            let desk = desk.clone();
            settles.spawn(async move {
                for usage in &usages {
                    assert!(record(&desk, usage).await.unwrap());
                }
            });
        }
        loop {
            let is_over = settles.try_join_next().is_some();
            let found = shown(&desk, &at, &ReportQuery::default()).await;
            assert_eq!(found.rows.iter().map(|row| row.sums).sum::<Sums>(), found.total);
            assert!(found.other.is_none() && found.rest.is_none(), "{found:?}");
            let charted: Money = found.series.iter().flat_map(|series| &series.values).copied().sum();
            assert_eq!(charted, found.total.cost);
            if is_over {
                break;
            }
        }
        while let Some(done) = settles.join_next().await {
            done.unwrap();
        }
        assert_eq!(shown(&desk, &at, &ReportQuery::default()).await.total.requests, 180);
    }
);

on_both!(
    fn groups_beyond_a_page_are_summed_up_and_come_next(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        for n in 0..60 {
            let usage = desk.usage(&at, &key, 1_000 + n, desk.now()).await;
            record(&desk, &Usage { model: format!("model-{n}"), ..usage }).await.unwrap();
        }
        let first = shown(&desk, &at, &ReportQuery::default()).await;
        assert_eq!((first.rows.len(), first.more, first.rows[0].id.as_str()), (50, true, "model-59"));
        let (other, _) = first.other.unwrap();
        assert_eq!((other.requests, other.cost.nanos()), (10, (1_000..1_010).sum::<i64>()));
        let query = ReportQuery { skip: 50, ..ReportQuery::default() };
        let second = shown(&desk, &at, &query).await;
        assert_eq!((second.rows.len(), second.more, second.rows[0].id.as_str()), (10, false, "model-9"));
        let sum: Money = first.rows.iter().chain(&second.rows).map(|row| row.sums.cost).sum();
        assert_eq!((sum, second.total), (first.total.cost, first.total));
        // The chart is of the most expensive ones on every page.
        assert_eq!(second.series.len(), 5);
        assert_eq!((&second.series[0].name, &second.rest), (&first.series[0].name, &first.rest));
    }
);

on_both!(
    fn everybody_sees_their_own_part(desk: TestDesk) {
        let at = desk.owner().await;
        let (lead, member, stranger) = (
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Member).await,
            desk.member(&at, OrgRole::Member).await,
        );
        let team = desk.team(&at, "Data").await;
        desk.join(&lead, &team, true).await;
        desk.join(&member, &team, false).await;
        let (mine, of_team, other) = (
            desk.create_key(&at, "mine").await,
            desk.create_key(&at, "of the team").await,
            desk.create_key(&at, "other").await,
        );
        let give = async |key: &str, who: &At| {
            let sql = format!("UPDATE keys SET owner_id = '{}' WHERE id = '{key}'", who.caller.person.id);
            desk.execute(&sql).await.unwrap();
        };
        let spend = async |key, team: Option<&TeamId>, cost| {
            let usage = desk.usage(&at, key, cost, desk.now()).await;
            assert!(record(&desk, &Usage { team: team.cloned(), ..usage }).await.unwrap());
        };
        spend(&mine, None, 1).await;
        give(mine.id.as_str(), &member).await;
        spend(&mine, None, 20).await;
        give(other.id.as_str(), &member).await;
        spend(&other, None, 300).await;
        // Given away: what was spent meanwhile stays theirs to see, what comes later does not.
        give(other.id.as_str(), &at).await;
        spend(&other, None, 4_000).await;
        spend(&of_team, Some(&team.id), 50_000).await;
        let by_key = ReportQuery { group: Some(Dimension::Key), ..ReportQuery::default() };
        let of = async |who: &At, query: &ReportQuery| {
            let report = shown(&desk, who, query).await;
            let rows: Vec<(String, i64)> =
                report.rows.iter().map(|row| (row.name.clone(), row.sums.cost.nanos())).collect();
            assert_eq!(rows.iter().map(|(_, cost)| cost).sum::<i64>(), report.total.cost.nanos());
            (rows, report.part)
        };
        let row = |name: &str, cost| (name.to_owned(), cost);
        let support = desk.platform(&at, PlatformRole::Support).await;
        for who in [&at, &support, &desk.member(&at, OrgRole::Admin).await] {
            let all = vec![row("of the team", 50_000), row("other", 4_300), row("mine", 21)];
            assert_eq!(of(who, &by_key).await, (all, false));
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'support.accessed'").await, 1);
        assert_eq!(of(&member, &by_key).await, (vec![row("other", 300), row("mine", 21)], true));
        assert_eq!(of(&lead, &by_key).await, (vec![row("of the team", 50_000)], true));
        assert_eq!(of(&stranger, &by_key).await, (vec![], true));
        // What is asked for alone is no way around it, and a name that is not theirs is not told.
        let only =
            |dimension, value: &str| ReportQuery { filters: Filters::of(dimension, value), ..by_key.clone() };
        assert_eq!(of(&member, &only(Dimension::Key, other.id.as_str())).await.0, [row("other", 300)]);
        assert_eq!(
            of(&member, &only(Dimension::Key, mine.id.as_str())).await,
            (vec![row("mine", 21)], false)
        );
        assert_eq!(
            of(&lead, &only(Dimension::Team, team.id.as_str())).await,
            (vec![row("of the team", 50_000)], false)
        );
        let person = at.caller.person.id.as_str();
        for query in [
            only(Dimension::Team, team.id.as_str()),
            only(Dimension::Key, of_team.id.as_str()),
            only(Dimension::Owner, person),
        ] {
            let report = shown(&desk, &stranger, &query).await;
            assert!(report.total.is_nothing(), "{query:?}");
            let (dimension, value) = query.filters.set().next().unwrap();
            assert_eq!(report.filters, [(dimension, value.to_owned(), value.to_owned())]);
        }
        // Nor is it beside what is theirs.
        let own = Filters::of(Dimension::Owner, stranger.caller.person.id.as_str());
        let filters = own.with(Dimension::Key, of_team.id.as_str());
        let report = shown(&desk, &stranger, &ReportQuery { filters, ..by_key.clone() }).await;
        let told: Vec<&str> = report.filters.iter().map(|(_, _, name)| name.as_str()).collect();
        assert!(report.total.is_nothing() && told.contains(&of_team.id.as_str()), "{told:?}");
        // The cards of their pages are the same.
        let card = ops::keys::show(&desk, &member.caller, &at.org.slug, mine.id.as_str()).await.unwrap().card;
        assert_eq!((card.report.total.cost.nanos(), card.month.nanos(), card.report.part), (21, 21, false));
        let card =
            ops::teams::show(&desk, &member.caller, &at.org.slug, team.id.as_str()).await.unwrap().card;
        assert_eq!((card.report.total.cost.nanos(), card.report.part), (0, true));
        let card = ops::members::show(&desk, &at.caller, &at.org.slug, member.caller.person.id.as_str())
            .await
            .unwrap()
            .card;
        assert_eq!(card.report.total.cost.nanos(), 320);

        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let other_org = desk.other_org("Other", "UTC").await;
        for who in [&operator, &other_org] {
            let refused = report::show(&desk, &who.caller, &at.org.slug, &by_key).await;
            assert!(matches!(refused, Err(OpError::NotFound)));
        }
    }
);

on_both!(
    fn the_card_of_a_key_has_thirty_days(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        for (started_at, cost) in [
            ("2026-10-21T21:59:59Z", 1), // 21 October in Zurich: one day too old
            ("2026-10-21T22:00:00Z", 20),
            ("2026-11-20T11:00:00Z", 300),
            ("2026-11-20T11:30:00Z", 4_000),
        ] {
            let usage = desk.usage(&at, &issued, cost, at_utc(started_at)).await;
            assert!(record(&desk, &usage).await.unwrap());
        }
        let shown =
            async || ops::keys::show(&desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        let view = shown().await;
        let report = &view.card.report;
        let ends = (report.buckets.len(), report.buckets[0].as_str(), report.buckets[29].as_str());
        assert_eq!(ends, (30, "2026-10-22", "2026-11-20"));
        let values: Vec<i64> = report.series[0].values.iter().map(|value| value.nanos()).collect();
        assert_eq!((report.series.len(), values[0], values[29]), (1, 20, 4_300));
        assert_eq!((report.total.cost.nanos(), report.total.requests), (4_320, 3));
        assert_eq!((view.card.month.nanos(), view.card.last_month.nanos()), (4_300, 21));
        assert_eq!((view.spend.total.nanos(), view.spend.requests), (4_321, 4));
        // A minute before midnight in Zurich it is still today; then the oldest day leaves.
        desk.clock.set(at_utc("2026-11-20T22:59:59Z"));
        assert_eq!(shown().await.card.report.buckets[29], "2026-11-20");
        desk.clock.advance(1_000);
        let report = shown().await.card.report;
        assert_eq!((report.buckets[29].as_str(), report.total.cost.nanos()), ("2026-11-21", 4_300));
    }
);

/// Every way to narrow, cut and split, with and without a part, each with its place to be told from the others.
fn every_case(org: &OrgId, person: &PersonId, team: &TeamId) -> Vec<(Asked, Option<Dimension>)> {
    let span = |first, last| Span { first: day(first), last: day(last) };
    let part = Part { person: person.clone(), teams: vec![team.clone()] };
    let mut cases = Vec::new();
    for span in [span("2026-11-01", "2026-11-20"), span("2026-10-01", "2026-10-31")] {
        for part in [None, Some(Part { teams: vec![], ..part.clone() }), Some(part.clone())] {
            for group in Dimension::ALL.map(Some).into_iter().chain([None]) {
                for narrowed in Dimension::ALL.map(Some).into_iter().chain([None]) {
                    let filters =
                        narrowed.map(|dimension| Filters::of(dimension, "it's")).unwrap_or_default();
                    cases.push((Asked { org: org.clone(), span, filters, part: part.clone() }, group));
                }
            }
        }
    }
    cases
}

fn shapes(group: Option<Dimension>, only: &[String]) -> Vec<Shape<'_>> {
    let top = Shape { group, top: Some((51, 50)), ..Shape::default() };
    let few = Shape { group, only: Some(only), ..Shape::default() };
    let mut shapes = vec![top, few, Shape { whole_of: group, ..Shape::default() }];
    for grain in Grain::ALL {
        shapes.push(Shape { grain: Some(grain), group, only: Some(only), ..Shape::default() });
        shapes.push(Shape { grain: Some(grain), whole_of: group, ..Shape::default() });
    }
    shapes
}

fn ids() -> (OrgId, PersonId, TeamId) {
    let first = Moment::from_ms(0);
    (OrgId::new(first, [1; 10]), PersonId::new(first, [2; 10]), TeamId::new(first, [3; 10]))
}

/// For the test that prepares every statement.
pub fn every_statement(dialect: Dialect) -> Vec<String> {
    let (org, person, team) = ids();
    let only = ["a".to_owned(), String::new()];
    let mut texts = Vec::new();
    for (asked, group) in every_case(&org, &person, &team) {
        texts.extend(shapes(group, &only).iter().filter_map(|shape| example(dialect, &asked, shape)));
        if group.is_none() && asked.filters.get(Dimension::Tag).is_none() {
            texts.push(example_of_charges(dialect, &asked, None));
        }
    }
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 500, "only {}", texts.len());
    texts
}

on_both!(
    fn no_report_reads_requests_or_more_than_its_own_rows(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Data").await;
        let other = desk.other_org("Other", "UTC").await;
        desk.seed_keys(&other, 1_001, 1_020).await;
        desk.seed_keys(&at, 1, 20).await;
        for (who, days) in [(&at, 120), (&other, 900)] {
            desk.seed_spend(who, days).await;
        }
        desk.db.analyze().await.unwrap();
        let only = ["key_10000000000000000000000000000007".to_owned()];
        for (asked, group) in every_case(&at.org.id, &at.caller.person.id, &team.id) {
            for shape in shapes(group, &only) {
                let Some(sql) = example(crate::plans::dialect(&desk), &asked, &shape) else { continue };
                let plan = crate::plans::plan_of(&desk, &sql).await;
                for table in ["rollups", "spend_daily", "tag_daily"] {
                    let scans = [
                        format!("Seq Scan on {table} "),
                        format!("SCAN {table}\n"),
                        format!("SCAN {table} USING"),
                    ];
                    assert!(!scans.iter().any(|scan| format!("{plan}\n").contains(scan)), "{sql}\n{plan}");
                }
                assert!(!plan.contains("usage") && !sql.contains("usage"), "{sql}\n{plan}");
            }
        }
    }
);

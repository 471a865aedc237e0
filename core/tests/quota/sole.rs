//! A node that has all of a holder's limits decides as the database does: the same requests, in the same order, are judged
//! by both, and both say the same of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use keydesk_core::admission::quota::{
    Decision, Demand, GrantedTo, Holder, HolderLimits, Limit, Loaded, Need, NodeQuota, Reserved, Taken,
};
use keydesk_core::domain::limit_use::{HolderKind, Limited};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::window::Period;

use crate::db::{Db, SCALE, ToReserve, UsageRow, WHATS, holder};
use crate::world::Rng;

const EVERY: [i64; 8] = [900, 700, 500, 300, 800, 40, 600, 6];

struct Sole {
    db: Db,
    quota: NodeQuota,
    limits: Vec<HolderLimits>,
    at: i64,
    calls: i64,
}

impl Sole {
    fn new(rng: &mut Rng, one_may_pass: bool) -> Self {
        let holders = [(HolderKind::Key, "key"), (HolderKind::Team, "team"), (HolderKind::Org, "org")];
        let limits = holders.map(|(kind, id)| {
            let mut limits = Vec::new();
            for (of, what) in WHATS.into_iter().enumerate() {
                let is_possible = if kind == HolderKind::Org { of <= 4 } else { of != 4 };
                if is_possible && rng.chance(500) {
                    let max = EVERY[of] * (kind as i64 + 1) * rng.range(5, 15) / 10;
                    limits.push(Limit { what, max, enforced: true });
                }
            }
            HolderLimits { holder: holder(kind, id), limits }
        });
        let mut db = Db { one_may_pass, day: (13_000, 0), ..Db::default() };
        db.limits = limits.iter().map(|of| (of.holder.clone(), of.limits.clone())).collect();
        db.register(1, 1);
        Self { db, quota: NodeQuota::default(), limits: limits.into(), at: 20_000, calls: 0 }
    }

    /// What the node says, after it was granted everything.
    fn decide(&mut self, request: &Arc<str>, need: Need) -> Decision {
        let (starts, limits) = (self.db.windows(self.at), self.limits.clone());
        let demand = demand(&limits, &self.db, self.at, request, need);
        let decision = self.quota.try_admit(&demand);
        if !matches!(decision, Decision::Ask(_)) {
            return decision;
        }
        let asked = self.quota.take(&demand).expect("the only question is for grants");
        self.db.now = self.at;
        self.db.nodes.get_mut(&1).unwrap().until = self.at + 1_000;
        self.calls += 1;
        let taken = self.db.take(1, 1, self.calls, &asked, &starts).unwrap();
        let Taken::Granted(to) = &taken else { panic!("a sole node gets everything: {taken:?}") };
        assert!(to.iter().all(|one| matches!(one, GrantedTo::Whole(_))));
        self.quota.taken(&asked, taken);
        // The database judges the same requests in this test, as if no node had anything.
        self.db.whole.clear();
        self.quota.try_admit(&demand)
    }
}

#[test]
fn a_sole_node_decides_as_the_database_does() {
    let (mut admitted, mut rejected) = (0, BTreeMap::<&str, u64>::new());
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let one_may_pass = rng.chance(700);
        let mut sole = Sole::new(&mut rng, one_may_pass);
        let mut under_way = Vec::new();
        for number in 0..400 {
            sole.at += rng.choice(&[0, 1, 40, 160, 900]);
            let likely = rng.choice(&[0, 1, 5, 20, 90]);
            let worst = likely * rng.choice(&[1, 2, 6]) + rng.choice(&[0, 7]);
            let need = Need { likely, worst, tokens: rng.choice(&[0, 5, 60]), ..Need::default() };
            let request: Arc<str> = Arc::from(format!("r{number}"));
            let decision = sole.decide(&request, need);
            let starts = sole.db.windows(sole.at);
            sole.db.now = sole.at;
            let holders: Vec<Holder> = sole.limits.iter().map(|of| of.holder.clone()).collect();
            let new = ToReserve { request: request.clone(), holders: holders.clone(), need, starts };
            let answer = sole.db.reserve(&new, Some(1), &[]);
            match (&decision, &answer) {
                (Decision::Admitted(id, _), Reserved::Fits { .. }) => {
                    admitted += 1;
                    under_way.push((*id, request, need, starts));
                }
                (Decision::Rejected(numbers, _), Reserved::Stopped { by, .. }) => {
                    *rejected.entry(numbers.what.as_str()).or_default() += 1;
                    assert!(
                        by.iter()
                            .any(|one| one.numbers.what == numbers.what && one.holder.kind == numbers.holder)
                    );
                }
                _ => panic!("seed {seed}, {number}: the node says {decision:?}, the database {answer:?}"),
            }
            // A database that forgets a reservation after its lease would be another rule.
            sole.db.reservations.values_mut().for_each(|one| one.until = i64::MAX);
            while !under_way.is_empty() && rng.chance(450) {
                let place = rng.range(0, under_way.len() as i64 - 1) as usize;
                let (id, request, need, starts) = under_way.swap_remove(place);
                let (cost, tokens) =
                    (rng.choice(&[0, need.likely, need.worst]), rng.choice(&[0, need.tokens]));
                sole.quota.end(id, cost, tokens);
                let batch = sole.quota.settlement().unwrap();
                let (batch, corrections) = (batch.number, Vec::new());
                let row = UsageRow { request, holders: holders.clone(), starts, cost, tokens, corrections };
                sole.db.settle(Some(1), batch, &[row], &[]);
                sole.quota.settled(batch);
            }
        }
    }
    println!("{admitted} admitted, rejected by {rejected:?}");
    assert!(admitted > 1_000 && rejected.len() == WHATS.len() && rejected.values().all(|count| *count > 20));
}

fn demand<'a>(limits: &'a [HolderLimits], db: &Db, at: i64, request: &'a Arc<str>, need: Need) -> Demand<'a> {
    Demand { request, holders: limits, starts: db.windows(at), need, one_may_pass: db.one_may_pass }
}

fn whole(limits: Vec<Limit>, spent: i64) -> Sole {
    let mut sole = Sole::new(&mut Rng::new(1), true);
    sole.limits = vec![HolderLimits { holder: holder(HolderKind::Key, "key"), limits }];
    let (request, need) = (Arc::from("first"), Need::default());
    let asked = sole.quota.take(&demand(&sole.limits, &sole.db, sole.at, &request, need)).unwrap();
    let starts = sole.db.windows(sole.at);
    let loaded = Loaded { spent: [spent; 4], starts, seconds: Vec::new(), settled: 0 };
    sole.quota.taken(&asked, Taken::Granted(vec![GrantedTo::Whole(loaded)]));
    sole
}

#[test]
fn what_is_only_presumed_shrinks_to_half_of_what_is_left() {
    let budget = Limit { what: Limited::Budget(Period::Total), max: 500, enforced: true };
    let tokens = Limit { what: Limited::Tokens, max: 100, enforced: true };
    let mut sole = whole(vec![budget, tokens], 100);
    let need = Need { likely: 600, worst: 900, tokens: 130, presumed_cost: 500, presumed_tokens: 90 };
    let request: Arc<str> = Arc::from("r");
    assert!(matches!(sole.decide(&request, need), Decision::Admitted(..)));
    let lines = sole.quota.report(&demand(&sole.limits, &sole.db, sole.at, &request, Need::default()));
    // 100 are certain, and 400 are left: 100 + 300 / 2. Of tokens 40 + 60 / 2.
    assert_eq!(
        lines.iter().map(|line| (line.used, line.reserved)).collect::<Vec<_>>(),
        [(100, 250), (70, 0)]
    );
    let too_much = Need { presumed_cost: 100, ..need };
    assert!(matches!(sole.decide(&request, too_much), Decision::Rejected(..)));
}

#[test]
fn a_limit_that_only_reports_says_what_it_would_have_rejected() {
    let shadow = Limit { what: Limited::Budget(Period::Day), max: 100, enforced: false };
    let mut sole = whole(vec![shadow], 90);
    let request: Arc<str> = Arc::from("r");
    let mut reported = |likely| {
        let need = Need { likely, worst: likely, ..Need::default() };
        match sole.decide(&request, need) {
            Decision::Admitted(_, lines) => lines.iter().filter(|line| !line.enforced && !line.fits).count(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([reported(10), reported(1)], [0, 1]);
}

#[test]
fn a_minute_frees_its_oldest_second_after_sixty_one() {
    let mut sole = whole(vec![Limit { what: Limited::Requests, max: 1, enforced: true }], 0);
    let request: Arc<str> = Arc::from("r");
    assert!(matches!(sole.decide(&request, Need::default()), Decision::Admitted(..)));
    let second = sole.at * SCALE / 1_000;
    let Decision::Rejected(numbers, until) = sole.decide(&request, Need::default()) else { panic!() };
    assert_eq!((numbers.used, until), (1, Some(Moment::from_ms((second + 61) * 1_000))));
    sole.at += 61_000 / SCALE + 1;
    assert!(matches!(sole.decide(&request, Need::default()), Decision::Admitted(..)));
}

#[test]
fn a_request_from_before_a_turn_is_judged_by_its_own_window() {
    let day = Limit { what: Limited::Budget(Period::Day), max: 100, enforced: true };
    let mut sole = whole(vec![day], 95);
    let request: Arc<str> = Arc::from("r");
    let need = Need { likely: 10, worst: 10, ..Need::default() };
    let before = sole.at;
    sole.at += 13_000;
    assert!(matches!(sole.decide(&request, need), Decision::Admitted(..)));
    sole.at = before;
    assert!(matches!(sole.decide(&request, need), Decision::Rejected(..)));
    // Of a day that it does not know, it asks.
    sole.at -= 13_000;
    let demand = demand(&sole.limits, &sole.db, sole.at, &request, need);
    assert!(matches!(sole.quota.try_admit(&demand), Decision::Ask(_)));
    assert!(sole.quota.is_due());
}

//! The deterministic simulation of quota leases: gateway nodes with the real rules, one database, programs that reserve
//! request by request, people who change limits and revoke keys, and everything that goes wrong between them.
//!
//! `KEYDESK_SIM_SEED=17` runs one seed and says what happened. `KEYDESK_SIM_SEEDS=4000` runs so many.

mod db;
mod node;
mod planted;
mod run;
mod sole;
mod truth;
mod world;

use std::collections::BTreeMap;

use node::Run;
use planted::Planted;

/// One run, and what it counted.
fn run(
    seed: u64,
    planted: Option<Planted>,
    verbose: bool,
) -> (Result<(), String>, BTreeMap<&'static str, u64>) {
    let run = Run::new(seed, planted, verbose);
    let result = run.whole(seed);
    let mut counts = run.truth.borrow().counts.clone();
    counts.extend(run.world.calls.borrow().iter());
    run.world.end();
    (result, counts)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_invariant_holds() {
    if let Some(seed) = number("KEYDESK_SIM_SEED") {
        let (result, counts) = run(seed, None, true);
        println!("{counts:?}");
        return result.unwrap();
    }
    let seeds = number("KEYDESK_SIM_SEEDS").unwrap_or(60);
    let first = number("KEYDESK_SIM_FIRST").unwrap_or(0);
    let (mut failed, mut sums) = (Vec::new(), BTreeMap::<&str, u64>::new());
    for seed in first..first + seeds {
        let (result, counts) = run(seed, None, false);
        for (name, count) in counts {
            *sums.entry(name).or_default() += count;
        }
        if let Err(violation) = result {
            println!("KEYDESK_SIM_SEED={seed}: {violation}");
            failed.push(seed);
        }
    }
    println!("{seeds} seeds: {sums:?}");
    assert!(failed.is_empty(), "{} of {seeds} seeds failed: {failed:?}", failed.len());
}

/// Fails unless the mistake is found. The bound is several times the seed that finds it first.
fn finds(planted: Planted, seeds: u64) {
    let found = (0..seeds).find(|seed| run(*seed, Some(planted), false).0.is_err());
    println!("{planted:?}: {found:?}");
    assert!(found.is_some(), "{planted:?} was not found in {seeds} seeds");
}

macro_rules! each_is_found {
    ($($name:ident: $planted:ident within $seeds:literal;)+) => {$(
        #[test]
        fn $name() {
            finds(Planted::$planted, $seeds);
        }
    )+};
}

each_is_found! {
    grants_end_with_the_lease: GrantsEndWithTheLease within 60;
    whole_beside_others: WholeBesideOthers within 20;
    consumed_apart: ConsumedApart within 250;
    starts_are_not_told: StartsAreNotTold within 20;
    restart_forgets_the_pace: RestartForgetsThePace within 60;
    under_way_is_not_told: UnderWayIsNotTold within 20;
    rejected_at_once: RejectedAtOnce within 20;
    answers_do_not_wait: AnswersDoNotWait within 80;
    answered_without_waiting: AnsweredWithoutWaiting within 20;
    grants_outlive_a_change: GrantsOutliveAChange within 60;
    answered_before_the_journal: AnsweredBeforeTheJournal within 20;
    begun_anew_without_telling: BegunAnewWithoutTelling within 20;
}

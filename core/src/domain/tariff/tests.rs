use super::*;
use crate::domain::meter::Counts;
use proptest::prelude::*;

fn tariff(json: &str) -> Tariff {
    serde_json::from_str(json).unwrap()
}

fn gpt() -> Tariff {
    tariff(
        r#"{"input":"2","cached_input":"0.2","cache_write_short":"2.5","output":"10",
            "lines":[{"above":272000,"input":"4","cached_input":"0.4","output":"15"}],
            "factors":{"tier":{"flex":"0.5","priority":"2"}},
            "exceptions":{"tier":{"flex":{"reasoning":"30"}}}}"#,
    )
}

fn used(counts: &[(Meter, i64)], tier: &str) -> Metered {
    let counts = counts.iter().fold(Counts::NONE, |counts, (meter, count)| counts.with(*meter, *count));
    Metered { counts, served_as: ServedAs { tier: tier.into(), ..ServedAs::default() }, uncounted: false }
}

fn nanos(tariff: &Tariff, counts: &[(Meter, i64)], tier: &str) -> (i64, bool) {
    let cost = tariff.cost(&used(counts, tier));
    (cost.amount.nanos(), cost.is_priced)
}

#[test]
fn each_meter_is_paid_at_its_own_price() {
    let counts =
        [(Meter::Input, 3), (Meter::CachedInput, 10), (Meter::CacheWriteShort, 18_011), (Meter::Output, 5)];
    assert_eq!(nanos(&gpt(), &counts, ""), (6_000 + 2_000 + 45_027_500 + 50_000, true));
}

#[test]
fn above_a_line_the_whole_request_costs_its_prices() {
    let at = [(Meter::Input, 200_000), (Meter::CachedInput, 72_000), (Meter::Output, 2_000)];
    assert_eq!(nanos(&gpt(), &at, ""), (400_000_000 + 14_400_000 + 20_000_000, true));
    let above = [(Meter::Input, 200_000), (Meter::CachedInput, 100_000), (Meter::Output, 2_000)];
    assert_eq!(nanos(&gpt(), &above, ""), (800_000_000 + 40_000_000 + 30_000_000, true));
}

#[test]
fn a_tier_multiplies_tokens_alone() {
    let tariff = tariff(r#"{"input":"2","output":"10","searches":"10","factors":{"tier":{"flex":"0.5"}}}"#);
    let counts = [(Meter::Input, 10_000), (Meter::Output, 1_000), (Meter::Searches, 1)];
    assert_eq!(nanos(&tariff, &counts, "default"), (30_000_000 + 10_000_000, true));
    assert_eq!(nanos(&tariff, &counts, "Flex"), (15_000_000 + 10_000_000, true));
}

#[test]
fn a_tier_may_have_prices_of_its_own_that_only_the_other_factors_multiply() {
    let tariff = tariff(
        r#"{"input":"2","cached_input":"0.2","output":"10","lines":[{"above":200000,"cached_input":"0.4"}],
            "factors":{"tier":{"flex":"0.5"},"region":{"us":"1.1"}},
            "exceptions":{"tier":{"flex":{"cached_input":"0.2","lines":[{"above":200000,"cached_input":"0.4"}]}}}}"#,
    );
    let json = serde_json::to_string(&tariff).unwrap();
    assert_eq!(serde_json::from_str::<Tariff>(&json).unwrap(), tariff);
    let counts = [(Meter::Input, 1_000), (Meter::CachedInput, 10_000), (Meter::Output, 100)];
    assert_eq!(nanos(&tariff, &counts, "flex"), (1_000_000 + 2_000_000 + 500_000, true));
    let mut in_us = used(&counts, "Flex");
    in_us.served_as.region = "us".into();
    assert_eq!(tariff.cost(&in_us).amount.nanos(), 3_850_000);
    assert_eq!(nanos(&tariff, &[(Meter::CachedInput, 200_001)], "flex"), (80_000_400, true));
    assert_eq!(nanos(&tariff, &[(Meter::CachedInput, 200_001)], ""), (80_000_400, true));
}

#[test]
fn what_has_no_price_is_marked_and_charged_at_what_stands_in() {
    assert_eq!(nanos(&gpt(), &[(Meter::Input, 1_000)], "scale"), (4_000_000, false));
    assert_eq!(nanos(&gpt(), &[(Meter::AudioOutput, 1_000)], ""), (10_000_000, false));
    assert_eq!(nanos(&gpt(), &[(Meter::CacheWriteLong, 1_000)], ""), (2_500_000, false));
    assert_eq!(nanos(&gpt(), &[(Meter::Searches, 1)], ""), (0, false));
    assert_eq!(nanos(&gpt(), &[(Meter::Reasoning, 1_000)], ""), (10_000_000, true));
    assert_eq!(nanos(&Tariff::default(), &[], ""), (0, true));
    let ran_code = Metered { uncounted: true, ..used(&[(Meter::Input, 1_000)], "") };
    let cost = gpt().cost(&ran_code);
    assert_eq!((cost.amount.nanos(), cost.is_priced), (2_000_000, false));
}

#[test]
fn a_tariff_reads_back_and_refuses_what_it_cannot_say() {
    let json = serde_json::to_string(&gpt()).unwrap();
    assert_eq!(tariff(&json), gpt());
    for wrong in [
        r#"{"inputs":"2"}"#,
        r#"{"input":"0.0000000001"}"#,
        r#"{"input":"-1"}"#,
        r#"{"input":"1000001"}"#,
        r#"{"input":"1","lines":[{"above":0,"input":"1"}]}"#,
        r#"{"input":"1","lines":[{"above":9}]}"#,
        r#"{"input":"1","lines":[{"above":9,"input":"1"},{"above":9,"input":"2"}]}"#,
        r#"{"input":"1","factors":{"tier":{"default":"2"}}}"#,
        r#"{"input":"1","factors":{"tier":{"flex":"101"}}}"#,
        r#"{"input":"1","factors":{"tier":{"flex":"0.0000001"}}}"#,
        r#"{"input":"1","exceptions":{"tier":{"flex":{"input":"1"}}}}"#,
        r#"{"input":"1","factors":{"tier":{"flex":"0.5"}},"exceptions":{"tier":{"flex":{}}}}"#,
    ] {
        assert!(serde_json::from_str::<Tariff>(wrong).is_err(), "{wrong}");
    }
}

fn any_counts() -> impl Strategy<Value = Counts> {
    proptest::collection::vec(any::<i64>(), Meter::COUNT).prop_map(|counts| {
        Meter::ALL.into_iter().zip(counts).fold(Counts::NONE, |all, (meter, count)| all.with(meter, count))
    })
}

proptest! {
    #[test]
    fn no_numbers_of_a_provider_cost_less_than_nothing(counts in any_counts(), tier in "flex|priority|scale|") {
        let served_as = ServedAs { tier, ..ServedAs::default() };
        let metered = Metered { counts, served_as, ..Metered::NONE };
        prop_assert!(gpt().cost(&metered).amount >= Money::ZERO);
    }

    #[test]
    fn more_of_a_meter_never_costs_less(counts in any_counts(), meter in 0..Meter::COUNT, more in 0..1_000_000_i64) {
        let meter = Meter::ALL[meter];
        let fewer = Metered { counts, ..Metered::default() };
        let more = Metered { counts: counts.with(meter, counts.get(meter) + more), ..Metered::default() };
        prop_assert!(gpt().cost(&fewer).amount <= gpt().cost(&more).amount);
    }

    #[test]
    fn no_split_of_the_tokens_costs_more_than_the_most(
        input in 0..2_000_000_i64, cached in 0..2_000_000_i64, written in 0..2_000_000_i64,
        output in 0..200_000_i64, reasoning in 0..200_000_i64, asked in "flex|priority|default|scale|",
        chosen in "flex|priority|default|scale|",
    ) {
        let counts = [(Meter::Input, input), (Meter::CachedInput, cached), (Meter::CacheWriteShort, written),
            (Meter::Output, output), (Meter::Reasoning, reasoning)];
        let chosen = if asked.is_empty() { chosen } else { asked.clone() };
        let asked = ServedAs { tier: asked, ..ServedAs::default() };
        let worst = gpt().worst(input + cached + written, output + reasoning, &asked);
        // A tier that is not to be had may be answered as listed.
        for tier in [chosen.as_str(), "default"] {
            prop_assert!(gpt().cost(&used(&counts, tier)).amount <= worst, "{}", tier);
        }
    }

    #[test]
    fn what_nobody_asks_for_is_as_dear_as_its_provider_can_choose(tier in "priority|", region in "us|", speed in "fast|") {
        let tariff = tariff(
            r#"{"input":"5","output":"30","factors":{"tier":{"priority":"2.5"},"region":{"us":"1.1"},"speed":{"fast":"2"}},
                "exceptions":{"region":{"us":{"output":"40"}}}}"#,
        );
        let served_as = ServedAs { tier, region, speed: speed.clone() };
        let asked = ServedAs { speed: speed.clone(), ..ServedAs::default() };
        let counts = Counts::of_totals(1_000, 0, 1_000);
        let worst = tariff.worst(1_000, 1_000, &asked);
        let metered = Metered { counts, served_as, ..Metered::default() };
        prop_assert!(tariff.cost(&metered).amount <= worst);
        // No provider is fast unasked.
        let fast = if speed.is_empty() { 1 } else { 2 };
        prop_assert_eq!(worst.nanos(), fast * (13_750_000 + 100_000_000));
        let listed = ServedAs { tier: "default".into(), region: "global".into(), speed: String::new() };
        prop_assert_eq!(tariff.worst(1_000, 1_000, &listed).nanos(), 35_000_000);
    }
}

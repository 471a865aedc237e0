//! Charges as FOCUS 1.0 has them, the FinOps Foundation's format for what clouds and services cost, so that any tool for
//! costs can read them. One row is what one key spent on one day on one model of one provider, in one team and with one
//! owner. What Keydesk does not know is empty, as the specification wants it.

use super::ids::OrgId;
use super::moment::{Moment, Zone};
use super::money::Money;
use super::report::Charge;

/// The organisation that is charged.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Its id.
    pub id: &'a OrgId,
    /// Its name.
    pub name: &'a str,
    /// Its time zone, for where its days begin.
    pub zone: &'a Zone,
}

/// What a charge's ids are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The key.
    pub key: &'a str,
    /// The team; of no interest without one.
    pub team: &'a str,
    /// The owner at the time.
    pub owner: &'a str,
}

/// The columns of version 1.0, by their ids, in the order of the specification.
pub const COLUMNS: [&str; 43] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
];

/// Dollars with all nine decimals, so that a column's sum is exact.
pub fn dollars(amount: Money) -> String {
    let sign = if amount.nanos() < 0 { "-" } else { "" };
    let nanos = amount.nanos().unsigned_abs();
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// One charge's cells, in the order of [`COLUMNS`].
pub fn cells(charge: &Charge, account: Account<'_>, names: Names<'_>) -> Vec<String> {
    let text = str::to_owned;
    let empty = String::new;
    let time = |at: Moment| at.rfc3339();
    let (month, next_month) = (charge.day.first_of_month(), charge.day.first_of_next_month());
    let cost = dollars(charge.sums.cost);
    // A decimal, as the format has quantities.
    let tokens = format!("{}.0", charge.sums.input_tokens.saturating_add(charge.sums.output_tokens));
    let model = if charge.model.is_empty() { "unknown" } else { &charge.model };
    let provider = if charge.provider.is_empty() { "Unknown" } else { &charge.provider };
    let requests = match charge.sums.requests {
        1 => "1 request".to_owned(),
        many => format!("{many} requests"),
    };
    let tags = serde_json::json!({ "keydesk/owner": names.owner, "keydesk/owner-id": charge.owner });
    vec![
        empty(),
        cost.clone(),
        account.id.to_string(),
        text(account.name),
        text("USD"),
        time(next_month.start(account.zone)),
        time(month.start(account.zone)),
        text("Usage"),
        empty(),
        format!("{requests} to {model} with the key {}", names.key),
        text("Usage-Based"),
        time(charge.day.end(account.zone)),
        time(charge.day.start(account.zone)),
        empty(),
        empty(),
        empty(),
        empty(),
        empty(),
        tokens.clone(),
        text("Tokens"),
        cost.clone(),
        empty(),
        cost.clone(),
        text("Keydesk"),
        cost,
        empty(),
        text("Standard"),
        tokens,
        text("Tokens"),
        text(provider),
        text(provider),
        empty(),
        empty(),
        charge.key.clone(),
        text(names.key),
        text("API key"),
        text("AI and Machine Learning"),
        text("Language models"),
        text(model),
        format!("{provider}/{model}"),
        charge.team.clone(),
        if charge.team.is_empty() { empty() } else { text(names.team) },
        tags.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Day;
    use crate::domain::report::Sums;

    #[test]
    fn dollars_have_nine_decimals() {
        for (nanos, words) in [
            (0, "0.000000000"),
            (1, "0.000000001"),
            (12_500_000_000, "12.500000000"),
            (-1_200_000_000, "-1.200000000"),
        ] {
            assert_eq!(dollars(Money::from_nanos(nanos)), words);
        }
        assert_eq!(dollars(Money::from_nanos(i64::MIN)), "-9223372036.854775808");
    }

    #[test]
    fn a_charge_is_of_its_own_day_and_month_in_the_organisations_zone() {
        let org = OrgId::new(Moment::from_ms(0), [1; 10]);
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let account = Account { id: &org, name: "Northwind", zone: &zone };
        let charge = Charge {
            day: Day::parse("2026-10-25").unwrap(),
            key: "key_1".into(),
            model: "gpt-5".into(),
            provider: "OpenAI".into(),
            team: String::new(),
            owner: "per_1".into(),
            sums: Sums {
                requests: 1,
                input_tokens: 100,
                output_tokens: 20,
                cached_tokens: 10,
                cost: Money::from_nanos(7),
            },
        };
        let row = cells(&charge, account, Names { key: "ci", team: "No team", owner: "Ana \"A\" Petrov" });
        assert_eq!(row.len(), COLUMNS.len());
        let cell = |name: &str| {
            let place = COLUMNS.iter().position(|column| *column == name).unwrap();
            row[place].as_str()
        };
        for (name, value) in [
            ("BilledCost", "0.000000007"),
            ("EffectiveCost", "0.000000007"),
            ("BillingPeriodStart", "2026-09-30T22:00:00Z"),
            ("BillingPeriodEnd", "2026-10-31T23:00:00Z"),
            // A day of 25 hours.
            ("ChargePeriodStart", "2026-10-24T22:00:00Z"),
            ("ChargePeriodEnd", "2026-10-25T23:00:00Z"),
            ("ConsumedQuantity", "120.0"),
            ("ProviderName", "OpenAI"),
            ("ResourceId", "key_1"),
            ("SkuPriceId", "OpenAI/gpt-5"),
            ("SubAccountId", ""),
            ("SubAccountName", ""),
            ("ChargeDescription", "1 request to gpt-5 with the key ci"),
            ("Tags", r#"{"keydesk/owner":"Ana \"A\" Petrov","keydesk/owner-id":"per_1"}"#),
        ] {
            assert_eq!(cell(name), value, "{name}");
        }
    }
}

//! The form of a model: text as it was typed, and the checked model that it becomes. Prices are dollars for a million
//! tokens, exact to nine decimals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{Take, drawn};
use crate::domain::failover::{FurtherProvider, MAX_FURTHER, parse_weight};
use crate::domain::field_error::FieldError;
use crate::domain::ids::ProviderId;
use crate::domain::meter::Meter;
use crate::domain::model::{
    DEFAULT_OUTPUT_TOKENS, EditModel, Model, parse_model_id, parse_optional_size, parse_output_tokens,
    parse_upstream_name, parse_vendor,
};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::numbers::grouped;
use crate::domain::parse_error::ParseError;
use crate::domain::price::{Price, parse_source, parse_start};
use crate::domain::tariff::{Rates, Tariff};
use crate::domain::tariff_words::{
    OwnPrices, parse_factor_of, parse_line, write_factor_of, write_line, write_own_prices,
};

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelForm {
    /// The model's id, which clients send, such as gpt-5.
    pub id: String,
    /// Whose model it is, in words.
    pub vendor: String,
    /// The id of the provider that serves it; empty means not served.
    pub route: String,
    /// Empty: the same name.
    pub upstream: String,
    /// The share of this provider, where others serve the model too; empty is 1.
    pub weight: String,
    /// The others, by their ids. One without a weight does not serve the model.
    pub further: BTreeMap<String, FurtherForm>,
    /// Dollars for a million input tokens. Every price may be empty: then there is none.
    pub input: String,
    /// Dollars for a million output tokens.
    pub output: String,
    /// Dollars for a million cached input tokens.
    pub cached: String,
    /// The other meters by their names, in dollars.
    pub more: BTreeMap<String, String>,
    /// Prices above a number of input tokens, one in each line: `272000: input=4, output=15`.
    pub lines: String,
    /// Factors, one in each line: `tier:flex=0.5`, and prices beside them: `tier:flex:cached_input=0.03`.
    pub factors: String,
    /// Where the prices stand.
    pub source: String,
    /// The most tokens that it accepts; empty is not known.
    pub context_tokens: String,
    /// The most tokens that it gives out; empty is not known.
    pub max_output_tokens: String,
    /// Output tokens reserved for a request that sets no maximum.
    pub default_output_tokens: String,
}

/// A provider besides the first, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FurtherForm {
    /// Its share, 0 to 100; empty: it does not serve the model.
    pub weight: String,
    /// What it calls the model; empty: the same name.
    pub upstream: String,
}

impl ModelForm {
    /// What a new one starts with.
    pub fn with_defaults() -> Self {
        Self {
            default_output_tokens: grouped(DEFAULT_OUTPUT_TOKENS),
            weight: "1".to_owned(),
            ..Self::default()
        }
    }

    /// The form that would change nothing.
    pub fn of(model: &Model) -> Self {
        let dollars = |meter| model.rate(meter).map(Money::input).unwrap_or_default();
        let (tariff, source) = match &model.price {
            Some(price) => (price.tariff.clone(), price.source.clone()),
            None => Default::default(),
        };
        let more = tariff.rates.iter().filter(|(meter, _)| !COMMON.iter().any(|(_, common)| common == meter));
        let lines: Vec<String> = tariff.lines.iter().map(write_line).collect();
        let factors = tariff.factors.iter();
        let factors: Vec<String> =
            factors.map(|((of, word), factor)| write_factor_of(*of, word, *factor)).collect();
        Self {
            id: model.id.clone(),
            vendor: model.provider.clone(),
            route: model.route.as_ref().map(ProviderId::to_string).unwrap_or_default(),
            upstream: model.upstream_name.clone(),
            weight: model.weight.to_string(),
            further: model
                .further
                .iter()
                .map(|one| {
                    let form =
                        FurtherForm { weight: one.weight.to_string(), upstream: one.upstream_name.clone() };
                    (one.id.to_string(), form)
                })
                .collect(),
            input: dollars(Meter::Input),
            output: dollars(Meter::Output),
            cached: dollars(Meter::CachedInput),
            more: more.map(|(meter, price)| (meter.name().to_owned(), price.input())).collect(),
            lines: lines.join("\n"),
            factors: [factors, write_own_prices(&tariff)].concat().join("\n"),
            source,
            context_tokens: model.context_tokens.map(grouped).unwrap_or_default(),
            max_output_tokens: model.max_output_tokens.map(grouped).unwrap_or_default(),
            default_output_tokens: grouped(model.default_output_tokens),
        }
    }

    /// Whether the provider that it names is there, the operation finds out.
    ///
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<Model, Vec<FieldError>> {
        let mut errors = Vec::new();
        let id = errors.take("id", parse_model_id(&self.id));
        let provider = errors.take("vendor", parse_vendor(&self.vendor));
        let route = match self.route.as_str() {
            "" => Some(None),
            text => match ProviderId::parse(text) {
                Some(id) => Some(Some(id)),
                None => errors
                    .take("route", Err(ParseError::new("Choose one of these providers, or Not served."))),
            },
        };
        let upstream_name = errors.take("upstream", parse_upstream_name(&self.upstream));
        let weight = match self.weight.trim() {
            "" => Some(1),
            text => errors.take("weight", parse_weight(text)),
        };
        let further = self.parse_further(&mut errors);
        let tariff = self.tariff(&mut errors);
        let source = errors.take("source", parse_source(&self.source));
        let context_tokens = errors.take("context_tokens", parse_optional_size(&self.context_tokens));
        let max_output_tokens =
            errors.take("max_output_tokens", parse_optional_size(&self.max_output_tokens));
        let default_output_tokens =
            errors.take("default_output_tokens", parse_output_tokens(&self.default_output_tokens));
        let model = || {
            let id = id?;
            Some(Model {
                upstream_name: upstream_name.filter(|name| *name != id).unwrap_or_default(),
                id,
                provider: provider?,
                price: match tariff? {
                    tariff if tariff.is_empty() => None,
                    tariff => Some(Price { source: source?, ..Price::unrecorded(tariff) }),
                },
                context_tokens: context_tokens?,
                max_output_tokens: max_output_tokens?,
                route: route?,
                weight: weight?,
                further: further?,
                default_output_tokens: default_output_tokens?,
            })
        };
        if errors.is_empty() { model().ok_or(errors) } else { Err(errors) }
    }

    /// The text of a meter's price.
    pub fn price_text(&self, meter: Meter) -> &str {
        match meter {
            Meter::Input => &self.input,
            Meter::CachedInput => &self.cached,
            Meter::Output => &self.output,
            other => self.more.get(other.name()).map(String::as_str).unwrap_or_default(),
        }
    }

    /// Those with a weight, as the store gives them: the largest share first.
    fn parse_further(&self, errors: &mut Vec<FieldError>) -> Option<Vec<FurtherProvider>> {
        let before = errors.len();
        let mut say = |sentence: &str| errors.push(FieldError::say("further", sentence));
        let mut found = Vec::new();
        for (id, form) in &self.further {
            match self.further_provider(id, form) {
                Ok(provider) => found.extend(provider),
                Err(problem) => say(problem.sentence()),
            }
        }
        if !found.is_empty() && self.route.is_empty() {
            say("Choose the first provider, too.");
        }
        if found.len() > MAX_FURTHER {
            say("A model can have 10 providers at most.");
        }
        found.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.id.cmp(&b.id)));
        (errors.len() == before).then_some(found)
    }

    /// Whether what was entered for this further provider is a mistake by itself.
    pub fn is_mistaken(&self, id: &str) -> bool {
        self.further.get(id).is_some_and(|form| self.further_provider(id, form).is_err())
    }

    /// `None` where nothing was entered.
    fn further_provider(&self, id: &str, form: &FurtherForm) -> Result<Option<FurtherProvider>, ParseError> {
        let wrong = |sentence| Err(ParseError::new(sentence));
        let (weight, upstream) = (form.weight.trim(), form.upstream.trim());
        if weight.is_empty() && upstream.is_empty() {
            return Ok(None);
        }
        let Some(id) = ProviderId::parse(id) else { return wrong("Choose among these providers.") };
        if id.as_str() == self.route {
            return wrong("The first provider is chosen above. Leave its fields here empty.");
        }
        if weight.is_empty() {
            return wrong(
                "A provider without a weight does not serve the model. Enter a weight, or no name either.",
            );
        }
        let (weight, name) = (parse_weight(weight)?, parse_upstream_name(upstream)?);
        let upstream_name = if name == self.id.trim() { String::new() } else { name };
        Ok(Some(FurtherProvider { id, weight, upstream_name }))
    }

    fn tariff(&self, errors: &mut Vec<FieldError>) -> Option<Tariff> {
        let before = errors.len();
        let mut rates = Rates::default();
        for meter in Meter::ALL {
            let text = self.price_text(meter);
            if text.trim().is_empty() {
                continue;
            }
            let price = Money::parse(text).and_then(|price| rates.clone().with(meter, price));
            rates = errors.take(price_field(meter), price).unwrap_or(rates);
        }
        for name in self.more.keys().filter(|name| Meter::parse(name).is_none()) {
            errors.push(FieldError::new("input", ParseError::new(format!("{name} is not a meter."))));
        }
        let mut tariff = Tariff { rates, ..Tariff::default() };
        for text in self.lines.lines().map(str::trim).filter(|text| !text.is_empty()) {
            let added = parse_line(text).and_then(|line| tariff.clone().with_line(line));
            tariff = errors.take("lines", added).unwrap_or(tariff);
        }
        let mut own = Vec::new();
        for text in self.factors.lines().map(str::trim).filter(|text| !text.is_empty()) {
            match OwnPrices::parse(text) {
                Ok(Some(prices)) => own.push(prices),
                Ok(None) => {
                    let added = parse_factor_of(text)
                        .and_then(|(of, word, factor)| tariff.clone().with_factor(of, &word, factor));
                    tariff = errors.take("factors", added).unwrap_or(tariff);
                }
                Err(problem) => _ = errors.take::<()>("factors", Err(problem)),
            }
        }
        for prices in own {
            tariff = errors.take("factors", prices.add_to(&tariff)).unwrap_or(tariff);
        }
        if errors.len() == before && tariff.rates.is_empty() && !tariff.is_empty() {
            errors.push(FieldError::say("input", "Prices for long input and factors need prices here."));
        }
        (errors.len() == before).then_some(tariff)
    }
}

/// The meters whose fields are always visible, by the names of the fields.
const COMMON: [(&str, Meter); 3] =
    [("input", Meter::Input), ("cached", Meter::CachedInput), ("output", Meter::Output)];

/// The field of a meter's price.
pub fn price_field(meter: Meter) -> &'static str {
    COMMON.iter().find(|(_, common)| *common == meter).map_or(meter.name(), |(field, _)| *field)
}

/// When the price starts; empty is now.
fn parse_starts(text: &str, errors: &mut Vec<FieldError>) -> Option<Option<Moment>> {
    let empty = text.trim().is_empty();
    let parsed = if empty { Ok(None) } else { parse_start(text).map(Some) };
    errors.take("starts", parsed)
}

/// Adds a model to the catalogue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddForm {
    /// The new model.
    pub model: ModelForm,
    /// When its price starts, in UTC; empty is now.
    pub starts: String,
}

impl AddForm {
    /// The model, and when its price starts.
    ///
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<(Model, Option<Moment>), Vec<FieldError>> {
        with_start(self.model.parse(), &self.starts)
    }
}

fn with_start(
    model: Result<Model, Vec<FieldError>>,
    starts: &str,
) -> Result<(Model, Option<Moment>), Vec<FieldError>> {
    let mut errors = Vec::new();
    let starts = parse_starts(starts, &mut errors);
    match (model, starts) {
        (Ok(model), Some(starts)) => Ok((model, starts)),
        (Err(wrong), _) => Err(wrong.into_iter().chain(errors).collect()),
        (Ok(_), None) => Err(errors),
    }
}

/// Edits a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveForm {
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    /// The form as it was sent. Its id names the model to edit.
    pub model: ModelForm,
    /// When another price starts, in UTC; empty is now.
    pub starts: String,
}

impl SaveForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditModel, Vec<FieldError>> {
        let base = drawn::<ModelForm>(&self.was, "vendor")?.parse().ok();
        let (mine, starts) = with_start(self.model.parse(), &self.starts)?;
        Ok(EditModel { version: self.version, base, mine, starts })
    }
}

/// Withdraws a price that has not started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithdrawForm {
    /// The model's id.
    pub id: String,
    /// The price's id.
    pub price: String,
}

/// Puts the catalogue's price in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CataloguePriceForm {
    /// The model's id.
    pub id: String,
}

/// Takes a model out of the catalogue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetireForm {
    /// The model's id.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ModelForm {
        ModelForm {
            id: "gpt-5".into(),
            vendor: "OpenAI".into(),
            input: "1.25".into(),
            output: "$10".into(),
            cached: "0.125".into(),
            ..ModelForm::with_defaults()
        }
    }

    fn wrong(form: &ModelForm) -> Vec<String> {
        form.parse().unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_form_becomes_a_model_and_reads_back() {
        let model = form().parse().unwrap();
        assert_eq!(model.default_output_tokens, 1_000);
        assert_eq!(model.rate(Meter::Input).unwrap().nanos(), 1_250_000_000);
        assert_eq!(ModelForm::of(&model).parse().unwrap(), model);
        let id = ProviderId::new(Moment::from_ms(1), [1; 10]);
        let routed = ModelForm {
            id: "meta/llama-4".into(),
            route: id.to_string(),
            upstream: "accounts/x/llama-4".into(),
            default_output_tokens: "4k".into(),
            cached: "0.000000001".into(),
            ..form()
        };
        let model = routed.parse().unwrap();
        assert_eq!((model.route.as_ref(), model.default_output_tokens), (Some(&id), 4_000));
        assert_eq!(model.name_upstream(), "accounts/x/llama-4");
        assert_eq!(model.rate(Meter::CachedInput).unwrap().nanos(), 1);
        assert_eq!(ModelForm::of(&model).parse().unwrap(), model);
    }

    #[test]
    fn further_providers_read_back_the_largest_share_first() {
        let id = |number: u8| ProviderId::new(Moment::from_ms(1), [number; 10]);
        let with =
            |weight: &str, upstream: &str| FurtherForm { weight: weight.into(), upstream: upstream.into() };
        let of = |further: Vec<(u8, FurtherForm)>| ModelForm {
            route: id(1).to_string(),
            weight: "3".into(),
            further: further.into_iter().map(|(number, form)| (id(number).to_string(), form)).collect(),
            ..form()
        };
        let typed = of(vec![
            (1, with("", "")),
            (2, with("0", "gpt-5")),
            (3, with(" 7 ", "eu/gpt-5")),
            (4, with("", "")),
        ]);
        let model = typed.parse().unwrap();
        assert_eq!(model.weight, 3);
        let shares: Vec<_> =
            model.further.iter().map(|one| (&one.id, one.weight, one.upstream_name.as_str())).collect();
        assert_eq!(shares, [(&id(3), 7, "eu/gpt-5"), (&id(2), 0, "")]);
        assert_eq!(ModelForm::of(&model).parse().unwrap(), model);
        for wrong_one in [with("", "name"), with("-1", ""), with("1", "a b")] {
            let beside = of(vec![(2, wrong_one.clone()), (3, with("1", ""))]);
            assert!(beside.is_mistaken(id(2).as_str()) && !beside.is_mistaken(id(3).as_str()));
            assert_eq!(wrong(&of(vec![(2, wrong_one)])), ["further"]);
        }
        assert_eq!(wrong(&of(vec![(1, with("1", ""))])), ["further"], "the first one again");
        assert_eq!(wrong(&ModelForm { route: String::new(), ..of(vec![(2, with("1", ""))]) }), ["further"]);
    }

    #[test]
    fn a_whole_tariff_reads_back() {
        let whole = ModelForm {
            more: [
                ("cache_write_long".to_owned(), "2.5".to_owned()),
                ("requests".to_owned(), "0.01".to_owned()),
            ]
            .into(),
            lines: "272k: input=4, output=15\n\n500000: input=8".into(),
            factors: "tier:flex: cached_input=0.1\ntier:flex=0.5\nregion:US=1.1".into(),
            source: "https://example.com/pricing".into(),
            context_tokens: "1m".into(),
            max_output_tokens: "128,000".into(),
            ..form()
        };
        let model = whole.parse().unwrap();
        let price = model.price.as_ref().unwrap();
        assert_eq!(
            price.tariff.words(),
            "input $1.25, cached input $0.125, cache write, long $2.50, output $10.00, request $0.01; above 272,000 input tokens: input $4.00, output $15.00; above 500,000 input tokens: input $8.00; service tier flex × 0.5, cached input $0.10; region us × 1.1"
        );
        assert_eq!((model.context_tokens, model.max_output_tokens), (Some(1_000_000), Some(128_000)));
        assert_eq!(ModelForm::of(&model).parse().unwrap(), model);
    }

    #[test]
    fn no_price_is_not_a_price_of_zero() {
        let empty =
            ModelForm { input: String::new(), output: String::new(), cached: String::new(), ..form() };
        assert_eq!(empty.parse().unwrap().price, None);
        let zero = ModelForm { input: "0".into(), ..empty.clone() };
        assert_eq!(zero.parse().unwrap().rate(Meter::Input), Some(Money::ZERO));
        assert_eq!(wrong(&ModelForm { factors: "tier:flex=0.5".into(), ..empty }), ["input"]);
    }

    #[test]
    fn a_start_is_a_moment_in_utc() {
        let starts = |text: &str| {
            AddForm { model: form(), starts: text.into() }.parse().map(|(_, starts)| starts.map(Moment::ms))
        };
        assert_eq!(starts("").unwrap(), None);
        for text in ["2026-12-01T00:00", "2026-12-01", "2026-12-01T00:00:00.000Z", "2026-12-01T01:00+01:00"] {
            assert_eq!(starts(text).unwrap(), Some(1_796_083_200_000), "{text}");
        }
        assert_eq!(starts("2026-12-01T00:00:00.001").unwrap(), Some(1_796_083_200_001));
        for text in ["tomorrow", "2026-13-01", "2026-12-01T25:00", "12/1/2026"] {
            assert_eq!(starts(text).unwrap_err()[0].field, "starts", "{text}");
        }
    }

    #[test]
    fn the_same_name_upstream_is_no_other_name() {
        let model = ModelForm { upstream: " gpt-5 ".into(), ..form() }.parse().unwrap();
        assert_eq!((model.upstream_name.as_str(), model.name_upstream()), ("", "gpt-5"));
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        assert_eq!(wrong(&ModelForm::default()), ["id", "vendor", "default_output_tokens"]);
        let all = ModelForm {
            id: "gpt-*".into(),
            vendor: "Open\u{202e}AI".into(),
            route: "prov_0".into(),
            upstream: "a b".into(),
            weight: "101".into(),
            further: [("prov_1".to_owned(), FurtherForm { weight: "1".into(), upstream: String::new() })]
                .into(),
            input: "-1".into(),
            output: "1,5".into(),
            cached: "0.0000000001".into(),
            more: [("audio_input".to_owned(), "1000001".to_owned()), ("x".to_owned(), "1".to_owned())].into(),
            lines: "272000\n9:input=1\n9:input=2".into(),
            factors: "tier:default=1".into(),
            source: "sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz0123456789".into(),
            context_tokens: "-1".into(),
            max_output_tokens: "1.5".into(),
            default_output_tokens: "0".into(),
        };
        assert_eq!(
            wrong(&all),
            [
                "id",
                "vendor",
                "route",
                "upstream",
                "weight",
                "further",
                "input",
                "cached",
                "audio_input",
                "output",
                "input",
                "lines",
                "lines",
                "factors",
                "source",
                "context_tokens",
                "max_output_tokens",
                "default_output_tokens"
            ]
        );
        for default_output_tokens in ["", "1.5", "1000001", "many"] {
            assert_eq!(
                wrong(&ModelForm { default_output_tokens: default_output_tokens.into(), ..form() }),
                ["default_output_tokens"],
                "{default_output_tokens}"
            );
        }
    }
}

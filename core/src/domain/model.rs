//! A model that keys can be scoped to, with its prices. The catalogue belongs to the installation, not to an organisation.

use super::audit::{Change, ChangeValue};
use super::edit::{EditField, Editable, edit_field};
use super::failover::FurtherProvider;
use super::ids::ProviderId;
use super::meter::{Counts, MAX_COUNT, Meter, Metered};
use super::moment::Moment;
use super::money::Money;
use super::numbers::{grouped, read_billionths};
use super::parse_error::ParseError;
use super::person::visible_name;
use super::price::{Price, PriceOrigin};
use super::provider::ListedProvider;
use super::scope::ModelPattern;
use super::tariff::{Cost, Tariff};

/// What requests name and keys are scoped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name that clients send, such as `gpt-5`.
    pub id: String,
    /// The vendor's name. Who serves the model is in `route`.
    pub provider: String,
    /// What it costs now; `None` when no one set a price.
    pub price: Option<Price>,
    /// Who serves it; `None` when this installation passes nothing on to it.
    pub route: Option<ProviderId>,
    /// What that provider calls it; empty when it has the same name there.
    pub upstream_name: String,
    /// That provider's share of the requests, where others serve the model too.
    pub weight: i64,
    /// Who else serves it, those with the largest share first.
    pub further: Vec<FurtherProvider>,
    /// Output tokens reserved for a request that sets no maximum.
    pub default_output_tokens: i64,
    /// The most tokens that it accepts; `None` when that is not known.
    pub context_tokens: Option<i64>,
    /// The most tokens that it gives out; `None` when that is not known.
    pub max_output_tokens: Option<i64>,
}

/// Output tokens that a new model reserves for a request that sets no maximum.
pub const DEFAULT_OUTPUT_TOKENS: i64 = 1_000;

impl Model {
    /// Without a price, and not served yet.
    pub fn unrouted(id: &str, provider: &str) -> Self {
        Self {
            id: id.to_owned(),
            provider: provider.to_owned(),
            price: None,
            route: None,
            upstream_name: String::new(),
            weight: 1,
            further: Vec::new(),
            default_output_tokens: DEFAULT_OUTPUT_TOKENS,
            context_tokens: None,
            max_output_tokens: None,
        }
    }

    /// The same with its price as a form has it: nothing but what a person can change.
    #[must_use]
    pub fn as_edited(&self) -> Self {
        let edited =
            |price: &Price| Price { source: price.source.clone(), ..Price::unrecorded(price.tariff.clone()) };
        Self { price: self.price.as_ref().map(edited), ..self.clone() }
    }

    /// What is different from `before`, or all of a new model, for the audit; prices apart. `provider` names a provider by its
    /// id.
    pub fn changes_since(
        &self,
        before: Option<&Model>,
        provider: impl Fn(&ProviderId) -> String,
    ) -> Vec<Change> {
        let field = |field: &str, value: &dyn Fn(&Model) -> Option<ChangeValue>| Change {
            field: field.into(),
            before: before.and_then(value),
            after: value(self),
        };
        let changes = [
            field("vendor", &|model| Some(model.provider.as_str().into())),
            field("provider", &|model| model.route.as_ref().map(|id| provider(id).into())),
            field("upstream_name", &|model| Some(model.name_upstream().into())),
            // One provider alone has no share.
            field("weight", &|model| {
                Some(ChangeValue::Count(model.weight)).filter(|_| !model.further.is_empty())
            }),
            field("further", &|model| {
                let words = model.further.iter().map(|one| one.words(&provider(&one.id)));
                Some(ChangeValue::List(words.collect())).filter(|_| !model.further.is_empty())
            }),
            field("default_output_tokens", &|model| Some(ChangeValue::Count(model.default_output_tokens))),
            field("context_tokens", &|model| model.context_tokens.map(ChangeValue::Count)),
            field("max_output_tokens", &|model| model.max_output_tokens.map(ChangeValue::Count)),
        ];
        changes.into_iter().filter(|change| change.before != change.after).collect()
    }

    /// Those who serve it, by id: the first one first.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderId> {
        self.route.iter().chain(self.further.iter().map(|one| &one.id))
    }

    /// What a provider calls it; `None` where that one does not serve it.
    pub fn name_at(&self, provider: &ProviderId) -> Option<&str> {
        if self.route.as_ref() == Some(provider) {
            return Some(self.name_upstream());
        }
        let further = self.further.iter().find(|one| one.id == *provider)?;
        Some(if further.upstream_name.is_empty() { &self.id } else { &further.upstream_name })
    }

    /// Makes a provider the first one. A further one brings its name of the model and its share along.
    pub fn serve_first(&mut self, provider: ProviderId) {
        if let Some(place) = self.further.iter().position(|one| one.id == provider) {
            let further = self.further.remove(place);
            (self.upstream_name, self.weight) = (further.upstream_name, further.weight);
        }
        self.route = Some(provider);
    }

    /// Who serves it when its first provider no longer does.
    pub fn next_provider(&self) -> Option<&ProviderId> {
        self.further.first().map(|one| &one.id)
    }

    /// All prices in one line.
    pub fn price_words(&self) -> String {
        self.price.as_ref().map_or_else(|| "no price".into(), |price| price.tariff.words())
    }

    /// All prices and where they stand.
    fn price_and_source(&self) -> String {
        let source =
            self.price.as_ref().map(|price| price.source.as_str()).filter(|source| !source.is_empty());
        match source {
            None => self.price_words(),
            Some(source) => format!("{}; source: {source}", self.price_words()),
        }
    }

    /// What one meter costs.
    pub fn rate(&self, meter: Meter) -> Option<Money> {
        self.price.as_ref()?.tariff.rates.get(meter)
    }

    /// Whether a request with so many tokens at most can be priced.
    pub fn prices(&self, input: i64, output: i64) -> bool {
        let priced = |price: &Price| price.tariff.prices(input, output);
        self.price.as_ref().map_or_else(|| Tariff::default().prices(input, output), priced)
    }

    /// What a request costs at the model's price. Without one it costs nothing and is not priced.
    pub fn cost(&self, metered: &Metered) -> Cost {
        match &self.price {
            Some(price) => price.tariff.cost(metered),
            None => Cost { amount: Money::ZERO, is_priced: metered.counts == Counts::NONE },
        }
    }

    /// Whether it answers with tokens. An embedding model does not: it has a price for input alone.
    pub fn gives_output(&self) -> bool {
        let costs = |meter| self.rate(meter).is_some_and(|price| price > Money::ZERO);
        costs(Meter::Output) || !costs(Meter::Input)
    }

    /// Whether it makes images, by the names that vendors give to models for that.
    pub fn paints(&self) -> bool {
        let names = [&self.id, &self.upstream_name].map(|name| name.to_ascii_lowercase());
        ["image", "dall-e", "banana"].iter().any(|word| names.iter().any(|name| name.contains(word)))
    }

    /// Whether requests for it go anywhere: to a provider, or to the demonstration.
    pub fn answers(&self) -> bool {
        self.route.is_some() || self.id == DEMO_ECHO
    }

    /// The name that its provider knows.
    pub fn name_upstream(&self) -> &str {
        if self.upstream_name.is_empty() { &self.id } else { &self.upstream_name }
    }
}

/// An edit of a model.
#[derive(Clone, Debug)]
pub struct EditModel {
    /// The version that the operator saw.
    pub version: i64,
    /// The model as the operator saw it; `None` is as it stands now.
    pub base: Option<Model>,
    /// The model as the operator submitted it.
    pub mine: Model,
    /// When its price starts, if that is another one; `None` is now. With a moment, it is stored also when it says the same.
    pub starts: Option<Moment>,
}

impl Editable for Model {
    /// Whom it can be routed to.
    type Names = Vec<ListedProvider>;

    const FIELDS: &'static [EditField<Self>] = &[
        edit_field!("vendor", provider, |model, _| model.provider.as_str().into()),
        edit_field!("route", route, |model, providers| match &model.route {
            None => "Not served".into(),
            Some(id) => {
                let found = providers.iter().find(|listed| listed.provider.id == *id);
                found.map_or("a provider that was retired".into(), |listed| {
                    listed.provider.spec.name.as_str().into()
                })
            }
        }),
        edit_field!("upstream", upstream_name, |model, _| match model.upstream_name.as_str() {
            "" => "the same name".into(),
            name => name.into(),
        }),
        edit_field!("weight", weight, |model, _| ChangeValue::Count(model.weight)),
        edit_field!("further", further, |model, providers| {
            let name = |id: &ProviderId| {
                let found = providers.iter().find(|listed| listed.provider.id == *id);
                found.map_or_else(|| id.to_string(), |listed| listed.provider.spec.name.clone())
            };
            ChangeValue::List(model.further.iter().map(|one| one.words(&name(&one.id))).collect())
        }),
        edit_field!("input", price, |model, _| model.price_and_source().into()),
        edit_field!("context_tokens", context_tokens, |model, _| tokens_words(model.context_tokens).into()),
        edit_field!("max_output_tokens", max_output_tokens, |model, _| tokens_words(model.max_output_tokens)
            .into()),
        edit_field!("default_output_tokens", default_output_tokens, |model, _| grouped(
            model.default_output_tokens
        )
        .into()),
    ];

    fn form_field(&self, field: &'static str) -> &'static str {
        // A conflict is about the whole price.
        if field == "input" { "price" } else { field }
    }

    fn beside(&self, other: &Self) -> Self {
        let apart = |price: &Price, other: &Price| {
            let own = Price { tariff: price.tariff.without(&other.tariff), ..price.clone() };
            if price.source == other.source { Price { source: String::new(), ..own } } else { own }
        };
        let price = match (&self.price, &other.price) {
            (Some(price), Some(other)) if price.tariff != other.tariff => Some(apart(price, other)),
            (price, _) => price.clone(),
        };
        Self { price, ..self.clone() }
    }
}

/// A model's id names one model: letters, digits and `. _ : / @ -`, and no `*`.
///
/// # Errors
/// When [`ModelPattern::typed`] rejects it, or it has a `*`.
pub fn check_model_id(text: &str) -> Result<(), ParseError> {
    ModelPattern::typed(text)?;
    if text.contains('*') {
        return Err(ParseError::new(
            "A model's id cannot contain a *: it stands for any run of characters in a scope.",
        ));
    }
    Ok(())
}

/// # Errors
/// When it is empty, or like `check_model_id`.
pub fn parse_model_id(text: &str) -> Result<String, ParseError> {
    let id = text.trim();
    if id.is_empty() {
        return Err(ParseError::new(
            "The model's name is empty. Enter the name that clients send, such as gpt-5.",
        ));
    }
    check_model_id(id).map(|()| id.to_owned())
}

/// The provider's name for a model; empty is the same name.
///
/// # Errors
/// Like `check_model_id`.
pub fn parse_upstream_name(text: &str) -> Result<String, ParseError> {
    let name = text.trim();
    if name.is_empty() { Ok(String::new()) } else { check_model_id(name).map(|()| name.to_owned()) }
}

/// The catalogue's name for what a client calls a model. Claude Code adds `[1m]` where it wants a long context, which is the
/// same model at the same price.
pub fn catalogue_name(sent: &str) -> &str {
    sent.strip_suffix("[1m]").unwrap_or(sent)
}

const MAX_VENDOR: usize = 60;

/// # Errors
/// When nothing of it is visible, it is too long, or it looks like a secret.
pub fn parse_vendor(text: &str) -> Result<String, ParseError> {
    visible_name(text, "Vendor", MAX_VENDOR)
}

/// The model that answers while an installation has no provider.
pub const DEMO_ECHO: &str = "demo/echo";

/// It costs $100 for a million tokens, so that a few requests show in a budget of a cent.
pub fn demo_echo() -> Model {
    let rate = Money::from_nanos(100_000_000_000);
    Model {
        price: Tariff::flat(rate, rate, rate)
            .ok()
            .map(|tariff| Price { origin: PriceOrigin::Catalogue, ..Price::unrecorded(tariff) }),
        default_output_tokens: 64,
        ..Model::unrouted(DEMO_ECHO, "Demonstration")
    }
}

/// A model in use as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// The model.
    pub model: Model,
    /// Counts changes; an edit names the version that it was drawn from.
    pub version: i64,
    /// The name of the provider that it is routed to.
    pub served_by: Option<String>,
}

/// More than any model gives out today.
const MAX_OUTPUT_TOKENS: i64 = 1_000_000;

/// How many output tokens are reserved for a request that sets no maximum.
///
/// # Errors
/// When it is no whole number from 1 to 1,000,000.
pub fn parse_output_tokens(text: &str) -> Result<i64, ParseError> {
    parse_tokens(text, MAX_OUTPUT_TOKENS)
}

/// How many tokens a model accepts or gives out.
///
/// # Errors
/// When it is no whole number from 1 to 1,000,000,000.
pub fn parse_size(text: &str) -> Result<i64, ParseError> {
    parse_tokens(text, MAX_COUNT)
}

/// The same where it may be left empty: not known.
///
/// # Errors
/// Like `parse_size`.
pub fn parse_optional_size(text: &str) -> Result<Option<i64>, ParseError> {
    if text.trim().is_empty() { Ok(None) } else { parse_size(text).map(Some) }
}

/// `272,000`, or that it is not known.
pub fn tokens_words(tokens: Option<i64>) -> String {
    tokens.map_or_else(|| "not known".into(), grouped)
}

pub(super) fn parse_tokens(text: &str, max: i64) -> Result<i64, ParseError> {
    const WHOLE: u128 = 1_000_000_000;
    let wrong = || {
        ParseError::new(format!(
            "Type a whole number of tokens from 1 to {}, such as 1,000 or 4k.",
            grouped(max)
        ))
    };
    let billionths = read_billionths(text).map_err(|_| wrong())?;
    let count = i64::try_from(billionths / WHOLE).map_err(|_| wrong())?;
    let fits = billionths % WHOLE == 0 && (1..=max).contains(&count);
    if fits { Ok(count) } else { Err(wrong()) }
}

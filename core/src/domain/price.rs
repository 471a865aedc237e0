//! The prices of a model over time. A price is never changed: another one starts later, and what a request cost stays as it
//! was.

use super::audit::{Change, ChangeValue};
use super::ids::PriceId;
use super::meter::Meter;
use super::moment::Moment;
use super::parse_error::ParseError;
use super::person::visible_text;
use super::tariff::{Line, Tariff};

/// Where a price came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceOrigin {
    /// An operator set it. An import of a catalogue leaves it in force.
    Operator,
    /// A catalogue.
    Catalogue,
}

impl PriceOrigin {
    /// In the database.
    pub fn name(self) -> &'static str {
        match self {
            PriceOrigin::Operator => "operator",
            PriceOrigin::Catalogue => "catalogue",
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            PriceOrigin::Operator => "Set by an operator",
            PriceOrigin::Catalogue => "From a catalogue",
        }
    }

    /// The origin with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [PriceOrigin::Operator, PriceOrigin::Catalogue].into_iter().find(|origin| origin.name() == name)
    }
}

/// What a model costs from a moment on, until the next price starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Usage names the price at which it was paid.
    pub id: PriceId,
    /// A request costs the price that holds when it is admitted.
    pub starts_at: Moment,
    /// Who set it.
    pub origin: PriceOrigin,
    /// Where the figures stand, in words or as an address; may be empty.
    pub source: String,
    /// The figures.
    pub tariff: Tariff,
}

impl Price {
    /// An operator's new price, not stored yet.
    pub fn unrecorded(tariff: Tariff) -> Self {
        let at = Moment::from_ms(0);
        Self {
            id: PriceId::new(at, [0; 10]),
            starts_at: at,
            origin: PriceOrigin::Operator,
            source: String::new(),
            tariff,
        }
    }

    /// Whether it has an id of its own. The demonstration's price never has.
    pub fn is_recorded(&self) -> bool {
        self.id != PriceId::new(Moment::from_ms(0), [0; 10])
    }

    /// Whether both say the same from the same source, whenever they start.
    pub fn says_the_same(&self, other: &Price) -> bool {
        self.tariff == other.tariff && self.source == other.source
    }

    /// The fields of a price for the audit, with those of the price before it.
    pub fn changes_since(&self, before: Option<&Price>) -> Vec<Change> {
        let rate = |price: &Price, meter| price.tariff.rates.get(meter).map(ChangeValue::from);
        let text = |text: String| (!text.is_empty()).then_some(ChangeValue::Text(text));
        let change = |field: &str, value: &dyn Fn(&Price) -> Option<ChangeValue>| Change {
            field: field.into(),
            before: before.and_then(value),
            after: value(self),
        };
        let mut changes: Vec<Change> = Meter::ALL
            .into_iter()
            .map(|meter| change(&audit_field(meter), &|price| rate(price, meter)))
            .collect();
        changes.push(change("price_lines", &|price| {
            let line = |line: &Line| format!("{}: {}", line.label(), line.rates.words());
            text(price.tariff.lines.iter().map(line).collect::<Vec<_>>().join("; "))
        }));
        changes.push(change("price_factors", &|price| {
            let ways = price.tariff.ways().into_iter().map(|(of, words)| format!("{of} {words}"));
            text(ways.collect::<Vec<_>>().join("; "))
        }));
        changes.push(change("price_source", &|price| text(price.source.clone())));
        changes.push(change("price_origin", &|price| text(price.origin.label().to_owned())));
        changes.retain(|change| change.before != change.after);
        changes
    }
}

/// The names that the three oldest meters have in the audit are older than the others.
fn audit_field(meter: Meter) -> String {
    match meter {
        Meter::CachedInput => "cached_price".into(),
        _ => format!("{}_price", meter.name()),
    }
}

/// The meter whose price an audit's field is.
pub fn meter_of_field(field: &str) -> Option<Meter> {
    Meter::ALL.into_iter().find(|meter| audit_field(*meter) == field)
}

/// A price with its place in the history of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastPrice {
    /// The price.
    pub price: Price,
    /// When it was set.
    pub created_at: Moment,
    /// The name of who set it then; empty when that is not known.
    pub set_by: String,
    /// When it was withdrawn, before it started.
    pub withdrawn_at: Option<Moment>,
}

impl PastPrice {
    /// Whether it will start.
    pub fn is_coming(&self, now: Moment) -> bool {
        self.withdrawn_at.is_none() && self.price.starts_at > now
    }
}

const MAX_SOURCE: usize = 200;

/// The address with which a source begins, and the words after it; `None` when it is words alone.
pub fn source_address(source: &str) -> Option<(&str, &str)> {
    let (address, words) = source.split_once(' ').unwrap_or((source, ""));
    address.starts_with("https://").then_some((address, words))
}

/// A source in few words: the site of its address, or its words.
pub fn source_site(source: &str) -> &str {
    let Some((address, _)) = source_address(source) else { return source };
    address.trim_start_matches("https://").split('/').next().unwrap_or(source)
}

/// Where a price stands, in words or as an address; may be empty.
///
/// # Errors
/// When it is longer than 200 characters or looks like a secret.
pub fn parse_source(text: &str) -> Result<String, ParseError> {
    visible_text(text, "Source", MAX_SOURCE)
}

/// When a price starts, in UTC: `2026-12-01T00:00`, or `2026-12-01` for its first moment. With a zone, as in
/// `2026-12-01T00:00+01:00`, in that.
///
/// # Errors
/// When it is no date and time.
pub fn parse_start(text: &str) -> Result<Moment, ParseError> {
    Moment::parse_utc(text.trim())
        .ok_or_else(|| ParseError::new("Enter a date and time in UTC, such as 2026-12-01T00:00."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_with_or_without_words_or_words_alone() {
        for (source, address, site) in [
            (
                "https://a.example/pricing (list 0.2)",
                Some(("https://a.example/pricing", "(list 0.2)")),
                "a.example",
            ),
            ("https://a.example", Some(("https://a.example", "")), "a.example"),
            ("javascript:alert(1)", None, "javascript:alert(1)"),
            ("Contract of May", None, "Contract of May"),
            ("", None, ""),
        ] {
            assert_eq!((source_address(source), source_site(source)), (address, site));
        }
    }
}

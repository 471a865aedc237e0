//! A model that keys can be scoped to, with its prices. The catalogue belongs to the installation, not to an organisation.

use super::money::Money;
use super::problem::Problem;
use super::scope::ModelPattern;

/// Prices are nano-dollars for a million tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub id: String,
    pub provider: String,
    pub input_price: Money,
    pub output_price: Money,
    pub cached_price: Money,
}

/// A model's id names one model: letters, digits and `. _ : / @ -`, and no `*`.
pub fn check_model_id(text: &str) -> Result<(), Problem> {
    ModelPattern::parse(text)?;
    if text.contains('*') {
        return Err(Problem::new(
            "A model's id cannot hold a *: a * stands for any run of characters in a scope.",
        ));
    }
    Ok(())
}

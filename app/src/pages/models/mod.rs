//! The catalogue of models: the list with prices and providers, the form, and the confirmation before one is retired.
//! Only operators can see these pages.

mod form;
mod list;
mod retire;

pub use form::{EditModelPage, NewModelPage};
pub use list::ModelsPage;
pub use retire::RetireModelPage;

use keydesk_core::domain::money::Money;

use crate::path::LocalPath;

fn crumbs(id: Option<&str>) -> Vec<(String, String)> {
    let list = (LocalPath::models().into(), "Models".to_owned());
    let own = id.map(|id| (LocalPath::model("edit", id).into(), id.to_owned()));
    [Some(list), own].into_iter().flatten().collect()
}

/// A price whole: what is billed must not be rounded where it is set.
fn price(rate: Option<Money>) -> String {
    let Some(rate) = rate else { return "no price".into() };
    let text = rate.input();
    match text.split_once('.') {
        Some((_, decimals)) if decimals.len() > 2 => format!("${text}"),
        _ => rate.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_shown_whole() {
        for (typed, shown) in [
            ("0", "$0.00"),
            ("10", "$10.00"),
            ("1.5", "$1.50"),
            ("1234.56", "$1,234.56"),
            ("0.125", "$0.125"),
            ("0.000000001", "$0.000000001"),
        ] {
            assert_eq!(price(Some(Money::parse(typed).unwrap())), shown);
        }
    }
}

//! The catalogue of models: the list, a model with its prices over time, the form, and the confirmations before one is
//! retired, a price is withdrawn, the catalogue's price takes the place of another, or past requests are re-rated. Only operators can see these pages.

mod form;
mod further;
mod list;
mod prices;
mod rerate;
mod retire;
mod show;

pub use form::{EditModelPage, NewModelPage};
pub use list::ModelsPage;
pub use prices::{CataloguePricePage, WithdrawPricePage};
pub use rerate::RerateModelPage;
pub use retire::RetireModelPage;
pub use show::ModelPage;

use keydesk_core::domain::money::Money;
use keydesk_core::domain::tariff_words::whole;

use crate::path::LocalPath;

fn crumbs(id: Option<&str>) -> Vec<(String, String)> {
    let list = (LocalPath::models().into(), "Models".to_owned());
    let own = id.map(|id| (LocalPath::model("show", id).into(), id.to_owned()));
    [Some(list), own].into_iter().flatten().collect()
}

/// A price, or a dash.
pub(super) fn price(rate: Option<Money>) -> String {
    rate.map_or_else(|| "–".into(), whole)
}

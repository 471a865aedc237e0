//! Add, change and retire a model of the catalogue, and correct what its past requests cost. For the installation's operator.

use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::counted;
use keydesk_core::forms::model::{
    AddForm, CataloguePriceForm, ModelForm, RetireForm, SaveForm, WithdrawForm,
};
use keydesk_core::forms::rerating::RerateForm;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::{self, OperatorActor};
use keydesk_core::ops::{models, prices};
use leptos::prelude::*;

use super::{edit_conflict, tell};
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "models/add")]
pub async fn add_model(form: AddForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let (model, starts) = form.parse()?;
        let id = models::add(&desk()?, OperatorActor::Operator(&caller), &model, starts).await?;
        tell(Tone::Good, format!("{id} is in the catalogue. Keys can now be allowed to use it."))?;
        Ok(LocalPath::models())
    })
    .await
}

#[server(endpoint = "models/save")]
pub async fn save_model(form: SaveForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let edit = form.parse()?;
        match models::save(&desk()?, OperatorActor::Operator(&caller), &edit).await? {
            Outcome::Saved(id) => {
                let applies = match edit.starts {
                    None => "The change applies to requests that start from now on.".to_owned(),
                    Some(at) => format!("The new price starts {}.", at.exact(&Zone::utc())),
                };
                tell(Tone::Good, format!("{id} is saved. {applies}"))?;
                Ok(LocalPath::model("show", &id))
            }
            Outcome::Unchanged(id) => {
                tell(Tone::Good, "No changes to save.")?;
                Ok(LocalPath::model("show", &id))
            }
            Outcome::Conflict(conflict) => Err(edit_conflict(*conflict, |merged| ModelForm::of(&merged))),
        }
    })
    .await
}

#[server(endpoint = "models/withdraw-price")]
pub async fn withdraw_price(form: WithdrawForm) -> Result<(), AppError> {
    act(async {
        let by = caller()?;
        let id = prices::withdraw(&desk()?, OperatorActor::Operator(&by), &form.id, &form.price).await?;
        tell(Tone::Good, format!("The price of {id} is withdrawn. It won’t start."))?;
        Ok(LocalPath::model("show", &id))
    })
    .await
}

#[server(endpoint = "models/catalogue-price")]
pub async fn take_catalogue_price(form: CataloguePriceForm) -> Result<(), AppError> {
    act(async {
        let by = caller()?;
        let id = prices::take_catalogue_price(&desk()?, OperatorActor::Operator(&by), &form.id).await?;
        tell(
            Tone::Good,
            format!("{id} has the catalogue’s price. It applies to requests that start from now on."),
        )?;
        Ok(LocalPath::model("show", &id))
    })
    .await
}

#[server(endpoint = "models/rerate")]
pub async fn rerate_model(form: RerateForm) -> Result<(), AppError> {
    act(async {
        let (caller, desk) = (caller()?, desk()?);
        let by = OperatorActor::Operator(&caller);
        by.must_operate()?;
        let plan = orgs::plan(&desk, &by, &form.id, form.period()?, &form.at).await?;
        let rated = orgs::rerate(&desk, &by, &plan).await?;
        let requests = rated.iter().map(|org| org.totals.requests).sum();
        tell(Tone::Good, format!("{} corrected.", counted(requests, "request")))?;
        Ok(LocalPath::model("show", &form.id))
    })
    .await
}

#[server(endpoint = "models/retire")]
pub async fn retire_model(form: RetireForm) -> Result<(), AppError> {
    act(async {
        let id = models::retire(&desk()?, OperatorActor::Operator(&caller()?), &form.id).await?;
        tell(Tone::Good, format!("{id} is retired. Requests for it fail immediately."))?;
        Ok(LocalPath::models())
    })
    .await
}

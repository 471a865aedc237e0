//! The key doctor's questions. A pasted secret is posted, sealed into a cookie for the one page that answers, and never
//! stands in an address.

use keydesk_core::forms::doctor::DoctorForm;
use keydesk_core::ops::doctor;
use leptos::prelude::*;

use crate::ask::{act, caller, desk, doctor_settings, request};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, DOCTOR};

#[server(endpoint = "doctor/examine")]
pub async fn examine(form: DoctorForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        if form.is_of_key() {
            // The organisation comes before what is wrong in the form.
            doctor::find_picked(&desk, &caller, &form.org, &form.key).await?;
            form.parse()?;
            let key = [("key", form.key.as_str())];
            let query = serde_urlencoded::to_string([&key[..], &form.request.query()].concat());
            return Ok(LocalPath::doctor(&form.org).with_query(&query.unwrap_or_default()));
        }
        let context = doctor::admit(&desk, &caller, &form.org).await?;
        form.parse()?;
        let page = LocalPath::doctor(&context.org.slug);
        sealed::send(DOCTOR, page.as_str(), form, desk.now());
        Ok(page)
    })
    .await
}

/// For the holder of a secret, without an account.
#[server(endpoint = "doctor/examine-own")]
pub async fn examine_own(form: DoctorForm) -> Result<(), AppError> {
    act(async {
        if !doctor_settings().public {
            return Err(AppError::NotFound);
        }
        let desk = desk()?;
        doctor::admit_public(&desk, &request().address).await?;
        form.parse()?;
        let page = LocalPath::own_doctor();
        sealed::send(DOCTOR, page.as_str(), form, desk.now());
        Ok(page)
    })
    .await
}

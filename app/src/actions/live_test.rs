//! The live test of a secret.

use keydesk_core::ops::live_test::{self, LiveTestForm};
use leptos::prelude::*;

use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::live_test::LiveTest;
use crate::path::LocalPath;
use crate::sealed::{self, LIVE_TEST};

/// It posts, so that the secret never stands in an address; the page gets the result without it.
#[server(endpoint = "live-test/run")]
pub async fn run_live_test(form: LiveTestForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let around = use_context::<LiveTest>().ok_or(AppError::Internal)?;
        let report = live_test::run(&desk, &caller()?, &form, around.tester()).await?;
        let path = LocalPath::live_test(&form.org);
        sealed::send(LIVE_TEST, path.as_str(), report, desk.now());
        Ok(path)
    })
    .await
}

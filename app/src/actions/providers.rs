//! Connect, test, change and retire a provider, and route models to it. For the installation's operator.

use keydesk_core::domain::provider_test::ProviderTest;
use keydesk_core::forms::provider::{AddForm, ProviderForm, RetireForm, RouteForm, SaveForm, TestForm};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::providers::{self, Retired, Routed};
use keydesk_core::ops::{OpError, connection};
use leptos::prelude::*;

use super::{edit_conflict, tell};
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::provider_calls::provider_calls;
use crate::sealed::Tone;

#[server(endpoint = "providers/add")]
pub async fn add_provider(form: AddForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let (spec, key) = form.parse()?;
        let (desk, by) = (desk()?, OperatorActor::Operator(&caller));
        let provider = connection::connect(&desk, by, &spec, key.as_ref()).await?;
        // It is saved, whatever the test says.
        let tested = connection::test(&desk, by, provider.id.as_str(), "", &*provider_calls()?).await;
        let (tone, sentence) = match tested {
            Ok(test) => tested_words(&provider.spec.name, &test),
            Err(OpError::TooMany { retry_after_s }) => (
                Tone::Warn,
                format!(
                    "{} is saved, and not tested: you tested ten connections in the last minute. Test it in {} s.",
                    provider.spec.name, retry_after_s
                ),
            ),
            Err(_) => {
                (Tone::Warn, format!("{} is saved, and could not be tested. Test it again.", provider.spec.name))
            }
        };
        tell(tone, sentence)?;
        Ok(LocalPath::provider(&provider.id))
    })
    .await
}

#[server(endpoint = "providers/test")]
pub async fn test_provider(form: TestForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        let by = OperatorActor::Operator(&caller);
        by.must_operate()?;
        let desk = desk()?;
        let test = connection::test(&desk, by, &form.id, &form.model, &*provider_calls()?).await?;
        let (tone, sentence) = tested_words("It", &test);
        tell(tone, sentence)?;
        Ok(LocalPath::providers().with_id(&form.id))
    })
    .await
}

/// "Connected" is said only where a model answered.
fn tested_words(name: &str, test: &ProviderTest) -> (Tone, String) {
    match test.ok {
        true => (
            Tone::Good,
            format!("{name} is connected: {} answered. Next, choose the models that it serves.", test.model),
        ),
        false => {
            let why = test.steps.iter().rfind(|step| !step.ok).map(|step| step.sentence.as_str());
            (Tone::Warn, format!("{name} is saved, not usable yet. {}", why.unwrap_or_default()))
        }
    }
}

#[server(endpoint = "providers/save")]
pub async fn save_provider(form: SaveForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        match providers::save(&desk()?, OperatorActor::Operator(&caller), &form.parse()?).await? {
            Outcome::Saved(spec) => {
                let sentence = format!(
                    "{} is saved. New requests go to {}. Test the connection after a change of it.",
                    spec.name,
                    spec.address().typed()
                );
                tell(Tone::Good, sentence)?;
                Ok(LocalPath::providers().with_id(&form.id))
            }
            Outcome::Unchanged(_) => {
                tell(Tone::Good, "No changes to save.")?;
                Ok(LocalPath::providers().with_id(&form.id))
            }
            Outcome::Conflict(conflict) => Err(edit_conflict(*conflict, |merged| ProviderForm::of(&merged))),
        }
    })
    .await
}

#[server(endpoint = "providers/route")]
pub async fn route_models(form: RouteForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let routed = providers::route(&desk()?, OperatorActor::Operator(&caller), &form.parse()?).await?;
        tell(Tone::Good, routed_words(&routed))?;
        Ok(LocalPath::providers().with_id(&form.id))
    })
    .await
}

#[server(endpoint = "providers/retire")]
pub async fn retire_provider(form: RetireForm) -> Result<(), AppError> {
    act(async {
        let Retired { name, unrouted } =
            providers::retire(&desk()?, OperatorActor::Operator(&caller()?), &form.id).await?;
        let sentence = match unrouted.len() {
            0 => format!("{name} is retired. It served no models."),
            1 => format!("{name} is retired. {} is no longer served.", unrouted[0]),
            count => format!("{name} is retired. Its {count} models are no longer served."),
        };
        tell(Tone::Good, sentence)?;
        Ok(LocalPath::providers())
    })
    .await
}

fn routed_words(routed: &Routed) -> String {
    let count = |count: usize| match count {
        1 => "1 model".to_owned(),
        count => format!("{count} models"),
    };
    match (routed.added, routed.removed) {
        (0, 0) => "No changes to save.".into(),
        (added, 0) => format!("{} added to {}.", count(added), routed.name),
        (0, removed) => {
            format!("{} removed from {}, and no longer served.", count(removed), routed.name)
        }
        (added, removed) => {
            format!("{} added to {}, and {} removed.", count(added), routed.name, count(removed))
        }
    }
}

//! The connection to providers on the command line: its test, and the rotation of the key that encrypts stored API keys.

use clap::Args;
use keydesk_core::domain::provider_test::TestStep;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{connection, providers};

use crate::config::{DataConfig, ProviderKeyConfig, ServeConfig};
use crate::gateway::upstream::Upstreams;
use crate::open::{changing, op_error};
use crate::provider_keys;

#[derive(Args)]
pub struct TestArgs {
    /// The provider's name.
    name: String,
    /// The provider's name of the model to ask; left out, one that it lists.
    #[arg(long, default_value = "")]
    model: String,
    #[command(flatten)]
    key: ProviderKeyConfig,
    #[command(flatten)]
    data: DataConfig,
}

#[derive(Args)]
pub struct RotateKeyArgs {
    #[command(flatten)]
    key: ProviderKeyConfig,
    #[command(flatten)]
    data: DataConfig,
}

/// Fails when no model answers. The environment is that of this command, not of a running server.
pub async fn test(args: TestArgs) -> Result<(), String> {
    let TestArgs { name, model, key, data } = args;
    key.check(&data)?;
    changing(&data, async |desk| {
        let desk = desk.clone().with_provider_vault(provider_keys::vault(&key.path(&data)));
        let calls = Upstreams::default()
            .with_vault(desk.provider_vault.clone())
            .with_proxies(ServeConfig::proxies()?);
        let id = providers::by_name(&desk, &name).await.map_err(op_error)?.provider.id.to_string();
        let tested = connection::test(&desk, OperatorActor::CommandLine, &id, &model, &calls).await;
        let tested = tested.map_err(op_error)?;
        tested.steps.iter().for_each(|step| println!("{}", line(step)));
        match tested.ok {
            true => println!("{name} is connected: {} answered.", tested.model),
            false => return Err(format!("{name} is not connected.")),
        }
        Ok(())
    })
    .await
}

/// Makes the new key, unless it is there already, encrypts everything with it, and puts it in the place of the old one. It
/// can be stopped anywhere and run again.
pub async fn rotate_key(args: RotateKeyArgs) -> Result<(), String> {
    let RotateKeyArgs { key, data } = args;
    let path = key.path(&data);
    if !path.exists() {
        return Err(format!(
            "There is no key to rotate at {}. Name its file with --provider-key-file.",
            path.display()
        ));
    }
    key.check(&data)?;
    let new = provider_keys::new_path(&path);
    if !new.exists() {
        provider_keys::make(&new)?;
    }
    provider_keys::check(&new, true)?;
    let count = changing(&data, async |desk| {
        let desk = desk.clone().with_provider_vault(provider_keys::vault(&path));
        connection::reseal(&desk, OperatorActor::CommandLine).await.map_err(op_error)
    })
    .await?;
    provider_keys::replace(&path)?;
    println!("Stored API keys encrypted with the new key: {count}. It is in {}.", path.display());
    Ok(())
}

fn line(step: &TestStep) -> String {
    let status = step.status.map(|status| format!(" {status}")).unwrap_or_default();
    let call = if step.call.is_empty() { "-" } else { &step.call };
    let answer = if step.answer.is_empty() { String::new() } else { format!(" {}", step.answer) };
    format!("{call}{status}: {}{answer}", step.sentence)
}

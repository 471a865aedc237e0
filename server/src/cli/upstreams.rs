//! Providers on the command line, by their names. Options are checked by the same parsers as the fields of the
//! pages, so an error has the same sentence.

use clap::{ArgGroup, Args, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::base_url::parse_base_url;
use keydesk_core::domain::provider::{
    EditProvider, ListedProvider, OnDisconnect, ProviderKind, ProviderSpec, check_timeouts,
    parse_connect_timeout, parse_credential_env, parse_idle_timeout, parse_on_disconnect, parse_protocol,
    parse_provider_name, parse_total_timeout,
};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::providers;

use crate::config::DataConfig;
use crate::open::{changing, op_error, reading};

#[derive(Subcommand)]
pub enum ProvidersCommand {
    /// List the providers: name, protocol, URL, variable of the credential and number of models, separated by tabs.
    List(DataConfig),
    /// Add a provider.
    Add(Box<AddProvider>),
    /// Change a provider. What is left out stays as it is.
    Set(Box<SetProvider>),
    /// Take a provider out of use. Its models are not served any more.
    Retire {
        /// The provider's name.
        name: String,
        #[command(flatten)]
        data: DataConfig,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("credential").required(true).args(["credential_env", "no_credential"])))]
pub struct AddProvider {
    /// The provider's name, such as OpenAI.
    #[arg(value_parser = parse_provider_name)]
    name: String,
    /// Its protocol: openai, anthropic or gemini.
    #[arg(long, default_value = "openai", value_parser = parse_protocol)]
    protocol: ProviderKind,
    /// Its base URL, without the version, such as https://api.openai.com.
    #[arg(long, value_parser = parse_base_url)]
    url: String,
    #[command(flatten)]
    more: ProviderOptions,
    #[command(flatten)]
    data: DataConfig,
}

#[derive(Args)]
pub struct SetProvider {
    /// The provider's name.
    name: String,
    /// Its new name.
    #[arg(long, value_name = "NAME", value_parser = parse_provider_name)]
    rename: Option<String>,
    /// Its protocol: openai, anthropic or gemini.
    #[arg(long, value_parser = parse_protocol)]
    protocol: Option<ProviderKind>,
    /// Its base URL, without the version.
    #[arg(long, value_parser = parse_base_url)]
    url: Option<String>,
    #[command(flatten)]
    more: ProviderOptions,
    #[command(flatten)]
    data: DataConfig,
}

#[derive(Args)]
struct ProviderOptions {
    /// The environment variable of `keydesk serve` that holds its API key, such as OPENAI_API_KEY. Never the key itself.
    #[arg(long, value_name = "VARIABLE", value_parser = parse_credential_env, conflicts_with = "no_credential")]
    credential_env: Option<String>,
    /// It needs no API key.
    #[arg(long)]
    no_credential: bool,
    /// The longest wait for a connection.
    #[arg(long, value_name = "SECONDS", value_parser = parse_connect_timeout)]
    connect_timeout: Option<i64>,
    /// The longest wait for the next part of a response.
    #[arg(long, value_name = "SECONDS", value_parser = parse_idle_timeout)]
    idle_timeout: Option<i64>,
    /// The longest wait for the whole response.
    #[arg(long, value_name = "SECONDS", value_parser = parse_total_timeout)]
    total_timeout: Option<i64>,
    /// What happens to a stream whose client leaves: read-on reads it to its end, stop closes it and charges the reservation.
    #[arg(long, value_name = "CHOICE", value_parser = parse_on_disconnect)]
    on_disconnect: Option<OnDisconnect>,
}

impl ProviderOptions {
    fn apply(self, spec: &mut ProviderSpec) -> Result<(), String> {
        if self.no_credential {
            spec.credential_env.clear();
        }
        set(&mut spec.credential_env, self.credential_env);
        set(&mut spec.connect_ms, self.connect_timeout);
        set(&mut spec.idle_ms, self.idle_timeout);
        set(&mut spec.whole_ms, self.total_timeout);
        set(&mut spec.on_disconnect, self.on_disconnect);
        check_timeouts(spec.idle_ms, spec.whole_ms).map_err(|error| error.to_string())
    }
}

pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

pub async fn run_providers(command: ProvidersCommand) -> Result<(), String> {
    match command {
        ProvidersCommand::List(data) => reading(&data, list_providers).await,
        ProvidersCommand::Add(args) => add_provider(*args).await,
        ProvidersCommand::Set(args) => set_provider(*args).await,
        ProvidersCommand::Retire { name, data } => {
            changing(&data, async |desk| retire_provider(desk, &name).await).await
        }
    }
}

async fn list_providers(desk: &Desk) -> Result<(), String> {
    let list = providers::every(desk).await.map_err(op_error)?;
    list.iter().for_each(|listed| println!("{}", line(listed)));
    if list.is_empty() {
        eprintln!(
            "There is no provider yet, so only demo/echo is served. Add one with: keydesk providers add"
        );
    }
    Ok(())
}

async fn add_provider(args: AddProvider) -> Result<(), String> {
    let AddProvider { name, protocol, url, more, data } = args;
    let mut spec = ProviderSpec::new(name, protocol, url);
    more.apply(&mut spec)?;
    let added = changing(&data, async |desk| {
        providers::add(desk, OperatorActor::CommandLine, &spec).await.map_err(op_error)
    });
    let added = added.await?;
    println!("{} is added, at {}.", added.name, added.base_url);
    println!("Choose the models that it serves with: keydesk models route MODEL --to '{}'", added.name);
    Ok(())
}

async fn set_provider(args: SetProvider) -> Result<(), String> {
    let SetProvider { name, rename, protocol, url, more, data } = args;
    changing(&data, async |desk| {
        let listed = providers::by_name(desk, &name).await.map_err(op_error)?;
        let base = ProviderSpec::of(&listed.provider);
        let mut mine = base.clone();
        set(&mut mine.name, rename);
        set(&mut mine.kind, protocol);
        set(&mut mine.base_url, url);
        more.apply(&mut mine)?;
        let id = listed.provider.id.to_string();
        let edit = EditProvider { id, version: listed.version, base: Some(base), mine };
        match providers::save(desk, OperatorActor::CommandLine, &edit).await.map_err(op_error)? {
            Outcome::Saved(spec) => println!("{} is saved, at {}.", spec.name, spec.base_url),
            Outcome::Unchanged(_) => println!("Nothing was changed."),
            Outcome::Conflict(_) => return Err(edit_conflict(&name)),
        }
        Ok(())
    })
    .await
}

async fn retire_provider(desk: &Desk, name: &str) -> Result<(), String> {
    let id = providers::by_name(desk, name).await.map_err(op_error)?.provider.id.to_string();
    let retired = providers::retire(desk, OperatorActor::CommandLine, &id).await.map_err(op_error)?;
    match retired.unrouted.as_slice() {
        [] => println!("{} is retired. It served no model.", retired.name),
        models => println!("{} is retired. Not served any more: {}", retired.name, models.join(" ")),
    }
    Ok(())
}

fn line(listed: &ListedProvider) -> String {
    let provider = &listed.provider;
    let credential = if provider.credential_env.is_empty() { "-" } else { &provider.credential_env };
    let (kind, models) = (provider.kind.as_str(), listed.models);
    format!("{}\t{kind}\t{}\t{credential}\t{models}", provider.name, provider.base_url)
}

pub(super) fn edit_conflict(name: &str) -> String {
    format!("{name} was changed at the same time, so nothing was changed here. Try again.")
}

//! Providers and models on the command line, by their names. Options are checked by the same parsers as the fields of the
//! pages, so an error has the same sentence.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::base_url::parse_base_url;
use keydesk_core::domain::meter::Meter;
use keydesk_core::domain::model::{
    EditModel, KnownModel, Model, parse_model_id, parse_output_tokens, parse_upstream_name, parse_vendor,
};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::price::Price;
use keydesk_core::domain::provider::{
    EditProvider, ListedProvider, OnDisconnect, ProviderKind, ProviderSpec, check_timeouts,
    parse_connect_timeout, parse_credential_env, parse_idle_timeout, parse_on_disconnect, parse_protocol,
    parse_provider_name, parse_total_timeout,
};
use keydesk_core::domain::tariff::Tariff;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{catalogue, models, providers};

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

#[derive(Subcommand)]
pub enum ModelsCommand {
    /// List the catalogue as JSON, in the format that import reads.
    List(DataConfig),
    /// Add and update models from a JSON file. What the file leaves out stays as it is.
    Import {
        file: PathBuf,
        /// Retire the models that the file does not name.
        #[arg(long)]
        only: bool,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Change a model, or add one. What is left out stays as it is.
    Set(Box<SetModel>),
    /// Take a model out of the catalogue.
    Retire {
        /// The name that clients send.
        model: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Choose the provider that serves models.
    Route(RouteModels),
}

#[derive(Args)]
pub struct SetModel {
    /// The name that clients send, such as gpt-5.
    #[arg(value_parser = parse_model_id)]
    model: String,
    /// Who made the model.
    #[arg(long, value_parser = parse_vendor)]
    vendor: Option<String>,
    /// Dollars for a million tokens of input.
    #[arg(long, value_name = "DOLLARS", value_parser = Money::parse)]
    input: Option<Money>,
    /// Dollars for a million tokens of output.
    #[arg(long, value_name = "DOLLARS", value_parser = Money::parse)]
    output: Option<Money>,
    /// Dollars for a million tokens of cached input.
    #[arg(long, value_name = "DOLLARS", value_parser = Money::parse)]
    cached: Option<Money>,
    /// The provider's name for it; empty is the same name.
    #[arg(long, value_name = "NAME", value_parser = parse_upstream_name)]
    upstream: Option<String>,
    /// Output tokens that are reserved for a request that sets no maximum.
    #[arg(long, value_name = "TOKENS", value_parser = parse_output_tokens)]
    default_output: Option<i64>,
    #[command(flatten)]
    data: DataConfig,
}

impl SetModel {
    fn new_model(self) -> Result<Model, String> {
        let prices = [self.input, self.output, self.cached];
        let Some(vendor) = self.vendor.as_deref().filter(|_| prices.iter().all(Option::is_some)) else {
            return Err(format!(
                "{} is not in the catalogue. To add it, give --vendor, --input, --output and --cached.",
                self.model
            ));
        };
        let mut model = Model::unrouted(&self.model, vendor);
        self.apply(&mut model);
        Ok(model)
    }

    fn apply(self, model: &mut Model) {
        set(&mut model.provider, self.vendor);
        let rate = |meter, given: Option<Money>| given.or(model.rate(meter)).unwrap_or_default();
        let tariff = Tariff::flat(
            rate(Meter::Input, self.input),
            rate(Meter::CachedInput, self.cached),
            rate(Meter::Output, self.output),
        );
        set(&mut model.price, tariff.ok().map(|tariff| Some(Price::unrecorded(tariff))));
        let upstream = self.upstream.map(|name| if name == self.model { String::new() } else { name });
        set(&mut model.upstream_name, upstream);
        set(&mut model.default_output_tokens, self.default_output);
    }
}

#[derive(Args)]
#[command(group(ArgGroup::new("target").required(true).args(["to", "not_served"])))]
pub struct RouteModels {
    /// The names that clients send.
    #[arg(required = true)]
    models: Vec<String>,
    /// The provider's name.
    #[arg(long, value_name = "PROVIDER")]
    to: Option<String>,
    /// They are not served.
    #[arg(long)]
    not_served: bool,
    #[command(flatten)]
    data: DataConfig,
}

fn set<T>(field: &mut T, value: Option<T>) {
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

pub async fn run_models(command: ModelsCommand) -> Result<(), String> {
    match command {
        ModelsCommand::List(data) => {
            let list = reading(&data, async |desk| models::every(desk).await.map_err(op_error)).await?;
            println!("{}", catalogue::write(&list));
            Ok(())
        }
        ModelsCommand::Import { file, only, data } => {
            let text =
                std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}.", file.display()))?;
            let list = catalogue::read(&text)?;
            let import = async |desk: &Desk| catalogue::import(desk, &list, only).await.map_err(op_error);
            println!("{} models imported.", changing(&data, import).await?);
            Ok(())
        }
        ModelsCommand::Set(args) => {
            println!("{}", set_model(*args).await?);
            Ok(())
        }
        ModelsCommand::Retire { model, data } => {
            changing(&data, async |desk| retire_model(desk, model).await).await
        }
        ModelsCommand::Route(args) => route(args).await,
    }
}

async fn retire_model(desk: &Desk, id: String) -> Result<(), String> {
    // Says so when it is not there.
    models::by_id(desk, &id).await.map_err(op_error)?;
    let id = models::retire(desk, OperatorActor::CommandLine, &id).await.map_err(op_error)?;
    println!("{id} is retired. Requests for it are refused from now on.");
    Ok(())
}

async fn route(args: RouteModels) -> Result<(), String> {
    let RouteModels { models: ids, to, not_served: _, data } = args;
    changing(&data, async |desk| {
        models::route(desk, OperatorActor::CommandLine, &ids, to.as_deref()).await.map_err(op_error)
    })
    .await?;
    let verb = if ids.len() == 1 { "is" } else { "are" };
    match to {
        Some(name) => println!("{} {verb} served by {name} from now on.", ids.join(" ")),
        None => println!("{} {verb} not served from now on.", ids.join(" ")),
    }
    Ok(())
}

async fn set_model(args: SetModel) -> Result<String, String> {
    let data = args.data.clone();
    changing(&data, async |desk| {
        let every = models::every(desk).await.map_err(op_error)?;
        let Some(KnownModel { model, version, .. }) =
            every.into_iter().find(|known| known.model.id == args.model)
        else {
            let added = models::add(desk, OperatorActor::CommandLine, &args.new_model()?).await;
            return Ok(format!("{} is in the catalogue. It is not served yet.", added.map_err(op_error)?));
        };
        let mut mine = model.clone();
        args.apply(&mut mine);
        let edit = EditModel { version, base: Some(model), mine };
        match models::save(desk, OperatorActor::CommandLine, &edit).await.map_err(op_error)? {
            Outcome::Saved(id) => Ok(format!("{id} is saved.")),
            Outcome::Unchanged(_) => Ok("Nothing was changed.".to_owned()),
            Outcome::Conflict(_) => Err(edit_conflict(&edit.mine.id)),
        }
    })
    .await
}

fn line(listed: &ListedProvider) -> String {
    let provider = &listed.provider;
    let credential = if provider.credential_env.is_empty() { "-" } else { &provider.credential_env };
    let (kind, models) = (provider.kind.as_str(), listed.models);
    format!("{}\t{kind}\t{}\t{credential}\t{models}", provider.name, provider.base_url)
}

fn edit_conflict(name: &str) -> String {
    format!("{name} was changed at the same time, so nothing was changed here. Try again.")
}

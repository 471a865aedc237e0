//! Providers on the command line, by their names. Options are checked by the same parsers as the fields of the
//! pages, so an error has the same sentence.

use clap::{ArgGroup, Args, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::base_url::parse_address;
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::provider::{
    EditProvider, ListedProvider, OnDisconnect, ProviderKind, ProviderSpec, check_timeouts,
    parse_connect_timeout, parse_credential_env, parse_idle_timeout, parse_on_disconnect, parse_protocol,
    parse_provider_name, parse_total_timeout,
};
use keydesk_core::domain::provider_wire::{
    CredentialHeader, OmittedMember, parse_api_key, parse_credential_header, parse_extra_headers,
};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{connection, providers};

use super::provider_keys::{RotateKeyArgs, TestArgs, rotate_key, test};
use crate::config::{DataConfig, ProviderKeyConfig};
use crate::open::{changing, op_error, reading};
use crate::provider_keys;

#[derive(Subcommand)]
pub enum ProvidersCommand {
    /// List the providers: name, protocol, URL, where the API key is and number of models, separated by tabs.
    List(DataConfig),
    /// Add a provider.
    Add(Box<AddProvider>),
    /// Change a provider. What is left out stays as it is.
    Set(Box<SetProvider>),
    /// Test the connection to a provider: list its models, and ask one of them for one token.
    Test(Box<TestArgs>),
    /// Encrypt the stored API keys with a new key. Running processes go on.
    RotateKey(RotateKeyArgs),
    /// Take a provider out of use. Its models are not served any more.
    Retire {
        /// The provider's name.
        name: String,
        #[command(flatten)]
        data: DataConfig,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("credential").required(true).args(["credential_env", "no_credential", "api_key_stdin"])))]
pub struct AddProvider {
    /// The provider's name, such as OpenAI.
    #[arg(value_parser = parse_provider_name)]
    name: String,
    /// Its protocol: openai, anthropic or gemini.
    #[arg(long, default_value = "openai", value_parser = parse_protocol)]
    protocol: ProviderKind,
    /// Its base URL, such as https://api.openai.com/v1. Without a version, the protocol's own is added; {model} stands for
    /// the model's name.
    #[arg(long)]
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
    /// Its base URL.
    #[arg(long)]
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
    /// Read its API key from standard input and store it, encrypted.
    #[arg(long, conflicts_with_all = ["credential_env", "no_credential"])]
    api_key_stdin: bool,
    #[command(flatten)]
    key: ProviderKeyConfig,
    /// Add no version to the URL.
    #[arg(long)]
    exact_url: bool,
    /// The header that carries the API key: auto, bearer, api-key, x-api-key or x-goog-api-key.
    #[arg(long, value_name = "HEADER", value_parser = parse_credential_header)]
    credential_header: Option<CredentialHeader>,
    /// A further header, as 'Name: value', no secret; several times for several. One that is empty removes all.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// A member of requests that it does not take, such as stream_options; several times for several, or none.
    #[arg(long = "omit", value_name = "MEMBER", value_parser = parse_member)]
    omitted: Vec<Option<OmittedMember>>,
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

/// `none` is no member.
fn parse_member(text: &str) -> Result<Option<OmittedMember>, String> {
    let names = || OmittedMember::ALL.map(OmittedMember::as_str).join(", ");
    match (text, OmittedMember::parse(text)) {
        ("none", _) => Ok(None),
        (_, Some(member)) => Ok(Some(member)),
        _ => Err(format!("Choose none or one of {}.", names())),
    }
}

impl ProviderOptions {
    /// `url` is read in the spec's protocol.
    fn apply(self, spec: &mut ProviderSpec, url: Option<&str>) -> Result<(), String> {
        let sentence = |error: keydesk_core::domain::parse_error::ParseError| error.to_string();
        if let Some(url) = url {
            spec.set_address(parse_address(url, spec.kind, self.exact_url).map_err(sentence)?);
        } else if self.exact_url {
            return Err("--exact-url says how --url is read. Write both.".into());
        }
        if self.no_credential || self.api_key_stdin {
            spec.credential_env.clear();
            spec.stored_key = self.api_key_stdin;
        }
        if let Some(variable) = self.credential_env {
            spec.stored_key = false;
            spec.credential_env = variable;
        }
        set(&mut spec.credential_header, self.credential_header);
        if !self.headers.is_empty() {
            spec.headers = parse_extra_headers(&self.headers.join("\n")).map_err(sentence)?;
        }
        if !self.omitted.is_empty() {
            spec.omitted = self.omitted.into_iter().flatten().collect();
            spec.omitted.sort_unstable();
            spec.omitted.dedup();
        }
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
        ProvidersCommand::Test(args) => test(*args).await,
        ProvidersCommand::RotateKey(args) => rotate_key(args).await,
        ProvidersCommand::Retire { name, data } => {
            changing(&data, async |desk| retire_provider(desk, &name).await).await
        }
    }
}

/// The API key on standard input, where the options ask for it.
fn read_key(more: &ProviderOptions) -> Result<Option<Hidden>, String> {
    if !more.api_key_stdin {
        return Ok(None);
    }
    let text = std::io::read_to_string(std::io::stdin().lock())
        .map_err(|error| format!("The API key on standard input cannot be read: {error}."))?;
    parse_api_key(&text).map(|key| Some(Hidden::new(key))).map_err(|error| error.to_string())
}

/// Runs a command on a desk that can seal, where it has to: the key is made where there is none yet.
async fn sealing<T>(
    data: &DataConfig,
    key: &ProviderKeyConfig,
    seals: bool,
    command: impl AsyncFnOnce(&Desk) -> Result<T, String>,
) -> Result<T, String> {
    key.check(data)?;
    changing(data, async |desk| {
        let path = key.path(data);
        if seals && !path.exists() {
            provider_keys::make(&path)?;
        }
        command(&desk.clone().with_provider_vault(provider_keys::vault(&path))).await
    })
    .await
}

async fn list_providers(desk: &Desk) -> Result<(), String> {
    let list = providers::every(desk).await.map_err(op_error)?;
    list.iter().for_each(|listed| println!("{}", line(listed)));
    if list.is_empty() {
        eprintln!("There is no provider yet, so only demo/echo answers. Add one with: keydesk providers add");
    }
    Ok(())
}

async fn add_provider(args: AddProvider) -> Result<(), String> {
    let AddProvider { name, protocol, url, more, data } = args;
    let mut spec = ProviderSpec::new(name, protocol, String::new());
    let (pasted, key) = (read_key(&more)?, more.key.clone());
    more.apply(&mut spec, Some(&url))?;
    let added = sealing(&data, &key, pasted.is_some(), async |desk| {
        connection::connect(desk, OperatorActor::CommandLine, &spec, pasted.as_ref()).await.map_err(op_error)
    });
    let added = added.await?;
    println!("{} is added, at {}.", added.spec.name, added.spec.address().typed());
    println!("See whether it answers with: keydesk providers test '{}'", added.spec.name);
    println!("Choose the models that it serves with: keydesk models route MODEL --to '{}'", added.spec.name);
    Ok(())
}

async fn set_provider(args: SetProvider) -> Result<(), String> {
    let SetProvider { name, rename, protocol, url, more, data } = args;
    let (pasted, key) = (read_key(&more)?, more.key.clone());
    sealing(&data, &key, pasted.is_some(), async |desk| {
        let listed = providers::by_name(desk, &name).await.map_err(op_error)?;
        let base = listed.provider.spec.clone();
        let mut mine = base.clone();
        set(&mut mine.name, rename);
        set(&mut mine.kind, protocol);
        more.apply(&mut mine, url.as_deref())?;
        let id = listed.provider.id.to_string();
        let edit = EditProvider { id, version: listed.version, base: Some(base), mine, key: pasted };
        match providers::save(desk, OperatorActor::CommandLine, &edit).await.map_err(op_error)? {
            Outcome::Saved(spec) => println!("{} is saved, at {}.", spec.name, spec.address().typed()),
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
    let stored = provider.sealed_key.as_ref().map(|key| format!("stored …{}", key.last_four));
    let credential = match (provider.spec.stored_key, provider.spec.credential_env.as_str()) {
        (true, _) => stored.unwrap_or_else(|| "stored -".into()),
        (false, "") => "-".into(),
        (false, variable) => variable.to_owned(),
    };
    let (kind, models) = (provider.spec.kind.as_str(), listed.models);
    format!("{}\t{kind}\t{}\t{credential}\t{models}", provider.spec.name, provider.spec.address().typed())
}

pub(super) fn edit_conflict(name: &str) -> String {
    format!("{name} was changed at the same time, so nothing was changed here. Try again.")
}

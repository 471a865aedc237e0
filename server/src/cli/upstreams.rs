//! Providers and models on the command line, by their names. The forms are those of the pages, so a mistake has the same
//! sentence here, behind the option that it is about.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::model::EditModel;
use keydesk_core::domain::provider::{EditProvider, ListedProvider, ProviderSpec};
use keydesk_core::forms::model::ModelForm;
use keydesk_core::forms::provider::ProviderForm;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::By;
use keydesk_core::ops::{OpError, catalogue, models, providers};

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
    name: String,
    /// Its protocol: openai, anthropic or gemini.
    #[arg(long, default_value = "openai")]
    protocol: String,
    /// Its base URL, without the version, such as https://api.openai.com.
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
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// Its protocol: openai, anthropic or gemini.
    #[arg(long)]
    protocol: Option<String>,
    /// Its base URL, without the version.
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
    #[arg(long, value_name = "VARIABLE", conflicts_with = "no_credential")]
    credential_env: Option<String>,
    /// It needs no API key.
    #[arg(long)]
    no_credential: bool,
    /// The longest wait for a connection.
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<String>,
    /// The longest wait for the next part of a response.
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<String>,
    /// The longest wait for the whole response.
    #[arg(long, value_name = "SECONDS")]
    total_timeout: Option<String>,
}

impl ProviderOptions {
    fn put(self, form: &mut ProviderForm) {
        if self.no_credential {
            form.credential_env.clear();
        }
        put(&mut form.credential_env, self.credential_env);
        put(&mut form.connect, self.connect_timeout);
        put(&mut form.idle, self.idle_timeout);
        put(&mut form.whole, self.total_timeout);
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
    model: String,
    /// Who made the model.
    #[arg(long)]
    vendor: Option<String>,
    /// Dollars for a million tokens of input.
    #[arg(long, value_name = "DOLLARS")]
    input: Option<String>,
    /// Dollars for a million tokens of output.
    #[arg(long, value_name = "DOLLARS")]
    output: Option<String>,
    /// Dollars for a million tokens of cached input.
    #[arg(long, value_name = "DOLLARS")]
    cached: Option<String>,
    /// The provider's name for it; empty is the same name.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Output tokens that are reserved for a request which names no maximum itself.
    #[arg(long, value_name = "TOKENS")]
    default_output: Option<String>,
    #[command(flatten)]
    data: DataConfig,
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

fn put(field: &mut String, value: Option<String>) {
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
    let mut form = ProviderForm { name, kind: protocol, base_url: url, ..ProviderForm::with_defaults() };
    more.put(&mut form);
    let spec = form.parse().map_err(|errors| by_option(errors.into()))?;
    let added =
        changing(&data, async |desk| providers::add(desk, By::CommandLine, &spec).await.map_err(by_option));
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
        let mut form = ProviderForm::of(&base);
        put(&mut form.name, rename);
        put(&mut form.kind, protocol);
        put(&mut form.base_url, url);
        more.put(&mut form);
        let id = listed.provider.id.to_string();
        let mine = form.parse().map_err(|errors| by_option(errors.into()))?;
        let edit = EditProvider { id, version: listed.version, base: Some(base), mine };
        match providers::save(desk, By::CommandLine, &edit).await.map_err(by_option)? {
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
    let retired = providers::retire(desk, By::CommandLine, &id).await.map_err(op_error)?;
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
    let id = models::retire(desk, By::CommandLine, &id).await.map_err(op_error)?;
    println!("{id} is retired. Requests for it are refused from now on.");
    Ok(())
}

async fn route(args: RouteModels) -> Result<(), String> {
    let RouteModels { models: ids, to, not_served: _, data } = args;
    changing(&data, async |desk| {
        models::route(desk, By::CommandLine, &ids, to.as_deref()).await.map_err(op_error)
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
    let SetModel { model: id, vendor, input, output, cached, upstream, default_output, data } = args;
    changing(&data, async |desk| {
        let known =
            models::every(desk).await.map_err(op_error)?.into_iter().find(|known| known.model.id == id);
        let mut form = match &known {
            Some(known) => ModelForm::of(&known.model),
            None => ModelForm { id: id.clone(), ..ModelForm::with_defaults() },
        };
        put(&mut form.vendor, vendor);
        put(&mut form.input, input);
        put(&mut form.output, output);
        put(&mut form.cached, cached);
        put(&mut form.upstream, upstream);
        put(&mut form.held, default_output);
        let mine = form.parse().map_err(|errors| by_option(errors.into()))?;
        let Some(known) = known else {
            let added = models::add(desk, By::CommandLine, &mine).await.map_err(by_option)?;
            return Ok(format!("{added} is in the catalogue. It is not served yet."));
        };
        let edit = EditModel { version: known.version, base: Some(known.model), mine };
        match models::save(desk, By::CommandLine, &edit).await.map_err(by_option)? {
            Outcome::Saved(id) => Ok(format!("{id} is saved.")),
            Outcome::Unchanged(_) => Ok("Nothing was changed.".to_owned()),
            Outcome::Conflict(_) => Err(edit_conflict(&id)),
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

/// Each mistake behind the option that it is about.
fn by_option(error: OpError) -> String {
    let OpError::Invalid(field_errors) = error else { return op_error(error) };
    let lines: Vec<String> = field_errors
        .iter()
        .map(|field_error| {
            let option = match field_error.field.as_str() {
                "name" | "id" => return field_error.problem.to_string(),
                "kind" => "protocol",
                "base_url" => "url",
                "credential_env" => "credential-env",
                "connect" => "connect-timeout",
                "idle" => "idle-timeout",
                "whole" => "total-timeout",
                "held" => "default-output",
                other => other,
            };
            format!("--{option}: {}", field_error.problem)
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use keydesk_core::store::Db;

    use super::super::{Cli, run};
    use super::*;

    /// Runs the program's command line on a folder of its own.
    struct Here(tempfile::TempDir);

    impl Here {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        async fn run(&self, words: &[&str]) -> Result<(), String> {
            let data = self.0.path().to_str().unwrap();
            let words = [&["keydesk"], words, &["--data", data]].concat();
            run(Cli::try_parse_from(words).map_err(|error| error.to_string())?).await
        }

        async fn data(&self) -> keydesk_core::Desk {
            let place = keydesk_core::store::DatabaseUrl::Sqlite(self.0.path().join("keydesk.sqlite"));
            let db = Db::open(&place).await.unwrap();
            keydesk_core::Desk::new(
                db,
                std::sync::Arc::new(crate::clock::SystemClock),
                std::sync::Arc::new(crate::clock::SystemRandom),
            )
        }

        async fn lines(&self) -> Vec<String> {
            providers::every(&self.data().await).await.unwrap().iter().map(line).collect()
        }

        async fn model(&self, id: &str) -> (String, String, Option<String>) {
            let known = models::by_id(&self.data().await, id).await.unwrap();
            (known.model.input_price.input(), known.model.name_upstream().to_owned(), known.served_by)
        }
    }

    #[tokio::test]
    async fn providers_are_connected_changed_and_retired_by_their_names() {
        let here = Here::new();
        let missing = here.run(&["providers", "list"]).await.unwrap_err();
        assert!(missing.starts_with("There is no database at "), "{missing}");
        let add = ["providers", "add", "OpenAI", "--url", "https://api.openai.com/v1/"];
        let refused = here.run(&add).await.unwrap_err();
        assert!(refused.contains("--credential-env") && refused.contains("--no-credential"), "{refused}");
        here.run(&[&add[..], &["--credential-env", "OPENAI_API_KEY"]].concat()).await.unwrap();
        assert_eq!(here.lines().await, ["OpenAI\topenai\thttps://api.openai.com\tOPENAI_API_KEY\t0"]);
        let again = here.run(&[&add[..], &["--no-credential"]].concat()).await.unwrap_err();
        assert!(again.starts_with("There is already a provider OpenAI."), "{again}");

        here.run(&["models", "route", "gpt-5", "gpt-4.1", "--to", "openai"]).await.unwrap();
        here.run(&[
            "providers",
            "set",
            "openai",
            "--rename",
            "Local",
            "--url",
            "http://localhost:8000",
            "--no-credential",
        ])
        .await
        .unwrap();
        assert_eq!(here.lines().await, ["Local\topenai\thttp://localhost:8000\t-\t2"]);
        let wrong = [
            "providers",
            "set",
            "Local",
            "--url",
            "http://169.254.169.254",
            "--idle-timeout",
            "0",
            "--protocol",
            "x",
        ];
        let told = here.run(&wrong).await.unwrap_err();
        let starts: Vec<_> =
            told.lines().filter_map(|line| line.split_once(": ")).map(|(option, _)| option).collect();
        assert_eq!(starts, ["--protocol", "--url", "--idle-timeout"], "{told}");
        let missing = here.run(&["providers", "retire", "OpenAI"]).await.unwrap_err();
        assert_eq!(missing, "There is no provider OpenAI. There are: Local.");
        here.run(&["providers", "retire", "Local"]).await.unwrap();
        assert!(here.lines().await.is_empty());
        assert_eq!(here.model("gpt-5").await.2, None);
    }

    #[tokio::test]
    async fn models_are_set_routed_and_retired_by_their_names() {
        let here = Here::new();
        here.run(&["providers", "add", "vLLM", "--url", "http://vllm:8000", "--no-credential"])
            .await
            .unwrap();
        let missing = here.run(&["models", "set", "meta/llama-4", "--vendor", "Meta"]).await.unwrap_err();
        assert_eq!(missing.lines().count(), 3, "{missing}");
        assert!(missing.starts_with("--input: The amount is empty."), "{missing}");
        let prices = ["--input", "0.2", "--output", "$0.8", "--cached", "0.1"];
        here.run(&[&["models", "set", "meta/llama-4", "--vendor", "Meta"], &prices[..]].concat())
            .await
            .unwrap();
        here.run(&["models", "route", "meta/llama-4", "--to", "vLLM"]).await.unwrap();
        here.run(&[
            "models",
            "set",
            "meta/llama-4",
            "--input",
            "0.25",
            "--upstream",
            "llama",
            "--default-output",
            "4k",
        ])
        .await
        .unwrap();
        assert_eq!(here.model("meta/llama-4").await, ("0.25".into(), "llama".into(), Some("vLLM".into())));
        here.run(&["models", "set", "meta/llama-4", "--upstream", ""]).await.unwrap();
        assert_eq!(here.model("meta/llama-4").await.1, "meta/llama-4");

        // All of them or none.
        let some = here.run(&["models", "route", "gpt-5", "gpt-0", "--to", "vLLM"]).await.unwrap_err();
        assert!(some.starts_with("gpt-0 is not in the catalogue."), "{some}");
        assert_eq!(here.model("gpt-5").await.2, None);
        assert!(here.run(&["models", "route", "gpt-5"]).await.unwrap_err().contains("--not-served"));
        here.run(&["models", "route", "meta/llama-4", "--not-served"]).await.unwrap();
        assert_eq!(here.model("meta/llama-4").await.2, None);
        here.run(&["models", "retire", "meta/llama-4"]).await.unwrap();
        let gone = here.run(&["models", "retire", "meta/llama-4"]).await.unwrap_err();
        assert!(gone.starts_with("meta/llama-4 is not in the catalogue."), "{gone}");
    }

    #[tokio::test]
    async fn an_import_names_providers_and_keeps_the_routes_that_it_does_not_speak_of() {
        let here = Here::new();
        here.run(&["providers", "add", "OpenAI", "--url", "https://api.openai.com", "--no-credential"])
            .await
            .unwrap();
        here.run(&["models", "route", "gpt-5", "--to", "OpenAI"]).await.unwrap();
        let file = here.0.path().join("models.json");
        let import = async |entry: &str| {
            std::fs::write(
                &file,
                format!(r#"[{{"provider": "OpenAI", "output": "2", "cached": "0", {entry}}}]"#),
            )
            .unwrap();
            here.run(&["models", "import", file.to_str().unwrap()]).await
        };
        import(r#""id": "gpt-5", "input": "7""#).await.unwrap();
        assert_eq!(here.model("gpt-5").await, ("7".into(), "gpt-5".into(), Some("OpenAI".into())));
        import(r#""id": "gpt-6", "input": "8", "route": "OpenAI", "upstream": "six""#).await.unwrap();
        assert_eq!(here.model("gpt-6").await, ("8".into(), "six".into(), Some("OpenAI".into())));
        let wrong = import(r#""id": "gpt-7", "input": "8", "route": "Nowhere""#).await.unwrap_err();
        assert!(
            wrong.starts_with("gpt-7: route: There is no provider Nowhere. There are: OpenAI."),
            "{wrong}"
        );
    }
}

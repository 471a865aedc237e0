//! Models and their prices on the command line. Options are checked by the same parsers as the fields of the pages.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::imported::{Confirmed, Imported, Planned, Preview, Unconfirmed};
use keydesk_core::domain::meter::{Dimension, Meter};
use keydesk_core::domain::model::{
    EditModel, KnownModel, Model, parse_model_id, parse_output_tokens, parse_size, parse_upstream_name,
    parse_vendor, tokens_words,
};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::price::{PastPrice, Price, parse_source, parse_start};
use keydesk_core::domain::tariff::{Line, Millionths, Tariff};
use keydesk_core::domain::tariff_words::{parse_factor_of, parse_line, parse_rate};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{catalogue, models, prices};

use super::upstreams::{edit_conflict, set};
use crate::config::DataConfig;
use crate::open::{changing, op_error, reading};

#[derive(Subcommand)]
pub enum ModelsCommand {
    /// List the catalogue as JSON, in the format that import reads.
    #[command(alias = "export")]
    List(DataConfig),
    /// Show a model with its price in force, those that will start, and its earlier ones.
    Show {
        /// The name that clients send.
        model: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Add and update models from a JSON file, or from the list that comes with this version. What the file leaves out stays as it is, and so do prices that you set
    /// yourself and prices that would move to zero, from zero or by more than ten times, until you confirm them.
    Import(ImportModels),
    /// Change a model, or add one. What is left out stays as it is. Another price starts now, or at --starts.
    Set(Box<SetModel>),
    /// Withdraw a price that has not started. `keydesk models show` lists them.
    WithdrawPrice {
        /// The name that clients send.
        model: String,
        /// The price's id.
        price: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Put the catalogue's price in force in place of your own.
    CataloguePrice {
        /// The name that clients send.
        model: String,
        #[command(flatten)]
        data: DataConfig,
    },
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
#[command(group = ArgGroup::new("list").required(true).args(["file", "shipped"]))]
pub struct ImportModels {
    /// A list in the format of `models list`, LiteLLM's `model_prices_and_context_window.json`, or models.dev's `api.json`.
    file: Option<PathBuf>,
    /// Import the models and prices that come with this version, in place of a file.
    #[arg(long)]
    shipped: bool,
    /// Retire the models that the file does not name.
    #[arg(long)]
    only: bool,
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
    /// Take over the price of this model although it is held back, your own prices included.
    #[arg(long, value_name = "MODEL")]
    confirm: Vec<String>,
    /// Take over every price that moves far. Your own prices stay.
    #[arg(long)]
    confirm_all: bool,
    #[command(flatten)]
    data: DataConfig,
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
    /// Dollars for any meter, such as cache_write_short=1.25: for a million tokens, a thousand searches or tool uses, or a
    /// request. Can be repeated.
    #[arg(long, value_name = "METER=DOLLARS", value_parser = parse_rate)]
    price: Vec<(Meter, Money)>,
    /// Prices of the whole request above a number of input tokens, such as 272000:input=4,output=15. Can be repeated.
    #[arg(long, value_name = "TOKENS:METER=DOLLARS,…", value_parser = parse_line)]
    line: Vec<Line>,
    /// A factor by tier, region or speed, such as tier:flex=0.5. Can be repeated.
    #[arg(long, value_name = "KIND:NAME=FACTOR", value_parser = parse_factor_of)]
    factor: Vec<(Dimension, String, Millionths)>,
    /// Drop the present prices: those given here are all there are. Alone, the model has no price then.
    #[arg(long)]
    replace_prices: bool,
    /// Where the prices are published.
    #[arg(long, value_name = "TEXT", value_parser = parse_source)]
    source: Option<String>,
    /// When the price starts, in UTC, such as 2026-12-01T00:00. Left out: now.
    #[arg(long, value_name = "DATE-TIME", value_parser = parse_start)]
    starts: Option<Moment>,
    /// The provider's name for it; empty is the same name.
    #[arg(long, value_name = "NAME", value_parser = parse_upstream_name)]
    upstream: Option<String>,
    /// Output tokens that are reserved for a request that sets no maximum.
    #[arg(long, value_name = "TOKENS", value_parser = parse_output_tokens)]
    default_output: Option<i64>,
    /// The most tokens that the model accepts.
    #[arg(long, value_name = "TOKENS", value_parser = parse_size)]
    context: Option<i64>,
    /// The most tokens that the model gives out.
    #[arg(long, value_name = "TOKENS", value_parser = parse_size)]
    max_output: Option<i64>,
    #[command(flatten)]
    data: DataConfig,
}

impl SetModel {
    fn new_model(self) -> Result<Model, String> {
        let Some(vendor) = self.vendor.as_deref() else {
            return Err(format!(
                "{} is not in the catalogue. To add it, give --vendor, and --input, --output and --cached unless it has no price.",
                self.model
            ));
        };
        let mut model = Model::unrouted(&self.model, vendor);
        self.apply(&mut model)?;
        Ok(model)
    }

    fn apply(self, model: &mut Model) -> Result<(), String> {
        let before = model.price.clone();
        let source = self.source.clone().or_else(|| before.as_ref().map(|price| price.source.clone()));
        let present = before.map(|price| price.tariff).filter(|_| !self.replace_prices);
        let tariff = self.tariff(present.unwrap_or_default())?;
        model.price = (!tariff.is_empty())
            .then(|| Price { source: source.unwrap_or_default(), ..Price::unrecorded(tariff) });
        set(&mut model.provider, self.vendor);
        let upstream = self.upstream.map(|name| if name == self.model { String::new() } else { name });
        set(&mut model.upstream_name, upstream);
        set(&mut model.default_output_tokens, self.default_output);
        set(&mut model.context_tokens, self.context.map(Some));
        set(&mut model.max_output_tokens, self.max_output.map(Some));
        Ok(())
    }

    fn tariff(&self, mut tariff: Tariff) -> Result<Tariff, String> {
        let three =
            [(Meter::Input, self.input), (Meter::Output, self.output), (Meter::CachedInput, self.cached)];
        let three = three.into_iter().filter_map(|(meter, price)| Some((meter, price?)));
        for (meter, price) in three.chain(self.price.iter().copied()) {
            tariff.rates = tariff.rates.with(meter, price).map_err(|error| error.to_string())?;
        }
        for line in &self.line {
            tariff.lines.retain(|present| present.above != line.above);
            tariff = tariff.with_line(line.clone()).map_err(|error| error.to_string())?;
        }
        for (dimension, word, factor) in &self.factor {
            tariff = tariff.with_factor(*dimension, word, *factor).map_err(|error| error.to_string())?;
        }
        Ok(tariff)
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

pub async fn run(command: ModelsCommand) -> Result<(), String> {
    match command {
        ModelsCommand::List(data) => {
            let list = reading(&data, async |desk| models::every(desk).await.map_err(op_error)).await?;
            println!("{}", catalogue::write(&list));
            Ok(())
        }
        ModelsCommand::Show { model, data } => reading(&data, async |desk| show(desk, &model).await).await,
        ModelsCommand::Import(args) => import(args).await,
        ModelsCommand::Set(args) => {
            println!("{}", set_model(*args).await?);
            Ok(())
        }
        ModelsCommand::WithdrawPrice { model, price, data } => {
            changing(&data, async |desk| withdraw(desk, &model, &price).await).await
        }
        ModelsCommand::CataloguePrice { model, data } => {
            changing(&data, async |desk| {
                let taken = prices::take_catalogue_price(desk, OperatorActor::CommandLine, &model).await;
                println!("{} has the catalogue's price from now on.", taken.map_err(op_error)?);
                Ok(())
            })
            .await
        }
        ModelsCommand::Retire { model, data } => {
            changing(&data, async |desk| retire_model(desk, model).await).await
        }
        ModelsCommand::Route(args) => route(args).await,
    }
}

async fn show(desk: &Desk, id: &str) -> Result<(), String> {
    let book = prices::by_id(desk, id).await.map_err(op_error)?;
    let KnownModel { model, served_by, .. } = &book.known;
    let served = match served_by {
        None => "not served".to_owned(),
        Some(name) if book.further.is_empty() => name.clone(),
        Some(name) => {
            let further = book.further.iter().map(|(provider, one)| one.words(&provider.spec.name));
            let all = std::iter::once(format!("{name}, weight {}", model.weight)).chain(further);
            all.collect::<Vec<_>>().join("; ")
        }
    };
    let rows = [
        ("Model", model.id.clone()),
        ("Vendor", model.provider.clone()),
        ("Served by", served),
        ("Name at the provider", model.name_upstream().to_owned()),
        ("Context length", tokens_words(model.context_tokens)),
        ("Max output tokens", tokens_words(model.max_output_tokens)),
        ("Price", model.price_words()),
    ];
    for (name, value) in rows {
        println!("{name}: {value}");
    }
    for past in &book.prices {
        println!("{}", past_line(past, book.now, model.price.as_ref()));
    }
    if let Some(price) = &book.catalogue {
        println!("The catalogue has another price: {}.", price.tariff.words());
        println!("Use it with: keydesk models catalogue-price {}", model.id);
    }
    Ok(())
}

fn past_line(past: &PastPrice, now: Moment, in_force: Option<&Price>) -> String {
    let PastPrice { price, set_by, withdrawn_at, .. } = past;
    let state = match withdrawn_at {
        Some(_) => "withdrawn",
        None if price.starts_at > now => "will start",
        None if in_force.is_some_and(|current| current.id == price.id) => "in force",
        None => "ended",
    };
    let more = [price.origin.label(), set_by.as_str(), price.source.as_str()];
    let more: Vec<&str> = more.into_iter().filter(|text| !text.is_empty()).collect();
    let starts = price.starts_at.exact(&Zone::utc());
    format!("{}\t{state}\t{starts}\t{}\t{}", price.id, price.tariff.words(), more.join(", "))
}

async fn withdraw(desk: &Desk, model: &str, price: &str) -> Result<(), String> {
    let book = prices::by_id(desk, model).await.map_err(op_error)?;
    if !book.coming().iter().any(|past| past.price.id.as_str() == price) {
        return Err(format!(
            "{model} has no such price that will start. `keydesk models show {model}` lists its prices."
        ));
    }
    let withdrawn = prices::withdraw(desk, OperatorActor::CommandLine, model, price).await;
    println!("The price of {} is withdrawn.", withdrawn.map_err(op_error)?);
    Ok(())
}

async fn import(args: ImportModels) -> Result<(), String> {
    let ImportModels { file, shipped: _, only, dry_run, confirm, confirm_all, data } = args;
    let list: Vec<Imported> = match file {
        None => catalogue::shipped(),
        Some(file) => {
            let text =
                std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}.", file.display()))?;
            let read = keydesk_core::domain::catalogue::read(&text).map_err(|error| error.to_string())?;
            read.left_out.iter().for_each(|left_out| eprintln!("{}", left_out.words()));
            read.models
        }
    };
    let unknown = confirm.iter().find(|id| !list.iter().any(|entry| entry.id == **id));
    if let Some(id) = unknown {
        return Err(format!("--confirm {id}: the file has no such model."));
    }
    let confirmed =
        Confirmed { every_far_move: confirm_all, models: confirm.into_iter().collect::<BTreeSet<_>>() };
    if dry_run {
        let preview = reading(&data, async |desk| {
            catalogue::preview(desk, &list, only, &confirmed).await.map_err(op_error)
        });
        print_changes(&preview.await?);
        println!("Nothing was imported.");
        return Ok(());
    }
    let done = changing(&data, async |desk| {
        catalogue::import(desk, &list, only, &confirmed).await.map_err(op_error)
    });
    print_changes(&done.await?);
    println!("{} models imported.", list.len());
    Ok(())
}

/// A line for each model that is not as it was, in columns; what is held back comes last, with what confirms it.
fn print_changes(preview: &Preview) {
    let width = preview.models.iter().map(|planned| planned.id.chars().count()).max().unwrap_or_default();
    let words = |tariff: &Option<Tariff>| tariff.as_ref().map_or_else(|| "no price".into(), Tariff::words);
    let line = |planned: &Planned| {
        let what = match (planned.is_new, planned.moves_price() && planned.unconfirmed.is_none()) {
            (true, _) => format!("added      {}", words(&planned.after)),
            (false, true) => format!("changed    {} → {}", words(&planned.before), words(&planned.after)),
            (false, false) => "changed    not the price".to_owned(),
        };
        println!("{:width$}  {what}", planned.id);
    };
    let is_change = |planned: &&Planned| {
        planned.is_new || planned.other_changes || planned.moves_price() && planned.unconfirmed.is_none()
    };
    preview.models.iter().filter(is_change).for_each(line);
    for id in &preview.retired {
        println!("{id:width$}  retired");
    }
    for planned in &preview.models {
        let Some(why) = planned.unconfirmed else { continue };
        let why = match why {
            Unconfirmed::OperatorPrice => "your own price stays",
            Unconfirmed::FarMove => "moves to or from zero, or by more than ten times",
        };
        let (before, after) = (words(&planned.before), words(&planned.after));
        println!("{:width$}  held back  {before} → {after}: {why}", planned.id);
        println!("{:width$}             To take it over: --confirm {}", "", planned.id);
    }
    let same = preview.models.iter().filter(|planned| planned.is_unchanged()).count();
    if same > 0 {
        println!("{same} unchanged.");
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
    let (data, starts) = (args.data.clone(), args.starts);
    changing(&data, async |desk| {
        let every = models::every(desk).await.map_err(op_error)?;
        let Some(KnownModel { model, version, .. }) =
            every.into_iter().find(|known| known.model.id == args.model)
        else {
            let model = args.new_model()?;
            let added = models::add(desk, OperatorActor::CommandLine, &model, starts).await;
            let price = if model.price.is_none() { " It has no price." } else { "" };
            return Ok(format!(
                "{} is in the catalogue. It is not served yet.{price}",
                added.map_err(op_error)?
            ));
        };
        let base = model.as_edited();
        let mut mine = base.clone();
        args.apply(&mut mine)?;
        let edit = EditModel { version, base: Some(base), mine, starts };
        match models::save(desk, OperatorActor::CommandLine, &edit).await.map_err(op_error)? {
            Outcome::Saved(id) => Ok(match starts {
                None => format!("{id} is saved."),
                Some(at) => format!("{id} is saved. Its new price starts {}.", at.exact(&Zone::utc())),
            }),
            Outcome::Unchanged(_) => Ok("Nothing was changed.".to_owned()),
            Outcome::Conflict(_) => Err(edit_conflict(&edit.mine.id)),
        }
    })
    .await
}

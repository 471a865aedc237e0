//! Keys with every limit that there is: budgets of the key, its team and its organisation, requests and tokens per minute,
//! concurrent requests, models and addresses. None of them stops anyone here.

use std::net::SocketAddr;

use keydesk_core::Desk;
use keydesk_core::domain::addresses::AllowList;
use keydesk_core::domain::bounds::Bounds;
use keydesk_core::domain::expiry::{Expiry, KeyDraft};
use keydesk_core::domain::ids::{KeyId, TeamId};
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::limits::{Budget, Limits};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::price::Price;
use keydesk_core::domain::provider::{ProviderKind, ProviderSpec};
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::domain::settings::EditSettings;
use keydesk_core::domain::tariff::Tariff;
use keydesk_core::domain::team::TeamSpec;
use keydesk_core::domain::window::Period;
use keydesk_core::ops::orgs::{self, OperatorActor};
use keydesk_core::ops::{OpError, keys, models, providers, teams};

use super::http::say;
use super::seed::{Bench, SLUG};

const MODEL: &str = "bench/echo";

/// The budgets and limits of each of them.
pub fn limits() -> (Vec<Budget>, Limits) {
    let amount = Money::from_nanos(1_000_000 * 1_000_000_000);
    let budgets = [Period::Month, Period::Day].map(|period| Budget { period, amount }).to_vec();
    let limits = Limits { rpm: Some(1_000_000_000), tpm: Some(1_000_000_000), concurrent: Some(1_000_000) };
    (budgets, limits)
}

pub struct LimitedKey {
    pub id: KeyId,
    pub name: String,
    pub secret: String,
}

/// The team of such keys, in an organisation with budgets of its own.
pub struct Limited<'a> {
    desk: &'a Desk,
    bench: &'a Bench,
    bounds: Bounds,
    team: TeamId,
}

impl<'a> Limited<'a> {
    pub async fn prepare(desk: &'a Desk, bench: &'a Bench) -> Result<Self, OpError> {
        let (budgets, limits) = limits();
        let view = orgs::settings(desk, &bench.owner, SLUG).await?;
        let mut mine = view.settings;
        mine.budgets.clone_from(&budgets);
        let edit = EditSettings { org: SLUG.into(), version: view.context.org.version, base: None, mine };
        orgs::save(desk, &bench.owner, &edit).await?;
        let models = ModelScope::Listed(ModelScope::parse_lines("bench/*").unwrap_or_default());
        let bounds = Bounds { models, budgets, limits };
        let spec = TeamSpec { name: "Limited".into(), bounds: bounds.clone() };
        let team = teams::create(desk, &bench.owner, SLUG, &spec).await?;
        Ok(Self { desk, bench, bounds, team })
    }

    pub async fn key(&self, name: String) -> Result<LimitedKey, OpError> {
        let Bounds { models, budgets, limits } = self.bounds.clone();
        let spec = KeySpec {
            name: name.clone(),
            team: Some(self.team.clone()),
            models,
            budgets,
            limits,
            addresses: AllowList::parse_lines("127.0.0.0/8").unwrap_or_default(),
            ..KeySpec::default()
        };
        let draft = KeyDraft { spec, expiry: Expiry::Never };
        let issued = keys::create(self.desk, &self.bench.owner, SLUG, &draft).await?;
        Ok(LimitedKey { id: issued.id, name, secret: issued.secret.reveal().to_owned() })
    }
}

/// A provider at this address serves the model that the keys may use, at a price.
pub async fn serve_the_model(desk: &Desk, provider: SocketAddr) -> Result<(), String> {
    let provider = ProviderSpec::new("Bench".into(), ProviderKind::OpenAi, format!("http://{provider}"));
    let provider = providers::add(desk, OperatorActor::CommandLine, &provider).await.map_err(say)?;
    let dollar = Money::from_nanos(1_000_000_000);
    let tariff = Tariff::flat(dollar, dollar, Money::from_nanos(2_000_000_000)).map_err(say)?;
    let model = Model {
        route: Some(provider.id),
        price: Some(Price::unrecorded(tariff)),
        ..Model::unrouted(MODEL, "Bench")
    };
    models::add(desk, OperatorActor::CommandLine, &model, None).await.map_err(say)?;
    Ok(())
}

//! The connection to a provider: its API key, sealed before it is stored, and the test that says whether a model answers.
//! For operators and the command line. A key that was stored is never shown again; only its last four characters are.

use super::OpError;
use super::orgs::OperatorActor;
use super::providers::{find, no_sealing_key, provider_event, put_key};
use super::secret_search::count_provider_test;
use crate::Desk;
use crate::domain::audit::{Change, EventKind};
use crate::domain::hidden::Hidden;
use crate::domain::key_format::looks_like_secret;
use crate::domain::live_test::TestCall;
use crate::domain::meter::Meter;
use crate::domain::model::KnownModel;
use crate::domain::money::Money;
use crate::domain::policy::Action;
use crate::domain::provider::{Provider, ProviderKind, ProviderSpec};
use crate::domain::provider_failure::ProviderHealth;
use crate::domain::provider_test::{
    CallProvider, ProviderAnswer, ProviderCall, ProviderTest, TestStep, listed_models, may_chat, one_token,
    step,
};
use crate::store::{models, provider_watch, providers};

const MODELS_WITHIN_MS: i64 = 10_000;
const ONE_TOKEN_WITHIN_MS: i64 = 30_000;
const MAX_MODEL: usize = 200;
/// Models that are asked until one answers.
const MAX_ASKED: usize = 3;
/// OpenAI's newer models take the limit only under its new name.
const RENAMED: &str = "max_completion_tokens";

/// Adds a provider, and stores its API key where one was pasted. The key is a second step, because only a row that is there
/// can be locked against a rotation of the key that seals.
///
/// # Errors
/// `Invalid` when the name is taken, or this process has no key to seal with.
pub async fn connect(
    desk: &Desk,
    by: OperatorActor<'_>,
    spec: &ProviderSpec,
    key: Option<&Hidden>,
) -> Result<Provider, OpError> {
    by.must_operate()?;
    if key.is_some() && desk.provider_vault.sealing_tag().is_none() {
        return Err(no_sealing_key());
    }
    let provider = super::providers::add(desk, by, spec).await?;
    let Some(key) = key else { return Ok(provider) };
    let mut tx = desk.db.write().await?;
    let permit = by.operator_permit(Action::EditProvider, provider.id.as_str())?;
    let change = put_key(desk, &mut tx, &permit, &provider, key.as_str()).await?;
    let event = provider_event(EventKind::ProviderEdited, &provider, vec![change]);
    tx.save(&permit, event, desk.now()).await?;
    Ok(provider)
}

/// Seals every stored API key with the newest key that this process has; answers how many were sealed with another one.
///
/// # Errors
/// `Conflict` when one cannot be opened with the keys that are here; nothing is changed then.
pub async fn reseal(desk: &Desk, by: OperatorActor<'_>) -> Result<usize, OpError> {
    by.must_operate()?;
    let mut tx = desk.db.write().await?;
    providers::lock_all(&mut tx).await?;
    desk.provider_vault.reload();
    let Some(newest) = desk.provider_vault.sealing_tag() else { return Err(no_sealing_key()) };
    let mut events = Vec::new();
    for listed in providers::list(&mut tx).await? {
        let provider = &listed.provider;
        let Some(before) = provider.sealed_key.as_ref().filter(|key| key.sealed_with != newest) else {
            continue;
        };
        let Some(key) = desk.provider_vault.open(&provider.id, before) else {
            return Err(OpError::Conflict(format!(
                "The API key of {} was sealed with a key that is not here. Nothing was changed. Put that key's file back, or paste the API key of {} again first.",
                provider.spec.name, provider.spec.name
            )));
        };
        let sealed = desk.provider_vault.seal(&provider.id, desk.bytes(), &key).ok_or_else(no_sealing_key)?;
        let permit = by.operator_permit(Action::EditProvider, provider.id.as_str())?;
        providers::reseal(&mut tx, &permit, &provider.id, &sealed).await?;
        let change =
            Change::replaced("sealing_key", before.sealed_with.as_str(), sealed.sealed_with.as_str());
        events.push((permit, provider_event(EventKind::ProviderEdited, provider, vec![change])));
    }
    let count = events.len();
    tx.save_all(events, desk.now()).await?;
    Ok(count)
}

/// Names of the providers whose stored API key this process cannot open.
///
/// # Errors
/// When the database cannot be read.
pub async fn unopened(desk: &Desk) -> Result<Vec<String>, OpError> {
    // A gateway's own login may read these, and not the whole list.
    let mut list = providers::with_stored_key(&mut desk.db.read().await?).await?;
    list.retain(|provider| {
        let key = provider.sealed_key.as_ref();
        key.is_some_and(|key| desk.provider_vault.open(&provider.id, key).is_none())
    });
    Ok(list.into_iter().map(|provider| provider.spec.name).collect())
}

/// Lists a provider's models and asks one of them for one token, which costs as little as a request can. No transaction is
/// open while it calls. What it found is kept until the connection is changed.
///
/// # Errors
/// `Invalid` for what is no model's name; `TooMany` after ten tests of one person in a minute; `Conflict` when the provider was
/// changed meanwhile.
pub async fn test(
    desk: &Desk,
    by: OperatorActor<'_>,
    id: &str,
    model: &str,
    calls: &dyn CallProvider,
) -> Result<ProviderTest, OpError> {
    by.must_operate()?;
    let model = model.trim().trim_start_matches("models/");
    if model.len() > MAX_MODEL || model.contains(char::is_control) || looks_like_secret(model) {
        return Err(OpError::say("model", "This is not the name of a model."));
    }
    if let OperatorActor::Operator(caller) = by {
        count_provider_test(desk, caller).await?;
    }
    let (listed, known) = {
        let mut read = desk.db.read().await?;
        (find(&mut read, id).await?, models::list_known(&mut read, desk.now()).await?)
    };
    let provider = &listed.provider;
    let mut test = Testing { provider, calls, steps: Vec::new() };
    let names = test.list().await;
    let may_go_on = test.steps.last().is_some_and(|step| !matches!(step.status, None | Some(401 | 403)));
    let candidates = match model {
        "" => candidates(provider, &names, &known),
        model => vec![model.to_owned()],
    };
    let mut answered = String::new();
    if may_go_on && candidates.is_empty() {
        test.steps.push(no_candidate());
    } else if may_go_on {
        answered = test.ask(&candidates).await.unwrap_or_default();
    }
    let steps = test.steps;
    let result = ProviderTest {
        at: desk.now(),
        ok: !answered.is_empty(),
        model: answered,
        models: if provider.spec.address().names_model() { Vec::new() } else { names },
        steps,
    };
    let mut tx = desk.db.write().await?;
    let now = find(&mut tx, id).await?;
    if now.version != listed.version {
        return Err(OpError::Conflict(format!(
            "{} was changed while it was tested. Test it again.",
            provider.spec.name
        )));
    }
    let permit = by.operator_permit(Action::TestProvider, provider.id.as_str())?;
    providers::put_test(&mut tx, &permit, &provider.id, &result).await?;
    if result.ok {
        providers::mark_connected(&mut tx, &provider.id, result.at).await?;
        // What repaired it need not wait for a client's request to show.
        let answered = ProviderHealth { answered_at: result.at, ..ProviderHealth::default() };
        provider_watch::set_health(&mut tx, &provider.id, &answered).await?;
    }
    let words = if result.ok { "connected" } else { "not connected" };
    let event = provider_event(EventKind::ProviderTested, provider, vec![Change::added("result", words)]);
    tx.save(&permit, event, result.at).await?;
    Ok(result)
}

/// Lists the models of every provider in use, and changes nothing: each by name, with how that went.
///
/// # Errors
/// When the database cannot be read.
pub async fn list_all(desk: &Desk, calls: &dyn CallProvider) -> Result<Vec<(String, TestStep)>, OpError> {
    let mut listed = Vec::new();
    for found in providers::list(&mut desk.db.read().await?).await? {
        let mut test = Testing { provider: &found.provider, calls, steps: Vec::new() };
        test.list().await;
        listed.extend(test.steps.pop().map(|step| (found.provider.spec.name.clone(), step)));
    }
    Ok(listed)
}

struct Testing<'a> {
    provider: &'a Provider,
    calls: &'a dyn CallProvider,
    steps: Vec<TestStep>,
}

impl Testing<'_> {
    async fn list(&mut self) -> Vec<String> {
        let call = ProviderCall { body: None, model: String::new(), within_ms: MODELS_WITHIN_MS };
        let answer = self.calls.call(self.provider, call).await;
        let taken = step(self.provider, TestCall::Models, &answer);
        let names = match &answer {
            Ok(answer) if taken.ok => listed_models(self.provider.spec.kind, &answer.body),
            _ => Vec::new(),
        };
        self.steps.push(taken);
        names
    }

    /// The first that answers; each that does not is a step of its own.
    async fn ask(&mut self, candidates: &[String]) -> Option<String> {
        for model in candidates {
            let mut answer = self.one_token(model, "max_tokens").await;
            let wants_renamed = self.provider.spec.kind == ProviderKind::OpenAi
                && answer.as_ref().is_ok_and(|answer| answer.status == 400 && answer.body.contains(RENAMED));
            if wants_renamed {
                answer = self.one_token(model, RENAMED).await;
            }
            let taken = step(self.provider, TestCall::OneToken(model), &answer);
            let (ok, status) = (taken.ok, taken.status);
            self.steps.push(taken);
            if ok {
                return Some(model.clone());
            }
            // Only where the model may be the reason is another one asked.
            if !matches!(status, Some(400 | 404 | 422)) {
                return None;
            }
        }
        None
    }

    async fn one_token(&self, model: &str, limit: &str) -> ProviderAnswer {
        let body = Some(one_token(self.provider.spec.kind, model, limit));
        let call = ProviderCall { body, model: model.to_owned(), within_ms: ONE_TOKEN_WITHIN_MS };
        self.calls.call(self.provider, call).await
    }
}

fn no_candidate() -> TestStep {
    TestStep {
        call: String::new(),
        status: None,
        ms: None,
        ok: false,
        sentence: "It is not known which model to ask. Name one that this provider serves, and test again."
            .into(),
        answer: String::new(),
    }
}

/// Whom to ask: what it serves already, then the cheapest of the catalogue that it lists, then what else it lists.
fn candidates(provider: &Provider, names: &[String], known: &[KnownModel]) -> Vec<String> {
    let lists = !names.is_empty() && !provider.spec.address().names_model();
    let is_there = |name: &str| !lists || names.iter().any(|listed| listed == name);
    let cost = |known: &&KnownModel| match known.model.rate(Meter::Output) {
        Some(price) if price > Money::ZERO => price,
        _ => Money::from_nanos(i64::MAX),
    };
    let own = |known: &KnownModel| known.model.name_at(&provider.id).is_some();
    let name_of = |known: &KnownModel| {
        known.model.name_at(&provider.id).unwrap_or_else(|| known.model.name_upstream()).to_owned()
    };
    let mut routed: Vec<&KnownModel> =
        known.iter().filter(|known| own(known) && known.model.gives_output()).collect();
    routed.sort_by_key(cost);
    let mut listed: Vec<&KnownModel> = known
        .iter()
        .filter(|known| lists && !own(known) && known.model.gives_output() && may_chat(&known.model.id))
        .collect();
    listed.sort_by_key(cost);
    let others = names.iter().filter(|name| lists && may_chat(name)).cloned();
    let mut found: Vec<String> = Vec::new();
    let in_catalogue = routed.into_iter().chain(listed).map(name_of);
    for name in in_catalogue.chain(others) {
        if is_there(&name) && !found.contains(&name) {
            found.push(name);
        }
    }
    found.truncate(MAX_ASKED);
    found
}

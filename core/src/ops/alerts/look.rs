//! One look for what crossed a line. A line that was passed has one alert for all time, by the text of its crossing, so a
//! look may be made twice, on two nodes or after a crash: it finds the same. An alert and its deliveries are one transaction.
//!
//! The first look of an installation finds lines that were crossed long ago. Those are entries in inboxes and nothing else,
//! so that an update sends no storm of mails.

use std::collections::{BTreeSet, HashMap};

use crate::Desk;
use crate::domain::alert::{Choices, Crossed, Facts, Subject, SubjectKind, Thresholds, Way, days_before};
use crate::domain::ids::{AlertId, DeliveryId, OrgId};
use crate::domain::moment::{Moment, Zone};
use crate::store::alert_sources::{self, AfterBudget, BudgetsWanted, Line, Spent};
use crate::store::alerts::{self, To};
use crate::store::provider_watch::{self, RecentFailure};
use crate::store::{StoreError, Tx, Unaudited, Via, alert_channels, alert_outbox};

/// Alerts of one transaction.
const BATCH: usize = 20;
/// What is noted when a look at everything is complete.
const FIRST_LOOK: &str = "first_look";
/// Budgets that are in memory together.
const BUDGETS_AT_ONCE: i64 = 2_000;
/// Alerts are kept this long. A budget without an end would alert again afterwards.
const KEPT_DAYS: i64 = 400;
const DAY_MS: i64 = 86_400_000;

/// How much a look looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Who spent something lately, and rejections: every few seconds.
    Recent,
    /// Everything: at the start, and every few minutes. It finds budgets that were set below what is spent, ends that come
    /// near, spikes, and what happened while no one looked.
    Everything,
}

/// Writes an alert for each line that was crossed since the last look; says how many. `mail` says whether the installation
/// sends any.
///
/// # Errors
/// When the database cannot be read or written; what was written before stays.
pub async fn look(desk: &Desk, what: Look, mail: bool) -> Result<usize, StoreError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let wanted = wanted(alert_sources::threshold_lists(&mut read).await?);
    let zones = alert_sources::zones(&mut read).await?;
    let is_first = !alert_outbox::is_done(&mut read, FIRST_LOOK).await?;
    drop(read);
    let sends = Sends { mail: mail && !is_first, posts: !is_first };
    let mut written = 0;
    for zone in &zones {
        let recent = what == Look::Recent;
        let which = BudgetsWanted { percent: lowest(&wanted), recent, max: BUDGETS_AT_ONCE };
        let mut after = Some(AfterBudget::first());
        while let Some(begin) = after {
            let mut read = desk.db.read().await?;
            let (found, next) = alert_sources::budgets(&mut read, zone, now, which, &begin).await?;
            drop(read);
            let crossed: Vec<Crossed> =
                found.into_iter().filter_map(|spent| passed(spent, &wanted)).collect();
            written += write_all(desk, &crossed, sends).await?;
            after = next;
        }
    }
    written += write_all(desk, &find_others(desk, what, &wanted, &zones).await?, sends).await?;
    // One that was cut short is made again, as the first one.
    if is_first && what == Look::Everything {
        let mut tx = desk.db.write().await?;
        alert_outbox::mark_done(&mut tx, FIRST_LOOK, now).await?;
        tx.save_unaudited(Unaudited::Alerts).await?;
    }
    Ok(written)
}

/// What goes out beside the entries in inboxes.
#[derive(Clone, Copy)]
struct Sends {
    mail: bool,
    posts: bool,
}

async fn write_all(desk: &Desk, crossed: &[Crossed], sends: Sends) -> Result<usize, StoreError> {
    let mut written = 0;
    for batch in crossed.chunks(BATCH) {
        let mut tx = desk.db.write().await?;
        for one in batch {
            written += usize::from(write(desk, &mut tx, one, sends).await?);
        }
        tx.save_unaudited(Unaudited::Alerts).await?;
    }
    Ok(written)
}

/// The lines that are not those of budgets.
async fn find_others(
    desk: &Desk,
    what: Look,
    wanted: &HashMap<String, Thresholds>,
    zones: &[Zone],
) -> Result<Vec<Crossed>, StoreError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let balances = alert_sources::balances(&mut read, lowest(wanted)).await?;
    let mut crossed: Vec<Crossed> = balances.into_iter().filter_map(|spent| passed(spent, wanted)).collect();
    crossed.extend(alert_sources::rejected(&mut read, now).await?.into_iter().map(|line| at(line, 0)));
    crossed.extend(providers(&mut read, now).await?);
    if what == Look::Everything {
        let ends = alert_sources::ends(&mut read, now).await?;
        crossed.extend(ends.into_iter().filter_map(|line| {
            let (Facts::Expiry { at: end } | Facts::Rotation { at: end }) = line.facts else { return None };
            let days = days_before(end, line.since, now)?;
            Some(at(line, days))
        }));
        for zone in zones {
            let spikes = alert_sources::spikes(&mut read, zone, now).await?;
            crossed.extend(spikes.into_iter().map(|line| at(line, 0)));
        }
    }
    Ok(crossed)
}

/// The lowest threshold that anyone wants, or that is usual.
fn lowest(wanted: &HashMap<String, Thresholds>) -> i64 {
    let usual = Thresholds::default();
    let lists = wanted.values().chain([&usual]);
    lists.filter_map(|list| list.percents().first().copied()).min().unwrap_or(100)
}

/// What operators have to do something about, once a day for each provider and kind, in the organisations whose inboxes they
/// read.
async fn providers(via: &mut impl Via, now: Moment) -> Result<Vec<Crossed>, StoreError> {
    let day = |at: Moment| at.ms().div_euclid(DAY_MS);
    let recent = provider_watch::recent(via, Moment::from_ms(day(now) * DAY_MS)).await?;
    if recent.is_empty() {
        return Ok(Vec::new());
    }
    let orgs: BTreeSet<OrgId> = alerts::operators(via).await?.into_iter().map(|(_, org)| org).collect();
    let crossed = |one: &RecentFailure, org: &OrgId| {
        let RecentFailure { provider, name, failure, times, words, last_at } = one;
        let subject = Subject { kind: SubjectKind::Provider, id: provider.to_string(), name: name.clone() };
        Crossed {
            org: org.clone(),
            subject,
            crossing: format!("provider/{provider}/{}/{}/{org}", failure.as_str(), day(*last_at)),
            threshold: 0,
            passed: vec![0],
            facts: Facts::Provider {
                failure: failure.as_str().to_owned(),
                times: *times,
                words: words.clone(),
            },
        }
    };
    Ok(recent.iter().flat_map(|one| orgs.iter().map(|org| crossed(one, org)).collect::<Vec<_>>()).collect())
}

/// By organisation, every threshold that anyone there wants. A person's own list does not take the others' away.
fn wanted(lists: Vec<(String, String)>) -> HashMap<String, Thresholds> {
    let mut wanted: HashMap<String, Thresholds> = HashMap::new();
    for (org, list) in lists {
        if let Ok(list) = Thresholds::parse(&list) {
            let all = wanted.remove(&org).unwrap_or_default().with(&list);
            wanted.insert(org, all);
        }
    }
    wanted
}

/// The highest threshold that was passed since the last alert of this line, with those below: one alert for all of them.
fn passed(spent: Spent, wanted: &HashMap<String, Thresholds>) -> Option<Crossed> {
    let (Facts::Budget { amount, spent: used, .. } | Facts::Balance { amount, spent: used }) = &spent.facts
    else {
        return None;
    };
    let percent = used.percent_of(*amount);
    let default = Thresholds::default();
    let passed = wanted.get(spent.org.as_str()).unwrap_or(&default).passed(spent.alerted, percent);
    let threshold = *passed.last()?;
    let Spent { org, subject, crossing, facts, .. } = spent;
    Some(Crossed { org, subject, crossing, threshold, passed, facts })
}

fn at(line: Line, threshold: i64) -> Crossed {
    let Line { org, subject, crossing, facts, .. } = line;
    Crossed { org, subject, crossing, threshold, passed: vec![threshold], facts }
}

/// The alert and its deliveries; says whether it was not there.
async fn write(desk: &Desk, tx: &mut Tx, crossed: &Crossed, sends: Sends) -> Result<bool, StoreError> {
    let now = desk.now();
    let Some(alert) = alerts::insert(tx, AlertId::new(now, desk.id_entropy()), crossed, now).await? else {
        return Ok(false);
    };
    let kind = crossed.facts.kind();
    let org = alerts::org_choices(tx, &crossed.org).await?;
    let mut recipients = alerts::recipients(tx, &crossed.org, &crossed.subject).await?;
    if !kind.is_of_org() {
        // Who belongs to several organisations is told in one.
        let operators = alerts::operators(tx).await?;
        recipients.retain(|(person, _)| {
            operators.iter().any(|(operator, at)| operator == person && *at == crossed.org)
        });
    }
    for (person, own) in recipients {
        let way = org.way_for(&own, kind, &crossed.passed);
        if way != Way::Off {
            deliver(desk, tx, &crossed.org, &alert, To::Inbox(&person), now).await?;
        }
        if way == Way::Mail && sends.mail {
            deliver(desk, tx, &crossed.org, &alert, To::Mail(&person), now).await?;
        }
    }
    // Channels are the organisation's, so what it chose is theirs.
    let posts = sends.posts && kind.is_of_org();
    if posts && org.way_for(&Choices::default(), kind, &crossed.passed) != Way::Off {
        for channel in alert_channels::list(tx, &crossed.org).await? {
            deliver(desk, tx, &crossed.org, &alert, To::Channel(&channel.id), now).await?;
        }
    }
    Ok(true)
}

async fn deliver(
    desk: &Desk,
    tx: &mut Tx,
    org: &OrgId,
    alert: &AlertId,
    to: To<'_>,
    now: Moment,
) -> Result<(), StoreError> {
    let id = DeliveryId::new(now, desk.id_entropy());
    alerts::deliver(tx, (&id, org), Some(alert), to, now).await
}

/// Removes old alerts.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(desk: &Desk) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    alerts::sweep(&mut tx, desk.now().plus_days(-KEPT_DAYS)).await?;
    tx.save_unaudited(Unaudited::Alerts).await
}

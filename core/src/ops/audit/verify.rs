//! Proves that no one rewrote the audit behind the program's back: numbers without holes, each event carrying the hash
//! of the one before, each hash made of what the event says, and the head at the end of it all. Reads in chunks and
//! changes nothing.

use crate::Desk;
use crate::domain::policy::Chain;
use crate::store::{StoreError, audit};

const CHUNK_ROWS: i64 = 1_000;

/// The result for one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The organisation's slug, or `installation`.
    pub name: String,
    /// How many events were found in order.
    pub events: i64,
    /// The newest one's hash. Kept elsewhere, it proves later that nothing up to here was rewritten since.
    pub head: Vec<u8>,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

/// Why a chain does not verify. The numbers are those of events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No event has this number, but one has a higher number.
    #[error("event {0} is missing")]
    Missing(i64),
    /// The event does not carry the hash of the event before it.
    #[error("event {0} does not follow the event before it: one of the two was exchanged or rewritten")]
    Unlinked(i64),
    /// The event's content does not match its hash.
    #[error("event {0} was altered: its content does not make its hash")]
    Altered(i64),
    /// The last event's number, and the higher number that the head records.
    #[error("event {0} is the last one there is, and the head says {1}: what came after is missing")]
    CutOff(i64, i64),
    /// The head records the last event's number with another hash.
    #[error("the head does not have the hash of event {0}")]
    OtherHead(i64),
    /// The last event's number; the head is missing or records a lower one.
    #[error("there are events up to {0} and no head, or an earlier one")]
    NoHead(i64),
}

/// Every chain: the installation's, then each organisation's in the order of their slugs.
///
/// # Errors
/// `StoreError` when the database cannot be read.
pub async fn verify_all(desk: &Desk) -> Result<Vec<Report>, StoreError> {
    let mut reports = Vec::new();
    for (chain, name) in chains(desk).await? {
        reports.push(walk(desk, &chain, name).await?);
    }
    Ok(reports)
}

/// One chain by an organisation's slug, or `installation`; `None` when there is none.
///
/// # Errors
/// `StoreError` when the database cannot be read.
pub async fn verify(desk: &Desk, name: &str) -> Result<Option<Report>, StoreError> {
    match chains(desk).await?.into_iter().find(|(_, known)| known == name) {
        Some((chain, name)) => walk(desk, &chain, name).await.map(Some),
        None => Ok(None),
    }
}

async fn chains(desk: &Desk) -> Result<Vec<(Chain, String)>, StoreError> {
    let orgs = audit::orgs(&mut desk.db.read().await?).await?;
    let installation = (Chain::Installation, Chain::Installation.id().to_owned());
    Ok([installation].into_iter().chain(orgs.into_iter().map(|(id, slug)| (Chain::Org(id), slug))).collect())
}

async fn walk(desk: &Desk, chain: &Chain, name: String) -> Result<Report, StoreError> {
    let mut read = desk.db.read().await?;
    let (mut last, mut hash) = (0, vec![0; 32]);
    let broken = loop {
        let links = audit::links(&mut read, chain, last, CHUNK_ROWS).await?;
        let mut broken = None;
        for link in &links {
            broken = if link.seq != last + 1 {
                Some(Broken::Missing(last + 1))
            } else if link.previous != hash {
                Some(Broken::Unlinked(link.seq))
            } else if link.content != link.hash {
                Some(Broken::Altered(link.seq))
            } else {
                None
            };
            if broken.is_some() {
                break;
            }
            last = link.seq;
            hash.clone_from(&link.hash);
        }
        if broken.is_some() {
            break broken;
        }
        if !links.is_empty() {
            continue;
        }
        // Head and event are written together, so a head that is ahead of what was read is either newer or broken.
        break match audit::head(&mut read, chain).await? {
            Some((seq, _)) if seq > last => match audit::links(&mut read, chain, last, 1).await?.is_empty() {
                true => Some(Broken::CutOff(last, seq)),
                false => continue,
            },
            Some((seq, head)) if seq == last => (head != hash).then_some(Broken::OtherHead(last)),
            None if last == 0 => None,
            Some(_) | None => Some(Broken::NoHead(last)),
        };
    };
    Ok(Report { name, events: last, head: hash, broken })
}

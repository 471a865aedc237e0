//! Proves that nobody rewrote the audit behind the program's back: numbers without holes, each event carrying the hash
//! of the one before, each hash made of what the event says, and the head at the end of it all. Reads in chunks and
//! changes nothing.

use crate::Desk;
use crate::domain::ids::OrgId;
use crate::store::{StoreError, audit};

const CHUNK_ROWS: i64 = 1_000;

/// What one organisation's audit comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub slug: String,
    /// How many events were found in order.
    pub events: i64,
    /// The newest one's hash. Kept elsewhere, it proves later that nothing up to here was rewritten since.
    pub head: Vec<u8>,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("event {0} is missing")]
    Missing(i64),
    #[error("event {0} does not follow the event before it: one of the two was exchanged or rewritten")]
    Unlinked(i64),
    #[error("event {0} was altered: its content does not make its hash")]
    Altered(i64),
    #[error("event {0} is the last one there is, and the head says {1}: what came after is missing")]
    CutOff(i64, i64),
    #[error("the head does not have the hash of event {0}")]
    OtherHead(i64),
    #[error("there are events up to {0} and no head, or an earlier one")]
    NoHead(i64),
}

/// All organisations, in the order of their slugs.
pub async fn verify_all(desk: &Desk) -> Result<Vec<Report>, StoreError> {
    let orgs = audit::orgs(&mut desk.db.read().await?).await?;
    let mut reports = Vec::with_capacity(orgs.len());
    for (id, slug) in orgs {
        reports.push(walk(desk, &id, slug).await?);
    }
    Ok(reports)
}

/// One organisation; `None` when there is none with this slug.
pub async fn verify(desk: &Desk, slug: &str) -> Result<Option<Report>, StoreError> {
    let orgs = audit::orgs(&mut desk.db.read().await?).await?;
    match orgs.into_iter().find(|(_, known)| known == slug) {
        Some((id, slug)) => walk(desk, &id, slug).await.map(Some),
        None => Ok(None),
    }
}

async fn walk(desk: &Desk, org: &OrgId, slug: String) -> Result<Report, StoreError> {
    let mut read = desk.db.read().await?;
    let (mut last, mut hash) = (0, vec![0; 32]);
    let broken = loop {
        let links = audit::links(&mut read, org, last, CHUNK_ROWS).await?;
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
        break match audit::head(&mut read, org).await? {
            Some((seq, _)) if seq > last => match audit::links(&mut read, org, last, 1).await?.is_empty() {
                true => Some(Broken::CutOff(last, seq)),
                false => continue,
            },
            Some((seq, head)) if seq == last => (head != hash).then_some(Broken::OtherHead(last)),
            None if last == 0 => None,
            Some(_) | None => Some(Broken::NoHead(last)),
        };
    };
    Ok(Report { slug, events: last, head: hash, broken })
}

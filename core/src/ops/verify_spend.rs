//! Whether what an organisation's pages show and its gates read is the sum of its requests, and whether each request is
//! charged what its meters cost. For the command line, where it checks no permission: it tells amounts of every
//! organisation.

use super::OpError;
use crate::Desk;
use crate::domain::ids::OrgId;
use crate::domain::spend_check::ComparedWindows;
use crate::store::orgs;
use crate::store::sums::basis;
use crate::store::verify::{self, Difference, Mischarged};

/// Of each comparison so many differences are told.
const MAX_DIFFERENCES: i64 = 100;

/// The result for one organisation.
pub struct Report {
    /// The organisation's slug.
    pub slug: String,
    /// How many requests the organisation has.
    pub requests: i64,
    /// Empty when everything adds up.
    pub differences: Vec<Difference>,
    /// Empty when every request is charged what its meters cost at its price.
    pub mischarged: Vec<Mischarged>,
    /// Which counters are not compared, in words; `None` when nothing is left out.
    pub left_out: Option<String>,
}

impl Report {
    /// Whether nothing differs.
    pub fn adds_up(&self) -> bool {
        self.differences.is_empty() && self.mischarged.is_empty()
    }
}

/// Every organisation.
///
/// # Errors
/// When the database cannot be read.
pub async fn spend_of_all(desk: &Desk) -> Result<Vec<Report>, OpError> {
    let mut reports = Vec::new();
    for org in super::orgs::every(desk).await? {
        reports.push(spend_of(desk, &org.slug).await?);
    }
    Ok(reports)
}

/// One organisation.
///
/// # Errors
/// `NotFound` when none is at this address.
pub async fn spend_of(desk: &Desk, slug: &str) -> Result<Report, OpError> {
    let org = orgs::find(&mut desk.db.read().await?, slug).await?.ok_or(OpError::NotFound)?;
    report(desk, org.slug, &org.id).await
}

async fn report(desk: &Desk, slug: String, org: &OrgId) -> Result<Report, OpError> {
    let (mut read, now) = (desk.db.read().await?, desk.now());
    let (requests, _) = verify::requests(&mut read, org).await?;
    let differences = verify::differences(&mut read, org, now, MAX_DIFFERENCES).await?.differences;
    let mischarged = verify::mischarged(&mut read, org, MAX_DIFFERENCES as usize).await?;
    let (basis, _) = basis(&mut read, org).await?;
    let windows = ComparedWindows::at(now, &basis.zone, basis.zone_since);
    let left_out = windows.words(&basis.zone, basis.zone_since);
    Ok(Report { slug, requests, differences, mischarged, left_out })
}

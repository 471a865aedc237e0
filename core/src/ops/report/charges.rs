//! Charges as a file of another program's: each day's spend of each key, model, provider, team and owner, a chunk at a time.

use std::collections::HashMap;

use super::super::OpError;
use super::super::access::{Caller, open_org, reopen_org};
use super::super::support::{SupportAccess, record_support_access};
use super::{name_of, part_of};
use crate::Desk;
use crate::domain::ids::OrgId;
use crate::domain::moment::{Day, Zone};
use crate::domain::report::{Charge, Dimension, Filters, ReportQuery, Span};
use crate::store::report::{self, Asked};

/// A file of charges under way.
pub struct Charges {
    /// The organisation's slug.
    pub slug: String,
    /// Its id.
    pub org: OrgId,
    /// Its name.
    pub name: String,
    /// Its time zone.
    pub zone: Zone,
    /// Which days.
    pub span: Span,
    caller: Caller,
    filters: Filters,
    last: Option<Charge>,
}

/// The names that charges need, by id.
#[derive(Clone, Debug, Default)]
pub struct ChargeNames {
    keys: HashMap<String, String>,
    teams: HashMap<String, String>,
    owners: HashMap<String, String>,
}

impl ChargeNames {
    /// The name of the charge's key.
    pub fn key(&self, charge: &Charge) -> String {
        name_of(Dimension::Key, &charge.key, &self.keys)
    }

    /// The name of its team; "No team" for none.
    pub fn team(&self, charge: &Charge) -> String {
        name_of(Dimension::Team, &charge.team, &self.teams)
    }

    /// The name of its owner.
    pub fn owner(&self, charge: &Charge) -> String {
        name_of(Dimension::Owner, &charge.owner, &self.owners)
    }
}

/// The charges of a report's days and filters.
///
/// # Errors
/// `NotFound` when the caller may not see the organisation; `Invalid` with a filter by tag, which charges do not have.
pub async fn charges(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    query: &ReportQuery,
) -> Result<Charges, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    part_of(&mut read, &context, &query.filters).await?;
    drop(read);
    if query.filters.get(Dimension::Tag).is_some() {
        return Err(OpError::say("tag", "Charges are not kept by tag. Remove the tag from the filters."));
    }
    record_support_access(desk, &context, SupportAccess::List { of: "spend", search: "" }).await?;
    let span = query.preset.span(Day::of(desk.now(), &context.org.zone), query.from, query.to);
    Ok(Charges {
        slug: context.org.slug,
        org: context.org.id,
        name: context.org.name,
        zone: context.org.zone,
        span,
        caller: caller.clone(),
        filters: query.filters.clone(),
        last: None,
    })
}

impl Charges {
    /// The next charges, with their names; empty at the end. Each call asks again what the caller may see.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden` when they may not any more; `Store` when the database cannot be read.
    pub async fn next(&mut self, desk: &Desk) -> Result<(Vec<Charge>, ChargeNames), OpError> {
        let mut read = desk.db.read().await?;
        let context = reopen_org(&mut read, &self.caller, &self.slug).await?;
        let part = part_of(&mut read, &context, &self.filters).await?;
        let org = context.org.id.clone();
        let asked = Asked { org, span: self.span, filters: self.filters.clone(), part };
        let found = report::charges(&mut read, &asked, self.last.as_ref()).await?;
        let ids = |of: fn(&Charge) -> &String| {
            let mut ids: Vec<String> = found.iter().map(|charge| of(charge).clone()).collect();
            ids.sort();
            ids.dedup();
            ids
        };
        let org = &context.org.id;
        let names = ChargeNames {
            keys: report::names(&mut read, org, Dimension::Key, &ids(|one| &one.key)).await?,
            teams: report::names(&mut read, org, Dimension::Team, &ids(|one| &one.team)).await?,
            owners: report::names(&mut read, org, Dimension::Owner, &ids(|one| &one.owner)).await?,
        };
        if let Some(last) = found.last() {
            self.last = Some(last.clone());
        }
        Ok((found, names))
    }
}

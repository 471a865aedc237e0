//! An organisation, as everything that belongs to it needs to know it.

use super::ids::OrgId;
use super::moment::Zone;

#[derive(Clone, Debug)]
pub struct Org {
    pub id: OrgId,
    /// The first segment of its pages' addresses.
    pub slug: String,
    pub name: String,
    /// Budgets' windows turn and days end in this zone.
    pub zone: Zone,
    /// What its secrets begin with.
    pub key_prefix: String,
    pub suspended: bool,
}

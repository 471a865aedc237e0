//! A team as lists and forms show it.

use super::ids::TeamId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
}

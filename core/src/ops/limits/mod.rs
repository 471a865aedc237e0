//! Limits of keys, teams and organisations: what stops next, for people who look at it, and limits that only report.

mod shadow;
mod stops;

pub use shadow::{
    Enforced, ShadowView, enforce, of_key as shadows_of_key, of_team as shadows_of_team, remove, set,
};
pub use stops::{LimitsView, of_key, of_org, of_team};

//! Organisations: what one decides about itself (its owners and admins), and what the installation's operator does with
//! them as a whole.

mod balance;
mod create;
mod operator;
mod rerate;
mod settings;

pub use balance::{BalanceView, Enforced, Entered, OwnBalanceView, add_entry, balance, enforce, own_balance};
pub use create::{Created, Owner, create, may_create};
pub use operator::{
    MAX_REASON, OperatorActor, OrgsView, OutsideView, created, every, keeping_requests_for_days, list,
    resume, status_form, suspend,
};
pub use rerate::{RatedOrg, plan, preview, rerate};
pub use settings::{SettingsView, save, settings};

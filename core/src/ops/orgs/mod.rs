//! Organisations: what one decides about itself (its owners and admins), and what the installation's operator does with
//! them as a whole.

mod balance;
mod create;
mod operator;
mod settings;

pub use balance::{
    BalanceView, EnforceForm, Enforced, EnterForm, Entered, EntryClash, OwnBalanceView, balance, enforce,
    enter, own_balance,
};
pub use create::{Created, NewOrgForm, Owner, create, may_create};
pub use operator::{
    By, OrgsView, OutsideView, REASON_MOST, SwitchForm, created, every, list, resume, suspend, switch_form,
};
pub use settings::{SaveForm, Saved, SettingsClash, SettingsView, save, settings};

//! Organisations: what one decides about itself (its owners and admins), and what the installation's operator does with
//! them as a whole.

mod operator;
mod settings;

pub use operator::{
    By, OrgsView, REASON_MOST, SwitchForm, SwitchView, every, list, resume, suspend, switch_form,
};
pub use settings::{SaveForm, Saved, SettingsClash, SettingsView, save, settings};

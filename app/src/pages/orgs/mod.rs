//! Organisations: the settings of one, and the list of all for whoever runs the installation.

mod list;
mod settings;
mod switch;

pub use list::{HomePage, OperatorPage};
pub use settings::SettingsPage;
pub use switch::{ResumeOrgPage, SuspendOrgPage};

//! Organisations: the settings and balance of one, and the list of all for operators.

mod balance;
mod create;
mod list;
mod settings;
mod spend_check;
mod status;

pub use balance::{BalancePage, OperatorBalancePage};
pub use create::{NewOrgPage, OrgCreatedPage};
pub use list::{HomePage, OperatorPage};
pub use settings::SettingsPage;
pub use spend_check::SpendCheckPage;
pub use status::{ResumeOrgPage, SuspendOrgPage};

use leptos::prelude::*;

/// Suggestions; any zone of the IANA database can be typed.
const ZONES: [&str; 40] = [
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "America/Bogota",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Bangkok",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Jakarta",
    "Asia/Jerusalem",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Manila",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Taipei",
    "Asia/Tokyo",
    "Australia/Melbourne",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Oslo",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Warsaw",
    "Europe/Zurich",
    "Pacific/Auckland",
];

/// Offered below a field whose `list` is `zones`.
fn zones() -> impl IntoView {
    view! { <datalist id="zones">{ZONES.map(|zone| view! { <option value=zone></option> })}</datalist> }
}

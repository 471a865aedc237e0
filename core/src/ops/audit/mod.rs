//! The audit: read page by page, exported, and proved whole. Writing events is not done here: each change writes its own.

mod export;
mod installation;
mod list;
mod verify;

pub use export::{Export, ExportForm, Format, export};
pub use installation::{InstallationAudit, list_installation};
pub(super) use list::keys_meant;
pub use list::{AuditView, KeysMeant, list};
pub use verify::{Broken, Report, verify, verify_all};

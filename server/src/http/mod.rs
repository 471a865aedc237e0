//! The HTTP side of the desk: what every request passes before a page or an action sees it.

mod access_line;
mod again;
pub mod assets;
mod base_address;
pub mod caller;
pub mod export;
pub mod forms;
pub mod headers;
pub mod health;
pub mod leaks;
pub mod limits;
pub mod metrics;
mod paths;
pub mod request;
pub mod router;
pub mod same_origin;
pub mod searches;
pub mod session_store;
pub mod spend;

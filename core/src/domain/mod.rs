//! Plain types and rules. Anything may use them; they do no I/O, read no clock and draw no randomness.

pub mod addresses;
pub mod audit;
pub mod audit_filter;
pub mod audit_words;
pub mod bounds;
pub mod device;
mod form_parts;
pub mod gate;
pub mod hidden;
pub mod ids;
pub mod key;
pub mod key_filter;
pub mod key_form;
pub mod key_format;
pub mod limits;
pub mod model;
pub mod moment;
pub mod money;
pub mod org;
pub mod person;
pub mod policy;
pub mod problem;
pub mod scope;
pub mod settings;
pub mod team;
pub mod team_form;
pub mod window;

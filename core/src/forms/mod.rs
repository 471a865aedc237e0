//! Forms as a browser sends them: text, and its parsing into types of the domain. The pages fill and read them; the
//! operations and the command line know only what they parse into.

pub mod alert;
pub mod ask;
pub mod bulk;
pub mod doctor;
pub mod invitation;
pub mod key;
pub mod leak;
pub mod ledger;
pub mod member;
pub mod model;
pub mod org;
pub mod parts;
pub mod prefill;
pub mod provider;
pub mod rerating;
pub mod rotation;
pub mod settings;
pub mod shadow_limit;
pub mod team;
pub mod team_people;
pub mod ticket;

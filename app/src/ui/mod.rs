//! The parts that pages are made of. No feature's words in here: a part knows how something looks, not what it means.

pub mod acts;
pub mod badge;
pub mod chart;
pub mod code;
pub mod facts;
pub mod field;
pub mod icon;
pub mod limit_field;
pub mod list;
pub mod meter;
pub mod notice;
pub mod page_head;
pub mod qr;
pub mod search;
pub mod tiles;
pub mod when;

//! The gateway's routes over a real database, as a client meets them.

mod demo_model;
mod errors;
mod external_api;
mod forwarding;
mod key_view;
mod parsed_request;
mod prices;
mod raw;
mod reading;
mod request_log;
mod self_rotation;
mod settling;
mod sse;
mod support;
pub mod upstream;
mod usage;

//! The gateway's routes over a real database, as a client meets them.

mod budgets;
mod compression;
mod demo_model;
mod errors;
mod estimate;
mod external_api;
mod forwarding;
mod fuzz;
mod key_view;
mod leaving;
mod odd_usage;
mod overshoot;
mod parsed_request;
mod prices;
mod provider_costs;
mod raw;
mod reading;
mod request_log;
mod self_rotation;
mod settling;
mod shipped_prices;
mod sse;
mod support;
pub mod upstream;
mod usage;

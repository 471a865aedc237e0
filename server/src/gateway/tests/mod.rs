//! The gateway's routes over a real database, as a client meets them.

mod ask;
mod echo;
mod passing;
mod reading;
mod settling;
mod sse;
mod support;
mod upstream;
mod usage;

//! The gateway's routes over a real database, as a client meets them.

mod ask;
mod calls;
mod echo;
mod key_view;
mod passing;
mod raw;
mod reading;
mod settling;
mod sse;
mod support;
mod upstream;
mod usage;

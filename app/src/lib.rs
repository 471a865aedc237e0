//! What people see. Compiled twice: for the server (`ssr`), where every page is rendered whole, and for the browser
//! (`hydrate`), where only `islands` exists. Pages and actions call the operations of `keydesk-core` directly; nothing
//! here knows SQL, and nothing in `islands` knows the domain.

#![recursion_limit = "512"]

pub mod islands;

#[cfg(feature = "ssr")]
pub mod actions;
#[cfg(feature = "ssr")]
pub mod ask;
#[cfg(feature = "ssr")]
pub mod credentials;
#[cfg(feature = "ssr")]
mod devices;
#[cfg(feature = "ssr")]
pub mod error;
#[cfg(feature = "ssr")]
mod key_status;
#[cfg(feature = "ssr")]
pub mod layout;
#[cfg(feature = "ssr")]
pub mod live_test;
#[cfg(feature = "ssr")]
mod lot;
#[cfg(feature = "ssr")]
pub mod mail;
#[cfg(feature = "ssr")]
pub mod pages;
#[cfg(feature = "ssr")]
pub mod path;
#[cfg(feature = "ssr")]
pub mod provider_calls;
#[cfg(feature = "ssr")]
mod returned;
#[cfg(feature = "ssr")]
pub mod routes;
#[cfg(feature = "ssr")]
pub mod sealed;
#[cfg(feature = "ssr")]
pub mod shell;
#[cfg(feature = "ssr")]
pub mod ui;

/// Called by the page's script once the wasm is there.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}

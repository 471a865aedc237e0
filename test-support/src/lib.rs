//! What the tests of `core` and `server` share: a fresh database on SQLite and Postgres, a clock that stands still,
//! repeatable random bytes, seeded organisations and a client that keeps cookies like a browser.
//!
//! A dev-dependency only. What needs the server's private items is in `server/src/tests/support.rs`.

pub mod cast;
pub mod client;
pub mod clock;
pub mod database;
pub mod desk;
pub mod fuzz;
pub mod random;
pub mod submit;

pub use cast::{Cast, TestKey, Who};
pub use client::{Browser, Cookie, Fields, SPOTS, Spot, TestRequest, TestResponse};
pub use clock::{DAY, FixedClock, HOUR, MINUTE, START};
pub use database::{Fixture, TestDatabase, on_postgres, on_sqlite};
pub use desk::*;
pub use random::{Dice, Repeatable};

pub const PASSWORD: &str = "umbrella kettle orchid 47";

/// Declares one test for both databases: `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($(#[$doc:meta])* $(async)? fn $name:ident($given:ident: $fixture:ty) $body:block) => {
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body($given: $fixture) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::on_sqlite(body).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::on_postgres(body).await
            }
        }
    };
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

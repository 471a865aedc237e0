//! Tests through the whole program: real routes, layers and databases, each from one body on SQLite and on Postgres.

mod account;
mod audit;
mod bad_input;
mod balance;
mod bulk;
mod canary;
mod doctor;
mod elsewhere;
mod failure;
mod gateway;
mod headers;
mod leaks;
mod live_test;
mod mails;
mod members;
mod missed;
mod orgs;
mod permissions;
mod providers;
mod redirects;
mod routes;
mod same_origin;
mod sessions;
mod show_once;
mod spend;
pub mod support;
pub mod words;

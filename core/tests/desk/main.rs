//! The desk on both databases: each test is written once and runs on SQLite and on Postgres.

use keydesk_test_support as support;

mod account;
mod admission;
mod audit;
mod balance;
mod bulk;
mod doctor;
mod extension;
mod guarantee;
mod invitations;
mod isolation;
mod keys;
mod leaks;
mod list;
mod members;
mod meter;
mod meter_races;
mod orgs;
mod overshoot;
mod people;
mod plans;
mod prices;
mod providers;
mod rejections;
mod requests;
mod rerating;
mod rotation;
mod rotation_policy;
mod schema;
mod search;
mod second_factor;
mod spend;
mod statements;
mod support_access;
mod teams;
mod ticket;

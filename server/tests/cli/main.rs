//! The built program, started as a process: its command line, configuration, start and stop, on both databases.

mod backup;
mod commands;
mod config;
mod cookie_key;
mod doctor;
mod health;
mod leaks;
mod provider_keys;
mod proxy;
mod reading;
mod rotation;
mod serving;
mod settings;
mod support;

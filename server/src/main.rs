//! The program `keydesk`: reads its command line and does one thing.

mod alerts;
mod cli;
mod clock;
mod config;
mod demo;
mod doctor;
mod files;
mod gateway;
mod http;
mod jobs;
mod leak_keys;
mod live_test;
mod log;
mod lookup;
mod mail;
mod metrics;
mod net;
mod open;
mod provider_keys;
mod request_facts;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod trace_context;
mod webhooks;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "keydesk: {sentence}");
            ExitCode::FAILURE
        }
    }
}

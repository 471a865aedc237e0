//! The program `keydesk`: reads its command line and does one thing.

mod alerts;
mod backup_file;
mod cli;
mod clock;
mod config;
mod cookie_keys;
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
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod trace_context;
mod webhooks;

use std::io::Write;
use std::process::ExitCode;

use settings::NotParsed;

/// For what cannot be read as an option or a setting, as clap does.
const NOT_PARSED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let (cli, settings) = match settings::parse(std::env::args_os().collect()) {
        Ok(parsed) => parsed,
        Err(NotParsed::Command(error)) => error.exit(),
        Err(NotParsed::File(sentence)) => {
            let _ = writeln!(std::io::stderr(), "keydesk: {sentence}");
            return ExitCode::from(NOT_PARSED);
        }
    };
    match cli::run(cli, &settings).await {
        Ok(code) => code,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "keydesk: {sentence}");
            ExitCode::FAILURE
        }
    }
}

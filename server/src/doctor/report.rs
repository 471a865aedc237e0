//! What the checks of `keydesk doctor` found: printed as it comes, or as one JSON object at the end.

use std::process::ExitCode;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// It works, and may not be what the operator wants.
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    status: Status,
    /// What is, and what to do about it.
    message: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    version: &'static str,
    status: Status,
    checks: &'a [Check],
}

pub struct Report {
    json: bool,
    checks: Vec<Check>,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, checks: Vec::new() }
    }

    pub fn fine(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Status::Ok, message.into());
    }

    pub fn warn(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Status::Warn, message.into());
    }

    pub fn fail(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Status::Fail, message.into());
    }

    fn add(&mut self, check: &'static str, status: Status, message: String) {
        if !self.json {
            let word = match status {
                Status::Ok => "ok  ",
                Status::Warn => "warn",
                Status::Fail => "FAIL",
            };
            println!("{word} {check}: {message}");
        }
        self.checks.push(Check { check, status, message });
    }

    /// 0 when all is well, 1 with warnings, 2 when a check failed, as monitoring programs expect it.
    pub fn finish(self) -> ExitCode {
        let status = self.checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        let count = self.checks.iter().filter(|check| check.status == Status::Fail).count();
        if self.json {
            let whole = Whole { version: env!("CARGO_PKG_VERSION"), status, checks: &self.checks };
            println!("{}", serde_json::to_string_pretty(&whole).unwrap_or_default());
        } else if count == 1 {
            eprintln!("keydesk: One check failed.");
        } else if count > 1 {
            eprintln!("keydesk: {count} checks failed.");
        }
        ExitCode::from(match status {
            Status::Ok => 0,
            Status::Warn => 1,
            Status::Fail => 2,
        })
    }
}

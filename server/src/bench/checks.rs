//! How many keys a second the gateway checks over HTTP, and how long one check takes, beside routes that do next to nothing
//! on the same HTTP stack.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::http::{Pace, Target, in_turns};
use super::recorded::Ratios;

const CONNECTIONS: usize = 16;

/// Gates 1 to 8 for a request of the model that the limited keys may use.
pub fn check(gateway: SocketAddr, secret: &str) -> Target {
    let more = "x-original-uri: /v1/chat/completions\r\nx-keydesk-model: bench/echo\r\n";
    Target::get(gateway, "/gateway/forward-auth", secret, more)
}

pub async fn measure(
    bare: SocketAddr,
    gateway: SocketAddr,
    secret: &str,
    pace: Pace,
    ratios: &mut Ratios,
) -> Result<String, String> {
    let targets = [
        Target::get(bare, "/hello", secret, ""),
        Target::get(bare, "/map", secret, ""),
        Target::get(bare, "/select", secret, ""),
        check(gateway, secret),
    ];
    let names = ["an empty route", "a map in memory", "SELECT of the key", "/gateway/forward-auth"];
    let many = in_turns(&targets, CONNECTIONS, pace).await?;
    let of_map = |at: usize| many[at].per_second() / many[1].per_second();
    let title = format!("key checks, all limits, {CONNECTIONS} connections");
    let mut text = format!("\n{title:<42}{:>10}{:>12}{:>10}\n", "a second", "to the map", "goal");
    for (at, name) in names.iter().enumerate() {
        let goal = if at == 3 { ">= 0.5" } else { "" };
        let _ = writeln!(text, "{name:<42}{:>10.0}{:>12.2}{goal:>10}", many[at].per_second(), of_map(at));
    }
    ratios.insert("checks_to_map", of_map(3));

    let mut one = in_turns(&targets, 1, pace).await?;
    let empty = one[0].ms(50);
    let title = "the same, 1 connection";
    let _ = writeln!(text, "\n{title:<42}{:>10}{:>12}{:>10}{:>10}", "p50 ms", "p99 ms", "adds ms", "goal");
    for (at, name) in names.iter().enumerate() {
        let (median, slow) = (one[at].ms(50), one[at].ms(99));
        let goal = if at == 3 { "<= 0.1" } else { "" };
        let _ = writeln!(text, "{name:<42}{median:>10.3}{slow:>12.3}{:>10.3}{goal:>10}", median - empty);
    }
    ratios.insert("empty_route_to_check", empty / one[3].ms(50));
    Ok(text)
}

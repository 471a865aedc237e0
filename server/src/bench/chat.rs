//! What the gateway adds to a request: the same request sent to a provider directly and through the gateway, in turns, in
//! one run. The provider answers at once, so the ratio is the worst there is.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::http::{Pace, Target, in_turns};
use super::recorded::Ratios;

const CONNECTIONS: usize = 16;
const PATH: &str = "/v1/chat/completions";
pub const ASKED: &str =
    r#"{"model":"bench/echo","max_tokens":16,"messages":[{"role":"user","content":"Hello"}]}"#;

pub async fn measure(
    provider: SocketAddr,
    gateway: SocketAddr,
    secret: &str,
    pace: Pace,
    ratios: &mut Ratios,
) -> Result<String, String> {
    let targets = [provider, gateway].map(|address| Target::post(address, PATH, secret, ASKED));
    let many = in_turns(&targets, CONNECTIONS, pace).await?;
    let (direct, through) = (many[0].per_second(), many[1].per_second());
    let mut text = format!(
        "\n{:<42}{:>10}{:>12}{:>9}{:>10}\n",
        "metered chat", "direct/s", "through/s", "ratio", "goal"
    );
    let _ = writeln!(
        text,
        "{:<42}{direct:>10.0}{through:>12.0}{:>9.2}{:>10}",
        format!("{CONNECTIONS} connections"),
        through / direct,
        ">= 5000/s"
    );
    ratios.insert("chats_to_direct", through / direct);

    let mut one = in_turns(&targets, 1, pace).await?;
    let (direct, through, slow) = (one[0].ms(50), one[1].ms(50), one[1].ms(99));
    let _ = writeln!(
        text,
        "{:<42}{:>10}{:>12}{:>9}{:>10}{:>10}",
        "the same, 1 connection", "direct ms", "through ms", "p99 ms", "adds ms", "goal"
    );
    let _ = writeln!(
        text,
        "{:<42}{direct:>10.3}{through:>12.3}{slow:>9.2}{:>10.3}{:>10}",
        "median",
        through - direct,
        "< 0.5"
    );
    ratios.insert("direct_to_chat", direct / through);
    Ok(text)
}

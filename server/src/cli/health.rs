//! `keydesk health`: can the process that serves on this machine work? For the health check of a container, whose image has no
//! other program to ask `/readyz` with. It needs no database.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

/// `/readyz` answers within four seconds, whatever the database does.
const WITHIN: Duration = Duration::from_secs(5);
/// More than its answer has.
const ANSWER: u64 = 4 << 10;

#[derive(Args)]
pub struct HealthArgs {
    /// Address and port that the process listens on.
    #[arg(long, env = "KEYDESK_LISTEN", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

pub fn run(args: &HealthArgs) -> Result<(), String> {
    let address = reachable(args.listen);
    let answer = ask(address).map_err(|error| {
        format!(
            "{address} does not answer: {error}. Name the address that Keydesk listens on with --listen or KEYDESK_LISTEN."
        )
    })?;
    let (head, words) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => {
            println!("{}", words.trim());
            Ok(())
        }
        Some("503") => Err(format!("{address} is not ready: {}.", words.trim())),
        _ => Err(format!("What answers at {address} is not Keydesk.")),
    }
}

/// A process that listens on all addresses is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

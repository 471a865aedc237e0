//! Everything that is measured with requests through the program's gateways, in a long and a short form.

use std::path::Path;
use std::time::Duration;

use keydesk_core::Desk;
use keydesk_core::store::DatabaseUrl;

use super::bare::Bare;
use super::http::{Pace, say};
use super::limited::{Limited, LimitedKey, serve_the_model};
use super::processes::Gateway;
use super::recorded::{self, Ratios};
use super::seed::Bench;
use super::{chat, checks, load, memory, revocation, statements};

const LONG: Pace = Pace { rounds: 3, slice: Duration::from_millis(1_500) };
const SHORT: Pace = Pace { rounds: 3, slice: Duration::from_millis(400) };
const LONG_LOAD: Duration = Duration::from_secs(4);
const SHORT_LOAD: Duration = Duration::from_secs(2);
const REVOKED: usize = 20;
const REVOKED_IN_SHORT: usize = 5;

/// What a measurement needs around it.
struct Prepared<'a> {
    desk: &'a Desk,
    bench: &'a Bench,
    place: &'a DatabaseUrl,
    /// For what is let in and settled by this process.
    secrets: Vec<String>,
    limited: Limited<'a>,
    key: LimitedKey,
    bare: Bare,
}

impl<'a> Prepared<'a> {
    async fn new(desk: &'a Desk, bench: &'a Bench, place: &'a DatabaseUrl) -> Result<Self, String> {
        let secrets = load::limited_keys(desk, bench).await.map_err(say)?;
        let limited = Limited::prepare(desk, bench).await.map_err(say)?;
        let key = limited.key("checked".into()).await.map_err(say)?;
        let bare = Bare::start(place).await?;
        serve_the_model(desk, bare.address).await?;
        Ok(Self { desk, bench, place, secrets, limited, key, bare })
    }

    async fn through_a_gateway(&self, pace: Pace, ratios: &mut Ratios) -> Result<(), String> {
        let gateway = Gateway::start(self.place).await?;
        let (bare, secret) = (self.bare.address, &self.key.secret);
        print!("{}", checks::measure(bare, gateway.address, secret, pace, ratios).await?);
        print!("{}", chat::measure(bare, gateway.address, secret, pace, ratios).await?);
        Ok(())
    }

    async fn settled(&self, at_once: &[usize], each: Duration, ratios: &mut Ratios) -> Result<(), String> {
        print!("{}", load::measure(self.desk, &self.secrets, at_once, each, ratios).await?);
        Ok(())
    }

    /// Gives how many requests were let in that should not have been.
    async fn revocation(&self, keys: usize) -> Result<usize, String> {
        let revoked = revocation::measure(self.desk, self.bench, self.place, &self.limited, keys).await?;
        print!("{}", revoked.text);
        Ok(revoked.let_in_after)
    }
}

/// Prints every line.
pub async fn measure(desk: &Desk, bench: &Bench, place: &DatabaseUrl) -> Result<(), String> {
    let prepared = Prepared::new(desk, bench, place).await?;
    let mut ratios = Ratios::new();
    prepared.settled(&[1, 8, load::MANY], LONG_LOAD, &mut ratios).await?;
    prepared.through_a_gateway(LONG, &mut ratios).await?;
    print!("{}", statements::measure(desk, place, &prepared.key.secret).await?);
    prepared.revocation(REVOKED).await?;
    print!("{}", memory::measure(place, &prepared.key.secret, &bench.secrets).await?);
    Ok(())
}

async fn short(prepared: &Prepared<'_>) -> Result<Ratios, String> {
    let mut ratios = Ratios::new();
    prepared.settled(&[load::MANY], SHORT_LOAD, &mut ratios).await?;
    prepared.through_a_gateway(SHORT, &mut ratios).await?;
    Ok(ratios)
}

/// The short form: fails where a ratio is below half of what the file has, or a revoked key was let in. A busy machine
/// may disturb one measurement, so a second one may better it.
pub async fn check(desk: &Desk, bench: &Bench, place: &DatabaseUrl, file: &Path) -> Result<(), String> {
    let prepared = Prepared::new(desk, bench, place).await?;
    let mut ratios = short(&prepared).await?;
    let (mut text, mut fallen) = recorded::compare(file, desk.db.name(), &ratios)?;
    if !fallen.is_empty() {
        println!("\nOnce more, because of {}:", fallen.join(", "));
        ratios = recorded::best(&ratios, &short(&prepared).await?);
        (text, fallen) = recorded::compare(file, desk.db.name(), &ratios)?;
    }
    let let_in_after = prepared.revocation(REVOKED_IN_SHORT).await?;
    print!("{text}");
    if let_in_after > 0 {
        return Err(format!("{let_in_after} requests were let in that started after their key was revoked."));
    }
    if !fallen.is_empty() {
        return Err(format!(
            "Below half of what {} records for {}, or not in it: {}.",
            file.display(),
            desk.db.name(),
            fallen.join(", ")
        ));
    }
    Ok(())
}

/// The short form, from which the file is written.
pub async fn record(desk: &Desk, bench: &Bench, place: &DatabaseUrl, file: &Path) -> Result<(), String> {
    let ratios = short(&Prepared::new(desk, bench, place).await?).await?;
    recorded::write(file, desk.db.name(), &ratios)
}

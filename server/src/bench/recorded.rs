//! Ratios that the repository records, so that a slower program is noticed on any machine. In all of them more is better.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::http::say;

/// What one run measured.
pub type Ratios = BTreeMap<&'static str, f64>;
/// By the database's name.
type Recorded = BTreeMap<String, BTreeMap<String, f64>>;

/// Less than this part of what is recorded is too little. Ratios of a busy machine differ by a fifth.
const LEAST: f64 = 0.5;

/// Of each ratio the better one.
pub fn best(one: &Ratios, other: &Ratios) -> Ratios {
    let mut all = one.clone();
    for (name, ratio) in other {
        all.entry(name).and_modify(|own| *own = own.max(*ratio)).or_insert(*ratio);
    }
    all
}

fn read(file: &Path) -> Result<Recorded, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Puts the ratios of one database into the file, which may be new, and leaves the other's.
pub fn write(file: &Path, database: &str, measured: &Ratios) -> Result<(), String> {
    let mut recorded = if file.exists() { read(file)? } else { Recorded::new() };
    // Three digits: the others are noise.
    let rounded = |ratio: f64| format!("{ratio:.3}").parse().unwrap_or(ratio);
    let ratios = measured.iter().map(|(name, ratio)| ((*name).to_owned(), rounded(*ratio))).collect();
    recorded.insert(database.to_owned(), ratios);
    let text = serde_json::to_string_pretty(&recorded).map_err(say)?;
    std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))
}

/// A line for each ratio, and the names of those that fell to half or are not in both.
pub fn compare(file: &Path, database: &str, measured: &Ratios) -> Result<(String, Vec<String>), String> {
    let recorded = read(file)?.remove(database).unwrap_or_default();
    let fallen = fallen(&recorded, measured);
    let mut text = format!(
        "\n{:<42}{:>10}{:>12}{:>10}\n",
        "compared with what is recorded", "measured", "recorded", "least"
    );
    for (name, ratio) in measured {
        let known = recorded.get(*name).copied().unwrap_or_default();
        let _ = writeln!(text, "{name:<42}{ratio:>10.3}{known:>12.3}{:>10.3}", known * LEAST);
    }
    Ok((text, fallen))
}

fn fallen(recorded: &BTreeMap<String, f64>, measured: &Ratios) -> Vec<String> {
    let unknown = measured.keys().map(|name| (*name).to_owned()).filter(|name| !recorded.contains_key(name));
    let below = recorded.iter().filter(|(name, known)| {
        measured.get(name.as_str()).is_none_or(|ratio| ratio.is_nan() || *ratio < *known * LEAST)
    });
    below.map(|(name, _)| name.clone()).chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_below_half_of_the_recorded_one_is_named() {
        let recorded = BTreeMap::from([("a".to_owned(), 0.4), ("b".to_owned(), 0.8)]);
        assert!(fallen(&recorded, &Ratios::from([("a", 0.2), ("b", 3.0)])).is_empty());
        assert_eq!(fallen(&recorded, &Ratios::from([("a", 0.19), ("b", 0.8)])), ["a"]);
        assert_eq!(fallen(&recorded, &Ratios::from([("a", 0.4), ("b", f64::NAN)])), ["b"]);
        assert_eq!(fallen(&recorded, &Ratios::from([("a", 0.4), ("c", 0.8)])), ["b", "c"]);
    }

    #[test]
    fn the_better_of_two_runs_counts() {
        let better = best(&Ratios::from([("a", 0.1), ("b", 0.9)]), &Ratios::from([("a", 0.3), ("b", 0.2)]));
        assert_eq!(better, Ratios::from([("a", 0.3), ("b", 0.9)]));
    }
}

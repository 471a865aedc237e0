//! When a key expires: what people choose, and what their organisation allows.

use super::field_error::FieldError;
use super::key::KeySpec;
use super::moment::{Day, Moment, Zone};
use super::numbers::days_words;
use super::org::{KeyDefaults, OrgRules};
use super::parse_error::ParseError;

const MAX_YEARS_AHEAD: i64 = 10;

/// Expiry presets, in days.
const EXPIRY_PRESETS: [i64; 4] = [7, 30, 90, 365];

/// What people choose; the moment follows from the organisation's zone and the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// As it is, in an edit.
    Keep,
    /// The key does not expire.
    #[default]
    Never,
    /// So many days from now.
    Days(i64),
    /// At the end of this day.
    On(Day),
}

/// A key as people ask for it. The operation sets `spec.expires_at` from `expiry`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyDraft {
    /// All but the expiry; its own `expires_at` is not read.
    pub spec: KeySpec,
    /// When the key is to expire.
    pub expiry: Expiry,
}

/// An edit of a key.
#[derive(Clone, Debug)]
pub struct EditKey {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The version that the person saw.
    pub version: i64,
    /// The key as the person saw it; `None` is as it stands now.
    pub base: Option<KeyDraft>,
    /// The key as the person submitted it.
    pub mine: KeyDraft,
}

/// A later expiry for a key that has expired.
#[derive(Clone, Debug)]
pub struct ExtendKey {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The version that the person saw.
    pub version: i64,
    /// Another name where a live key has taken its own; otherwise its own.
    pub name: String,
    /// When it is to expire.
    pub expiry: Expiry,
}

/// What decides whether an expiry is allowed.
#[derive(Clone, Copy)]
pub struct ExpiryRules<'a> {
    /// When the request came.
    pub now: Moment,
    /// The organisation's time zone, in which a chosen day ends.
    pub zone: &'a Zone,
    /// The organisation's rules; `max_key_days` bounds the expiry.
    pub rules: &'a OrgRules,
    /// The organisation's defaults; their number of days may be chosen besides the presets.
    pub defaults: &'a KeyDefaults,
    /// The key as it stands, in an edit.
    pub current: Option<&'a KeySpec>,
}

impl KeyDraft {
    /// # Errors
    /// A sentence for the field `expiry`.
    pub fn resolve(&self, rules: &ExpiryRules<'_>) -> Result<KeySpec, FieldError> {
        let expires_at = rules.moment_of(self.expiry).map_err(|error| FieldError::new("expiry", error))?;
        Ok(KeySpec { expires_at, ..self.spec.clone() })
    }
}

impl ExpiryRules<'_> {
    fn moment_of(&self, expiry: Expiry) -> Result<Option<Moment>, ParseError> {
        let choose = || ParseError::new("Choose when the key expires.");
        let at = match expiry {
            // What stands may stay, also where the organisation has become stricter since.
            Expiry::Keep => return self.current.map(|key| key.expires_at).ok_or_else(choose),
            Expiry::Never => None,
            Expiry::On(day) => {
                // The day's last moment, so that the day people read is the one they chose.
                let end = day.end(self.zone).plus_ms(-1);
                if end <= self.now {
                    return Err(ParseError::new("That day is in the past. Choose today or a later day."));
                }
                if end > self.now.plus_days(MAX_YEARS_AHEAD * 366) {
                    return Err(ParseError::new(
                        "That is more than ten years ahead. Choose an earlier day, or Never.",
                    ));
                }
                Some(end)
            }
            Expiry::Days(days) => {
                let default = default_days(self.rules, self.defaults);
                let offered = EXPIRY_PRESETS.contains(&days) || Some(days) == default;
                Some(self.now.plus_days(Some(days).filter(|_| offered).ok_or_else(choose)?))
            }
        };
        if self.current.is_none_or(|key| key.expires_at != at) {
            expiry_within(self.rules.max_key_days, at, self.now, self.zone)?;
        }
        Ok(at)
    }
}

/// The numbers of days that a form offers: the presets that the organisation allows, and its own default.
pub fn expiry_days(rules: &OrgRules, defaults: &KeyDefaults) -> Vec<i64> {
    let allowed = |days: &i64| rules.max_key_days.is_none_or(|max| *days <= max);
    let mut days: Vec<i64> =
        EXPIRY_PRESETS.into_iter().filter(allowed).chain(default_days(rules, defaults)).collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// Days until a new key expires when nothing else is chosen; `None` is never.
pub fn default_days(rules: &OrgRules, defaults: &KeyDefaults) -> Option<i64> {
    match (defaults.days, rules.max_key_days) {
        (Some(days), Some(max)) => Some(days.min(max)),
        (None, max) => max,
        (days, None) => days,
    }
}

/// Whether a key may live until `at`, by the organisation's most days from now. The last day counts whole.
///
/// # Errors
/// The sentence for the field.
fn expiry_within(max: Option<i64>, at: Option<Moment>, now: Moment, zone: &Zone) -> Result<(), ParseError> {
    let Some(max) = max else { return Ok(()) };
    let last = Day::of(now.plus_days(max), zone).end(zone).plus_ms(-1);
    if at.is_some_and(|at| at <= last) {
        return Ok(());
    }
    Err(ParseError::new(format!(
        "Keys in this organisation can't last longer than {}. Choose {} or an earlier day.",
        days_words(max),
        last.date(zone)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_no_longer_than_the_organisation_allows() {
        let (now, zone) = (Moment::from_ms(1_800_000_000_000), Zone::utc());
        let within = |at| expiry_within(Some(30), at, now, &zone);
        assert!(within(Some(now.plus_days(30))).is_ok());
        assert!(within(Some(now.plus_days(31).plus_ms(86_400_000))).is_err());
        let never = within(None).unwrap_err().to_string();
        assert_eq!(
            never,
            "Keys in this organisation can't last longer than 30 days. Choose 14 Feb 2027 or an earlier day."
        );
        assert!(expiry_within(None, None, now, &zone).is_ok());
    }
}

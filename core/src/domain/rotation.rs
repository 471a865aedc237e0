//! Rotation: a key gets a new secret, and the previous one goes on for a grace period. At most two secrets of a key work
//! at any moment, and exactly one of them is the current one.

use super::ids::SecretId;
use super::key_format::hint;
use super::limits::parse_count;
use super::moment::{Day, Moment, Zone};
use super::parse_error::ParseError;

/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// The longest grace period after the first use of the new secret, in hours.
pub const MAX_GRACE_HOURS: i64 = 720;
/// The latest day to which a previous secret may be extended, in days from now.
const MAX_GRACE_DAYS: i64 = 366;
/// The longest time between two rotations that a reminder can ask for, in days.
pub const MAX_ROTATE_DAYS: i64 = 3_650;
/// A previous secret without a request for this long counts as unused.
const QUIET_MS: i64 = HOUR_MS;

/// The days after which a secret is due for rotation.
///
/// # Errors
/// When they are not a whole number from 1 to `MAX_ROTATE_DAYS`.
pub fn parse_rotate_days(text: &str) -> Result<i64, ParseError> {
    let days = parse_count(text).ok().filter(|days| (1..=MAX_ROTATE_DAYS).contains(days));
    days.ok_or_else(|| ParseError::new("Enter a whole number of days from 1 to 3,650."))
}

/// How long the previous secret goes on, as people choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracePeriod {
    /// It ends immediately.
    None,
    /// So many hours from now.
    Hours(i64),
    /// To the end of this day in the organisation's time zone.
    Until(Day),
    /// So many hours from the first use of the new secret; until then it has no end.
    HoursAfterFirstUse(i64),
}

/// When a previous secret ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEnd {
    /// From this moment on it is rejected.
    At(Moment),
    /// So many milliseconds after the first use of the current secret, which has not come yet.
    AfterFirstUse(i64),
}

/// "2 hours after the first use of the new secret", from milliseconds.
pub fn after_first_use(ms: i64) -> String {
    let hours = ms / HOUR_MS;
    let unit = if hours == 1 { "hour" } else { "hours" };
    format!("{hours} {unit} after the first use of the new secret")
}

impl GracePeriod {
    /// As programs write it: `now`, `1h` to `720h`, `1d` to `30d`, or such as `2h_after_first_use`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let number = |digits: &str, max: i64| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| plain && (1..=max).contains(number))
        };
        let grace = match text {
            "now" => Some(GracePeriod::None),
            _ => {
                match (text.strip_suffix("h_after_first_use"), text.strip_suffix('h'), text.strip_suffix('d'))
                {
                    (Some(hours), ..) => number(hours, MAX_GRACE_HOURS).map(GracePeriod::HoursAfterFirstUse),
                    (_, Some(hours), _) => number(hours, MAX_GRACE_HOURS).map(GracePeriod::Hours),
                    (_, _, Some(days)) => {
                        number(days, MAX_GRACE_HOURS / 24).map(|days| GracePeriod::Hours(days * 24))
                    }
                    _ => None,
                }
            }
        };
        grace.ok_or_else(|| {
            ParseError::new(
                "The grace period has to be now, 1h to 720h, 1d to 30d, or such as 2h_after_first_use.",
            )
        })
    }

    /// What the choice means at `now`.
    ///
    /// # Errors
    /// When the day is in the past or more than a year ahead, or the hours are not from 1 to 720.
    pub fn resolve(self, now: Moment, zone: &Zone) -> Result<SecretEnd, ParseError> {
        let hours = |hours: i64| match hours {
            1..=MAX_GRACE_HOURS => Ok(hours * HOUR_MS),
            _ => Err(ParseError::new("Enter a whole number of hours from 1 to 720.")),
        };
        match self {
            GracePeriod::None => Ok(SecretEnd::At(now)),
            GracePeriod::Hours(count) => Ok(SecretEnd::At(now.plus_ms(hours(count)?))),
            GracePeriod::HoursAfterFirstUse(count) => Ok(SecretEnd::AfterFirstUse(hours(count)?)),
            GracePeriod::Until(day) => {
                let end = day.end(zone).plus_ms(-1);
                if end <= now {
                    return Err(ParseError::new("That day is in the past. Choose today or a later day."));
                }
                if end > now.plus_days(MAX_GRACE_DAYS) {
                    return Err(ParseError::new("That is more than a year ahead. Choose an earlier day."));
                }
                Ok(SecretEnd::At(end))
            }
        }
    }
}

/// One secret of a key, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySecret {
    /// The secret's id.
    pub id: SecretId,
    /// What it begins with, up to and with the last dash.
    pub prefix: String,
    /// Its last four characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: Moment,
    /// When it ends; `None` for the current secret.
    pub end: Option<SecretEnd>,
    /// When a request first used it; `None` is never.
    pub first_used_at: Option<Moment>,
    /// When a request last used it; `None` is never.
    pub last_used_at: Option<Moment>,
    /// Of a secret that its key made itself: SHA-256 of the request's `Idempotency-Key` in hex, empty without one.
    pub made_with: Option<String>,
    /// Billed requests since the rotation, of the newest 10,000 of the key.
    pub requests: i64,
    /// Where these came from, the latest first.
    pub addresses: Vec<String>,
}

impl KeySecret {
    /// Its masked form, such as `sk-…a1B2`.
    pub fn hint(&self) -> String {
        hint(&self.last_four)
    }

    /// Whether a request ever used it.
    pub fn is_used(&self) -> bool {
        self.first_used_at.is_some() || self.requests > 0
    }
}

/// The secrets of a key that work now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySecrets {
    /// The one that the last rotation made.
    pub current: KeySecret,
    /// The one before it, while its grace period lasts.
    pub previous: Option<KeySecret>,
    /// Whether the requests of both are all since the rotation; `false` where only the newest 10,000 were counted.
    pub counted_all: bool,
}

/// Whether the previous secret can be ended without rejecting requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndAdvice {
    /// No request used the new secret yet.
    NewUnused,
    /// The previous one was used within the last hour.
    StillUsed {
        /// Its last request.
        at: Moment,
    },
    /// The new one is in use, and the previous one was not used for an hour or longer.
    Safe {
        /// Its last request; `None` is never.
        last: Option<Moment>,
    },
}

impl KeySecrets {
    /// Whether the previous secret can be ended; `None` without one.
    pub fn advice(&self, now: Moment) -> Option<EndAdvice> {
        let previous = self.previous.as_ref()?;
        if !self.current.is_used() {
            return Some(EndAdvice::NewUnused);
        }
        Some(match previous.last_used_at {
            Some(at) if now.ms() - at.ms() < QUIET_MS => EndAdvice::StillUsed { at },
            last => EndAdvice::Safe { last },
        })
    }

    /// Whether another rotation may begin. A current secret that no one used can be replaced: it was perhaps never seen.
    pub fn may_rotate(&self) -> bool {
        self.previous.is_none() || !self.current.is_used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_790_000_000_000);

    fn secret(end: Option<SecretEnd>, used: Option<i64>) -> KeySecret {
        let used = used.map(|ago| NOW.plus_ms(-ago));
        KeySecret {
            id: SecretId::new(NOW, [1; 10]),
            prefix: "sk-desk-".into(),
            last_four: "a1B2".into(),
            created_at: NOW,
            end,
            first_used_at: used,
            last_used_at: used,
            made_with: None,
            requests: 0,
            addresses: vec![],
        }
    }

    #[test]
    fn a_grace_period_ends_when_it_says() {
        let zone = Zone::utc();
        let end = |grace: GracePeriod| grace.resolve(NOW, &zone);
        assert_eq!(end(GracePeriod::None), Ok(SecretEnd::At(NOW)));
        assert_eq!(end(GracePeriod::Hours(24)), Ok(SecretEnd::At(NOW.plus_ms(24 * HOUR_MS))));
        assert_eq!(end(GracePeriod::HoursAfterFirstUse(2)), Ok(SecretEnd::AfterFirstUse(2 * HOUR_MS)));
        for hours in [0, -1, 721] {
            assert!(end(GracePeriod::Hours(hours)).is_err(), "{hours}");
            assert!(end(GracePeriod::HoursAfterFirstUse(hours)).is_err(), "{hours}");
        }
        let day = |ahead| Day::of(NOW.plus_days(ahead), &zone);
        assert_eq!(end(GracePeriod::Until(day(0))), Ok(SecretEnd::At(day(0).end(&zone).plus_ms(-1))));
        assert!(end(GracePeriod::Until(day(-1))).is_err());
        assert!(end(GracePeriod::Until(day(400))).is_err());
    }

    #[test]
    fn a_grace_period_of_a_program_is_one_of_a_few() {
        for (text, grace) in [
            ("now", GracePeriod::None),
            ("1h", GracePeriod::Hours(1)),
            ("720h", GracePeriod::Hours(720)),
            ("7d", GracePeriod::Hours(168)),
            ("2h_after_first_use", GracePeriod::HoursAfterFirstUse(2)),
        ] {
            assert_eq!(GracePeriod::parse(text), Ok(grace), "{text}");
        }
        for text in ["", "h", "0h", "721h", "31d", "+1h", "1", "1m", "721h_after_first_use", "never", "NOW"] {
            assert!(GracePeriod::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reminder_is_from_a_day_to_ten_years() {
        assert_eq!(parse_rotate_days("1"), Ok(1));
        assert_eq!(parse_rotate_days("3,650"), Ok(3_650));
        for text in ["", "0", "-1", "3651", "1.5", "soon"] {
            assert!(parse_rotate_days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_previous_secret_is_safe_to_end_once_the_new_one_is_in_use_and_it_is_quiet() {
        let end = Some(SecretEnd::At(NOW.plus_days(1)));
        let advice = |current, previous| {
            let previous = Some(secret(end, previous));
            KeySecrets { current: secret(None, current), previous, counted_all: true }.advice(NOW)
        };
        assert_eq!(advice(None, Some(5_000)), Some(EndAdvice::NewUnused));
        let at = NOW.plus_ms(-5_000);
        assert_eq!(advice(Some(1_000), Some(5_000)), Some(EndAdvice::StillUsed { at }));
        let last = Some(NOW.plus_ms(-HOUR_MS));
        assert_eq!(advice(Some(1_000), Some(HOUR_MS)), Some(EndAdvice::Safe { last }));
        assert_eq!(advice(Some(1_000), None), Some(EndAdvice::Safe { last: None }));
        assert_eq!(
            KeySecrets { current: secret(None, None), previous: None, counted_all: true }.advice(NOW),
            None
        );
    }

    #[test]
    fn a_third_secret_takes_the_place_of_an_unused_one_only() {
        let previous = Some(secret(Some(SecretEnd::AfterFirstUse(HOUR_MS)), Some(1)));
        let with =
            |used| KeySecrets { current: secret(None, used), previous: previous.clone(), counted_all: true };
        assert!(with(None).may_rotate());
        assert!(!with(Some(1)).may_rotate());
        assert!(
            KeySecrets { current: secret(None, Some(1)), previous: None, counted_all: true }.may_rotate()
        );
    }
}

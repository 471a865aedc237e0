//! A support ticket, read: which request or key it is about, and when.

use super::ids::RequestId;
use super::key_format::PlainSecret;
use super::moment::{Day, Moment, Zone};

/// What of a secret was pasted into a ticket.
pub enum PastedSecret {
    /// Nothing.
    None,
    /// What may be a secret, and not one of a key's form.
    Malformed,
    /// A whole one.
    Whole(PlainSecret),
}

/// What a ticket asks, read.
#[derive(Clone, Debug, Default)]
pub struct Ticket {
    /// The request's id.
    pub request: Option<RequestId>,
    /// A key's name, last four characters or id; empty when none is named.
    pub key: String,
    /// Empty is any model.
    pub model: String,
    /// When it happened, about.
    pub time: Option<TicketTime>,
    /// The zone of the time; `None` is the organisation's.
    pub zone: Option<Zone>,
    /// The path, with or without its method.
    pub endpoint: String,
    /// What the client has as its base URL.
    pub base_url: String,
    /// The program that sent the request.
    pub client: String,
    /// Whether `GET /v1/models` works; `None` when that is not known.
    pub models_work: Option<bool>,
}

/// A time of day, and the day where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketTime {
    day: Option<Day>,
    hour: i8,
    minute: i8,
}

impl TicketTime {
    /// Reads `2026-11-26 15:00` and `15:00`; None for other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (day, time) = match text.split_once([' ', 'T']) {
            Some((day, time)) => (Some(Day::parse(day)?), time.trim()),
            None => (None, text),
        };
        let mut parts = time.split(':');
        let (hour, minute) = (parts.next()?, parts.next()?);
        let seconds = parts.next().unwrap_or("0");
        let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if parts.next().is_some() || ![hour, minute, seconds].into_iter().all(digits) {
            return None;
        }
        let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(Self { day, hour, minute })
    }

    /// The moment in `zone`; without a day the last such time before `now`.
    pub fn moment(self, zone: &Zone, now: Moment) -> Option<Moment> {
        if let Some(day) = self.day {
            return day.at(self.hour, self.minute, zone);
        }
        let today = Day::of(now, zone);
        let at = today.at(self.hour, self.minute, zone)?;
        if at <= now { Some(at) } else { today.back(1).at(self.hour, self.minute, zone) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str, zone: &str) -> Option<String> {
        // 27 Nov 2026 06:00 UTC.
        let now = Moment::from_ms(1_795_759_200_000);
        let zone = Zone::parse(zone).unwrap();
        Some(TicketTime::parse(text)?.moment(&zone, now)?.rfc3339())
    }

    #[test]
    fn a_time_is_read_in_its_zone_and_without_a_day_is_the_last_one() {
        assert_eq!(moment("2026-11-26 15:00", "Europe/Zurich").unwrap(), "2026-11-26T14:00:00Z");
        assert_eq!(moment("2026-11-26T15:00:30", "UTC").unwrap(), "2026-11-26T15:00:00Z");
        assert_eq!(moment("5:59", "UTC").unwrap(), "2026-11-27T05:59:00Z");
        assert_eq!(moment("15:00", "UTC").unwrap(), "2026-11-26T15:00:00Z");
        for wrong in ["", "3 pm", "25:00", "15", "15:60", "2026-02-30 15:00", "15:00:00:00", "-1:00"] {
            assert_eq!(moment(wrong, "UTC"), None, "{wrong:?}");
        }
    }
}

//! Which requests a page or a file of the log shows: the meaning of its address. The store turns it into SQL and the pages
//! turn it into links.

use super::day_or_hour::DayOrHour;
use super::gate::Gate;
use super::ids::{PersonId, RequestId, TeamId};
use super::key_format::has_secret;
use super::page::Cursor;
use super::tags::MAX_TAG;

/// Characters of a text that is filtered by.
const MAX_TEXT: usize = 200;

/// What became of the requests that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Those that were answered.
    Answered,
    /// Those that no gate rejected and that failed, before they were sent or afterwards.
    Failed,
    /// Those that a gate rejected.
    Rejected,
    /// Those with this HTTP status, as the client saw it.
    Exactly(i64),
}

impl StatusFilter {
    /// The word in an address, or a status: 100 to 599. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "answered" => Some(StatusFilter::Answered),
            "failed" => Some(StatusFilter::Failed),
            "rejected" => Some(StatusFilter::Rejected),
            text => text.parse().ok().filter(|status| (100..600).contains(status)).map(StatusFilter::Exactly),
        }
    }

    /// What `parse` reads.
    pub fn text(self) -> String {
        match self {
            StatusFilter::Answered => "answered".into(),
            StatusFilter::Failed => "failed".into(),
            StatusFilter::Rejected => "rejected".into(),
            StatusFilter::Exactly(status) => status.to_string(),
        }
    }
}

/// Which requests, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// A key's id or its name; empty is every key.
    pub key: String,
    /// Of keys that were in this team at the time.
    pub team: Option<TeamId>,
    /// Of keys that this person owned at the time.
    pub owner: Option<PersonId>,
    /// For exactly this model; empty is every model.
    pub model: String,
    /// What became of them.
    pub status: Option<StatusFilter>,
    /// Rejected by this gate.
    pub gate: Option<Gate>,
    /// From exactly this IP address; empty is every address.
    pub address: String,
    /// The one with this id.
    pub request: Option<RequestId>,
    /// With this tag; empty is with any or none.
    pub tag: String,
    /// Only those that used something without a price.
    pub not_priced: bool,
    /// The first day or hour, in the organisation's time zone.
    pub from: Option<DayOrHour>,
    /// The last day or hour, which is included.
    pub to: Option<DayOrHour>,
    /// Where the page begins.
    pub page: Option<Cursor>,
}

impl LogFilter {
    /// Reads the parameters of an address. What makes no sense is as if it were not there.
    pub fn parse(value: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str, max: usize| {
            // A whole secret in an address goes nowhere else. That of the key is told from a name where it is looked up.
            let text = value(name).filter(|text| name == "key" || !has_secret(text)).unwrap_or_default();
            text.trim().chars().filter(|one| !one.is_control()).take(max).collect::<String>()
        };
        // A form has the hour in a field of its own.
        let end = |name: &str, hour: &str| {
            DayOrHour::parse(&text(name, MAX_TEXT)).map(|day| day.at(&text(hour, MAX_TEXT)))
        };
        Self {
            key: text("key", MAX_TEXT),
            team: TeamId::parse(&text("team", MAX_TEXT)),
            owner: PersonId::parse(&text("owner", MAX_TEXT)),
            model: text("model", MAX_TEXT),
            status: StatusFilter::parse(&text("status", MAX_TEXT)),
            gate: Gate::parse(&text("gate", MAX_TEXT)),
            address: text("address", MAX_TEXT),
            request: RequestId::parse(&text("request", MAX_TEXT)),
            tag: text("tag", MAX_TAG),
            not_priced: text("priced", MAX_TEXT) == "no",
            from: end("from", "from_hour"),
            to: end("to", "to_hour"),
            page: value("page").and_then(|text| Cursor::parse(&text)),
        }
    }

    /// What `parse` reads, without the page. Empty where nothing is filtered.
    pub fn pairs(&self) -> [(&'static str, String); 12] {
        let id = |id: Option<String>| id.unwrap_or_default();
        [
            ("key", self.key.clone()),
            ("team", id(self.team.as_ref().map(ToString::to_string))),
            ("owner", id(self.owner.as_ref().map(ToString::to_string))),
            ("model", self.model.clone()),
            ("status", id(self.status.map(StatusFilter::text))),
            ("gate", id(self.gate.map(|gate| gate.as_str().to_owned()))),
            ("address", self.address.clone()),
            ("request", id(self.request.as_ref().map(ToString::to_string))),
            ("tag", self.tag.clone()),
            ("priced", if self.not_priced { "no".into() } else { String::new() }),
            ("from", id(self.from.as_ref().map(ToString::to_string))),
            ("to", id(self.to.as_ref().map(ToString::to_string))),
        ]
    }

    /// Whether it shows everything.
    pub fn is_plain(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_what_its_address_says() {
        let text = |name: &str| match name {
            "key" => Some(" ci-prod ".into()),
            "status" => Some("429".into()),
            "gate" => Some("budget".into()),
            "tag" => Some("job=nightly".into()),
            "priced" => Some("no".into()),
            "from" => Some("2026-11-20".into()),
            "to" => Some("yesterday".into()),
            "model" => Some("sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa".into()),
            _ => None,
        };
        let filter = LogFilter::parse(text);
        assert_eq!((filter.status, filter.to), (Some(StatusFilter::Exactly(429)), None));
        assert!(filter.model.is_empty(), "a secret is no filter");
        let pairs = filter.pairs();
        let again =
            LogFilter::parse(|name| pairs.iter().find(|(of, _)| *of == name).map(|(_, text)| text.clone()));
        assert_eq!(again, filter);
        assert!(!filter.is_plain() && LogFilter::default().is_plain());
        // An hour in its own field, or with its day; alone it is nothing.
        let ends = |pairs: &[(&str, &str)]| {
            let value =
                |name: &str| pairs.iter().find(|(of, _)| *of == name).map(|(_, text)| (*text).to_owned());
            let filter = LogFilter::parse(value);
            (filter.from.map(|at| at.to_string()), filter.to.map(|at| at.to_string()))
        };
        let both = (Some("2026-11-20T07".to_owned()), Some("2026-11-21".to_owned()));
        assert_eq!(
            ends(&[("from", "2026-11-20"), ("from_hour", "07"), ("to", "2026-11-21"), ("to_hour", "")]),
            both
        );
        assert_eq!(ends(&[("from", "2026-11-20T07"), ("to", "2026-11-21")]), both);
        assert_eq!(ends(&[("from_hour", "07"), ("to", "2026-11-21T25")]), (None, None));
        for none in ["", "all", "42", "600"] {
            assert_eq!(StatusFilter::parse(none), None, "{none}");
        }
    }
}

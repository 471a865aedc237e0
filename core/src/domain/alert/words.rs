//! An alert in words: a heading that is also the subject of its mail, and what follows from it. Times are those of the
//! organisation's zone.

use super::{Alert, Facts, SubjectKind};
use crate::domain::gate::Gate;
use crate::domain::moment::Zone;
use crate::domain::money::Money;
use crate::domain::numbers::{counted, grouped};
use crate::domain::provider_failure::ProviderFailure;
use crate::domain::window::Period;

impl Alert {
    /// What happened, in one line: "ci-prod has spent 82 % of $10.00 per month".
    pub fn heading(&self, zone: &Zone) -> String {
        let name = &self.subject.name;
        match &self.facts {
            Facts::Budget { period, amount, spent, .. } => {
                let per = Period::parse(period).map_or("", Period::label);
                format!("{name} has spent {} % of {amount} {per}", spent.percent_of(*amount))
            }
            Facts::Balance { amount, spent } => {
                format!("{name} has spent {} % of its balance", spent.percent_of(*amount))
            }
            Facts::Expiry { at } => format!("{name} expires on {}", at.date_time(zone)),
            Facts::Rotation { at } => format!("{name} is due for rotation on {}", at.date(zone)),
            Facts::Rejections { times, .. } => {
                format!("{} requests of {name} were rejected within 10 minutes", grouped(*times))
            }
            Facts::Spike { today, usual } => {
                let weekday = weekday(&self.at.weekday_time(zone));
                format!("{name} has spent {today} today, {} × its usual {weekday}", times_of(*today, *usual))
            }
            Facts::Provider { failure, .. } => {
                let happened = ProviderFailure::parse(failure).map_or("fails", ProviderFailure::happened);
                format!("{name} {happened}")
            }
        }
    }

    /// What follows from it, in a sentence or two.
    pub fn details(&self, zone: &Zone) -> String {
        match &self.facts {
            Facts::Budget { amount, spent, resets_at, .. } => {
                let whose = match self.subject.kind {
                    SubjectKind::Key => "requests with it fail",
                    SubjectKind::Team => "requests with the team's keys fail",
                    SubjectKind::Org | SubjectKind::Provider => {
                        "requests with all keys of the organisation fail"
                    }
                };
                let resets = match resets_at {
                    Some(at) => format!("It resets on {}.", at.date_time(zone)),
                    None => "It never resets.".to_owned(),
                };
                if spent >= amount {
                    format!("{spent} of {amount} is spent, so {whose}. {resets}")
                } else {
                    format!("{spent} of {amount} is spent. When it is used up, {whose}. {resets}")
                }
            }
            Facts::Balance { amount, spent } => format!(
                "{} is left. When it is used up, requests with all keys of the organisation fail until credit is added.",
                amount.saturating_sub(*spent)
            ),
            Facts::Expiry { .. } => "Requests with it fail from then on, until it is extended.".to_owned(),
            Facts::Rotation { .. } => {
                "It keeps working. Rotate it so that an old secret that leaked is worth nothing.".to_owned()
            }
            Facts::Rejections { gate, .. } => match Gate::parse(gate) {
                Some(gate) => {
                    format!("They did not pass the gate “{}”. The key's page says what helps.", gate.label())
                }
                None => "The key's page says what helps.".to_owned(),
            },
            Facts::Spike { usual, .. } => {
                format!("By this hour it usually has spent {usual}. Its page shows on which models.")
            }
            Facts::Provider { failure, times, words } => {
                let advice = ProviderFailure::parse(failure).map_or("", ProviderFailure::advice);
                let said = if words.is_empty() { String::new() } else { format!(" It said: {words}") };
                format!("{}. {advice}{said}", counted(*times, "request"))
            }
        }
    }
}

/// With one decimal below ten.
fn times_of(today: Money, usual: Money) -> String {
    let tenths = i128::from(today.nanos()) * 10 / i128::from(usual.nanos().max(1));
    match tenths {
        0..100 => format!("{}.{}", tenths / 10, tenths % 10),
        _ => (tenths / 10).to_string(),
    }
}

fn weekday(short: &str) -> &'static str {
    match short.get(..3).unwrap_or_default() {
        "Mon" => "Monday",
        "Tue" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" => "Thursday",
        "Fri" => "Friday",
        "Sat" => "Saturday",
        _ => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::Subject;
    use crate::domain::ids::AlertId;
    use crate::domain::moment::Moment;

    #[test]
    fn each_kind_says_what_happened_and_what_follows() {
        let money = |dollars: i64| Money::from_nanos(dollars * 1_000_000_000);
        let at = Moment::from_ms(1_795_550_400_000);
        let words = |facts: Facts| {
            let subject = Subject { kind: SubjectKind::Key, id: "key_1".into(), name: "ci-prod".into() };
            let id = AlertId::new(at, [1; 10]);
            let alert = Alert { id, subject, threshold: 80, facts, at };
            format!("{}. {}", alert.heading(&Zone::utc()), alert.details(&Zone::utc()))
        };
        let budget = |spent| Facts::Budget {
            period: "month".into(),
            amount: money(10),
            spent: money(spent),
            resets_at: Some(at.plus_days(5)),
        };
        assert_eq!(
            words(budget(8)),
            "ci-prod has spent 80 % of $10.00 per month. $8.00 of $10.00 is spent. When it is used up, requests with it fail. It resets on 29 Nov 2026 20:00."
        );
        assert!(words(budget(11)).contains("$11.00 of $10.00 is spent, so requests with it fail."));
        assert!(
            words(Facts::Balance { amount: money(100), spent: money(95) })
                .starts_with("ci-prod has spent 95 % of its balance. $5.00 is left.")
        );
        assert!(words(Facts::Expiry { at }).starts_with("ci-prod expires on 24 Nov 2026 20:00. Requests"));
        assert!(words(Facts::Rotation { at }).starts_with("ci-prod is due for rotation on 24 Nov 2026. It"));
        let rejections = words(Facts::Rejections { gate: "budget".into(), times: 1_204 });
        assert!(rejections.starts_with("1,204 requests of ci-prod were rejected within 10 minutes. They"));
        let spike = |today, usual| words(Facts::Spike { today: money(today), usual: money(usual) });
        assert!(spike(21, 5).starts_with("ci-prod has spent $21.00 today, 4.2 × its usual Tuesday. By"));
        assert!(spike(100, 5).contains(" 20 × its usual"));
    }
}

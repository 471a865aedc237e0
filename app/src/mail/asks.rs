//! The letters about asks: to those who can answer one, and the answer to the person who asked.

use keydesk_core::domain::ask::{Ask, AskState, Wanted};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::person::Contact;

use super::{Letter, Mailer};

/// To so many people an ask is sent; the page names the others too.
const MAX_LETTERS: usize = 10;
/// After so many letters in a row that the mail server did not take, it is taken to be away: the person who asks waits.
const MAX_FAILURES: usize = 2;

/// An ask as its letters have it.
pub struct AskNotice<'a> {
    pub ask: &'a Ask,
    /// The organisation's name.
    pub org: &'a str,
    pub zone: &'a Zone,
    /// The ask's page.
    pub url: String,
}

/// Sends the ask to those who can answer it; the names of those whose letter the mail server took.
pub async fn send_ask(mailer: &dyn Mailer, notice: &AskNotice<'_>, people: &[Contact]) -> Vec<String> {
    let (mut informed, mut failures) = (Vec::new(), 0);
    for person in people.iter().take(MAX_LETTERS) {
        if mailer.send(asked(notice, person)).await {
            informed.push(person.name.clone());
            failures = 0;
        } else {
            failures += 1;
        }
        if failures == MAX_FAILURES {
            break;
        }
    }
    informed
}

/// Sends the answer; whether the mail server took it.
pub async fn send_answer(mailer: &dyn Mailer, notice: &AskNotice<'_>, person: &Contact) -> bool {
    mailer.send(answered(notice, person)).await
}

fn asked(notice: &AskNotice<'_>, to: &Contact) -> Letter {
    let AskNotice { ask, org, zone, url } = notice;
    let (name, words, reason) = (&ask.person.name, ask.words(zone), &ask.reason);
    Letter {
        to: to.email.clone(),
        subject: format!("{name} asks for {words}"),
        text: format!(
            "{name} asks for {words} ({org}).\n\nReason: {reason}\n\nGrant or refuse it on its page:\n\n{url}\n"
        ),
    }
}

fn answered(notice: &AskNotice<'_>, to: &Contact) -> Letter {
    let AskNotice { ask, org, zone, url } = notice;
    let by = ask.answered_by.as_deref().unwrap_or_default();
    let words = ask.words(zone);
    let (subject, what) = match (ask.state, &ask.grant, &ask.wanted) {
        (AskState::Granted, Some(grant), Wanted::Budget { key: (_, key), .. }) => (
            format!("You have {} more for {key}", grant.amount),
            format!(
                "{by} granted {} more for {key} until {} ({org}). It counts from now on.",
                grant.amount,
                grant.until.last_day(zone)
            ),
        ),
        (AskState::Granted, _, _) => {
            (format!("{by} agreed to {words}"), format!("{by} agreed to {words} ({org}), and creates it."))
        }
        _ => ("Your ask was refused".to_owned(), format!("You asked for {words} ({org}). {by} refused it.")),
    };
    let note = if ask.note.is_empty() { String::new() } else { format!("{}\n\n", ask.note) };
    Letter {
        to: to.email.clone(),
        subject,
        text: format!("{what}\n\n{note}The ask is on its page:\n\n{url}\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use keydesk_core::domain::ask::BudgetHolder;
    use keydesk_core::domain::ids::{AskId, KeyId, PersonId};
    use keydesk_core::domain::limits::Granted;
    use keydesk_core::domain::moment::Moment;
    use keydesk_core::domain::money::Money;
    use keydesk_core::domain::person::PersonName;
    use keydesk_core::domain::window::Period;

    use super::*;
    use crate::mail::Sending;

    fn ask(state: AskState) -> Ask {
        let at = Moment::parse_utc("2026-11-25T12:00:00Z").unwrap();
        let until = Moment::parse_utc("2026-11-28T00:00:00Z").unwrap();
        let dollars = |amount: i64| Money::from_nanos(amount * 1_000_000_000);
        let key = KeyId::new(at, [1; 10]);
        Ask {
            id: AskId::new(at, [2; 10]),
            person: PersonName { id: PersonId::new(at, [3; 10]), name: "Priya Nair".into() },
            wanted: Wanted::Budget {
                key: (key.clone(), "ci-prod".into()),
                holder: BudgetHolder::Key(key),
                holder_name: "ci-prod".into(),
                period: Period::Month,
                amount: dollars(50),
                until,
            },
            reason: "The backfill runs until Friday.".into(),
            state,
            asked_at: at,
            answered_at: None,
            answered_by: Some("Lena Fischer".into()),
            note: if state == AskState::Refused { "Use the batch key.".into() } else { String::new() },
            grant: (state == AskState::Granted).then(|| Granted { amount: dollars(40), until }),
        }
    }

    #[test]
    fn the_letters_say_what_is_asked_and_what_became_of_it() {
        let to = Contact { name: "Lena Fischer".into(), email: "lena@northwind.example".into() };
        let zone = Zone::utc();
        let letter = |state| {
            let ask = ask(state);
            let url = "https://keys.example.com/northwind/asks/ask_1".to_owned();
            let notice = AskNotice { ask: &ask, org: "Northwind", zone: &zone, url };
            let Letter { subject, text, .. } =
                if state == AskState::Open { asked(&notice, &to) } else { answered(&notice, &to) };
            format!("{subject}\n{text}")
        };
        assert_eq!(
            letter(AskState::Open),
            "Priya Nair asks for $50.00 more for ci-prod until Fri 27 Nov 2026\n\
             Priya Nair asks for $50.00 more for ci-prod until Fri 27 Nov 2026 (Northwind).\n\n\
             Reason: The backfill runs until Friday.\n\nGrant or refuse it on its page:\n\n\
             https://keys.example.com/northwind/asks/ask_1\n"
        );
        assert_eq!(
            letter(AskState::Granted),
            "You have $40.00 more for ci-prod\n\
             Lena Fischer granted $40.00 more for ci-prod until Fri 27 Nov 2026 (Northwind). It counts from now on.\n\n\
             The ask is on its page:\n\nhttps://keys.example.com/northwind/asks/ask_1\n"
        );
        assert_eq!(
            letter(AskState::Refused),
            "Your ask was refused\n\
             You asked for $50.00 more for ci-prod until Fri 27 Nov 2026 (Northwind). Lena Fischer refused it.\n\n\
             Use the batch key.\n\nThe ask is on its page:\n\nhttps://keys.example.com/northwind/asks/ask_1\n"
        );
    }

    /// Takes no letter.
    struct Away(AtomicUsize);

    impl Mailer for Away {
        fn send(&self, _: Letter) -> Sending<'_> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { false })
        }
    }

    #[test]
    fn a_mail_server_that_is_away_is_not_tried_for_each_of_ten_people() {
        let (away, ask, zone) = (Away(AtomicUsize::new(0)), ask(AskState::Open), Zone::utc());
        let notice = AskNotice { ask: &ask, org: "Northwind", zone: &zone, url: String::new() };
        let people =
            vec![Contact { name: "Lena Fischer".into(), email: "lena@northwind.example".into() }; 10];
        let mut sending = pin!(send_ask(&away, &notice, &people));
        let Poll::Ready(informed) = sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing waits here");
        };
        assert!(informed.is_empty());
        assert_eq!(away.0.load(Ordering::Relaxed), MAX_FAILURES);
    }
}

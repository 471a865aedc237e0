//! Mail about alerts: one, or all that came within a minute. Plain text, and the same in HTML without styles and pictures.

use keydesk_core::domain::alert::Alert;
use keydesk_core::ops::alerts::UserMail;

use super::Letter;
use crate::path::LocalPath;

/// So many are in one mail; the inbox has the others.
const MAX_SHOWN: usize = 20;

/// The letter and its HTML. `base_url` has no slash at its end.
pub fn letter(mail: &UserMail, base_url: &str) -> (Letter, String) {
    let org = &mail.place.name;
    let subject = match mail.alerts.as_slice() {
        [only] => only.heading(&mail.place.zone),
        all => format!("{} alerts of {org}", all.len()),
    };
    let letter = Letter { to: mail.email.clone(), subject, text: text(mail, base_url) };
    let html = html(mail, &letter.subject, base_url);
    (letter, html)
}

fn link(mail: &UserMail, alert: &Alert, base_url: &str) -> String {
    format!("{base_url}{}", LocalPath::of_alert(&mail.place.slug, alert).as_str())
}

fn more(mail: &UserMail) -> Option<String> {
    let more = mail.alerts.len().saturating_sub(MAX_SHOWN);
    (more > 0).then(|| format!("{more} more are in your inbox:"))
}

fn text(mail: &UserMail, base_url: &str) -> String {
    let zone = &mail.place.zone;
    let one = |alert: &Alert| {
        format!("{}.\n{}\n{}\n", alert.heading(zone), alert.details(zone), link(mail, alert, base_url))
    };
    let mut parts: Vec<String> = mail.alerts.iter().take(MAX_SHOWN).map(one).collect();
    let slug = &mail.place.slug;
    if let Some(more) = more(mail) {
        parts.push(format!("{more}\n{base_url}{}\n", LocalPath::inbox(slug).as_str()));
    }
    parts.push(format!(
        "You get this as a member of {} on Keydesk. Choose what you get:\n{base_url}{}\n",
        mail.place.name,
        LocalPath::alert_choices(slug).as_str()
    ));
    parts.join("\n")
}

fn html(mail: &UserMail, subject: &str, base_url: &str) -> String {
    let zone = &mail.place.zone;
    let slug = &mail.place.slug;
    let one = |alert: &Alert| {
        format!(
            "<h2><a href=\"{}\">{}</a></h2>\n<p>{}</p>\n",
            escaped(&link(mail, alert, base_url)),
            escaped(&alert.heading(zone)),
            escaped(&alert.details(zone))
        )
    };
    let shown: String = mail.alerts.iter().take(MAX_SHOWN).map(one).collect();
    let inbox = escaped(&format!("{base_url}{}", LocalPath::inbox(slug).as_str()));
    let more = more(mail)
        .map(|more| format!("<p>{} <a href=\"{inbox}\">Inbox</a></p>\n", escaped(&more)))
        .unwrap_or_default();
    let choices = escaped(&format!("{base_url}{}", LocalPath::alert_choices(slug).as_str()));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n{shown}{more}\
         <hr>\n<p>You get this as a member of {} on Keydesk. <a href=\"{choices}\">Choose what you get</a></p>\n</body>\n</html>\n",
        escaped(subject),
        escaped(&mail.place.name)
    )
}

/// Names may contain markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use keydesk_core::domain::alert::{Facts, Subject, SubjectKind};
    use keydesk_core::domain::ids::{AlertId, OrgId};
    use keydesk_core::domain::moment::{Moment, Zone};
    use keydesk_core::domain::money::Money;
    use keydesk_core::ops::alerts::Place;

    fn mail(count: usize, name: &str) -> UserMail {
        let at = Moment::from_ms(1_795_550_400_000);
        let alert = Alert {
            id: AlertId::new(at, [1; 10]),
            subject: Subject { kind: SubjectKind::Key, id: "key_1".into(), name: name.into() },
            threshold: 80,
            facts: Facts::Budget {
                period: "month".into(),
                amount: Money::from_nanos(10_000_000_000),
                spent: Money::from_nanos(8_200_000_000),
                resets_at: None,
            },
            at,
        };
        let place = Place {
            org: OrgId::new(at, [1; 10]),
            slug: "northwind".into(),
            name: "Northwind".into(),
            zone: Zone::utc(),
        };
        UserMail {
            attempts: vec![],
            place,
            email: "ana@northwind.example".into(),
            alerts: vec![alert; count],
        }
    }

    #[test]
    fn one_alert_is_its_own_subject_and_several_are_counted() {
        let (letter, html) = letter(&mail(1, "ci-prod"), "https://keys.example.com");
        assert_eq!(letter.subject, "ci-prod has spent 82 % of $10.00 per month");
        assert_eq!(
            letter.text,
            "ci-prod has spent 82 % of $10.00 per month.\n\
             $8.20 of $10.00 is spent. When it is used up, requests with it fail. It never resets.\n\
             https://keys.example.com/northwind/keys/key_1\n\n\
             You get this as a member of Northwind on Keydesk. Choose what you get:\n\
             https://keys.example.com/northwind/inbox/choices\n"
        );
        assert!(html.contains("<a href=\"https://keys.example.com/northwind/keys/key_1\">ci-prod has"));
        let (letter, _) = super::letter(&mail(25, "ci-prod"), "https://keys.example.com");
        assert_eq!(letter.subject, "25 alerts of Northwind");
        assert_eq!(letter.text.matches("keys/key_1").count(), 20);
        assert!(
            letter.text.contains("5 more are in your inbox:\nhttps://keys.example.com/northwind/inbox\n")
        );
    }

    #[test]
    fn a_name_is_no_markup() {
        let (_, html) = letter(&mail(1, "<img src=x>&\"a"), "https://keys.example.com");
        assert!(html.contains("&lt;img src=x&gt;&amp;&quot;a") && !html.contains("<img"));
    }
}

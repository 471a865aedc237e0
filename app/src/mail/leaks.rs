//! The letter about a leaked secret, to the key's owner and the admins who look after it. It contains no more of the
//! secret than its last four characters.

use keydesk_core::domain::person::Contact;

use super::{Letter, Mailer};

/// What happened, in the letter's words.
pub struct LeakNotice<'a> {
    /// Who reported it: a person, or what found it.
    pub by: &'a str,
    pub key: &'a str,
    pub org: &'a str,
    /// The secret's masked form.
    pub hint: String,
    /// As `plain_place` gives it; empty when it is not known.
    pub found_at: String,
    /// What was done, in a sentence.
    pub stopped: &'a str,
    /// The key's page.
    pub url: String,
}

/// Sends a letter to each; the names of those whose letter the mail server took.
pub async fn notify(mailer: &dyn Mailer, notice: &LeakNotice<'_>, people: &[Contact]) -> Vec<String> {
    let mut informed = Vec::new();
    for person in people {
        if mailer.send(letter(notice, person)).await {
            informed.push(person.name.clone());
        }
    }
    informed
}

fn letter(notice: &LeakNotice<'_>, to: &Contact) -> Letter {
    let LeakNotice { by, key, org, hint, found_at, stopped, url } = notice;
    let found = if found_at.is_empty() { String::new() } else { format!("It was found at {found_at}\n\n") };
    Letter {
        to: to.email.clone(),
        subject: format!("A secret of the key {key} leaked"),
        text: format!(
            "{by} reported the secret {hint} of the key {key} ({org}) as leaked.\n\n{found}{stopped}\n\n\
             The key's requests and spend are on its page:\n\n{url}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_says_what_happened_and_where_to_look() {
        let notice = LeakNotice {
            by: "GitHub secret scanning",
            key: "ci-prod",
            org: "Northwind",
            hint: "sk-…a1B2".into(),
            found_at: "https://github.com/acme/site/blob/0a1b/.env".into(),
            stopped: "The key is disabled.",
            url: "https://keys.example.com/northwind/keys/key_1".into(),
        };
        let to = Contact { name: "Ana Ruiz".into(), email: "ana@northwind.example".into() };
        let Letter { to, subject, text } = letter(&notice, &to);
        assert_eq!(
            (to.as_str(), subject.as_str()),
            ("ana@northwind.example", "A secret of the key ci-prod leaked")
        );
        assert_eq!(
            text,
            "GitHub secret scanning reported the secret sk-…a1B2 of the key ci-prod (Northwind) as leaked.\n\n\
             It was found at https://github.com/acme/site/blob/0a1b/.env\n\nThe key is disabled.\n\n\
             The key's requests and spend are on its page:\n\nhttps://keys.example.com/northwind/keys/key_1\n"
        );
    }
}

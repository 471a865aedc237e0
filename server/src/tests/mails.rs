//! The letters that the program sends, word for word.

use std::sync::{Arc, Mutex};

use keydesk_app::mail::{Letter, Mailer, Sending};

use super::routes::{borrowed, fields_for};
use super::support::{TestApp, Who, on_sqlite};
use super::words::retired_in;

/// A mail server that takes every letter.
#[derive(Default)]
pub struct Outbox(pub Mutex<Vec<Letter>>);

impl Mailer for Outbox {
    fn send(&self, letter: Letter) -> Sending<'_> {
        self.0.lock().unwrap().push(letter);
        Box::pin(async { true })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_says_what_it_said() {
    on_sqlite(async |app: TestApp| {
        let outbox = Arc::new(Outbox::default());
        let app = app.with_mailer(outbox.clone());
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        for role in ["member", "admin", "owner"] {
            let mut fields = fields_for("invitations/invite", &cast, &key, role);
            fields
                .iter_mut()
                .filter(|(name, _)| name == "form[role]")
                .for_each(|(_, value)| *value = role.into());
            let answer = app.post(&owner, "invitations/invite", &borrowed(&fields)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        let letters = std::mem::take(&mut *outbox.0.lock().unwrap());
        assert_eq!(letters.len(), 3);
        let text: Vec<String> = letters
            .iter()
            .map(|letter| format!("To: {}\nSubject: {}\n\n{}", letter.to, letter.subject, letter.text))
            .collect();
        let text = text.join("-----\n");
        assert_eq!(retired_in(&text), [""; 0]);
        insta::with_settings!({filters => vec![(r"/invite/\S+", "/invite/[token]")]}, {
            insta::assert_snapshot!("mails", text);
        });
    })
    .await;
}

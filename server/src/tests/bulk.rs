//! An act on several keys, as a browser without script sees it.

use super::support::{TestApp, Who, on_both};

on_both! {
    async fn the_answer_is_a_page_with_what_happened_and_a_file_of_it(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let (one, two) = (app.key(&cast, "=1+1").await, app.key(&cast, "plain").await);
        let query = format!("act=disable&key={}&key={}&back=state%3Dactive%26q%3Dpl", one.id, two.id);
        let page = app.get(&owner, &format!("/acme/keys/bulk?{query}")).await;
        assert_eq!(page.status, 200);
        for part in ["Disable 2 keys", "Will be disabled", "href=\"/acme/keys?state=active&amp;q=pl\""] {
            assert!(page.text.contains(part), "{part}: {}", page.text);
        }
        let (one, two) = (one.id.to_string(), two.id.to_string());
        let fields = [
            ("form[org]", "acme"),
            ("form[act]", "disable"),
            ("form[keys][]", one.as_str()),
            ("form[keys][]", two.as_str()),
        ];
        let done = app.post_page(&owner, "/acme/keys/bulk", "keys/bulk", &fields).await;
        assert_eq!(done.status, 200);
        assert!(done.text.contains("2 keys disabled."), "{}", done.text);
        let file = format!("{one}%2C%27%3D1%2B1%2CCrew%2CKeyOwner%2Cdone%2CDisabled%0D%0A");
        assert!(done.text.contains(&file), "{}", done.text);
        // Sent again by a reload, it says who did it.
        let again = app.post_page(&owner, "/acme/keys/bulk", "keys/bulk", &fields).await;
        assert!(again.text.contains("Already disabled"), "{}", again.text);
        // For a script it is data.
        let data = app.post(&owner, "keys/bulk", &fields).await.json();
        assert_eq!(data["outcome"]["rows"][0]["verdict"], "already");
        // A mistake comes back to the page, with the selection.
        let mut fields = fields;
        fields[1].1 = "move";
        let wrong = app.post_page(&owner, "/acme/keys/bulk", "keys/bulk", &fields).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.text.contains("Choose a team."), "{}", wrong.text);
        assert!(wrong.text.contains("Move 2 keys"), "{}", wrong.text);
        // Support looks, and selects nothing.
        let support = app.sign_in(Who::Support).await;
        assert!(!app.get(&support, "/acme/keys").await.text.contains("name=\"key\""));
        assert!(app.get(&owner, "/acme/keys").await.text.contains("name=\"key\""));
    }
}

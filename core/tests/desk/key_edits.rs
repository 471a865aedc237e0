//! Edits of a key, one after the other and at once: each writes what it changed and undoes nothing.

use keydesk_core::domain::audit::{ChangeValue, EventKind};
use keydesk_core::domain::ids::KeyId;
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::forms::key::{EditForm, KeyForm};
use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::edit::{EditConflict, Outcome};
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::{self, OpError};

use crate::support::submit;
use crate::support::*;

pub async fn edit(desk: &TestDesk, at: &At, form: &EditForm) -> Result<Outcome<KeyId, KeyForm>, OpError> {
    submit::edit_key(desk, &at.caller, form).await
}

pub async fn saved(desk: &TestDesk, at: &At, form: &EditForm) {
    assert!(matches!(edit(desk, at, form).await, Ok(Outcome::Saved(_))));
}

async fn conflict(desk: &TestDesk, at: &At, form: &EditForm) -> Box<EditConflict<KeyForm>> {
    match edit(desk, at, form).await {
        Ok(Outcome::Conflict(conflict)) => conflict,
        Ok(_) => panic!("saved over somebody"),
        Err(error) => panic!("{error:?}"),
    }
}

/// Saves what the page of a clash shows, as it shows it.
async fn save_again(desk: &TestDesk, at: &At, issued: &IssuedKey, conflict: Box<EditConflict<KeyForm>>) {
    let drawn = desk.drawn(at, issued).await;
    saved(desk, at, &EditForm { key: conflict.merged, ..drawn }).await;
}

on_both!(
    fn an_edit_writes_only_what_changed(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let before = desk.show(&at, &issued).await;
        let mut form = desk.drawn(&at, &issued).await;
        assert!(matches!(edit(&desk, &at, &form).await, Ok(Outcome::Unchanged(_))));
        assert_eq!(desk.show(&at, &issued).await.version, 1);

        form.key.limits.rpm.value = "90".into();
        form.key.addresses = "10.0.0.0/8".into();
        saved(&desk, &at, &form).await;
        let after = desk.show(&at, &issued).await;
        assert_eq!(after.version, 2);
        let mut expected = before.spec();
        expected.limits.rpm = Some(90);
        expected.addresses = after.addresses.clone();
        assert_eq!(after.spec(), expected);
        assert_eq!(after.addresses.lines(), "10.0.0.0/8");

        let view = ops::keys::show(&desk, &at.caller, &at.org.slug, issued.id.as_str()).await.unwrap();
        let event = &view.history[0];
        assert_eq!(event.kind, EventKind::KeyEdited);
        let fields: Vec<&str> = event.changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["addresses", "rpm"]);
        assert_eq!(event.changes[1].before, Some(ChangeValue::Limit(Some(60))));
        assert_eq!(event.changes[1].after, Some(ChangeValue::Limit(Some(90))));
    }
);

on_both!(
    fn a_form_that_says_nothing_of_a_field_does_not_undo_it(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut form = desk.drawn(&at, &issued).await;
        form.key.note = "of the north office".into();
        form.was = "not a form".into();
        assert_eq!(refused(edit(&desk, &at, &form).await.map(|_| ())).0, "name");
        assert_eq!(desk.show(&at, &issued).await.note, "");
    }
);

on_both!(
    fn an_edit_of_what_somebody_else_changed_is_a_clash_that_names_both(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let boris = desk.member(&at, OrgRole::Admin).await;
        let mut late = desk.drawn(&at, &issued).await;
        let mut early = desk.drawn(&boris, &issued).await;
        early.key.limits.rpm.value = "500".into();
        early.key.note = "for the nightly build".into();
        saved(&desk, &boris, &early).await;
        let written = desk.show(&at, &issued).await.spec();

        late.key.limits.rpm.value = "7".into();
        late.key.limits.tpm.value = "5k".into();
        let conflict = conflict(&desk, &at, &late).await;
        assert!(conflict.sentence.starts_with(&boris.caller.person.name), "{}", conflict.sentence);
        let errors: Vec<(&str, String)> =
            conflict.errors.iter().map(|error| (error.field.as_str(), error.problem.to_string())).collect();
        assert_eq!(errors, [("rpm", "Now: 500. You entered: 7.".to_owned())]);
        let now = desk.show(&at, &issued).await;
        assert_eq!((now.spec(), now.version), (written.clone(), 2));

        save_again(&desk, &at, &issued, conflict).await;
        let after = desk.show(&at, &issued).await;
        let mut expected = written;
        expected.limits = Limits { rpm: Some(7), tpm: Some(5_000), ..expected.limits };
        assert_eq!((after.spec(), after.version), (expected, 3));
    }
);

on_both!(
    fn saving_a_clash_keeps_the_other_persons_change_whatever_the_field(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Search").await;
        type Change = fn(&mut KeyForm, &str);
        let changes: [(&str, Change); 8] = [
            ("name", |form, _| form.name = "renamed".into()),
            ("note", |form, _| form.note = "noted".into()),
            ("team", |form, team| form.team = team.into()),
            ("models", |form, _| {
                form.scope = "listed".into();
                form.patterns = "claude-*\ngpt-5".into();
            }),
            ("addresses", |form, _| form.addresses = "203.0.113.7".into()),
            ("budgets", |form, _| {
                form.limits.month = LimitField::none();
                form.limits.total = LimitField::limit("99");
            }),
            ("concurrent", |form, _| form.limits.concurrent = LimitField::none()),
            ("expiry", |form, _| form.expiry = "never".into()),
        ];
        for (at_theirs, (theirs, change_theirs)) in changes.iter().enumerate() {
            for (at_mine, (mine, change_mine)) in changes.iter().enumerate() {
                if theirs == mine {
                    continue;
                }
                let issued = desk.create_key(&at, &format!("key {at_theirs}-{at_mine}")).await;
                let mut late = desk.drawn(&at, &issued).await;
                let mut early = desk.drawn(&at, &issued).await;
                change_theirs(&mut early.key, team.id.as_str());
                saved(&desk, &at, &early).await;
                change_mine(&mut late.key, team.id.as_str());
                let conflict = conflict(&desk, &at, &late).await;
                save_again(&desk, &at, &issued, conflict).await;

                // One after the other, in one form each, must come to the same.
                let twin = desk.create_key(&at, &format!("twin {at_theirs}-{at_mine}")).await;
                for change in [change_theirs, change_mine] {
                    let mut form = desk.drawn(&at, &twin).await;
                    change(&mut form.key, team.id.as_str());
                    if form.key.name == "renamed" {
                        form.key.name = "renamed twin".into();
                    }
                    saved(&desk, &at, &form).await;
                }
                let (mut merged, mut in_turn) =
                    (desk.show(&at, &issued).await.spec(), desk.show(&at, &twin).await.spec());
                assert_eq!(merged.name == "renamed", in_turn.name == "renamed twin");
                (merged.name, in_turn.name) = (String::new(), String::new());
                assert_eq!(merged, in_turn, "theirs: {theirs}, mine: {mine}");
                for done in [&issued, &twin] {
                    desk.revoke(&at, done, "").await.unwrap();
                }
            }
        }
    }
);

on_both!(
    fn an_expiry_chosen_in_a_clash_is_not_lost(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        for (expiry, expires_on, days) in [("7", "", Some(7)), ("never", "", None)] {
            let mut late = desk.drawn(&at, &issued).await;
            let mut early = desk.drawn(&at, &issued).await;
            early.key.note = format!("noted for {expiry}");
            saved(&desk, &at, &early).await;
            late.key.expiry = expiry.into();
            late.key.expires_on = expires_on.into();
            let conflict = conflict(&desk, &at, &late).await;
            save_again(&desk, &at, &issued, conflict).await;
            let key = desk.show(&at, &issued).await;
            assert_eq!(key.expires_at, days.map(|days| desk.now().plus_days(days)));
        }
    }
);

on_both!(
    fn an_expiry_that_somebody_else_changed_is_named_in_the_clash(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut late = desk.drawn(&at, &issued).await;
        let mut early = desk.drawn(&at, &issued).await;
        early.key.expiry = "7".into();
        saved(&desk, &at, &early).await;
        late.key.expiry = "365".into();
        let conflict = conflict(&desk, &at, &late).await;
        assert_eq!(conflict.errors.len(), 1, "{:?}", conflict.errors);
        assert_eq!(conflict.errors[0].field, "expiry");
        assert!(conflict.errors[0].problem.to_string().contains("27 Nov 2026"), "{:?}", conflict.errors);
    }
);

on_both!(
    fn of_many_edits_from_one_version_one_is_saved(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let drawn = serde_json::to_string(&desk.drawn(&at, &issued).await).unwrap();
        let mut edits = tokio::task::JoinSet::new();
        for n in 1..=10 {
            let (desk, at) = (desk.clone(), at.clone());
            let mut form: EditForm = serde_json::from_str(&drawn).unwrap();
            form.key.limits.rpm.value = (n * 100).to_string();
            form.key.patterns = format!("model-{n}");
            form.key.scope = "listed".into();
            edits.spawn(async move { matches!(edit(&desk, &at, &form).await, Ok(Outcome::Saved(_))) });
        }
        let mut won = 0;
        while let Some(done) = edits.join_next().await {
            won += i32::from(done.unwrap());
        }
        assert_eq!(won, 1);
        let key = desk.show(&at, &issued).await;
        assert_eq!(key.version, 2);
        // All of one edit, nothing of another.
        assert_eq!(key.models.summary(), format!("model-{}", key.limits.rpm.unwrap() / 100));
    }
);

//! Settings, and what an operator does with organisations.

use keydesk_core::domain::list_filter::OrgFilter;
use keydesk_core::domain::page::PAGE_ROWS;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::domain::settings::Settings;
use keydesk_core::forms::org::{NewOrgForm, OrgStatusForm};
use keydesk_core::forms::parts::LimitField;
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::access::open_org;
use keydesk_core::ops::edit::EditConflict;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::{self, OperatorActor, Owner};
use keydesk_core::ops::{OpError, invitations};

use crate::support::submit;
use crate::support::*;

/// The form as the page draws it now.
async fn drawn(desk: &TestDesk, at: &At) -> SaveForm {
    let view = orgs::settings(desk, &at.caller, &at.org.slug).await.unwrap();
    let settings = SettingsForm::of(&view.settings);
    SaveForm {
        org: at.org.slug.clone(),
        version: view.context.org.version,
        was: serde_json::to_string(&settings).unwrap(),
        settings,
        reauth: Default::default(),
    }
}

async fn save(desk: &TestDesk, at: &At, form: &SaveForm) -> Result<Outcome<String, SettingsForm>, OpError> {
    submit::save_org(desk, &at.caller, form).await
}

fn conflict(saved: Result<Outcome<String, SettingsForm>, OpError>) -> EditConflict<SettingsForm> {
    match saved.unwrap() {
        Outcome::Conflict(conflict) => *conflict,
        Outcome::Saved(_) | Outcome::Unchanged(_) => panic!("saved over somebody's change"),
    }
}

async fn last_changes(desk: &TestDesk) -> String {
    let sql = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.edited' ORDER BY seq DESC LIMIT 1";
    desk.texts(sql).await[0].clone()
}

on_both!(
    fn settings_are_saved_and_the_audit_names_each_field_that_changed(desk: TestDesk) {
        let at = desk.owner().await;
        let mut form = drawn(&desk, &at).await;
        form.settings = SettingsForm {
            name: "Northwind Labs".into(),
            zone: "america/new_york".into(),
            key_prefix: "sk-north-".into(),
            models: "every".into(),
            month: LimitField::none(),
            days: LimitField::limit("30"),
            max_key_days: LimitField::limit("365"),
            max_keys_per_member: LimitField::limit("10"),
            members_create: "in_teams".into(),
            ..form.settings
        };
        assert!(matches!(save(&desk, &at, &form).await, Ok(Outcome::Saved(slug)) if slug == "northwind"));
        let context = open_org(&mut desk.db.read().await.unwrap(), &at.caller, "northwind").await.unwrap();
        assert_eq!(Settings::of(&context.org, Vec::new()), form.settings.parse().unwrap());
        assert_eq!((context.org.version, context.org.zone.name()), (2, "America/New_York"));
        let changes = last_changes(&desk).await;
        for part in [
            "Europe/Zurich",
            "America/New_York",
            "sk-desk-",
            "sk-north-",
            r#"{"budget":50000000000}"#,
            r#"{"days":90}"#,
            r#"{"days":365}"#,
            r#"{"choice":"in_teams"}"#,
            // A new midnight.
            r#""restarted""#,
            "month with $0.00 spent",
        ] {
            assert!(changes.contains(part), "{part}: {changes}");
        }
        for untouched in ["slug", "rpm", "second_factor"] {
            assert!(!changes.contains(untouched), "{untouched}: {changes}");
        }
        // New keys have the new prefix; saving again changes nothing.
        let issued = desk.create_key(&at, "ci").await;
        assert!(issued.secret.reveal().starts_with("sk-north-"));
        assert!(matches!(save(&desk, &at, &drawn(&desk, &at).await).await, Ok(Outcome::Unchanged(_))));
        assert_eq!(
            desk.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.edited'")
                .await,
            1
        );
    }
);

on_both!(
    fn of_two_who_edit_the_settings_neither_loses_anything(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.member(&at, OrgRole::Admin).await;
        let (mut mine, mut theirs) = (drawn(&desk, &at).await, drawn(&desk, &other).await);
        theirs.settings.rpm = LimitField::limit("90");
        theirs.settings.key_prefix = "sk-theirs-".into();
        assert!(matches!(save(&desk, &other, &theirs).await, Ok(Outcome::Saved(_))));
        mine.settings.name = "Northwind Two".into();
        mine.settings.rpm = LimitField::limit("120");
        let conflict = conflict(save(&desk, &at, &mine).await);
        assert!(conflict.sentence.starts_with(&other.caller.person.name), "{}", conflict.sentence);
        let fields: Vec<_> = conflict.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["rpm"]);
        assert_eq!(conflict.errors[0].problem.sentence(), "Now: 90. You entered: 120.");
        // Their prefix stands, my name and number are still there to be saved.
        assert_eq!(conflict.merged.key_prefix, "sk-theirs-");
        assert_eq!(
            (conflict.merged.name.as_str(), conflict.merged.rpm.value.as_str()),
            ("Northwind Two", "120")
        );
        assert_eq!(desk.texts("SELECT name FROM orgs").await, ["Northwind"]);
        let again = SaveForm { settings: conflict.merged, ..drawn(&desk, &at).await };
        assert!(matches!(save(&desk, &at, &again).await, Ok(Outcome::Saved(_))));
        assert_eq!(desk.texts("SELECT key_prefix FROM orgs").await, ["sk-theirs-"]);
    }
);

on_both!(
    fn of_many_who_save_from_one_version_one_is_written(desk: TestDesk) {
        let at = desk.owner().await;
        let form = drawn(&desk, &at).await;
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (desk, at, mut form) = (desk.clone(), at.clone(), form.clone());
            form.settings.rpm.value = format!("{}", 100 + n);
            tries.spawn(async move {
                matches!(submit::save_org(&desk, &at.caller, &form).await, Ok(Outcome::Saved(_)))
            });
        }
        let mut saved = 0;
        while let Some(done) = tries.join_next().await {
            saved += i32::from(done.unwrap());
        }
        assert_eq!(saved, 1);
        assert_eq!(desk.numbers("SELECT version FROM orgs").await, [2]);
        assert_eq!(
            desk.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.edited'")
                .await,
            1
        );
    }
);

on_both!(
    fn an_address_that_is_taken_or_the_programs_own_is_refused(desk: TestDesk) {
        let at = desk.owner().await;
        desk.other_org("Fjord", "UTC").await;
        for (slug, says) in
            [("fjord", "Another organisation"), ("operator", "Keydesk itself"), ("v1", "Keydesk itself")]
        {
            let mut form = drawn(&desk, &at).await;
            form.settings.slug = slug.into();
            let (field, sentence) = refused(save(&desk, &at, &form).await);
            assert_eq!(field, "slug");
            assert!(sentence.contains(says), "{sentence}");
        }
        let mut form = drawn(&desk, &at).await;
        form.settings.key_prefix = "acme-".into();
        assert_eq!(refused(save(&desk, &at, &form).await).0, "key_prefix");
        assert_eq!(desk.texts("SELECT slug FROM orgs ORDER BY slug").await, ["fjord", "northwind"]);
    }
);

on_both!(
    fn the_second_factor_is_required_only_by_somebody_who_has_one_and_has_just_proved_it(desk: TestDesk) {
        let mut at = desk.owner().await;
        let mut form = drawn(&desk, &at).await;
        form.settings.second_factor = "required".into();
        let (field, sentence) = refused(save(&desk, &at, &form).await);
        assert_eq!(field, "second_factor");
        assert!(sentence.contains("lock you out"), "{sentence}");

        at.caller.person.second_factor = true;
        desk.clock.advance(10 * MINUTE);
        assert!(matches!(save(&desk, &at, &form).await, Err(OpError::ReauthRequired)));
        at.caller.reauthenticated_at = desk.now();
        assert!(matches!(save(&desk, &at, &form).await, Ok(Outcome::Saved(_))));
        // Who runs it and has none is kept out; members are not asked for one.
        let (admin, member) =
            (desk.member(&at, OrgRole::Admin).await, desk.member(&at, OrgRole::Member).await);
        let mut read = desk.db.read().await.unwrap();
        let out = open_org(&mut read, &admin.caller, &at.org.slug).await;
        assert!(matches!(out, Err(OpError::SecondFactor { .. })));
        assert!(open_org(&mut read, &member.caller, &at.org.slug).await.is_ok());

        let mut off = drawn(&desk, &at).await;
        off.settings.second_factor = "optional".into();
        desk.clock.advance(10 * MINUTE);
        assert!(matches!(save(&desk, &at, &off).await, Err(OpError::ReauthRequired)));
        at.caller.reauthenticated_at = desk.now();
        assert!(matches!(save(&desk, &at, &off).await, Ok(Outcome::Saved(_))));
    }
);

on_both!(
    fn settings_belong_to_owners_and_admins(desk: TestDesk) {
        let at = desk.owner().await;
        let form = drawn(&desk, &at).await;
        let foreign = desk.other_org("Fjord", "UTC").await;
        let (member, support) =
            (desk.member(&at, OrgRole::Member).await, desk.platform(&at, PlatformRole::Support).await);
        for who in [&member, &support] {
            let seen = orgs::settings(&desk, &who.caller, &at.org.slug).await;
            assert!(matches!(seen, Err(OpError::Forbidden)));
            assert!(matches!(save(&desk, who, &form).await, Err(OpError::Forbidden)));
        }
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        for who in [&foreign, &operator] {
            let seen = orgs::settings(&desk, &who.caller, &at.org.slug).await;
            assert!(matches!(seen, Err(OpError::NotFound)));
            assert!(matches!(save(&desk, who, &form).await, Err(OpError::NotFound)));
        }
        let admin = desk.member(&at, OrgRole::Admin).await;
        assert!(matches!(save(&desk, &admin, &form).await, Ok(Outcome::Unchanged(_))));
    }
);

on_both!(
    fn only_an_operator_suspends_and_resumes(desk: TestDesk) {
        let at = desk.owner().await;
        let fjord = desk.other_org("Fjord", "UTC").await;
        let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
        let why = OrgStatusForm { org: "fjord".into(), reason: "Unpaid since August".into() };
        let (support, admin) =
            (desk.platform(&at, PlatformRole::Support).await, desk.member(&fjord, OrgRole::Admin).await);
        for who in [&fjord.caller, &support.caller, &admin.caller] {
            let by = || OperatorActor::Operator(who);
            assert!(matches!(submit::suspend_org(&desk, by(), &why).await, Err(OpError::NotFound)));
            assert!(matches!(submit::resume_org(&desk, by(), &why).await, Err(OpError::NotFound)));
        }
        assert!(matches!(
            submit::resume_org(&desk, OperatorActor::Operator(&operator), &why).await,
            Err(OpError::Conflict(_))
        ));
        assert_eq!(
            submit::suspend_org(&desk, OperatorActor::Operator(&operator), &why).await.unwrap(),
            "Fjord"
        );
        assert!(matches!(
            submit::suspend_org(&desk, OperatorActor::CommandLine, &why).await,
            Err(OpError::Conflict(_))
        ));
        let events = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.suspended'";
        assert!(desk.texts(events).await[0].contains("Unpaid since August"));

        // What is open to its people meanwhile, and what is not.
        let mut settings = drawn(&desk, &fjord).await;
        settings.settings.name = "Fjord Two".into();
        assert!(matches!(save(&desk, &fjord, &settings).await, Err(OpError::Conflict(_))));
        assert!(matches!(desk.create(&fjord, form("new")).await, Err(OpError::Conflict(_))));
        let plain = OrgStatusForm { org: "fjord".into(), reason: String::new() };
        assert_eq!(submit::resume_org(&desk, OperatorActor::CommandLine, &plain).await.unwrap(), "Fjord");
        assert!(matches!(save(&desk, &fjord, &settings).await, Ok(Outcome::Saved(_))));
        // The other organisation felt nothing of it.
        desk.create_key(&at, "ci").await;
    }
);

fn new_org(name: &str, email: &str) -> NewOrgForm {
    NewOrgForm { name: name.into(), slug: String::new(), zone: "Europe/Oslo".into(), email: email.into() }
}

on_both!(
    fn a_new_organisations_owner_is_who_signs_in_with_the_address_or_is_invited_once(desk: TestDesk) {
        let at = desk.owner().await;
        let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
        let made = submit::create_org(
            &desk,
            OperatorActor::Operator(&operator),
            &new_org("Fjord Robotics", OWNER_EMAIL),
        )
        .await
        .unwrap();
        assert_eq!(made.slug, "fjord-robotics");
        assert!(matches!(made.owner, Owner::Joined(name) if name == at.caller.person.name));
        let context =
            open_org(&mut desk.db.read().await.unwrap(), &at.caller, "fjord-robotics").await.unwrap();
        assert_eq!((context.principal.role(), context.orgs.len()), (Some(OrgRole::Owner), 2));
        assert_eq!(context.org.zone.name(), "Europe/Oslo");

        let made =
            submit::create_org(&desk, OperatorActor::CommandLine, &new_org("Harbour", " New@Example.com "))
                .await
                .unwrap();
        let Owner::Invited(token) = made.owner else { panic!("nobody signs in with it") };
        let offer = invitations::find(&desk, token.as_str()).await.unwrap().unwrap();
        assert_eq!(
            (offer.invitation.email.as_str(), offer.invitation.role),
            ("new@example.com", OrgRole::Owner)
        );
        assert_eq!(offer.invitation.org_slug, "harbour");
        assert!(!desk.dump().await.contains(token.as_str()));
        let owners = "SELECT changes FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.created' ORDER BY at, org_id";
        assert!(desk.texts(owners).await.iter().any(|changes| changes.contains("new@example.com, invited")));
    }
);

on_both!(
    fn only_an_operator_creates_an_organisation_and_mistakes_make_none(desk: TestDesk) {
        let at = desk.owner().await;
        let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
        let support = desk.platform(&at, PlatformRole::Support).await.caller;
        let admin = desk.member(&at, OrgRole::Admin).await.caller;
        for who in [&support, &admin] {
            let made =
                submit::create_org(&desk, OperatorActor::Operator(who), &new_org("Fjord", OWNER_EMAIL)).await;
            assert!(matches!(made, Err(OpError::NotFound)));
        }
        let make = async |form: NewOrgForm| {
            submit::create_org(&desk, OperatorActor::Operator(&operator), &form).await
        };
        assert_eq!(refused(make(new_org("Northwind", OWNER_EMAIL)).await).0, "slug");
        assert_eq!(
            refused(make(NewOrgForm { slug: "api".into(), ..new_org("Fjord", OWNER_EMAIL) }).await).0,
            "slug"
        );
        assert_eq!(refused(make(new_org(" ", OWNER_EMAIL)).await).0, "name");
        assert_eq!(refused(make(new_org("Fjord", "nobody")).await).0, "email");
        assert_eq!(
            refused(make(NewOrgForm { zone: "Mars".into(), ..new_org("Fjord", OWNER_EMAIL) }).await).0,
            "zone"
        );
        assert_eq!(desk.number("SELECT COUNT(*) FROM orgs").await, 1);
    }
);

on_both!(
    fn the_list_of_organisations_pages_by_name_both_ways_and_searches(desk: TestDesk) {
        let at = desk.owner().await;
        for n in 0..PAGE_ROWS + 9 {
            desk.other_org(&format!("Zoë {n}"), "UTC").await;
        }
        let operator = desk.platform(&at, PlatformRole::Operator).await.caller;
        let found = |search: &str| OrgFilter { search: search.into(), ..Default::default() };
        let count =
            async |filter: OrgFilter| orgs::list(&desk, &operator, &filter).await.unwrap().page.rows.len();
        assert_eq!(count(found("OË 1")).await, 11);
        assert_eq!(count(found("thwi")).await, 1);
        // Organisations of one name are told apart by their ids.
        desk.execute("UPDATE orgs SET name_folded = 'zoë' WHERE slug <> 'northwind'").await.unwrap();
        let mut filter = OrgFilter::default();
        let mut pages = Vec::new();
        loop {
            let page = orgs::list(&desk, &operator, &filter).await.unwrap().page;
            pages.push(page.rows.iter().map(|org| org.slug.clone()).collect::<Vec<_>>());
            match page.next {
                Some(next) => filter.page = Some(next),
                None => {
                    filter.page = page.previous;
                    break;
                }
            }
        }
        let mut all = pages.concat();
        assert_eq!((pages.len(), all.len()), (2, PAGE_ROWS + 10));
        let back = orgs::list(&desk, &operator, &filter).await.unwrap().page;
        assert_eq!(back.rows.iter().map(|org| org.slug.clone()).collect::<Vec<_>>(), pages[0]);
        assert!(back.previous.is_none() && back.next.is_some());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), PAGE_ROWS + 10);

        for data in ["%", "_", "\\", "o'", "\0%"] {
            assert_eq!(count(found(data)).await, 0, "{data:?}");
        }
        assert_eq!(count(OrgFilter { suspended: true, ..Default::default() }).await, 0);
        let suspend = OrgStatusForm { org: at.org.slug.clone(), reason: "test".into() };
        submit::suspend_org(&desk, OperatorActor::CommandLine, &suspend).await.unwrap();
        assert_eq!(count(OrgFilter { suspended: true, ..Default::default() }).await, 1);
        assert_eq!(orgs::every(&desk).await.unwrap().len(), PAGE_ROWS + 10);
        let nobody = orgs::list(&desk, &at.caller, &OrgFilter::default()).await;
        assert!(nobody.is_ok(), "the first owner is the operator too");
        let member = desk.member(&at, OrgRole::Owner).await;
        assert!(matches!(
            orgs::list(&desk, &member.caller, &OrgFilter::default()).await,
            Err(OpError::NotFound)
        ));
    }
);

on_both!(
    fn the_list_counts_live_keys_and_people_who_may_come_in(desk: TestDesk) {
        let at = desk.owner().await;
        let (dead, _live) = (desk.create_key(&at, "dead").await, desk.create_key(&at, "live").await);
        desk.revoke(&at, &dead, "dead").await.unwrap();
        let gone = desk.member(&at, OrgRole::Member).await;
        desk.member(&at, OrgRole::Admin).await;
        let sql =
            format!("UPDATE memberships SET disabled_at = 1 WHERE person_id = '{}'", gone.caller.person.id);
        desk.execute(&sql).await.unwrap();
        let all = orgs::every(&desk).await.unwrap();
        assert_eq!((all[0].live_keys, all[0].people), (1, 2));
    }
);

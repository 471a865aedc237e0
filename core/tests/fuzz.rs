//! What people and programs send, nearly right and not at all: reading it never fails in an unforeseen way.

use keydesk_core::domain::csv::csv_lines;
use keydesk_core::domain::key_format::{
    has_secret, hint, looks_like_secret, read, refuse_secret, unmask, valid_last_four,
};
use keydesk_core::domain::leak::{plain_place, secrets_in};
use keydesk_core::domain::moment::{Day, Moment, Zone};
use keydesk_core::domain::money::{Money, parse_budget};
use keydesk_core::domain::page::Cursor;
use keydesk_core::domain::request_log::plain_error;
use keydesk_core::domain::tariff::{parse_factor, write_factor};
use keydesk_core::domain::{addresses::AllowList, limits::parse_count, person::Email, scope::ModelPattern};
use keydesk_core::domain::{catalogue, field_error::FieldError, person, search};
use keydesk_core::forms::{
    bulk, doctor, invitation, key, ledger, member, model, org, provider, settings, team, ticket,
};
use keydesk_test_support::fuzz::{field, fuzz, near_text, with_fields};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde::Serialize;
use serde::de::DeserializeOwned;

const SECRET: &str = "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE";

const KEYS: [&str; 8] = [
    SECRET,
    "Authorization: Bearer sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE\r\n",
    "https://keys.example.com/commit/1?key=sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE&x=1",
    "OPENAI_API_KEY=\"sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE\"",
    "sk-…ngPE",
    "sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz",
    "sk-proj-0123456789abcdefghijklmnopqrstuvwxyz",
    "task-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE",
];

#[test]
fn a_key_is_read_exactly_or_refused() {
    fuzz(near_text(&KEYS), |text| {
        match read(&text) {
            Ok(secret) => {
                prop_assert_eq!(secret.reveal(), &text);
                prop_assert!(valid_last_four(secret.last_four()) && looks_like_secret(&text));
                prop_assert!(text.starts_with(secret.prefix()));
            }
            Err(fault) => prop_assert!(!fault.sentence().is_empty()),
        }
        prop_assert!(text.contains(unmask(&text)));
        prop_assert!(hint(unmask(&text)).starts_with("sk-…"));
        Ok(())
    });
}

#[test]
fn a_whole_secret_in_a_text_is_found_and_not_kept() {
    fuzz((near_text(&KEYS), field(), any::<bool>()), |(text, around, whole)| {
        let text = if whole { format!("{around}{SECRET}{text}") } else { text };
        let found = secrets_in(&text);
        for secret in &found {
            prop_assert!(text.contains(secret.reveal()));
            prop_assert!(read(secret.reveal()).is_ok());
        }
        prop_assert!(!whole || found.iter().any(|secret| secret.reveal() == SECRET), "{text:?}");
        for kept in [plain_place(&text), plain_error(&text)] {
            prop_assert!(secrets_in(&kept).is_empty(), "{text:?} is kept as {kept:?}");
        }
        if looks_like_secret(&text) {
            prop_assert!(has_secret(&text) && refuse_secret(&text).is_err());
        }
        Ok(())
    });
}

#[test]
fn an_amount_reads_back_or_is_refused() {
    let texts =
        ["$1,234.56", "2k", "1.5m", "0.000000001", "1 234", "1\u{a0}234,567.5", "1000000000", "12.50"];
    fuzz(near_text(&texts), |text| {
        if let Ok(amount) = Money::parse(&text) {
            prop_assert!((0..=1_000_000_000_000_000_000).contains(&amount.nanos()), "{text:?}");
            prop_assert_eq!(Money::parse(&amount.input()).unwrap(), amount);
            prop_assert_eq!(amount.nanos() == 0, amount.to_string() == "$0.00", "{}", amount);
            prop_assert_eq!(parse_budget(&text).is_ok(), amount.nanos() > 0);
            prop_assert!(Money::for_tokens(i64::MAX, amount) >= Money::ZERO);
        }
        if let Ok(factor) = parse_factor(&text) {
            prop_assert_eq!(parse_factor(&write_factor(factor)).unwrap(), factor, "{:?}", text);
        }
        if let Ok(count) = parse_count(&text) {
            prop_assert!((1..=1_000_000_000).contains(&count), "{text:?}");
        }
        Ok(())
    });
}

#[test]
fn a_date_is_read_exactly_or_refused() {
    let times = [
        "2026-11-20",
        "2026-11-20T13:03:22Z",
        "2026-11-20 13:03:22.123456789+01:00",
        "-009999-01-01",
        "2026-11-20T24:00",
    ];
    let zones = [
        "Europe/Zurich",
        "UTC",
        "America/Santiago",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Etc/GMT+12",
        "../../etc/passwd",
    ];
    let moments = prop_oneof![any::<i64>(), -2_000_000_000_000..5_000_000_000_000_i64];
    fuzz((near_text(&times), near_text(&zones), moments), |(text, zone, ms)| {
        let zone = Zone::parse(&zone).unwrap_or_else(Zone::utc);
        for moment in Moment::parse_utc(&text).into_iter().chain([Moment::from_ms(ms)]) {
            for words in
                [moment.rfc3339(), moment.date(&zone), moment.exact(&zone), moment.weekday_time(&zone)]
            {
                prop_assert!(!words.is_empty());
            }
            moment.relative(Moment::from_ms(0), &zone);
            let day = Day::of(moment, &zone);
            prop_assert!(day.start(&zone) <= day.end(&zone));
        }
        if let Some(day) = Day::parse(&text) {
            prop_assert_eq!(serde_json::to_value(day).unwrap(), text);
            prop_assert!(
                day.start(&zone) <= day.end(&zone) && day.back(u32::MAX) <= day && day <= day.next()
            );
        }
        Ok(())
    });
}

#[test]
fn a_table_reads_back_and_no_cell_is_a_formula() {
    fuzz(prop::collection::vec([field(), field(), field()], 1..5), |rows| {
        let lines = csv_lines(&rows);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines.as_slice());
        let back: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(back.len(), rows.len());
        for (row, back) in rows.iter().zip(&back) {
            prop_assert_eq!(row.len(), back.len());
            for (cell, back) in row.iter().zip(back) {
                let bare = |text: &str| text.replace(['\'', '\u{feff}'], "");
                prop_assert_eq!(bare(cell), bare(back));
                prop_assert!(
                    back.split([';', '\n', '\r', '\t']).all(|cell| !cell.starts_with(['=', '+', '-', '@'])),
                    "{back:?}"
                );
            }
        }
        Ok(())
    });
}

#[test]
fn a_cursor_reads_back_or_is_refused() {
    let texts = ["next~50~key_0193e2a47b1c7d3e9f001a2b3c4d5e6f~a name", "previous~100~7~", "next~0~x~~~"];
    fuzz(near_text(&texts), |text| {
        if let Some(cursor) = Cursor::parse(&text) {
            let written = cursor.to_string();
            prop_assert_eq!(Cursor::parse(&written), Some(cursor));
            prop_assert!(!written.contains('\0') && written.len() <= 1_000);
        }
        Ok(())
    });
}

#[test]
fn a_search_is_a_few_words_and_no_longer_than_it_was() {
    let texts =
        ["ci prod", "Überprüfung 🚀 ключ 鍵", "a b c d e f g h i j k l", "sk-…a1B2", "50%_\\", "İstanbul ΑΣ"];
    fuzz((near_text(&texts), field()), |(text, note)| {
        for text in [text, note.clone()] {
            let words = search::words(&text);
            prop_assert!(words.len() <= search::MAX_WORDS);
            for word in &words {
                prop_assert!(!word.contains('\0') && !word.is_empty());
                prop_assert_eq!(&search::folded(word), word, "folding twice is another word");
            }
            search::is_searched(&text);
            let stored = search::search_text(&text, &note, ["gpt-*"]);
            // Each character has a code of six bytes at most once, and folding makes none of them longer than three.
            prop_assert!(stored.len() <= 12 * (text.len() + note.len()) + 100, "{} bytes", stored.len());
        }
        Ok(())
    });
}

#[test]
fn a_list_of_models_is_read_or_refused_with_a_sentence() {
    let own = r#"{"models":[{"id":"gpt-5","provider":"OpenAI","price":{"input":"1.25","output":"10","lines":[{"above":272000,"input":"4"}],"factors":{"tier":{"flex":"0.5"}}},"context_tokens":400000}]}"#;
    let litellm = r#"{"gpt-5":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":1.25e-06,"output_cost_per_token":1e-05,"cache_read_input_token_cost":1.25e-07,"max_input_tokens":272000,"max_output_tokens":128000,"input_cost_per_token_above_272k_tokens":4e-06}}"#;
    let models_dev = r#"{"openai":{"id":"openai","name":"OpenAI","models":{"gpt-5":{"id":"gpt-5","cost":{"input":1.25,"output":10,"cache_read":0.125},"limit":{"context":400000,"output":128000}}}}}"#;
    let list = r#"[{"id":"gpt-5","provider":"OpenAI","input":"1.25","output":"10","cached":"0.125"}]"#;
    fuzz(near_text(&[own, litellm, models_dev, list]), |text| {
        match catalogue::read(&text) {
            Ok(read) => {
                for left_out in &read.left_out {
                    prop_assert!(!left_out.words().is_empty());
                }
            }
            Err(error) => prop_assert!(!error.sentence().is_empty()),
        }
        Ok(())
    });
}

#[test]
fn names_lists_and_addresses_are_read_or_refused_with_a_sentence() {
    let texts = ["ana@example.com", "10.0.0.0/8\n2001:db8::/32", "gpt-*\nclaude-?", "acme-labs", "Ana Ruiz"];
    fuzz((near_text(&texts), field()), |(near, any)| {
        for text in [near, any] {
            if let Ok(email) = Email::parse(&text) {
                let again = Email::parse(email.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), email.as_str());
            }
            if let Ok(nets) = AllowList::parse_lines(&text) {
                prop_assert_eq!(AllowList::parse_lines(&nets.lines()).unwrap().entries(), nets.entries());
            }
            if let Ok(pattern) = ModelPattern::parse(&text) {
                prop_assert!(pattern.covers(&pattern), "{:?}", pattern);
                pattern.matches(&text);
            }
            if let Ok(name) = person::visible_name(&text, "Name", 100) {
                prop_assert_eq!(&person::visible_name(&name, "Name", 100).unwrap(), &name);
                prop_assert!(!name.contains('\0') && name.chars().count() <= 100);
            }
            let slug = person::slug_of(&text);
            prop_assert!(person::parse_slug(&slug).is_ok(), "{text:?} becomes {slug:?}");
        }
        Ok(())
    });
}

/// The form as a browser may send it, and whatever is said of it.
fn form<F: Serialize + DeserializeOwned + std::fmt::Debug>(
    base: F,
    parse: impl Fn(&F) -> Result<(), Vec<FieldError>>,
) {
    fuzz(with_fields(serde_json::to_value(&base).unwrap()), |value| -> TestCaseResult {
        let Ok(form) = serde_json::from_value::<F>(value) else { return Ok(()) };
        if let Err(errors) = parse(&form) {
            prop_assert!(!errors.is_empty() && errors.len() < 100, "{} errors", errors.len());
            prop_assert!(
                errors.iter().all(|error| !error.field.is_empty() && !error.problem.sentence().is_empty()),
                "{errors:?}"
            );
        }
        Ok(())
    });
}

macro_rules! forms {
    ($($name:ident: $form:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            form(<$form>::default(), |form| form.parse().map(drop));
        }
    )*};
}

forms! {
    a_keys_form_is_read_or_every_mistake_has_a_field: key::KeyForm,
    a_teams_form_is_read_or_every_mistake_has_a_field: team::TeamForm,
    a_models_form_is_read_or_every_mistake_has_a_field: model::ModelForm,
    a_providers_form_is_read_or_every_mistake_has_a_field: provider::ProviderForm,
    the_settings_form_is_read_or_every_mistake_has_a_field: settings::SettingsForm,
    a_balance_form_is_read_or_every_mistake_has_a_field: ledger::EntryForm,
    an_invitations_form_is_read_or_every_mistake_has_a_field: invitation::InviteForm,
    an_organisations_form_is_read_or_every_mistake_has_a_field: org::NewOrgForm,
    the_doctors_form_is_read_or_every_mistake_has_a_field: doctor::DoctorForm,
    a_tickets_form_is_read_or_every_mistake_has_a_field: ticket::TicketForm,
    the_form_for_keys_of_who_left_is_read_or_every_mistake_has_a_field: member::OffboardForm,
    a_role_is_read_or_every_mistake_has_a_field: member::RoleForm,
}

#[test]
fn an_act_on_several_keys_is_read_or_every_mistake_has_a_field() {
    form(bulk::BulkForm::default(), |form| {
        form.selected()?;
        form.act()?;
        form.change().map(drop)
    });
}

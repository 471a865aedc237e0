//! The words of the demonstration: who is there, and what their keys are called.

use super::use_pattern::Use;

/// What a person is in Northwind Labs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Owner,
    Admin,
    /// Of the team with this number.
    TeamAdmin(usize),
    Member,
}

pub const TEAMS: [&str; 6] = ["Platform", "Research", "Data", "Support", "Marketing", "Finance"];

/// Name, part, and the numbers of the teams they are in. The first word of a name is their mailbox.
pub const PEOPLE: [(&str, &str, Part, &[usize]); 14] = [
    ("Ana Ruiz", "ana", Part::Owner, &[0]),
    ("Jonas Weber", "jonas", Part::Admin, &[0, 5]),
    ("Lena Fischer", "lena", Part::TeamAdmin(0), &[0]),
    ("Matteo Ricci", "matteo", Part::TeamAdmin(1), &[1]),
    ("Aylin Yılmaz", "aylin", Part::TeamAdmin(2), &[2]),
    ("Noor Haddad", "noor", Part::TeamAdmin(3), &[3]),
    ("Chloé Moreau", "chloe", Part::TeamAdmin(4), &[4]),
    ("Tomasz Nowak", "tomasz", Part::TeamAdmin(5), &[5]),
    ("Priya Raman", "priya", Part::Member, &[0, 2]),
    ("Kenji Sato", "kenji", Part::Member, &[1]),
    ("Ingrid Solberg", "ingrid", Part::Member, &[1, 2]),
    ("Oluwaseun Adeyemi", "oluwaseun", Part::Member, &[0]),
    ("Mei-Ling Chen", "meiling", Part::Member, &[3, 4]),
    ("Rafael Costa", "rafael", Part::Member, &[2, 5]),
];

/// What each team runs: the name's first part, its variants (`.` is none), how it is used, and what it is for.
pub const WORK: [&[(&str, &str, Use, &str)]; 6] = [
    &[
        ("ci", "prod staging pull-requests", Use::Ci, "Checks on every pull request"),
        ("code-review", "prod staging", Use::Agent, "Comments on changes before a person does"),
        ("docs-search", "prod staging dev", Use::Chat, "Answers questions from the handbook"),
        ("log-triage", "prod-eu prod-us staging", Use::Agent, "Groups errors that have one cause"),
        ("incident-summary", "prod staging dev", Use::Chat, "First draft of the post-mortem"),
        ("release-notes", ". dev", Use::Ci, "Turns merged changes into release notes"),
        ("terraform-explain", "prod staging", Use::Ci, "Says what a plan would change"),
        ("gateway-canary", "eu us", Use::Chat, "One small request a few times a day"),
        ("flaky-tests", "eu us", Use::Nightly, "Looks for tests that fail now and then"),
        ("dependency-bot", "prod staging", Use::Ci, "Reads change logs of libraries"),
        ("onboarding-guide", "prod dev", Use::Chat, "For people in their first weeks"),
        ("schema-review", "prod dev", Use::Ci, "Warns of migrations that lock"),
    ],
    &[
        ("eval", "nightly weekly smoke", Use::Nightly, "The evaluation suite"),
        ("agent-bench", "main tools planning", Use::Agent, "Long tasks with tools"),
        ("paper-digest", ". weekly", Use::Nightly, "Summaries of new papers"),
        ("red-team", "main dev", Use::Agent, "Attacks on our own assistants"),
        ("synthetic-data", "main legacy", Use::Nightly, "Training examples, checked by hand afterwards"),
        ("judge", "pairwise rubric legacy", Use::Nightly, "Grades answers"),
        ("retrieval-lab", "eu us dev", Use::Embed, "Trying other ways to cut documents"),
        ("prompt-search", ". archive", Use::Agent, "Tries variations of prompts"),
        ("long-context", "main dev", Use::Agent, "What is found at the end of a long text"),
        ("speech-notes", "pilot", Use::Chat, "Pilot with transcripts of meetings"),
        ("distil", "teacher student", Use::Nightly, "Answers of a large model for a small one"),
    ],
    &[
        ("embeddings", "prod staging backfill", Use::Embed, "Index of all documents"),
        ("sql-helper", "prod dev", Use::Chat, "Questions to the warehouse"),
        ("catalogue-tags", "prod staging", Use::Nightly, "Tags for products"),
        ("dedupe", "customers suppliers", Use::Nightly, "Finds records that mean the same"),
        ("pii-scan", "prod staging", Use::Nightly, "Finds personal data where it should not be"),
        ("dashboards-text", "prod staging", Use::Chat, "The sentence above each chart"),
        ("warehouse-docs", ". dev", Use::Nightly, "Descriptions of columns"),
        ("forecast-notes", "prod dev", Use::Ci, "Explains what changed since last week"),
        ("address-clean", "eu us", Use::Chat, "Puts addresses into one form"),
        ("survey-coding", "2025 2026", Use::Nightly, "Sorts free answers of surveys"),
        ("etl-doctor", "prod staging dev", Use::Agent, "Reads failed runs and proposes a fix"),
    ],
    &[
        ("support-bot", "prod staging dev", Use::Chat, "The assistant on the help page"),
        ("ticket-router", "prod staging", Use::Chat, "Sends tickets to the right queue"),
        ("reply-drafts", "prod eu us", Use::Chat, "Drafts that a person sends"),
        ("call-summary", "prod dev", Use::Chat, "Notes after each call"),
        ("translation", "prod staging", Use::Chat, "Tickets in eleven languages"),
        ("sentiment", ". legacy", Use::Nightly, "How customers feel, by week"),
        ("faq-writer", ". dev", Use::Agent, "New entries from solved tickets"),
        ("refund-check", "prod staging dev", Use::Chat, "Compares a request with the terms"),
        ("escalations", "prod staging", Use::Agent, "Collects what is known before a person takes over"),
        ("chat-widget", "web ios android", Use::Chat, "Inside the apps"),
    ],
    &[
        ("copy-ideas", "eu us dach", Use::Chat, "First drafts for campaigns"),
        ("newsletter", "prod dev", Use::Ci, "Weekly newsletter"),
        ("seo-titles", "prod staging", Use::Nightly, "Titles and descriptions"),
        ("brand-check", "prod dev", Use::Chat, "Is this how we speak?"),
        ("webinar-notes", ". archive", Use::Chat, "Recordings into articles"),
        ("alt-text", "prod staging", Use::Nightly, "Descriptions of images"),
        ("social-drafts", "eu us dach", Use::Chat, "Posts that a person approves"),
        ("launch-faq", "spring autumn", Use::Chat, "Answers for launch day"),
        ("landing-tests", ". dev", Use::Agent, "Variants of landing pages"),
    ],
    &[
        ("invoice-reader", "prod staging dev", Use::Chat, "Reads incoming invoices"),
        ("expense-check", "prod staging dev", Use::Chat, "Receipts against the rules"),
        ("contract-search", "prod dev", Use::Embed, "Finds clauses"),
        ("board-report", ". draft", Use::Agent, "Comments on the monthly figures"),
        ("audit-helper", ". 2025", Use::Agent, "Evidence for the yearly audit"),
        ("vendor-risk", "prod staging", Use::Nightly, "News about suppliers"),
        ("cash-forecast", ". dev", Use::Nightly, "Comments on the forecast"),
        ("tax-letters", "dach eu", Use::Chat, "Explains letters from the office"),
    ],
];

/// What one person has for themselves.
pub const PERSONAL: [(&str, &str); 4] = [
    ("notebook", "Experiments in a notebook"),
    ("editor", "Completion in the editor"),
    ("cli", "From the command line"),
    ("sandbox", "Trying things out"),
];

pub const FJORD_KEYS: [(&str, &str, Use); 6] = [
    ("arm-planner-prod", "Plans the arm's next steps", Use::Agent),
    ("arm-planner-sim", "The same, in simulation", Use::Nightly),
    ("manuals-search", "Questions to the manuals", Use::Chat),
    ("field-notes", "Notes of service engineers", Use::Chat),
    ("ci-firmware", "Checks on firmware changes", Use::Ci),
    ("notebook-erik", "Experiments in a notebook", Use::Person),
];

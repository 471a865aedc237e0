//! What is on every page: no word that the glossary replaces, and no id twice.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use keydesk_core::domain::person::Email;
use keydesk_core::ops::links;

use super::probe::{ARCHIVE_PROBES, probe};
use super::routes::{Row, rows};
use super::support::{TestApp, Who, on_sqlite};

/// Words and phrases, in lower case, that the glossary replaces on pages and in the API's sentences.
pub const RETIRED: [&str; 32] = [
    "anybody",
    "begins anew",
    "e-mail",
    "everybody",
    "hands full",
    "held",
    "hold",
    "holding",
    "holds",
    "how long",
    "in all",
    "lets nobody in",
    "nobody",
    "nothing at this address",
    "opens again",
    "parallel requests",
    "present password",
    "second factor",
    "somebody",
    "told",
    "under way at once",
    "what it allows bounds",
    "whoever",
    "whom",
    "anew",
    "bare",
    "most in parallel",
    "not yours to see",
    "served by nobody",
    "standing",
    "the most a",
    "visit",
];

/// The retired words in a text, each as a whole word.
pub fn retired_in(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-');
    let stands_in = |word: &&&str| {
        text.match_indices(**word).any(|(at, found)| {
            !is_word(text[..at].chars().next_back()) && !is_word(text[at + found.len()..].chars().next())
        })
    };
    RETIRED.iter().filter(stands_in).copied().collect()
}

/// The page's text as people read or hear it, and its ids.
fn read(html: &str) -> (String, Vec<&str>) {
    let (mut text, mut ids, mut rest) = (String::new(), Vec::new(), html);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let (tag, after) = tag.split_once('>').unwrap_or((tag, ""));
        for spoken in ["alt", "aria-label", "placeholder", "title", "data-says"] {
            text.push_str(attribute(tag, spoken).unwrap_or_default());
            text.push(' ');
        }
        ids.extend(attribute(tag, "id"));
        let unread = ["script", "style"].into_iter().find(|name| tag.starts_with(name));
        rest =
            unread.and_then(|name| after.split_once(&format!("</{name}>"))).map_or(after, |(_, after)| after);
    }
    (text.split_whitespace().collect::<Vec<_>>().join(" "), ids)
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_has_a_retired_word_or_an_id_twice() {
    on_sqlite(async |app: TestApp| {
        let cast = app.cast().await;
        let email = Email::parse(&Who::Member.email()).unwrap();
        let reset = links::new_reset(&app.state.desk, &email).await.unwrap().unwrap();
        let mut wrong: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut pages = 0;
        for (at, who) in Who::ALL.into_iter().enumerate() {
            let browser = app.sign_in(who).await;
            // A file has no text of a page.
            let is_page = |row: &Row| row.method == "GET" && !row.path.ends_with(".csv");
            for (n, row) in rows().iter().enumerate().filter(|(_, row)| is_page(row)) {
                let given = probe(&app, &cast, row, 1000 * at + n, &reset).await;
                let page = app.get(&browser, &given.address(row)).await;
                app.execute(ARCHIVE_PROBES).await;
                let (text, ids) = read(&page.text);
                pages += 1;
                assert!(page.status >= 300 || !text.is_empty(), "{} has no text", row.path);
                let mut note = |what: String| {
                    wrong.entry(row.path.to_owned()).or_default().insert(what);
                };
                retired_in(&text).into_iter().for_each(|word| note(format!("says \"{word}\"")));
                let mut seen = BTreeSet::new();
                ids.into_iter()
                    .filter(|id| !seen.insert(*id))
                    .for_each(|id| note(format!("has the id {id} twice")));
            }
        }
        assert!(pages > 400, "the walk found too few pages: {pages}");
        let lines: Vec<String> = wrong.iter().map(|(page, what)| format!("{page} {what:?}")).collect();
        assert!(wrong.is_empty(), "{}", lines.join("\n"));
    })
    .await;
}

#[test]
fn the_walk_sees_words_and_ids() {
    let (text, ids) = read(
        "<p id=\"a\" title=\"Whoever\">in <b id=\"a\">all</b></p><script id=\"b\">held</script> household",
    );
    assert_eq!(retired_in(&text), ["in all", "whoever"]);
    assert_eq!(ids, ["a", "a", "b"]);
}

//! What a search looks at: the words of what was typed, and one text for each key. The store's indexes are made of three
//! characters, so shorter words of scripts that are written without spaces have a code for each character in the text.

use std::collections::BTreeSet;

use super::key_filter::SEARCH_INSIDE_FROM;
use super::person::fold;

/// A longer search has the rest of its text as its last word.
pub const MAX_WORDS: usize = 8;

/// The words of a search, folded as names are. A key must match each, in any order.
pub fn words(text: &str) -> Vec<String> {
    let text = folded(text);
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    // Short ones that no index finds are looked for together, as they were typed.
    if !words.iter().any(|word| is_indexed(word)) && words.len() > 1 {
        return vec![text.split_whitespace().collect::<Vec<_>>().join(" ")];
    }
    if words.len() > MAX_WORDS {
        let rest = words.split_off(MAX_WORDS - 1).join(" ");
        words.push(rest);
    }
    words
}

/// The whole search, folded as names are.
pub fn folded(text: &str) -> String {
    // No name contains a zero character, and neither database takes one in text.
    fold(text.trim()).replace('\0', "\u{fffd}")
}

/// Whether the search looks inside texts. Others find names that begin with them.
pub fn is_searched(text: &str) -> bool {
    words(text).iter().any(|word| is_indexed(word))
}

/// Whether the index can find the word. A shorter one is only looked for in what other words find.
pub fn is_indexed(word: &str) -> bool {
    word.chars().count() >= SEARCH_INSIDE_FROM || !codes(word).is_empty()
}

/// The text in which a key's words are looked for: each part in lower case on a line of its own, and the codes.
pub fn search_text<'a>(name: &str, note: &str, patterns: impl IntoIterator<Item = &'a str>) -> String {
    let patterns: Vec<String> = patterns.into_iter().map(fold).collect();
    let text = format!("\n{}\n{}\n{}\n", fold(name), fold(note), patterns.join("\n"));
    let codes = codes(&text);
    if codes.is_empty() { text } else { format!("{text} {} \n", codes.join(" ")) }
}

/// A code for each character of a script without spaces, in order. Codes are in upper case, which no folded word is, so
/// they are never found by their own letters.
pub fn codes(text: &str) -> Vec<String> {
    let distinct: BTreeSet<char> = text.chars().filter(|c| is_unspaced(*c)).collect();
    distinct.into_iter().map(code).collect()
}

/// Thai, Lao, Khmer, Chinese, Japanese, Korean and others, and emoji. Some that do use spaces are among them, which does no
/// harm.
fn is_unspaced(c: char) -> bool {
    c >= '\u{e00}' && !matches!(c, '\u{1e00}'..='\u{2e7f}' | '\u{fe00}'..='\u{fe0f}' | '\u{fffd}')
}

/// The code point in base 16, with the digits A to P.
fn code(c: char) -> String {
    (0..5).rev().map(|digit| char::from(b'A' + ((c as u32 >> (4 * digit)) & 15) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_each_stands_once() {
        assert_eq!(words("  Über\u{a0}prod  PROD \t x "), ["über", "prod", "x"]);
        assert_eq!(words("CAFE\u{301}"), ["café"]);
        assert_eq!(words("a\0b"), ["a\u{fffd}b"]);
        assert_eq!(words(" \n "), Vec::<String>::new());
    }

    #[test]
    fn the_rest_of_a_long_search_is_one_word() {
        let words = words("one 2 3 4 5 6 7 8 9 10");
        assert_eq!((words.len(), words[7].as_str()), (MAX_WORDS, "8 9 10"));
    }

    #[test]
    fn short_words_alone_are_one_word() {
        assert_eq!(words("0%  s"), ["0% s"]);
        assert_eq!(words("ci 日"), ["ci", "日"]);
        assert!(is_searched("a b") && !is_searched("ab"));
    }

    #[test]
    fn short_words_are_indexed_in_scripts_without_spaces_only() {
        for (word, indexed) in [
            ("ci", false),
            ("ü", false),
            ("日", true),
            ("ไทย", true),
            ("한", true),
            ("🚀", true),
            ("pro", true),
            ("—", false),
        ] {
            assert_eq!(is_indexed(word), indexed, "{word}");
        }
    }

    #[test]
    fn a_text_has_a_line_for_each_part_and_codes_for_characters() {
        assert_eq!(search_text("CI-Prod", "", []), "\nci-prod\n\n\n");
        assert_eq!(search_text("A", "Note", ["gpt-5", "Claude-*"]), "\na\nnote\ngpt-5\nclaude-*\n");
        assert_eq!(search_text("日本", "", []), "\n日本\n\n\n AGFOF AGHCM \n".replace("AGHCM", &code('本')));
        assert_eq!(code('日'), "AGFOF");
    }
}

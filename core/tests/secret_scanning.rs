//! The expression and the rules in docs/secret-scanning find every secret and nothing else.

use keydesk_core::domain::key_format::{PlainSecret, read};
use regex::Regex;

const PAGE: &str = include_str!("../../docs/secret-scanning.md");
const GITLEAKS: &str = include_str!("../../docs/secret-scanning/gitleaks.toml");
const TRUFFLEHOG: &str = include_str!("../../docs/secret-scanning/trufflehog.yaml");

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[(self.next() % letters.len() as u64) as usize]).collect()
    }
}

const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";

fn secrets(count: usize) -> Vec<PlainSecret> {
    let mut numbers = Numbers(42);
    let prefixes = ["sk-desk-", "sk-acme-", "sk-a-", "sk-abcdefghijklmno1-"];
    (0..count)
        .map(|at| {
            let mut fill = |bytes: &mut [u8]| bytes.fill_with(|| numbers.next() as u8);
            PlainSecret::mint(prefixes[at % prefixes.len()], &mut fill).unwrap()
        })
        .collect()
}

fn look_alike(numbers: &mut Numbers, kind: usize) -> String {
    match kind % 12 {
        0 => numbers.text(HEX, 40),
        1 => format!("sk-ant-api03-{}-{}AA", numbers.text(LETTERS, 43), numbers.text(LETTERS, 43)),
        2 => format!("sk-proj-{}", numbers.text(LETTERS, 48)),
        3 => format!("sk-or-v1-{}", numbers.text(HEX, 64)),
        4 => format!("sk-{}T3BlbkFJ{}", numbers.text(LETTERS, 20), numbers.text(LETTERS, 20)),
        5 => format!("sk-desk-…{}", numbers.text(LETTERS, 4)),
        6 => format!("sk-desk-{}", numbers.text(LETTERS, 20)),
        7 => format!("<div class=\"task-list-item sk-loading-{}\">", numbers.text(HEX, 12)),
        8 => {
            format!("https://desk.example/?disk-{}={}", numbers.text(LETTERS, 30), numbers.text(LETTERS, 38))
        }
        9 => format!("AIza{}", numbers.text(LETTERS, 35)),
        10 => format!(
            "eyJ{}.{}.{}",
            numbers.text(LETTERS, 30),
            numbers.text(LETTERS, 60),
            numbers.text(LETTERS, 43)
        ),
        _ => format!("sk-desk-{}", numbers.text(LETTERS, 44)),
    }
}

/// Shannon entropy in bits for each character, as both scanners compute it.
fn entropy(text: &str) -> f64 {
    let length = text.len() as f64;
    let count = |byte| text.bytes().filter(|other| *other == byte).count() as f64;
    let mut bytes: Vec<u8> = text.bytes().collect();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.into_iter().map(|byte| count(byte) / length).map(|share| -share * share.log2()).sum()
}

struct Rule {
    regex: Regex,
    keywords: Vec<String>,
    allowed: Vec<Regex>,
    entropy: f64,
}

impl Rule {
    fn found<'a>(&self, line: &'a str) -> Option<&'a str> {
        let has_keyword = self.keywords.iter().any(|word| line.contains(word.as_str()));
        let found = self.regex.find(line).filter(|_| has_keyword)?.as_str();
        let allowed = self.allowed.iter().any(|allowed| allowed.is_match(found));
        (!allowed && entropy(found) > self.entropy).then_some(found)
    }
}

fn gitleaks() -> Rule {
    let config: toml::Table = GITLEAKS.parse().unwrap();
    let rule = &config["rules"][0];
    let texts = |value: &toml::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    Rule {
        regex: Regex::new(rule["regex"].as_str().unwrap()).unwrap(),
        keywords: texts(&rule["keywords"]),
        allowed: texts(&rule["allowlists"][0]["regexes"])
            .iter()
            .map(|text| Regex::new(text).unwrap())
            .collect(),
        entropy: rule["entropy"].as_float().unwrap(),
    }
}

fn trufflehog() -> Rule {
    let after = |name: &str| {
        let line = TRUFFLEHOG.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap().trim().trim_matches('\'').to_owned()
    };
    let keywords = TRUFFLEHOG.lines().filter_map(|line| line.strip_prefix("      - ")).map(str::to_owned);
    Rule {
        regex: Regex::new(&after("secret:")).unwrap(),
        // For this test, those of every organisation.
        keywords: keywords.chain(["sk-".to_owned()]).collect(),
        allowed: vec![],
        entropy: after("entropy:").parse().unwrap(),
    }
}

#[test]
fn a_thousand_secrets_are_found_in_any_surroundings() {
    let rules = [gitleaks(), trufflehog()];
    let around =
        [("", ""), ("KEY=", ""), ("\"", "\","), ("Bearer ", "\r"), ("?key=", "&alt=sse"), ("<", ">")];
    for (at, secret) in secrets(1_000).iter().enumerate() {
        let (before, after) = around[at % around.len()];
        let line = format!("{before}{}{after}", secret.reveal());
        for rule in &rules {
            assert_eq!(rule.found(&line), Some(secret.reveal()), "number {at}");
        }
    }
}

#[test]
fn a_hundred_thousand_look_alikes_are_not() {
    let rules = [gitleaks(), trufflehog()];
    let mut numbers = Numbers(7);
    for at in 0..100_000 {
        let line = look_alike(&mut numbers, at);
        for rule in &rules {
            assert_eq!(rule.found(&line), None, "{line}");
        }
        assert!(read(&line).is_err(), "{line}");
    }
}

#[test]
fn the_page_has_the_expression_of_the_rules() {
    for rule in [gitleaks(), trufflehog()] {
        assert!(PAGE.contains(&format!("\n{}\n", rule.regex.as_str())));
    }
}

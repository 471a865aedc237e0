use super::*;
use proptest::prelude::*;

#[test]
fn a_masked_secret_shows_its_last_four() {
    for text in [
        "a1B2",
        "…a1B2",
        "sk-…a1B2",
        "sk-desk-…a1B2",
        " sk-...a1B2 ",
        "sk-**a1B2",
        "sk-desk-••••a1B2",
        "..a1B2",
    ] {
        assert_eq!(unmask(text), "a1B2", "{text}");
    }
    for text in
        ["", "gpt.a1B2", "sk-…a1B", "sk-…a1B2C", "two words…a1B2", "ci-prod", "seo...", "v1.0.a1B2", "…", "*"]
    {
        assert_eq!(unmask(text), text, "{text}");
    }
}

#[test]
fn last_four_are_found_in_any_case() {
    assert_eq!(any_case("1234"), ["1234"]);
    assert_eq!(any_case("a12Z"), ["a12Z", "A12Z", "a12z", "A12z"]);
    assert_eq!(any_case("abcd").len(), 16);
}

/// Prefix, body, whole secret, SHA-256. Frozen: other gateways check themselves against these.
const VECTORS: [(&str, &str, &str, &str); 4] = [
    (
        "sk-desk-",
        "00000000000000000000000000000000",
        "sk-desk-000000000000000000000000000000000EDNSJ",
        "333976cff10dff96b7663fc5f8c13b9c399a9660e42b1a42e583e6b3cbdd5df2",
    ),
    (
        "sk-desk-",
        "0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE",
        "28aa25714d2a91599d1fe395b3bdb97a7858befd5eaea95629f551934675a524",
    ),
    (
        "sk-acme-",
        "ghijklmnopqrstuvwxyz0123456789AB",
        "sk-acme-ghijklmnopqrstuvwxyz0123456789AB3zyNCc",
        "b447b2d63a7df8ba06463074b9e39f1f5f72d72607c63b5cb22dd2f68a3206ff",
    ),
    (
        "sk-north-wind-7-",
        "zZyYxXwWvVuUtTsSrRqQpPoOnNmMlLkK",
        "sk-north-wind-7-zZyYxXwWvVuUtTsSrRqQpPoOnNmMlLkK0bDC1W",
        "dac86f468e6435cad78a1620041c8979ffc437130b8d8f3146ccf97548619c49",
    ),
];

const SECRET: &str = VECTORS[1].2;

fn fault(text: &str) -> MalformedKey {
    read(text).unwrap_err()
}

/// A cheap stream of bytes that looks random enough for a test.
fn stream(mut seed: u64) -> impl FnMut(&mut [u8]) {
    move |bytes| {
        for byte in bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (seed >> 56) as u8;
        }
    }
}

fn minted(prefix: &str, seed: u64) -> PlainSecret {
    PlainSecret::mint(prefix, &mut stream(seed)).unwrap()
}

#[test]
fn the_form_never_changes() {
    for (prefix, body, whole, sha256) in VECTORS {
        let secret = read(whole).unwrap();
        assert_eq!(secret.reveal(), whole);
        assert_eq!(secret.prefix(), prefix);
        assert_eq!(whole.strip_prefix(prefix).unwrap().split_at(BODY).0, body);
        let hex: String = secret.hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, sha256);
        let mut places = body.bytes().map(|c| ALPHABET.iter().position(|a| *a == c).unwrap() as u8);
        let again = PlainSecret::mint(prefix, &mut |bytes| bytes.fill_with(|| places.next().unwrap()));
        assert_eq!(again.unwrap().reveal(), whole);
    }
}

#[test]
fn debug_prints_only_the_type() {
    let secret = minted(DEFAULT_PREFIX, 1);
    assert_eq!(format!("{secret:?} {:?}", secret.hash()), "PlainSecret SecretHash");
}

#[test]
fn all_62_characters_are_equally_likely() {
    let mut counts = [0_u32; 256];
    let mut random = stream(7);
    for _ in 0..10_000 {
        let secret = PlainSecret::mint(DEFAULT_PREFIX, &mut random).unwrap();
        for byte in secret.reveal().bytes().skip(DEFAULT_PREFIX.len()).take(BODY) {
            counts[usize::from(byte)] += 1;
        }
    }
    let mean = 10_000 * BODY as u32 / 62;
    for letter in ALPHABET {
        assert!(counts[usize::from(*letter)].abs_diff(mean) < mean / 10, "{}", char::from(*letter));
    }
}

#[test]
fn values_that_would_favour_some_characters_are_thrown_away() {
    let mut calls = 0;
    let secret = PlainSecret::mint(DEFAULT_PREFIX, &mut |bytes| {
        bytes.fill(if calls == 0 { 62 } else { 0 });
        calls += 1;
    });
    assert_eq!((secret.unwrap().reveal(), calls), (VECTORS[0].2, 2));
}

#[test]
fn a_prefix_starts_with_sk_and_ends_with_a_dash() {
    for prefix in [DEFAULT_PREFIX, "sk-a-", "sk-acme-prod-7-", "sk-12345678901234567"] {
        assert_eq!(check_prefix(prefix).is_ok(), prefix.ends_with('-'), "{prefix}");
    }
    assert!(check_prefix("sk-1234567890123456-").is_ok());
    for prefix in ["", "sk-", "pk-acme-", "sk-acme", "sk-Acme-", "sk-a_b-", "sk-é-", "sk-12345678901234567-"]
    {
        assert!(check_prefix(prefix).is_err(), "{prefix}");
        assert!(PlainSecret::mint(prefix, &mut stream(1)).is_err(), "{prefix}");
    }
}

#[test]
fn a_prefix_of_another_provider_is_refused_by_name() {
    for (start, owner) in OTHERS.into_iter().filter(|(start, _)| start.starts_with("sk-")) {
        for prefix in [start.to_owned(), format!("{start}x-")] {
            assert!(check_prefix(&prefix).unwrap_err().sentence().contains(owner), "{prefix}");
        }
    }
    assert!(check_prefix("sk-orchard-").is_ok());
}

#[test]
fn each_mistake_is_told_apart() {
    let other = MalformedKey::OtherProvider;
    let cases: Vec<(String, MalformedKey)> = vec![
        (String::new(), MalformedKey::Empty),
        (" \n\"\" ".to_owned(), MalformedKey::Empty),
        ("sk-desk-****************1B2c".to_owned(), MalformedKey::Masked),
        ("sk-…a1B2".to_owned(), MalformedKey::Masked),
        ("sk-...a1B2".to_owned(), MalformedKey::Masked),
        ("sk-desk-••••".to_owned(), MalformedKey::Masked),
        ("\"sk-desk-xxxxxxxx\"".to_owned(), MalformedKey::Masked),
        (format!("{SECRET}\n"), MalformedKey::WhiteSpace),
        (format!("\u{feff}{SECRET}"), MalformedKey::WhiteSpace),
        (SECRET.replacen("4567", "45\u{200b}67", 1), MalformedKey::WhiteSpace),
        (SECRET.replacen("4567", "45\r\n67", 1), MalformedKey::WhiteSpace),
        (format!("\"{SECRET}\""), MalformedKey::Quoted),
        (format!("“{SECRET}”"), MalformedKey::Quoted),
        (format!("Bearer {SECRET}"), MalformedKey::BearerTwice),
        (format!("\"bearer {SECRET}\""), MalformedKey::BearerTwice),
        ("sk-ant-api03-abc".to_owned(), other("Anthropic")),
        ("sk-proj-abc_def-T3BlbkFJabc".to_owned(), other("OpenAI")),
        ("sk-svcacct-abc".to_owned(), other("OpenAI")),
        ("sk-admin-abc".to_owned(), other("OpenAI")),
        ("sk-abcdT3BlbkFJabcd".to_owned(), other("OpenAI")),
        ("sk-or-v1-abc".to_owned(), other("OpenRouter")),
        ("AIzaSyAbc".to_owned(), other("Google")),
        ("gsk_abc".to_owned(), other("Groq")),
        ("ghp_abc".to_owned(), other("GitHub")),
        ("xai-abc".to_owned(), other("xAI")),
        ("hf_abc".to_owned(), other("Hugging Face")),
        ("hello".to_owned(), MalformedKey::NotAKey),
        ("sk-0123456789abcdef".to_owned(), MalformedKey::NotAKey),
        (SECRET.replacen("sk-", "SK-", 1), MalformedKey::NotAKey),
        ("sk-de".to_owned(), MalformedKey::CutOff { has: 5, of: 46 }),
        (SECRET[..30].to_owned(), MalformedKey::CutOff { has: 30, of: 46 }),
        (format!("{SECRET}a"), MalformedKey::TooLong { has: 47, of: 46 }),
        (SECRET.replacen('4', "_", 1), MalformedKey::BadCharacter),
        (SECRET.replacen('4', "é", 1), MalformedKey::BadCharacter),
        (SECRET.replacen('4', "5", 1), MalformedKey::Typo),
        (SECRET.replacen("sk-desk-", "sk-disk-", 1), MalformedKey::Typo),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(&text), expected, "{text}");
    }
}

#[test]
fn a_fault_says_what_happened_and_what_to_do() {
    assert_eq!(
        fault(&SECRET[..30]).sentence(),
        "The key is cut off: it has 30 of 46 characters. Copy it whole."
    );
    assert_eq!(
        fault("sk-ant-x").sentence(),
        "This is a key of Anthropic, not of this gateway. Use a key that was issued here."
    );
}

#[test]
fn a_secret_that_holds_xxxx_by_chance_is_not_called_masked() {
    let body = "0".repeat(28) + "xxxx";
    let mut text = format!("{DEFAULT_PREFIX}{body}");
    text.extend(checksum(&text.clone()).map(char::from));
    assert!(read(&text).is_ok());
}

#[test]
fn a_search_box_knows_secrets_also_damaged_ones() {
    let quoted = format!("  \"{SECRET}\" ");
    let sentence = format!("my key is {SECRET}, why");
    let setting = format!("OPENAI_API_KEY={SECRET}");
    let capitals = SECRET.to_uppercase();
    for text in [
        SECRET,
        &SECRET[..20],
        &SECRET[3..],
        &SECRET[8..],
        &quoted,
        &sentence,
        &setting,
        &capitals,
        "Bearer sk-desk-0123456789AB",
        "sk-desk-0123 \n 456789ABCDEF",
        "sk-ant-api03-0123456789abcdef",
        "AIzaSy0123456789abcdef",
        "ghp_0123456789abcdefghij",
    ] {
        assert!(looks_like_secret(text), "{text}");
    }
    for text in [
        "",
        "ci-prod",
        "a1B2",
        "sk-…a1B2",
        "sk-desk-0123456789A",
        "key_0193e2a4-7b1c-7d3e-9f00-1a2b3c4d5e6f",
        "the build server of the north office",
        VECTORS[0].3,
    ] {
        assert!(!looks_like_secret(text), "{text}");
    }
}

#[test]
fn a_hint_holds_the_last_four_and_no_more() {
    let secret = read(SECRET).unwrap();
    assert_eq!(hint(secret.last_four()), "sk-…ngPE");
    assert!(valid_last_four(secret.last_four()));
    for text in ["", "abc", "abcde", "ab-1", "a b1", "éé"] {
        assert!(!valid_last_four(text), "{text}");
    }
}

#[test]
fn a_hash_is_read_from_32_bytes_only() {
    let hash = read(SECRET).unwrap().hash();
    assert_ne!(hash, minted(DEFAULT_PREFIX, 1).hash());
}

proptest! {
    #[test]
    fn what_is_minted_reads_back(seed: u64, name in "[a-z0-9-]{1,16}") {
        let prefix = format!("sk-{name}-");
        prop_assume!(check_prefix(&prefix).is_ok());
        let secret = minted(&prefix, seed);
        prop_assert_eq!(secret.reveal().len(), prefix.len() + 38);
        let again = read(secret.reveal()).unwrap();
        prop_assert_eq!(again.reveal(), secret.reveal());
        prop_assert_eq!(again.prefix(), prefix);
        prop_assert_eq!(again.hash(), secret.hash());
        prop_assert!(valid_last_four(secret.last_four()));
        prop_assert!(looks_like_secret(secret.reveal()));
    }

    #[test]
    fn any_single_changed_character_is_refused(seed: u64, place in 0..TAIL, other: char, letter in 0..62_usize) {
        let secret = minted(DEFAULT_PREFIX, seed);
        let place = DEFAULT_PREFIX.len() + place;
        for other in [other, char::from(ALPHABET[letter])] {
            let mut text = secret.reveal().to_owned();
            text.replace_range(place..=place, other.encode_utf8(&mut [0; 4]));
            prop_assert_eq!(read(&text).is_ok(), text == secret.reveal());
        }
    }

    #[test]
    fn a_part_of_a_secret_is_cut_off(seed: u64, length in 8..46_usize) {
        let secret = minted(DEFAULT_PREFIX, seed);
        let part = &secret.reveal()[..length];
        prop_assert_eq!(fault(part), MalformedKey::CutOff { has: length, of: 46 });
    }

    #[test]
    fn reading_never_panics_and_never_echoes(text: String, near in "(sk-)?[a-zA-Z0-9é*-]{0,60}") {
        for text in [text, near] {
            looks_like_secret(&text);
            if let Err(fault) = read(&text) {
                prop_assert!(text.chars().count() < 12 || !fault.to_string().contains(&text));
            }
        }
    }
}

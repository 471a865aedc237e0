use super::*;
use proptest::prelude::*;

const GATEWAY: &str = "https://keys.example.com";

fn own() -> Vec<String> {
    vec![GATEWAY.to_owned(), "http://127.0.0.1:3000".to_owned()]
}

fn read(text: &str) -> Result<TestBase, ParseError> {
    let allowed =
        ["api.openai.com", "openrouter.ai", "llm.example.org:8443"].map(|host| host.parse().unwrap());
    read_base(text, &own(), &allowed)
}

#[test]
fn every_way_of_writing_a_base_url_is_understood() {
    for (typed, base) in [
        ("", GATEWAY),
        ("https://keys.example.com", GATEWAY),
        ("https://keys.example.com/", GATEWAY),
        (" keys.example.com ", GATEWAY),
        ("keys.example.com/v1", GATEWAY),
        ("KEYS.example.com:443/v1/", GATEWAY),
        ("https://keys.example.com/v1", GATEWAY),
        ("https://keys.example.com//v1//", GATEWAY),
        ("https://keys.example.com/v1/v1", GATEWAY),
        ("https://keys.example.com/v1/chat/completions", GATEWAY),
        ("https://keys.example.com/chat/completions", GATEWAY),
        ("https://keys.example.com/v1/messages/count_tokens", GATEWAY),
        ("https://keys.example.com/v1beta/models/gemini-3:generateContent?alt=sse", GATEWAY),
        ("127.0.0.1:3000/v1", "http://127.0.0.1:3000"),
        ("http://127.0.0.1:3000/v1/models", "http://127.0.0.1:3000"),
        ("api.openai.com", "https://api.openai.com"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api"),
        ("https://openrouter.ai/api/v1/chat/completions", "https://openrouter.ai/api"),
        ("https://openrouter.ai/v1/acme/openai", "https://openrouter.ai/v1/acme/openai"),
        ("https://llm.example.org:8443/v1", "https://llm.example.org:8443"),
    ] {
        let read = read(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
        assert_eq!(read.url, base, "{typed}");
        assert_eq!(read.own, base == GATEWAY || base.contains("127.0.0.1"), "{typed}");
        let said = !typed.is_empty() && typed.trim() != base;
        assert_eq!(!read.read_as.is_empty(), said, "{typed}: {}", read.read_as);
    }
    let full = read("https://keys.example.com/v1/chat/completions?x=1").unwrap().read_as;
    assert_eq!(
        full,
        "Your URL was read as https://keys.example.com. The version and the path of a call are added to each request. What follows the path was left out."
    );
}

#[test]
fn what_is_not_called_says_why() {
    for (typed, says) in [
        ("https://api.anthropic.com", "among those that an operator allows: api.openai.com, openrouter.ai"),
        ("http://api.openai.com", "Plain http"),
        ("https://api.openai.com:8443", "port is not allowed"),
        ("http://keys.example.com", "another scheme or port"),
        ("http://127.0.0.1:5432", "another scheme or port"),
        ("ftp://api.openai.com", "not a web address"),
        ("javascript:alert(1)", "not a web address"),
        ("https://", "not a web address"),
        ("https://api.openai.com /x", "a space"),
        ("https://api.openai.com/sk-desk-aaaaaaaaaaaaaaaaaaaa1111/v1", "a secret in it"),
        ("https://api.openai.com/v1?key=sk-desk-aaaaaaaaaaaaaaaaaaaa1111", "a secret in it"),
        ("https://api.openai.com/v1?key=sk%2Ddesk-aaaaaaaaaaaaaaaaaaaa1111", "a secret in it"),
    ] {
        let sentence = read(typed).unwrap_err().to_string();
        assert!(sentence.contains(says), "{typed}: {sentence}");
    }
    let alone = read_base("https://api.openai.com", &own(), &[]).unwrap_err().to_string();
    assert_eq!(
        alone,
        "Only this gateway is tested here: https://keys.example.com. An operator can allow other hosts."
    );
    let long = format!("https://api.openai.com/{}", "a".repeat(MAX));
    assert!(read(&long).unwrap_err().sentence().contains("at most"));
}

/// Refused before any name is looked up, whoever allows them.
const PRIVATE_SPELLINGS: [&str; 69] = [
    // Loopback.
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "017700000001",
    "0177.1",
    "0177.0.0.01",
    "127.0.0.1.",
    "127.0.0.1:443",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "①②⑦.⓪.⓪.①",
    "%31%32%37.0.0.1",
    "0X7F.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[0000::0001]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "api.localhost",
    "ｌｏｃａｌｈｏｓｔ",
    "loc%61lhost",
    // Unspecified.
    "0",
    "0.0.0.0",
    "0x0",
    "000.000.000.000",
    "0.0.0.1",
    "[::]",
    // Private, shared and test networks.
    "10.0.0.1",
    "10.1",
    "0xa.1",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "0xc0a80001",
    "192.168.1",
    "3232235521",
    "100.64.0.1",
    "198.18.0.1",
    "[fc00::1]",
    "[fd12:3456::1]",
    // Link-local and a cloud's metadata.
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[::ffff:a9fe:a9fe]",
    "metadata",
    "metadata.google.internal",
    "metadata.google.internal.",
    // Addresses within addresses, and those of many machines.
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[ff02::1]",
    "224.0.0.1",
];

/// Not read as a host at all, or not as the host that they seem to name.
const TRICKS: [&str; 16] = [
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1",
    "https://api.openai.com@127.0.0.1/",
    "https://@127.0.0.1/",
    "https://api.openai.com:443@127.0.0.1/",
    "https://api.openai.com%40127.0.0.1/",
    "https://api.openai.com\\@127.0.0.1/",
    "https://127.0.0.1\\.api.openai.com/",
    "https:///127.0.0.1/",
    "https:/127.0.0.1/",
    "https:127.0.0.1",
    "https://127.0.0.1\t/",
    "https://api.openai.com\u{0}.127.0.0.1/",
    "https://256.0.0.1/",
    "file:///etc/passwd",
];

#[test]
fn no_spelling_of_a_private_address_is_called() {
    for spelling in PRIVATE_SPELLINGS {
        for typed in [format!("https://{spelling}/v1"), format!("http://{spelling}/v1"), spelling.to_owned()]
        {
            // Even if an operator could allow it.
            let host = Url::parse(&format!("https://{spelling}")).unwrap().host().unwrap().to_string();
            let refused = read_base(&typed, &[GATEWAY.to_owned()], &[AllowedHost { host, port: None }]);
            assert_eq!(refused.map_err(|error| error.to_string()), Err(PRIVATE.to_owned()), "{typed}");
        }
        assert!(spelling.parse::<AllowedHost>().is_err(), "{spelling} was allowed");
    }
    for typed in TRICKS {
        assert!(read(typed).is_err(), "{typed}");
    }
}

#[test]
fn an_operator_allows_public_hosts() {
    for (text, shown) in [
        ("api.openai.com", "api.openai.com"),
        ("API.OpenAI.com:443", "api.openai.com"),
        ("llm.example.org:8443", "llm.example.org:8443"),
        ("8.8.8.8", "8.8.8.8"),
        ("[2606:4700::1111]", "[2606:4700::1111]"),
    ] {
        assert_eq!(text.parse::<AllowedHost>().unwrap().to_string(), shown);
    }
    for wrong in [
        "",
        "https://api.openai.com",
        "api.openai.com/v1",
        "api.openai.com?x",
        "a@b.example",
        "10.0.0.1",
        "vllm",
    ] {
        assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn reading_never_panics_and_calls_only_what_is_allowed(text: String, near in "(https?://)?[a-z0-9.:/@?#%\\[\\]v-]{0,40}") {
        for text in [text, near] {
            if let Ok(base) = read(&text) {
                prop_assert!(base.own || ["https://api.openai.com", "https://openrouter.ai", "https://llm.example.org:8443"].iter().any(|host| base.url.starts_with(host)));
                prop_assert_eq!(read(&base.url).map(|again| again.url), Ok(base.url));
            }
        }
    }
}

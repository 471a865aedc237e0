use super::super::gate::Rejection;
use super::*;
use crate::domain::api_error::NoTarget;
use crate::domain::moment::Zone;
use crate::domain::provider::ProviderKind;

fn words(states: &[(&str, GateState)]) -> Vec<GateState> {
    states.iter().map(|(_, state)| *state).collect()
}

#[test]
fn gates_before_the_failure_passed_and_those_behind_it_are_not_reached() {
    use GateState::{Failed, NotChecked, NotReached, Passed};
    let all = |state| [state; 9].to_vec();
    assert_eq!(words(&steps(None, true, true)), all(Passed));
    let unknown = Stop::Gate(Rejection::Unknown);
    assert_eq!(
        words(&steps(Some(&unknown), true, true)),
        [&[Passed, Passed, Failed][..], &[NotReached; 6]].concat()
    );
    let unserved = Stop::NoTarget(NoTarget::NotServed);
    assert_eq!(
        words(&steps(Some(&unserved), false, true)),
        [&[NotChecked; 2][..], &[Passed; 4], &[Failed], &[NotReached; 2]].concat()
    );
    // The list of models asks for no model.
    assert_eq!(words(&steps(None, true, false)), [&[Passed; 5][..], &[NotChecked; 4]].concat());
}

#[test]
fn raw_headers_are_read_as_http_reads_them() {
    let read = |place, secret, raw| -> Vec<(String, String)> {
        headers(place, secret, raw)
            .into_iter()
            .map(|header| (header.name, header.value.to_string()))
            .collect()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(read(KeyPlace::Bearer, "sk-1 ", ""), [pair("authorization", "Bearer sk-1")]);
    assert_eq!(read(KeyPlace::Query, "sk-1 ", ""), [pair("?key", "sk-1 ")]);
    assert_eq!(read(KeyPlace::XApiKey, "", "  "), []);
    assert_eq!(
        read(KeyPlace::Bearer, "", "Authorization:  Bearer sk-1\t\nX-Api-Key: sk-2\n"),
        [pair("authorization", "Bearer sk-1"), pair("x-api-key", "sk-2")]
    );
    assert_eq!(read(KeyPlace::XApiKey, "", "\"sk-1\""), [pair("x-api-key", "\"sk-1\"")]);
    assert_eq!(
        read(KeyPlace::Bearer, "", "Bearer Bearer sk-1"),
        [pair("authorization", "Bearer Bearer sk-1")]
    );
}

#[test]
fn the_nearest_model_is_found_and_a_distant_one_is_not() {
    let models: Vec<String> =
        ["gpt-5", "gpt-5-mini", "claude-opus-4-5", "aws/claude-haiku-4-5", "gemini-2.5-flash"]
            .map(str::to_owned)
            .to_vec();
    for (typed, near) in [
        ("gpt5-mini", "gpt-5-mini"),
        ("GPT-5", "gpt-5"),
        ("openai/gpt-5", "gpt-5"),
        ("claude-opus-4.5", "claude-opus-4-5"),
        ("claude-haiku-4-5", "aws/claude-haiku-4-5"),
        ("models/gemini-2.5-flahs", "gemini-2.5-flash"),
    ] {
        assert_eq!(nearest(typed, &models), Some(near), "{typed}");
    }
    assert_eq!(nearest("mistral-large", &models), None);
    assert_eq!(nearest("", &models), None);
    // The same name is no other name.
    assert_eq!(nearest("gpt-5", &["gpt-5".to_owned()]), None);
}

fn of_base_url(base_url: &str, route: Route) -> Option<Cause> {
    let request = Described { base_url: base_url.into(), route: Some(route), ..Described::default() };
    // What the place of the key causes is another matter.
    let place = if route.kind() == ProviderKind::OpenAi { KeyPlace::Bearer } else { KeyPlace::XApiKey };
    let request = Described { place, ..request };
    let facts = Facts {
        request: &request,
        sent: &[],
        stop: None,
        models: &[],
        out_of_scope_of: None,
        key_prefix: None,
        gateway_url: "https://gateway.example.com",
        desk_url: "https://desk.example.com",
        zone: &Zone::utc(),
    };
    causes(&facts).into_iter().next()
}

#[test]
fn each_wrong_base_url_has_its_own_sentence() {
    let (openai, anthropic) = (Route::ChatCompletions, Route::Messages);
    for (base_url, route) in [
        ("https://gateway.example.com/v1", openai),
        (" https://gateway.example.com/v1/ ", openai),
        ("gateway.example.com/v1", openai),
        ("https://gateway.example.com", anthropic),
        ("https://gateway.example.com/", anthropic),
    ] {
        assert_eq!(of_base_url(base_url, route), None, "{base_url}");
    }
    for (base_url, route, says) in [
        ("https://gateway.example.com", openai, "has no /v1"),
        ("https://gateway.example.com/v1/v1", openai, "twice"),
        ("https://gateway.example.com/v1", anthropic, "twice"),
        ("https://gateway.example.com/v1/chat/completions", openai, "one call"),
        ("https://desk.example.com", openai, "dashboard, where people sign in"),
        ("https://desk.example.com/acme/keys", openai, "dashboard, where people sign in"),
        ("https://gateway.example.com/acme/keys", openai, "page of the dashboard"),
        ("http://gateway.example.com/v1", openai, "has http://"),
        ("https://api.openai.com/v1", openai, "to api.openai.com, not to this gateway"),
        ("https://", openai, "not a web address"),
    ] {
        let cause = of_base_url(base_url, route).unwrap_or_else(|| panic!("{base_url} has no cause"));
        assert!(cause.sentence.contains(says), "{base_url}: {}", cause.sentence);
        assert!(cause.advice.contains("https://gateway.example.com"), "{base_url}: {}", cause.advice);
    }
}

//! W3C trace context: which trace of its client a request belongs to. The program makes no spans, so it hands both headers on
//! to the provider as they came, and logs the trace's id. What is not well-formed is neither handed on nor logged.

use axum::http::{HeaderMap, HeaderValue};
use keydesk_core::domain::key_format::has_secret;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// As much of `tracestate` as everyone has to hand on.
const MAX_STATE: usize = 512;

/// The id of the trace, 32 hexadecimal digits.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    parent(headers)?.to_str().ok()?.get(3..35)
}

/// Copies the trace context of a request.
pub fn hand_on(from: &HeaderMap, to: &mut HeaderMap) {
    let Some(parent) = parent(from) else { return };
    to.insert(PARENT, parent.clone());
    let states: Vec<&HeaderValue> = from.get_all(STATE).iter().collect();
    let is_good = |state: &&HeaderValue| state.to_str().is_ok_and(|text| !has_secret(text));
    let length: usize = states.iter().map(|state| state.len() + 1).sum();
    if length <= MAX_STATE + 1 && states.iter().all(is_good) {
        states.into_iter().for_each(|state| _ = to.append(STATE, state.clone()));
    }
}

/// The one `traceparent`, if it is one: `00-<trace>-<parent>-<flags>`, with more behind it in a later version.
fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut sent = headers.get_all(PARENT).iter();
    let (value, None) = (sent.next()?, sent.next()) else { return None };
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let [version, trace, parent, flags] =
        [2, 32, 16, 2].map(|length| parts.next().filter(|part| is_hex(part, length)));
    let version = version?;
    let is_some = [trace?, parent?].iter().all(|id| id.bytes().any(|byte| byte != b'0'));
    let is_known = version != "ff" && (version != "00" || parts.next().is_none()) && text.len() <= MAX_STATE;
    (flags.is_some() && is_some && is_known && !has_secret(text)).then_some(value)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        all.iter().for_each(|(name, value)| _ = headers.append(*name, value.parse().unwrap()));
        headers
    }

    fn handed_on(all: &[(&'static str, &str)]) -> Vec<String> {
        let mut to = HeaderMap::new();
        hand_on(&headers(all), &mut to);
        to.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn a_trace_is_handed_on_as_it_came() {
        let sent =
            [(PARENT, GOOD), (STATE, "congo=t61rcWkgMzE"), (STATE, "rojo=00f067aa0ba902b7"), ("x", "y")];
        assert_eq!(
            handed_on(&sent),
            [
                format!("traceparent: {GOOD}"),
                "tracestate: congo=t61rcWkgMzE".into(),
                "tracestate: rojo=00f067aa0ba902b7".into()
            ]
        );
        assert_eq!(trace_id(&headers(&sent)), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(handed_on(&[(PARENT, &later)]), [format!("traceparent: {later}")]);
    }

    #[test]
    fn what_is_no_trace_is_not_handed_on() {
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let longer = format!("{GOOD}-01");
        let upper = GOOD.to_uppercase();
        let later = format!("ff{}", &GOOD[2..]);
        for parent in ["", "00", "secret", &GOOD[..54], &longer, &zeros, &upper, &later] {
            assert_eq!(handed_on(&[(PARENT, parent), (STATE, "a=b")]), [""; 0], "{parent}");
            assert_eq!(trace_id(&headers(&[(PARENT, parent)])), None, "{parent}");
        }
        assert_eq!(handed_on(&[(PARENT, GOOD), (PARENT, GOOD)]), [""; 0]);
        assert_eq!(handed_on(&[(STATE, "a=b")]), [""; 0]);
    }

    #[test]
    fn a_state_that_is_too_long_or_may_be_a_key_stays_behind() {
        let long = format!("a={}", "b".repeat(MAX_STATE - 1));
        let key = "a=sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE";
        for state in [long.as_str(), key] {
            assert_eq!(
                handed_on(&[(PARENT, GOOD), (STATE, state)]),
                [format!("traceparent: {GOOD}")],
                "{state}"
            );
        }
        assert_eq!(handed_on(&[(PARENT, GOOD), (STATE, &long[..MAX_STATE])]).len(), 2);
    }
}

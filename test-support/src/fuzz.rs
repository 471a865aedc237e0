//! Fuzzing with stable Rust: properties that are tried for a time instead of a number of cases, with inputs that are nearly
//! right.
//!
//! KEYDESK_FUZZ_SECONDS says how long each property is tried, beyond its first 256 cases. `make test` takes a few seconds
//! each, about a minute together; `make fuzz` an hour each. What is found is printed as small as it fails, and becomes a test
//! beside the code that it was found in.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use serde_json::Value;

/// Cases between two looks at the clock.
const BATCH: u32 = 64;

fn ends() -> Instant {
    let seconds = std::env::var("KEYDESK_FUZZ_SECONDS").map_or(Ok(0.), |text| text.parse::<f64>());
    let seconds = seconds.expect("KEYDESK_FUZZ_SECONDS is a number");
    #[allow(clippy::disallowed_methods, reason = "how long a test runs is no matter of its clock")]
    let now = Instant::now();
    now + Duration::from_secs_f64(seconds)
}

#[allow(clippy::disallowed_methods, reason = "how long a test runs is no matter of its clock")]
fn is_over(ends: Instant) -> bool {
    Instant::now() >= ends
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: BATCH, failure_persistence: None, ..Config::default() })
}

/// Tries the property with these inputs, at least 256 times.
pub fn fuzz<S: Strategy>(inputs: S, check: impl Fn(S::Value) -> TestCaseResult) {
    let ends = ends();
    for batch in 0.. {
        if batch >= 4 && is_over(ends) {
            return;
        }
        if let Err(error) = runner().run(&inputs, &check) {
            panic!("{error}");
        }
    }
}

/// Such inputs one after the other, at least `count`, for what waits in between. They are not made smaller.
pub fn inputs<S>(strategy: S, count: usize) -> impl Iterator<Item = S::Value> + Send
where
    S: Strategy + Send + 'static,
    S::Value: Send,
{
    let (sender, made) = std::sync::mpsc::sync_channel(1);
    // proptest's own state cannot be kept across a wait.
    std::thread::spawn(move || {
        let (mut runner, ends) = (runner(), ends());
        let one = |_| strategy.new_tree(&mut runner).expect("an input can be made").current();
        let wanted = (0..).take_while(|made| *made < count || !is_over(ends));
        // Whoever asks may stop early.
        let _ = wanted.map(one).try_for_each(|input| sender.send(input));
    });
    made.into_iter()
}

/// What breaks parsers of lines, quotes, numbers, addresses and queries.
pub const HOSTILE: [&str; 44] = [
    "",
    " ",
    "\0",
    "\r",
    "\n",
    "\r\n\r\n",
    "\t",
    "\"",
    "\\",
    "\\\"",
    "'",
    "''; --",
    "%",
    "_",
    "%00",
    "%ff",
    "&",
    "=",
    "+",
    ";",
    ",",
    "[",
    "]",
    "{",
    "}",
    "[]",
    "null",
    "-1",
    "0",
    "-0.0",
    "1e999",
    "1e-999",
    "0x10",
    "NaN",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "é\u{301}",
    "👩‍🚀",
    "İ",
    "\u{10ffff}",
];

/// One change of bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, u8),
    End(Index),
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        let range = |one: &Index, other: &Index| at(one).min(at(other))..at(one).max(at(other));
        match self {
            Change::Flip(index, mask) => {
                let at = at(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Change::Insert(index, more) => drop(bytes.splice(at(index)..at(index), more.iter().copied())),
            Change::Remove(one, other) => drop(bytes.drain(range(one, other))),
            Change::Repeat(one, other, times) => {
                let range = range(one, other);
                let more = bytes[range.clone()].repeat(usize::from(*times));
                drop(bytes.splice(range.end..range.end, more));
            }
            Change::End(index) => bytes.truncate(at(index)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        3 => (index(), 1..=u8::MAX).prop_map(|(at, mask)| Change::Flip(at, mask)),
        3 => (index(), select(HOSTILE.to_vec())).prop_map(|(at, text)| Change::Insert(at, text.into())),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (index(), index()).prop_map(|(one, other)| Change::Remove(one, other)),
        1 => (index(), index(), 1..20_u8).prop_map(|(one, other, times)| Change::Repeat(one, other, times)),
        1 => index().prop_map(Change::End),
    ]
}

/// Bytes that are nearly one of these, or anything.
pub fn near(samples: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let samples: Vec<Vec<u8>> = samples.iter().map(|sample| sample.as_bytes().to_vec()).collect();
    let changed =
        (select(samples), prop::collection::vec(change(), 0..6)).prop_map(|(mut bytes, changes)| {
            changes.iter().for_each(|change| change.make(&mut bytes));
            bytes
        });
    prop_oneof![9 => changed, 1 => any::<Vec<u8>>()]
}

/// The same as text.
pub fn near_text(samples: &[&str]) -> impl Strategy<Value = String> + use<> {
    near(samples).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Text that somebody may put into a field.
pub fn field() -> impl Strategy<Value = String> {
    let long = (select(HOSTILE.to_vec()), 1..3_000_usize).prop_map(|(text, times)| text.repeat(times));
    let pieces = prop::collection::vec(select(HOSTILE.to_vec()), 1..4).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 3 => any::<String>(), 2 => "[0-9a-z.,:/$ -]{0,24}", 1 => long]
}

/// This JSON with some of its texts exchanged for others.
pub fn with_fields(base: Value) -> impl Strategy<Value = Value> {
    prop::collection::vec((any::<Index>(), field()), 1..6).prop_map(move |changes| {
        let mut value = base.clone();
        for (index, text) in changes {
            let mut leaves = Vec::new();
            collect(&mut value, &mut leaves);
            if !leaves.is_empty() {
                let at = index.index(leaves.len());
                let text = Value::String(text);
                *leaves[at] = if leaves[at].is_array() { Value::Array(vec![text]) } else { text };
            }
        }
        value
    })
}

fn collect<'a>(value: &'a mut Value, leaves: &mut Vec<&'a mut Value>) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| collect(value, leaves)),
        Value::Array(_) | Value::String(_) => leaves.push(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

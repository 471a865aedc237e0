//! Streams taken apart, cut at every place.

use crate::gateway::sse::{Elements, Event, Events};

/// The data of every event, when the stream arrives in two pieces that meet at `cut`.
fn events(stream: &[u8], cut: usize) -> Vec<Event> {
    let mut events = Events::keeping_raw(true);
    let mut found = Vec::new();
    let (first, second) = stream.split_at(cut);
    events.feed(first, &mut |event| found.push(event));
    events.feed(second, &mut |event| found.push(event));
    events.finish(&mut |event| found.push(event));
    found
}

fn data(found: &[Event]) -> Vec<String> {
    let with_data = found.iter().filter(|event| !event.data.is_empty());
    with_data.map(|event| String::from_utf8(event.data.clone()).unwrap()).collect()
}

#[test]
fn events_are_the_same_wherever_the_bytes_are_cut() {
    for (stream, expected) in [
        ("data: one\n\ndata: two\n\n", vec!["one", "two"]),
        ("data: one\r\n\r\ndata: two\r\n\r\n", vec!["one", "two"]),
        ("data: one\r\rdata: two\r\r", vec!["one", "two"]),
        (": keep-alive\n\nevent: delta\ndata:one\nid: 7\n\n", vec!["one"]),
        ("data: {\"a\":\ndata: \"é\"}\n\n", vec!["{\"a\":\n\"é\"}"]),
        ("data: one\n\ndata: no empty line", vec!["one", "no empty line"]),
        ("\n\n\ndata: one\n\n", vec!["one"]),
        ("data: a: b\n\ndata\n\n", vec!["a: b"]),
        ("", vec![]),
    ] {
        for cut in 0..=stream.len() {
            let found = events(stream.as_bytes(), cut);
            assert_eq!(data(&found), expected, "{stream:?} cut at {cut}");
            let raw: Vec<u8> = found.into_iter().flat_map(|event| event.raw).collect();
            assert_eq!(raw, stream.as_bytes(), "{stream:?} cut at {cut}");
        }
    }
}

#[test]
fn events_are_the_same_when_bytes_come_one_by_one() {
    let stream = b"event: x\r\ndata: one\r\n\r\n: no\r\n\r\ndata: two\r\ndata: three\r\n\r\n";
    let mut events = Events::keeping_raw(false);
    let mut found = Vec::new();
    for byte in stream {
        events.feed(&[*byte], &mut |event| found.push(event));
    }
    events.finish(&mut |event| found.push(event));
    assert_eq!(data(&found), ["one", "two\nthree"]);
    assert!(found.iter().all(|event| event.raw.is_empty()));
}

#[test]
fn of_an_endless_event_only_the_end_is_kept() {
    let mut events = Events::default();
    let mut found = Vec::new();
    events.feed(b"data: ", &mut |event| found.push(event));
    for _ in 0..200 {
        events.feed(&[b'x'; 65_536], &mut |event| found.push(event));
    }
    events.feed(b"the end\n\n", &mut |event| found.push(event));
    let event = found.pop().unwrap();
    assert!(event.cut && event.data.len() < 5 << 20 && event.data.ends_with(b"the end"));
}

#[test]
fn elements_of_an_array_are_the_same_wherever_the_bytes_are_cut() {
    let stream = br#"[{"a": {"b": "}]{\"\\"}}
,
{"c": [1, {"d": 2}]}, {}]"#;
    for cut in 0..=stream.len() {
        let mut elements = Elements::default();
        let mut found = Vec::new();
        let (first, second) = stream.split_at(cut);
        elements.feed(first, &mut |event| found.push(event));
        elements.feed(second, &mut |event| found.push(event));
        assert_eq!(data(&found), [r#"{"a": {"b": "}]{\"\\"}}"#, r#"{"c": [1, {"d": 2}]}"#, "{}"], "{cut}");
    }
}

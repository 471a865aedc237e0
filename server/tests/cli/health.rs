//! `health`: what a container's health check is told, by exit code and sentence.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::serving::Serving;
use super::support::{Place, Ran, program};

fn health(listen: &str) -> Ran {
    program(&["health"]).env("KEYDESK_LISTEN", listen).output().unwrap().into()
}

#[test]
fn a_server_that_can_work_is_healthy_until_it_ends() {
    let place = Place::sqlite();
    let serving = Serving::start(&place);
    let address = serving.address.clone();
    let ran = health(&address);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ready\n"), "{ran:?}");
    // As a server is configured that listens on all addresses.
    let ran = health(&address.replace("127.0.0.1", "0.0.0.0"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ready\n"), "{ran:?}");

    serving.terminate();
    assert_eq!(serving.ended().code, Some(0));
    let ran = health(&address);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with(&format!("keydesk: {address} does not answer: ")), "{ran:?}");
    assert!(ran.err.contains("--listen"), "{ran:?}");
}

#[test]
fn an_answer_that_is_no_success_is_unhealthy_and_says_why() {
    for (answer, sentence) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 30\r\n\r\nthe database does not answer\n",
            "is not ready: the database does not answer.",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "is not Keydesk."),
        ("220 mail.example.com ESMTP\r\n", "is not Keydesk."),
        ("", "is not Keydesk."),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let ran = health(&address);
        assert!(answering.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{answer:?}: {ran:?}");
        assert!(ran.err.contains(sentence), "{answer:?}: {ran:?}");
    }
}

//! `serve` as a process: it answers what is under way before it stops, and does by itself what falls due.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::seed;

use super::rotation::{client, status, with_key};
use super::support::{Place, Ran, both, seed_org};

/// A server that is ended with the test.
pub struct Serving {
    child: Child,
    /// Such as `127.0.0.1:40123`.
    pub address: String,
    errors: Option<std::thread::JoinHandle<String>>,
    /// Kept open: the program prints more after its address.
    _out: BufReader<ChildStdout>,
}

impl Serving {
    pub fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    /// With these variables.
    pub fn start_with(place: &Place, variables: &[(&'static str, String)]) -> Self {
        let mut child = place
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .envs(variables.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Read all the time, so that the program never waits for a full pipe.
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("Keydesk listens on http://") else {
            panic!("{line}{}", errors.join().unwrap());
        };
        Self { child, address: address.to_owned(), errors: Some(errors), _out: out }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    pub fn terminate(&self) {
        let done = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// Waits for the end of the process, within a bound.
    pub fn ended(mut self) -> Ran {
        let until = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
        let code = self.child.wait().unwrap().code();
        Ran { code, out: String::new(), err: self.errors.take().unwrap().join().unwrap() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries again until it is so, within a bound.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < until, "{what}: not within 20 seconds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_server_stops() {
    for place in both().await {
        let serving = Serving::start(&place);
        let base = format!("http://{}", serving.address);
        let body = "form[email]=ana%40acme.example&form[password]=wrong";
        let mut slow = serving.connect();
        write!(
            slow,
            "POST /api/session/sign-in HTTP/1.1\r\nhost: {}\r\norigin: {base}\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{}",
            serving.address,
            body.len(),
            &body[..10],
        )
        .unwrap();
        // Answered only after the other one's head was read.
        let mut quick = serving.connect();
        write!(quick, "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        assert!(answer(quick).starts_with("HTTP/1.1 200"));
        // Idle connections are not waited for.
        let idle = serving.connect();

        serving.terminate();
        eventually("new connections are refused", async || TcpStream::connect(&serving.address).is_err())
            .await;
        slow.write_all(&body.as_bytes()[10..]).unwrap();
        let answered = answer(slow);
        assert!(answered.starts_with("HTTP/1.1 "), "{answered}");
        assert!(!answered.starts_with("HTTP/1.1 5"), "{answered}");
        let ended = serving.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.err.contains("stopping"), "{ended:?}");
        drop(idle);
    }
}

#[tokio::test]
async fn two_servers_cannot_listen_on_one_port() {
    let serving = Serving::start(&Place::sqlite());
    let ran = Place::sqlite().run(&["serve", "--listen", &serving.address]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("Choose another address with --listen."), "{ran:?}");
}

#[tokio::test]
async fn an_sqlite_file_is_served_by_one_process_and_used_by_any_number() {
    let place = Place::sqlite();
    let desk = place.desk(Moment::from_ms(1_795_176_000_000)).await;
    seed_org(&desk).await;
    desk.db.close().await;
    let serving = Serving::start(&place);
    for command in ["serve", "gateway"] {
        let ran = place.run(&[command, "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("is served by one process") && ran.err.contains("Postgres"), "{ran:?}");
    }
    assert!(place.done(&["orgs", "list"]).starts_with("acme\tactive"));
    place.done(&["orgs", "suspend", "acme", "--reason", "a test"]);
    assert!(place.done(&["orgs", "list"]).starts_with("acme\tsuspended"));
    // What a process that is killed leaves behind keeps no other one from serving.
    drop(serving);
    let again = Serving::start(&place);
    again.terminate();
    assert_eq!(again.ended().code, Some(0));
    assert_eq!(place.number("SELECT COUNT(*) FROM gateway_nodes").await, 0);
}

#[tokio::test]
async fn a_command_is_done_when_the_serving_process_has_it() {
    for place in both().await {
        let secret = with_key(&place, false).await;
        let serving = Serving::start(&place);
        eventually("the process has its row", async || {
            place.number("SELECT COUNT(*) FROM gateway_nodes").await == 1
        })
        .await;
        let client = client();
        for _ in 0..5 {
            assert_eq!(status(&client, &serving, &secret).await, 200, "{}", place.name());
            place.done(&["orgs", "suspend", "acme", "--reason", "a test"]);
            assert_eq!(status(&client, &serving, &secret).await, 401, "{}", place.name());
            place.done(&["orgs", "resume", "acme"]);
        }
    }
}

const DAY: i64 = 86_400_000;

/// A key that expired while no server ran, and a reservation whose gateway died.
async fn with_overdue(place: &Place) {
    #[expect(clippy::disallowed_methods, reason = "the program beside this test reads the real clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let past = Moment::from_ms(now.as_millis() as i64 - 2 * DAY);
    let desk = place.desk(past).await;
    let (org, caller) = seed_org(&desk).await;
    let spec = KeySpec {
        name: "ci-prod".into(),
        owner: Some(caller.person.id.clone()),
        expires_at: Some(past.plus_ms(DAY)),
        ..KeySpec::default()
    };
    let (key, secret) = seed::create_key(&desk, &caller, &org.slug, &spec).await.unwrap();
    let request = RequestId::new(past, desk.id_entropy());
    let (at, until) = (past.ms(), past.ms() + 120_000);
    desk.db.close().await;
    place
        .tamper(&format!(
            "INSERT INTO reservations (request_id, org_id, key_id, secret_id, model_id, amount, tokens, reserved_at, expires_at)
             VALUES ('{request}', '{}', '{key}', '{secret}', 'gpt-5', 1, 1, {at}, {until})",
            org.id
        ))
        .await;
}

#[tokio::test]
async fn what_is_overdue_is_done_by_a_server_that_starts() {
    for place in both().await {
        with_overdue(&place).await;
        let expired = "SELECT COUNT(*) FROM keys WHERE status = 'expired'";
        let reservations = "SELECT COUNT(*) FROM reservations";
        assert_eq!((place.number(expired).await, place.number(reservations).await), (0, 1));
        let serving = Serving::start(&place);
        eventually("the key is marked as expired", async || place.number(expired).await == 1).await;
        eventually("the reservation is removed", async || place.number(reservations).await == 0).await;
        serving.terminate();
        assert_eq!(serving.ended().code, Some(0));
    }
}

//! A provider's API key on the command line: stored from standard input, and sealed anew by a rotation that can be stopped.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::support::{Place, Ran, both};

const SECRET: &str = "sk-proj-canary0123456789wxyz";

/// Runs a command that reads this from standard input.
pub fn with_input(place: &Place, arguments: &[&str], input: &str) -> Ran {
    let mut child = place
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[tokio::test]
async fn a_stored_key_survives_rotations_and_is_never_printed() {
    for place in both().await {
        let key = place.data().join("provider.key");
        let add = ["providers", "add", "Far", "--url", "http://127.0.0.1:9/v4", "--api-key-stdin"];
        let ran = with_input(&place, &add, "sk-…\n");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("masked"), "{ran:?}");
        let ran = with_input(&place, &add, &format!("{SECRET}\n"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&key).unwrap();
        let list = place.done(&["providers", "list"]);
        assert!(list.contains("stored …wxyz") && !list.contains("canary"), "{list}");

        let out = place.done(&["providers", "rotate-key"]);
        assert!(out.contains("encrypted with the new key: 1."), "{out}");
        let after = std::fs::read(&key).unwrap();
        assert!(before != after && after.len() == 64);
        assert!(!place.data().join("provider.key.new").exists());
        assert_eq!(place.number("SELECT COUNT(DISTINCT sealed_with) FROM provider_keys").await, 1);

        // One that was stopped after it had made the new key goes on with that one.
        std::fs::write(place.data().join("provider.key.new"), [7; 64]).unwrap();
        place.done(&["providers", "rotate-key"]);
        assert_eq!(std::fs::read(&key).unwrap(), [7; 64]);

        // Nothing listens there, so it does not answer; but its key was opened.
        let ran = place.run(&["providers", "test", "Far"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.out.contains("GET http://127.0.0.1:9/v4/models: No connection could be made"), "{ran:?}");
        assert!(ran.err.contains("Far is not connected."), "{ran:?}");

        // With another key nothing is opened, and a rotation changes nothing.
        std::fs::write(&key, [8; 64]).unwrap();
        let ran = place.run(&["providers", "test", "Far"]);
        assert!(ran.out.contains("cannot be opened"), "{ran:?}");
        let ran = place.run(&["providers", "rotate-key"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("Nothing was changed"), "{ran:?}");
        assert_eq!(std::fs::read(&key).unwrap(), [8; 64]);
        let outputs = format!("{list}{out}{ran:?}");
        assert!(!outputs.contains("canary"), "{outputs}");
    }
}

//! Tests that must run inside the daemon's pid namespace, as a user that is not root.
//!
//! Polkit is asked about the process that the kernel names as the peer of the socket, and across pid namespaces
//! it has no number. So such a test runs twice: outside it starts the daemon and then itself again, inside; there
//! it does what a client does.

use std::{env, fs, future::Future, os::unix::fs::PermissionsExt, time::Duration};

use super::{Daemon, command, live, outcomes};

/// Set in the inner run: the socket to connect to.
const SOCKET: &str = "LIBVIRT_TEST_INSIDE";
/// A user that every system has and that may do nothing.
const NOBODY: &str = "65534";

/// Runs `client` as nobody inside the namespaces of the daemon that `daemon` starts. `test` is the test's path as
/// the test runner prints it.
#[track_caller]
pub(crate) fn as_nobody<F: Future<Output = ()>>(
    test: &str,
    daemon: impl FnOnce() -> Daemon,
    client: impl FnOnce(String) -> F,
) {
    if let Ok(socket) = env::var(SOCKET) {
        return live(client(socket));
    }
    live(async { run_again(test, &daemon()) });
}

#[track_caller]
fn run_again(test: &str, daemon: &Daemon) {
    // A copy, since nobody may not be let through to the directory that the tests were built in.
    let program = daemon.directory().join("test");
    let copied = env::current_exe().and_then(|me| fs::copy(me, &program));
    copied.unwrap_or_else(|error| panic!("cannot copy the test's program: {error}"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .unwrap_or_else(|error| panic!("{error}"));
    let outcomes = daemon.file("outcomes.tsv", "");
    fs::set_permissions(&outcomes, fs::Permissions::from_mode(0o666))
        .unwrap_or_else(|error| panic!("{error}"));
    let mut inside = daemon.inside();
    inside
        .args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(SOCKET, daemon.socket())
        .env(outcomes::FILE, &outcomes);
    let output = command::run(inside, Duration::from_secs(50)).expect_success();
    outcomes::adopt(&outcomes);
    assert!(
        output.contains("1 passed"),
        "{test} is not the name of this test, nothing ran inside:\n{output}"
    );
}

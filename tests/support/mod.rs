//! What the tests against a real libvirtd stand on: a private daemon for each test, programs with a deadline, and
//! tests that run as another user inside the daemon's namespaces.

pub(crate) mod command;
pub(crate) mod compare;
pub(crate) mod daemon;
mod event_text;
pub(crate) mod guest;
pub(crate) mod inside;
pub(crate) mod listener;
pub(crate) mod machine;
pub(crate) mod network;
mod notes;
mod outcomes;
pub(crate) mod pki;
pub(crate) mod python;
pub(crate) mod sshd;
pub(crate) mod volumes;

use std::{
    future::Future,
    panic::Location,
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

pub(crate) use daemon::Daemon;
pub(crate) use python::Python;

/// How many tests with daemons run at once, whatever the number of cores: each has a libvirtd, some a QEMU.
const AT_ONCE: u32 = 3;

/// How long a test waits for one thing that takes some milliseconds: long enough for a busy machine, and shorter than
/// the test's own deadline, so that what did not happen is named.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Runs one test: in its turn, on a runtime of its own, for at most a minute, and with the outcomes of its calls noted.
///
/// The test's own thread may block on programs, since the connection's task runs on the runtime's workers.
#[track_caller]
pub(crate) fn live<T>(test: impl Future<Output = T>) -> T {
    live_within(Duration::from_secs(60), test)
}

/// The same, for a test that may take longer.
#[track_caller]
pub(crate) fn live_within<T>(limit: Duration, test: impl Future<Output = T>) -> T {
    // In a box early: some tests are so large that a few copies overflow the stack of their thread.
    let test = Box::pin(test);
    outcomes::observe();
    let _turn = Turn::take();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("cannot make a runtime: {error}"));
    match runtime.block_on(async { tokio::time::timeout(limit, test).await }) {
        Ok(value) => value,
        Err(_) => panic!("the test did not end within {limit:?}"),
    }
}

/// Waits until something is so, and fails the test when it takes longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < end, "what {caller} waits for did not happen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// One of the places for tests that run at once.
struct Turn;

static TAKEN: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        // A test that panicked gave its place back all the same, so the number is right.
        let taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut taken = FREED
            .wait_while(taken, |taken| *taken >= AT_ONCE)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *taken += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) -= 1;
        FREED.notify_one();
    }
}

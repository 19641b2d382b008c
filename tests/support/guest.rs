//! A small Linux guest for QEMU, which `tests/support/guest` makes and `tests/run` has made.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use libvirt_client::Domain;

use super::Daemon;

/// How long the guest may take to start its agent: five seconds are usual where nothing else runs.
const BOOT_LIMIT: Duration = Duration::from_secs(100);

/// Returns the elements `<kernel>`, `<initrd>` and `<cmdline>` of a domain's `<os>`.
#[track_caller]
pub(crate) fn boot() -> String {
    let [kernel, initrd] = ["kernel", "initrd"].map(part);
    format!(
        "<kernel>{}</kernel><initrd>{}</initrd><cmdline>console=ttyS0 quiet panic=-1 tsc=reliable</cmdline>",
        kernel.display(),
        initrd.display()
    )
}

/// Returns a busybox that needs no library: all of what runs in a container.
#[track_caller]
pub(crate) fn busybox() -> PathBuf {
    part("busybox")
}

#[track_caller]
fn part(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guest");
    let part = directory.join(name);
    assert!(
        part.is_file(),
        "this test runs a small Linux, and {} is not there; make it with: tests/support/guest {}",
        part.display(),
        directory.display()
    );
    part
}

/// Waits until the guest's agent answers.
pub(crate) async fn wait_for_agent(daemon: &Daemon, domain: &Domain) {
    let end = Instant::now() + BOOT_LIMIT;
    while let Err(error) = domain.qemu_agent_command(r#"{"execute": "guest-ping"}"#, 5).await {
        assert!(Instant::now() < end, "the guest's agent does not answer: {error}\n{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs a line of shell in the guest, by its agent, without waiting for its end.
pub(crate) async fn run(domain: &Domain, line: &str) {
    let line = line.replace('\\', "\\\\").replace('"', "\\\"");
    let command = format!(
        r#"{{"execute": "guest-exec", "arguments": {{"path": "/bin/sh", "arg": ["-c", "{line}"]}}}}"#
    );
    domain.qemu_agent_command(command, 5).await.unwrap_or_else(|error| panic!("{line}: {error}"));
}

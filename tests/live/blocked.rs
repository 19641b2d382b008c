//! A domain that makes the daemon wait, for as long as a test wants.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    TEST,
    support::{Daemon, command::Background, wait_until},
};

/// Saves a domain into a named pipe: the daemon takes the domain's lock, opens the pipe and hangs there until
/// somebody reads. That it hangs shows in a second call, which has no answer for longer than any call needs, also on a busy machine.
const SAVE: &str = "\
import threading
def start(call):
    thread = threading.Thread(target=call)
    thread.start()
    return thread
saving = start(lambda: connection.lookupByName(NAME).save(PIPE))
while True:
    second = start(lambda: connection.lookupByName(NAME))
    second.join(2)
    if second.is_alive(): break
print('blocked')
saving.join()
second.join()";

/// A domain of the simulated hypervisor whose lock is held, so that every call about it waits.
#[derive(Debug)]
pub(crate) struct Blocked {
    pipe: PathBuf,
    saving: Background,
}

impl Blocked {
    pub(crate) async fn domain(daemon: &Daemon, name: &str) -> Self {
        let pipe = daemon.fifo(&format!("blocks-{name}"));
        let said = daemon.directory().join(format!("blocked-{name}"));
        let saving = daemon.spawn_python(TEST, &format!("NAME, PIPE = {name:?}, {pipe:?}\n{SAVE}"), &said);
        wait_until(|| fs::read_to_string(&said).is_ok_and(|said| said == "blocked\n")).await;
        Self { pipe, saving }
    }

    /// Lets the daemon go on. The domain is off then, since it was saved.
    pub(crate) fn release(self) {
        fs::read(&self.pipe).unwrap();
        self.saving.expect_success(Duration::from_secs(30));
    }
}

//! All kinds of events at once, as we receive them and as libvirt's Python binding receives them.

use std::{
    fs,
    panic::Location,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use libvirt_client::{Connection, enums::ConnectDomainQemuMonitorEventRegisterFlags, events::Events};

use super::{Daemon, PATIENCE, command::Background, event_text::line, wait_until};

/// Prints each event on a line: family, name of the object, kind, and what else it says.
const PROGRAM: &str = "
import libvirt_qemu
KINDS = '''lifecycle reboot rtc-change watchdog io-error graphics io-error-reason control-error block-job disk-change
    tray-change pm-wakeup pm-suspend balloon-change pm-suspend-disk device-removed block-job-2 tunable agent-lifecycle
    device-added migration-iteration job-completed device-removal-failed metadata-change block-threshold memory-failure
    memory-device-size-change'''.split()
def text(value):
    if isinstance(value, dict): return '{' + ','.join(f'{key}={text(value[key])}' for key in sorted(value)) + '}'
    if isinstance(value, (list, tuple)): return '[' + ','.join(map(text, value)) + ']'
    return str(int(value) if isinstance(value, bool) else value)
def listener(family, kind):
    def hear(connection, one, *rest):
        name = one.UUIDString() if family == 'secret' else one.name()
        print(family, name, kind, *map(text, rest[:-1]))
    return hear
for number, kind in enumerate(KINDS):
    connection.domainEventRegisterAny(None, number, listener('domain', kind), None)
connection.networkEventRegisterAny(None, 0, listener('network', 'lifecycle'), None)
for family, register, second in (
    ('pool', connection.storagePoolEventRegisterAny, 'refresh'),
    ('device', connection.nodeDeviceEventRegisterAny, 'update'),
    ('secret', connection.secretEventRegisterAny, 'value-changed'),
):
    for number, kind in enumerate(('lifecycle', second)):
        register(None, number, listener(family, kind), None)
if connection.getType() == 'QEMU':
    def monitor(connection, domain, event, seconds, micros, details, _):
        print('monitor', domain.name(), event, details)
    libvirt_qemu.qemuMonitorEventRegister(connection, None, None, monitor, None)
print('ready')
while True: libvirt.virEventRunDefaultImpl()";

/// Two that listen until this is dropped: we, and a Python program.
#[derive(Debug)]
pub(crate) struct Listener {
    ours: Arc<Mutex<Vec<String>>>,
    theirs: PathBuf,
    _program: Background,
}

impl Listener {
    /// Starts both, and returns when both listen.
    pub(crate) async fn start(daemon: &Daemon, connection: &Connection, uri: &str) -> Self {
        let theirs = daemon.directory().join("heard");
        let program = daemon.spawn_python(uri, PROGRAM, &theirs);
        wait_until(|| fs::read_to_string(&theirs).is_ok_and(|heard| heard.starts_with("ready\n"))).await;
        let mut events = connection.events().all();
        if uri.starts_with("qemu") {
            events = events.qemu_monitor(None, ConnectDomainQemuMonitorEventRegisterFlags::empty());
        }
        let events = events.subscribe().await.unwrap_or_else(|error| panic!("cannot subscribe: {error}"));
        let ours = Arc::default();
        tokio::spawn(keep(events, Arc::clone(&ours)));
        Self { ours, theirs, _program: program }
    }

    /// Waits until both have heard an event that begins like this, and returns its line as Python has it.
    #[track_caller]
    pub(crate) fn wait_for(&self, beginning: &str) -> impl Future<Output = String> {
        let caller = Location::caller();
        let find = move |lines: Vec<String>| lines.into_iter().find(|line| line.starts_with(beginning));
        async move {
            let end = Instant::now() + PATIENCE;
            while Instant::now() < end {
                if let (Some(_), Some(line)) = (find(self.ours()), find(self.theirs())) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let (ours, theirs) = (self.ours().join("\n"), self.theirs().join("\n"));
            panic!(
                "{caller}: nothing like {beginning:?} was heard by both\n--- we:\n{ours}\n--- Python:\n{theirs}"
            );
        }
    }

    /// Fails the test unless both heard the same, each family in the same order. Returns it, an event a line, the
    /// families one after the other.
    #[track_caller]
    pub(crate) fn agree(&self) -> impl Future<Output = Vec<String>> {
        let caller = Location::caller();
        async move {
            // What happened last may have come to one of us only.
            let end = Instant::now() + PATIENCE;
            let (mut ours, mut theirs) = (by_family(self.ours()), by_family(self.theirs()));
            while ours != theirs && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(5)).await;
                (ours, theirs) = (by_family(self.ours()), by_family(self.theirs()));
            }
            assert_eq!(ours, theirs, "{caller}: ours is left, Python's right");
            theirs
        }
    }

    fn ours(&self) -> Vec<String> {
        self.ours.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn theirs(&self) -> Vec<String> {
        let heard = fs::read_to_string(&self.theirs).unwrap_or_default();
        // The last line may not be whole yet.
        let whole = heard.rfind('\n').map_or("", |end| &heard[..end]);
        whole.lines().skip(1).map(str::to_owned).collect()
    }
}

async fn keep(mut events: Events, heard: Arc<Mutex<Vec<String>>>) {
    while let Some(event) = events.next().await {
        let line = event.as_ref().map_or_else(|error| error.to_string(), line);
        heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line);
    }
}

/// Sorts by the first word, and leaves the order within.
fn by_family(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    lines
}

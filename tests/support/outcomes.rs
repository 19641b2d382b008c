//! Notes what became of each call of the live tests, for the table in tests/README.md.
//!
//! The connection's own traces tell it: its task says of each reply and event which procedure it belongs to, within a
//! span that has the URI. So nothing has to be told by the tests, and a call that was given up counts only once its
//! answer comes.

use std::{
    collections::HashSet,
    env,
    fmt::{self, Write as _},
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
    sync::{Mutex, Once},
    time::Duration,
};

use libvirt_client::{ErrorCode, ledger};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use super::{
    command,
    notes::{self, Note, Outcome},
};

/// Set for a test that runs itself again inside a daemon's namespaces: the file for its notes.
pub(crate) const FILE: &str = "LIBVIRT_TEST_OUTCOMES";

/// Notes all outcomes of this process from now on.
pub(crate) fn observe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let observer =
            tracing_subscriber::registry().with(Observer { notebook: Mutex::new(Notebook::new()) });
        tracing::subscriber::set_global_default(observer).unwrap_or_else(|error| panic!("{error}"));
    });
}

/// Adds the notes of another process to ours.
pub(crate) fn adopt(file: &Path) {
    let read = fs::read_to_string(file);
    let theirs = read.unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    let mut ours = append(&notes::path());
    ours.write_all(theirs.as_bytes()).unwrap_or_else(|error| panic!("cannot note outcomes: {error}"));
}

struct Observer {
    notebook: Mutex<Notebook>,
}

struct Notebook {
    file: File,
    written: HashSet<Note>,
}

/// Of a connection's span: the driver behind it, once it is known.
struct Driver(Option<String>);

impl Notebook {
    /// Begins anew, with libvirt's version in the first line, and with whether only some tests run.
    fn new() -> Self {
        let file = match env::var_os(FILE) {
            Some(file) => append(Path::new(&file)),
            None => {
                let mut libvirtd = Command::new("libvirtd");
                libvirtd.arg("--version").env("PATH", with_daemons());
                let version = command::run(libvirtd, Duration::from_secs(10)).expect_success();
                let version = version.rsplit(' ').next().unwrap_or_default();
                let part = if runs_some_tests() { notes::PART } else { "" };
                let begun = fs::write(notes::path(), format!("libvirt {version}{part}\n"));
                begun.unwrap_or_else(|error| panic!("cannot note outcomes: {error}"));
                append(&notes::path())
            }
        };
        Self { file, written: HashSet::new() }
    }

    fn write(&mut self, note: Note) {
        if self.written.contains(&note) {
            return;
        }
        // In one piece, since another process may be adding its own.
        let line = format!("{note}\n");
        self.file.write_all(line.as_bytes()).unwrap_or_else(|error| panic!("cannot note outcomes: {error}"));
        self.written.insert(note);
    }
}

fn append(file: &Path) -> File {
    let opened = File::options().append(true).open(file);
    opened.unwrap_or_else(|error| panic!("cannot write to {}: {error}", file.display()))
}

/// Tells whether this program was asked to leave tests out.
fn runs_some_tests() -> bool {
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--test-threads" | "--color" | "--format" | "--logfile" | "--shuffle-seed" | "-Z" => {
                arguments.next();
            }
            "--skip" => return true,
            argument if !argument.starts_with('-') => return true,
            _ => {}
        }
    }
    false
}

fn with_daemons() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Observer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let wanted = match metadata.is_span() {
            true => ["connection", "administration"].contains(&metadata.name()),
            false => metadata.target() == "libvirt_client::rpc::driver",
        };
        if wanted { Interest::always() } else { Interest::never() }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let driver = match span.name() {
            "administration" => Some("admin".to_owned()),
            _ => Fields::of(|fields| attributes.record(fields)).uri.as_deref().and_then(driver_of),
        };
        span.extensions_mut().insert(Driver(driver));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(uri) = Fields::of(|fields| record.record(fields)).uri {
            span.extensions_mut().replace(Driver(driver_of(&uri)));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let extensions = span.extensions();
        let Some(Driver(Some(driver))) = extensions.get() else { return };
        let Some((procedure, outcome)) = Fields::of(|fields| event.record(fields)).outcome() else { return };
        let note = Note { procedure, driver: driver.clone(), outcome };
        self.notebook.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).write(note);
    }
}

/// Names the driver that a URI leads to; that `remote:///` leaves to the daemon.
fn driver_of(uri: &str) -> Option<String> {
    let scheme = uri.split_once(':')?.0;
    let driver = scheme.split('+').next().unwrap_or(scheme);
    (driver != "remote").then(|| driver.to_owned())
}

/// The fields that we look for.
#[derive(Default)]
struct Fields {
    message: String,
    uri: Option<String>,
    procedure_name: Option<String>,
    procedure_number: Option<i64>,
    program: Option<u32>,
    code: Option<i64>,
}

impl Fields {
    fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut fields = Self::default();
        record(&mut fields);
        fields
    }

    fn outcome(self) -> Option<(String, Outcome)> {
        match self.message.as_str() {
            "reply" => Some((self.procedure_name?, Outcome::Ok)),
            "refusal" => {
                let code = ErrorCode(i32::try_from(self.code?).unwrap_or(-1));
                Some((self.procedure_name?, Outcome::Refused(code.to_string())))
            }
            "event" => {
                let (program, number) = (self.program?, self.procedure_number?);
                let is_it = |entry: &&ledger::Entry| {
                    entry.program.number == program && i64::from(entry.number) == number
                };
                Some((ledger::entries().find(is_it)?.name.to_owned(), Outcome::Event))
            }
            _ => None,
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            "program" => {
                self.program = u32::from_str_radix(format!("{value:?}").trim_start_matches("0x"), 16).ok();
            }
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "uri" => self.uri = Some(value.to_owned()),
            "procedure" => self.procedure_name = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "procedure" => self.procedure_number = Some(value),
            "code" => self.code = Some(value),
            _ => {}
        }
    }
}

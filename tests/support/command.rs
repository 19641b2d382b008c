//! Runs programs with a deadline.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) what: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Returns what was printed, without the white space at its end; fails the test when the program failed.
    #[track_caller]
    pub(crate) fn expect_success(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout.trim_end().to_owned()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, status, stdout, stderr } = self;
        write!(f, "{what}: {status}\n--- its output\n{stdout}\n--- its errors\n{stderr}")
    }
}

/// Runs a program to its end and fails the test when it takes longer than `limit` or cannot be started.
#[track_caller]
pub(crate) fn run(mut command: Command, limit: Duration) -> Finished {
    let what = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, limit);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    match status {
        Some(status) => Finished { what, status, stdout, stderr },
        None => {
            panic!("{what} did not end within {limit:?}\n--- its output\n{stdout}\n--- its errors\n{stderr}")
        }
    }
}

/// Waits for a child, and gives up after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(3)),
            Ok(None) => return None,
            Err(error) => panic!("cannot wait for a child: {error}"),
        }
    }
}

/// A program in the background; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    /// Where it complains.
    errors: PathBuf,
}

impl Background {
    /// Starts a program that prints to the file `output`, and complains to one beside it.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command, output: &Path) -> Self {
        let create = |path: &Path| {
            fs::File::create(path).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()))
        };
        let errors = output.with_extension("errors");
        command.stdin(Stdio::null()).stdout(create(output)).stderr(create(&errors));
        let what = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
        Self { child, errors }
    }

    /// Interrupts the program, as Ctrl-C does.
    #[track_caller]
    pub(crate) fn interrupt(&self) {
        let mut kill = Command::new("kill");
        kill.args(["-INT", &self.child.id().to_string()]);
        run(kill, Duration::from_secs(30)).expect_success();
    }

    /// Waits for the program's end, and gives up after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait(&mut self.child, limit)
    }

    /// Waits for the program's end and fails the test when it fails or takes longer than `limit`.
    #[track_caller]
    pub(crate) fn expect_success(mut self, limit: Duration) {
        let status = wait(&mut self.child, limit);
        if !status.is_some_and(|status| status.success()) {
            let errors = fs::read_to_string(&self.errors).unwrap_or_default();
            panic!(
                "a program in the background ended with {status:?} within {limit:?}\n--- its errors\n{errors}"
            );
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

//! Programs that carry a connection over their standard input and output: the system's `ssh`, and whatever a URI names.
//!
//! A program is started without a shell. It ends with its stream. Threads wait for it, and neither a signal handler nor the runtime: a library has no business with
//! its user's `SIGCHLD`, and a runtime that ends leaves nobody behind who would clean up.

use std::{
    ffi::OsString,
    fmt, io,
    os::unix::{net::UnixStream as StdUnixStream, process::ExitStatusExt},
    pin::Pin,
    process::{Child, Command as StdCommand, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::oneshot,
    time::Sleep,
};

use super::{Exit, Farewell};
use crate::error::{Error, Result};

/// What is passed on of the environment, as libvirt's own client does; with the variable that says when `SSH_ASKPASS` is
/// to be used.
const PASSED_ON: [&str; 15] = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "KRB5CCNAME",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "OPENSSL_CONF",
    "DISPLAY",
    "XAUTHORITY",
];

/// How long a program that has closed its output may take to end, before its stream ends without knowing how.
const ENDING: Duration = Duration::from_secs(2);
/// How long a program may take to end when it is asked to, before it is killed.
const MANNERS: Duration = Duration::from_secs(1);
/// The threads that wait for a program do nothing else.
const STACK: usize = 64 * 1024;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its path, or its name, which is looked for in `PATH`.
    pub program: OsString,
    /// Its arguments, without its own name. No shell reads them.
    pub arguments: Vec<OsString>,
}

/// A running program, as a byte stream: what is written is its standard input, what is read its standard output.
///
/// The stream's end is an error that has a [`Farewell`] inside, unless the program ended well and silently. The program is
/// ended when this is dropped: it is asked to, and killed if it has not ended after a second.
pub struct ProgramStream {
    socket: UnixStream,
    /// Its standard error, until that is closed.
    errors: Option<UnixStream>,
    farewell: Farewell,
    process: Arc<Process>,
    exit: oneshot::Receiver<Option<ExitStatus>>,
    end: End,
}

/// How far the stream's end has come.
enum End {
    /// It has not.
    NotYet,
    /// Nothing more comes from the program; how it ends is waited for.
    Closed(Pin<Box<Sleep>>),
    /// It was told.
    Told,
}

/// Starts a program with what libvirt's own client passes on of the environment. It needs a runtime with I/O and time.
///
/// # Errors
/// [`Error::Connect`] with the program's name if it cannot be started.
pub fn start(command: &Command) -> Result<ProgramStream> {
    start_with(command, |name| PASSED_ON.contains(&name), &[("LC_ALL", "C")])
}

/// Starts a program with all of the environment, as `ssh` does with the command of `ProxyCommand`. It needs a runtime with I/O
/// and time.
///
/// # Errors
/// As [`start`].
pub fn start_inheriting(command: &Command) -> Result<ProgramStream> {
    start_with(command, |_| true, &[])
}

fn start_with(
    command: &Command,
    passed_on: impl Fn(&str) -> bool,
    set: &[(&str, &str)],
) -> Result<ProgramStream> {
    let program = command.program.to_string_lossy().into_owned();
    let mut spawning = StdCommand::new(&command.program);
    let variables = std::env::vars_os().filter(|(name, _)| passed_on(&name.to_string_lossy()));
    spawning.args(&command.arguments).env_clear().envs(variables).envs(set.iter().copied());
    try_start(spawning, &program).map_err(|error| Error::Connect {
        hint: explain(&error),
        source: Arc::new(finally(error)),
        address: program,
    })
}

fn try_start(mut spawning: StdCommand, program: &str) -> io::Result<ProgramStream> {
    let (ours, theirs) = StdUnixStream::pair()?;
    let (our_errors, their_errors) = StdUnixStream::pair()?;
    let (socket, errors) = (watched(ours)?, watched(our_errors)?);

    spawning.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs.try_clone()?)));
    spawning.stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    spawning.stderr(Stdio::from(std::os::fd::OwnedFd::from(their_errors)));
    let (process, exit) = Process::watch(spawning.spawn()?)?;
    // Our copies of its ends must go, or the streams never end.
    drop(spawning);

    let farewell = Farewell::new(program);
    Ok(ProgramStream { socket, errors: Some(errors), farewell, process, exit, end: End::NotYet })
}

fn watched(stream: StdUnixStream) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such program, or what its first line names is missing; is it installed, and in PATH?"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => "the file is not one that this user may run".to_owned(),
        _ => format!("it cannot be started: {error}"),
    }
}

/// Of a program that is not there or not executable, no later attempt and no other credentials make one that runs.
fn finally(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            io::Error::new(io::ErrorKind::InvalidInput, error)
        }
        _ => error,
    }
}

impl ProgramStream {
    /// Takes what the program complains about, so that it never waits for somebody to read it.
    fn poll_errors(&mut self, cx: &mut Context<'_>) {
        let mut bytes = [0; 512];
        while let Some(errors) = &mut self.errors {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(errors).poll_read(cx, &mut buffer) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    tracing::debug!(program = %self.farewell.program, said = ?String::from_utf8_lossy(buffer.filled()));
                    self.farewell.complaint.push(buffer.filled());
                }
                Poll::Ready(_) => self.errors = None,
            }
        }
    }

    /// Takes the rest of it when the program has ended. Others who hold its standard error, such as a master that `ssh`
    /// left in the background, are not waited for, and what they write from now on is not read.
    fn take_errors(&mut self) {
        let Some(errors) = self.errors.take() else { return };
        let mut left = usize::try_from(rustix::io::ioctl_fionread(&errors).unwrap_or(0)).unwrap_or(0);
        let mut bytes = [0; 512];
        while left > 0 {
            match rustix::io::read(&errors, &mut bytes) {
                Ok(0) => return,
                Ok(count) => {
                    self.farewell.complaint.push(bytes.get(..count).unwrap_or_default());
                    left = left.saturating_sub(count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for the program's end, for a while.
    fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let End::Closed(deadline) = &mut self.end else { return Poll::Ready(()) };
        match (Pin::new(&mut self.exit).poll(cx), deadline.as_mut().poll(cx)) {
            (Poll::Pending, Poll::Pending) => return Poll::Pending,
            (Poll::Ready(status), _) => self.farewell.exit = status.ok().flatten().map(exit),
            (Poll::Pending, Poll::Ready(())) => {}
        }
        self.take_errors();
        Poll::Ready(())
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code.unsigned_abs()),
        (None, Some(signal)) => Exit::Signal(signal.to_string()),
        (None, None) => Exit::Signal("unknown".to_owned()),
    }
}

impl AsyncRead for ProgramStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_errors(cx);
        if let End::NotYet = this.end {
            let before = buffer.filled().len();
            match ready!(Pin::new(&mut this.socket).poll_read(cx, buffer)) {
                Ok(()) if buffer.filled().len() > before || buffer.capacity() == before => {
                    return Poll::Ready(Ok(()));
                }
                Ok(()) => {}
                // It ended and left something unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            this.end = End::Closed(Box::pin(tokio::time::sleep(ENDING)));
        }
        ready!(this.poll_exit(cx));
        let told = matches!(std::mem::replace(&mut this.end, End::Told), End::Told);
        if told || this.farewell.is_silent() {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(this.farewell.clone().into_io_error()))
    }
}

impl AsyncWrite for ProgramStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    /// The end of the program's standard input.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl Drop for ProgramStream {
    fn drop(&mut self) {
        Process::end(&self.process);
    }
}

impl fmt::Debug for ProgramStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramStream")
            .field("program", &self.farewell.program)
            .field("process", &self.process.id)
            .finish_non_exhaustive()
    }
}

/// A child of this process. Its number stays its own until it is reaped, which is done under the lock: so a signal sent
/// under the lock reaches it or nobody.
struct Process {
    id: u32,
    child: Mutex<Running>,
    reaped: Condvar,
}

struct Running {
    child: Child,
    reaped: bool,
}

impl Process {
    /// Has a thread wait for the child, and tell how it ended.
    fn watch(mut child: Child) -> io::Result<(Arc<Self>, oneshot::Receiver<Option<ExitStatus>>)> {
        let id = child.id();
        let (tell, exit) = oneshot::channel();
        let (send, receive) = std::sync::mpsc::sync_channel::<Arc<Self>>(1);
        let waiting = thread::Builder::new().name("libvirt-program".to_owned()).stack_size(STACK);
        let spawned = waiting.spawn(move || {
            let Ok(process) = receive.recv() else { return };
            // The answer may be that somebody else has reaped it; then it is not known how it ended.
            while let Err(rustix::io::Errno::INTR) = wait_unreaped(id) {}
            let mut running = process.lock();
            let status = running.child.wait().ok();
            running.reaped = true;
            drop(running);
            process.reaped.notify_all();
            let _ = tell.send(status);
        });
        if let Err(error) = spawned {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        let running = Mutex::new(Running { child, reaped: false });
        let process = Arc::new(Self { id, child: running, reaped: Condvar::new() });
        let _ = send.send(Arc::clone(&process));
        Ok((process, exit))
    }

    /// Ends the child if it has not ended, and does not wait for it.
    fn end(this: &Arc<Self>) {
        if !this.lock().ask_to_end() {
            return;
        }
        let process = Arc::clone(this);
        let waiting = thread::Builder::new().name("libvirt-program-end".to_owned()).stack_size(STACK);
        let spawned = waiting.spawn(move || process.kill_after(MANNERS));
        if spawned.is_err() {
            this.lock().kill();
        }
    }

    fn kill_after(&self, grace: Duration) {
        let end = Instant::now() + grace;
        let mut running = self.lock();
        while !running.reaped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return running.kill();
            }
            let waited = self.reaped.wait_timeout(running, left);
            running = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Running {
    /// Sends the signal that programs may act on before they end; tells whether there is somebody to wait for.
    fn ask_to_end(&mut self) -> bool {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        match id {
            Some(id) if !self.reaped => kill_process(id, Signal::TERM).is_ok(),
            _ => false,
        }
    }

    fn kill(&mut self) {
        if !self.reaped {
            let _ = self.child.kill();
        }
    }
}

/// Waits until a child has ended, and leaves it to be reaped.
fn wait_unreaped(id: u32) -> rustix::io::Result<()> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::CHILD)?;
    waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{future::Future, path::Path};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// How long anything here may take on a machine that does other things.
    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        Command { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    fn within<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(LIMIT, test).await }).expect("it takes too long")
    }

    /// Reads to the end, and returns what came and how it ended.
    async fn read(stream: &mut ProgramStream) -> (String, Option<Farewell>) {
        let mut text = Vec::new();
        let ended = stream.read_to_end(&mut text).await;
        let farewell = ended.err().map(|error| Farewell::of(&error).expect("a farewell").clone());
        (String::from_utf8(text).unwrap(), farewell)
    }

    /// Waits until a process is neither running nor waiting to be reaped.
    #[track_caller]
    fn is_gone(id: u32) {
        let pid = Pid::from_raw(id.cast_signed()).unwrap();
        let end = Instant::now() + LIMIT;
        while rustix::process::test_kill_process(pid).is_ok() {
            assert!(Instant::now() < end, "process {id} is still there");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn what_is_written_is_read_until_the_input_ends() {
        within(async {
            let mut stream = start(&Command { program: "cat".into(), arguments: Vec::new() }).unwrap();
            let mut bytes = [0; 5];
            stream.write_all(b"hello").await.unwrap();
            stream.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"hello");
            stream.write_all(b" and goodbye").await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(read(&mut stream).await, (" and goodbye".to_owned(), None));
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
        });
    }

    #[test]
    fn arguments_are_passed_as_they_are() {
        within(async {
            let arguments = ["%s|%s", "a b;'\"$HOME", ""].map(OsString::from).to_vec();
            let mut stream = start(&Command { program: "printf".into(), arguments }).unwrap();
            assert_eq!(read(&mut stream).await.0, "a b;'\"$HOME|");
        });
    }

    #[test]
    fn the_end_says_how_the_program_ended_and_what_it_said() {
        within(async {
            for (script, exit, complaint) in [
                ("echo no such machine >&2; exit 7", Some(Exit::Status(7)), "no such machine"),
                ("kill -KILL $$", Some(Exit::Signal("9".to_owned())), ""),
                ("echo done; echo careful >&2", Some(Exit::Status(0)), "careful"),
                ("exit 1", Some(Exit::Status(1)), ""),
                // What it leaves in the background keeps its standard error open.
                ("sleep 30 </dev/null >/dev/null & echo bye >&2; exit 3", Some(Exit::Status(3)), "bye"),
            ] {
                let mut stream = start(&shell(script)).unwrap();
                let (_, farewell) = read(&mut stream).await;
                let farewell = farewell.expect("it did not end well");
                assert_eq!(
                    (farewell.exit, farewell.complaint.text().as_str()),
                    (exit, complaint),
                    "{script}"
                );
            }
        });
    }

    #[test]
    fn the_end_is_told_also_where_something_was_left_unread() {
        within(async {
            let mut stream = start(&shell("read line; echo sorry >&2; exit 4")).unwrap();
            stream.write_all(b"one\ntwo\n").await.unwrap();
            let (_, farewell) = read(&mut stream).await;
            assert_eq!(farewell.unwrap().exit, Some(Exit::Status(4)));
            // Nobody takes what is written now.
            let mut written = Ok(());
            while written.is_ok() {
                written = stream.write_all(b"three\n").await;
            }
        });
    }

    #[test]
    fn a_program_that_closes_its_output_and_stays_is_not_waited_for() {
        within(async {
            let mut stream = start(&shell("exec sleep 1000 >&- <&-")).unwrap();
            assert_eq!(read(&mut stream).await, (String::new(), None));
            let id = stream.process.id;
            drop(stream);
            is_gone(id);
        });
    }

    #[test]
    fn complaints_without_end_do_not_stop_the_program() {
        within(async {
            let mut stream =
                start(&shell("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo last >&2; exit 1"))
                    .unwrap();
            let (output, farewell) = read(&mut stream).await;
            assert_eq!(output, "\n");
            assert!(farewell.unwrap().complaint.text().ends_with("xlast"));
        });
    }

    #[test]
    fn a_dropped_stream_ends_its_program() {
        within(async {
            for script in ["exec cat", "exec sleep 1000", "trap '' TERM; echo; exec sleep 1000"] {
                let mut stream = start(&shell(script)).unwrap();
                if script.contains("trap") {
                    stream.read_u8().await.unwrap();
                }
                let id = stream.process.id;
                drop(stream);
                is_gone(id);
            }
        });
    }

    #[test]
    fn a_runtime_that_ends_takes_its_programs_with_it() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let mut stream = start(&shell("exec sleep 1000")).unwrap();
            tell.send(stream.process.id).unwrap();
            read(&mut stream).await;
        });
        let id = told.recv_timeout(LIMIT).unwrap();
        runtime.shutdown_timeout(LIMIT);
        is_gone(id);
    }

    #[test]
    fn little_of_the_environment_is_passed_on() {
        within(async {
            let mut stream = start(&Command { program: "env".into(), arguments: Vec::new() }).unwrap();
            let (output, _) = read(&mut stream).await;
            let names: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
            assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && names.contains(&"PATH"), "{output}");
            assert!(output.lines().any(|line| line == "LC_ALL=C"), "{output}");
            assert!(names.iter().all(|name| *name == "LC_ALL" || PASSED_ON.contains(name)), "{output}");

            let mut stream =
                start_inheriting(&Command { program: "env".into(), arguments: Vec::new() }).unwrap();
            assert!(read(&mut stream).await.0.contains("\nCARGO_MANIFEST_DIR="));
        });
    }

    #[test]
    fn what_cannot_be_started_is_told_by_its_name() {
        within(async {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
            for (program, essential) in [
                ("no-such-program-anywhere", "there is no such program"),
                (manifest.to_str().unwrap(), "not one that this user may run"),
            ] {
                let command = Command { program: program.into(), arguments: Vec::new() };
                let error = start(&command).unwrap_err();
                let said = error.to_string();
                assert!(said.contains(program) && said.contains(essential), "{said}");
                assert!(!error.is_auth() && !error.is_transient(), "{error:?}");
            }
        });
    }
}

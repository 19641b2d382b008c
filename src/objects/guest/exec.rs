//! Programs in a guest (feature `serde`).

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Guest, Pause, files::Base64};
use crate::error::{Error, Result};

/// How long a program may run, unless [`Exec::deadline`] says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many bytes of input, arguments and environment a program may be given. libvirt damages commands that the agent's
/// socket does not take at once, which are those of some 200 KiB, with the input as base64.
const GIVEN_MAX: usize = 128 << 10;

/// A program to run in a guest: see [`Guest::exec`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs until `output` or `start` is called and awaited"]
pub struct Exec {
    guest: Guest,
    command: Command,
    deadline: Option<Duration>,
}

/// The arguments of `guest-exec`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Command {
    path: String,
    arg: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_data: Option<Base64>,
    capture_output: bool,
}

/// Without what secrets go through: the environment and the input.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("path", &self.path).field("arg", &self.arg).finish_non_exhaustive()
    }
}

impl Command {
    /// How many bytes it gives the program.
    fn size(&self) -> usize {
        let texts = self.arg.iter().chain(&self.env).map(String::len).sum::<usize>();
        texts + self.input_data.as_ref().map_or(0, |input| input.0.len())
    }
}

/// A program that was started in a guest.
///
/// Dropping this changes nothing for the program. The agent keeps its result until somebody asks for it.
#[derive(Clone, Debug)]
pub struct GuestProcess {
    guest: Guest,
    program: String,
    pid: i64,
}

/// How a program ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ExecOutput {
    /// How it ended.
    pub status: ExecStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained.
    pub stderr: Vec<u8>,
    /// Whether it printed more than the agent keeps, which is 16 MiB: the rest is lost.
    pub stdout_truncated: bool,
    /// Whether it complained more than the agent keeps.
    pub stderr_truncated: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ExecStatus {
    /// By itself, with this code.
    Exited(i64),
    /// By this signal; in Windows by this exception.
    Signaled(i64),
}

impl ExecStatus {
    /// Tells whether it ended by itself, with 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl Guest {
    /// Describes a program to run in the guest: its path, or its name where the agent's `PATH` leads to it. No shell is
    /// between: it gets its arguments as they are.
    ///
    /// ```no_run
    /// # async fn example(guest: libvirt_client::guest::Guest) -> libvirt_client::Result<()> {
    /// let kernel = guest.exec("uname").arg("-r").output().await?;
    /// if kernel.status.success() {
    ///     println!("{}", String::from_utf8_lossy(&kernel.stdout));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn exec(&self, program: impl Into<String>) -> Exec {
        let command = Command {
            path: program.into(),
            arg: Vec::new(),
            env: Vec::new(),
            input_data: None,
            capture_output: false,
        };
        Exec { guest: self.clone(), command, deadline: Some(DEADLINE) }
    }
}

impl Exec {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.command.arg.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command.arg.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment. Given any, it has these alone and none of the agent's.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env.push(format!("{name}={value}"));
        self
    }

    /// Gives it something to read, of 128 KiB at most together with its arguments: let a program that reads more have a file
    /// that was [written](Guest::write_file) before. Nothing by default.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.command.input_data = Some(Base64(input.into()));
        self
    }

    /// Sets how long [`output`](Self::output) waits for its end, or has it wait as long as that takes; 60 seconds by default.
    pub fn deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// Runs it to its end, and returns how it ended and what it printed.
    ///
    /// Have it print 3 MiB at most, and let a program that prints more write to a file, and [open](Guest::open_file) that:
    /// the agent tells of all that was printed in one answer. The daemon refuses to pass on more than 3 MiB. From 7.5 MiB on
    /// it gives the agent up, and nobody can ask it anything until it is started anew in the guest.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-exec` and `guest-exec-status`,
    /// since libvirt 0.10.0. Needs `domain:write`.
    ///
    /// # Errors
    /// [Not found](Error::is_not_found) if there is no such program, [unsupported](Error::is_unsupported) if the agent does
    /// not run programs, [`Error::GuestTimeout`] if the program has not ended before the deadline; it runs on then. Or what
    /// [`Guest::ping`] fails with.
    ///
    /// # Cancel safety
    /// If the future is dropped, the program runs on.
    pub async fn output(mut self) -> Result<ExecOutput> {
        self.command.capture_output = true;
        let deadline = self.deadline;
        self.start().await?.wait(deadline).await
    }

    /// Starts it, and does not wait for its end. What it prints is not kept.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-exec`, since libvirt 0.10.0.
    /// Needs `domain:write`.
    ///
    /// # Errors
    /// As [`output`](Self::output); [`Error::Unsupported`] if it is given more than 128 KiB to read.
    pub async fn start(self) -> Result<GuestProcess> {
        #[derive(Deserialize)]
        struct Started {
            pid: i64,
        }

        let Self { guest, command, .. } = self;
        let given = command.size();
        if given > GIVEN_MAX {
            let reason = format!(
                "{} is given {given} bytes of input and arguments, and the agent takes {GIVEN_MAX}: write a file before, and \
                 have it read that",
                command.path
            );
            return guest.domain.connection.client().observed(Err(Error::Unsupported(reason)));
        }
        let Started { pid } = guest.ask("guest-exec", &command).await?;
        Ok(GuestProcess { guest, program: command.path, pid })
    }
}

/// What `guest-exec-status` answers.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    exited: bool,
    exitcode: Option<i64>,
    signal: Option<i64>,
    #[serde(default)]
    out_data: Base64,
    #[serde(default)]
    err_data: Base64,
    #[serde(default)]
    out_truncated: bool,
    #[serde(default)]
    err_truncated: bool,
}

impl GuestProcess {
    /// Returns its number in the guest; in Windows a handle.
    #[must_use]
    pub fn pid(&self) -> i64 {
        self.pid
    }

    /// Waits until it has ended, for so long and one answer at most, or with `None` as long as that takes. Asks again and again, first after
    /// some milliseconds, then every half second. The agent tells the end once.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-exec-status`, since libvirt
    /// 0.10.0. Needs `domain:write`.
    ///
    /// # Errors
    /// [`Error::GuestTimeout`] if it has not ended before the deadline; it runs on, and can be waited for again. Or what the
    /// agent or the daemon refuses it with, or why there was no answer.
    ///
    /// # Cancel safety
    /// If the future is dropped, the program runs on. An answer that was on its way is lost, and if it told of the end, that is
    /// too.
    pub async fn wait(&self, deadline: impl Into<Option<Duration>>) -> Result<ExecOutput> {
        let after = deadline.into();
        let end = after.and_then(|after| Instant::now().checked_add(after));
        if let Some(output) = self.ended(end).await? {
            return Ok(output);
        }
        let Self { guest, program, pid } = self;
        let what = format!("{program} (process {pid}) did not end in {}", guest.domain.name());
        let after = after.unwrap_or_default();
        guest.domain.connection.client().observed(Err(Error::GuestTimeout { what, after }))
    }

    /// Returns nothing if it has not ended by then. A question is never broken off, since the agent tells the end once.
    async fn ended(&self, end: Option<Instant>) -> Result<Option<ExecOutput>> {
        let mut pause = Pause::up_to(Duration::from_millis(500));
        let mut is_late = false;
        loop {
            let arguments = serde_json::json!({ "pid": self.pid });
            let status: Status = self.guest.ask("guest-exec-status", arguments).await?;
            if status.exited {
                return Ok(Some(status.into()));
            }
            if is_late {
                return Ok(None);
            }
            match end {
                Some(end) => is_late = tokio::time::timeout_at(end, pause.wait()).await.is_err(),
                None => pause.wait().await,
            }
        }
    }
}

impl From<Status> for ExecOutput {
    fn from(status: Status) -> Self {
        Self {
            status: match (status.exitcode, status.signal) {
                (None, Some(signal)) => ExecStatus::Signaled(signal),
                (code, _) => ExecStatus::Exited(code.unwrap_or(0)),
            },
            stdout: status.out_data.0,
            stderr: status.err_data.0,
            stdout_truncated: status.out_truncated,
            stderr_truncated: status.err_truncated,
        }
    }
}

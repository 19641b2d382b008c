//! The agent itself: whether it answers, what it can do, and how its refusals are told.

use std::time::Duration;

use super::{Guest, Pause, goes_on};
use crate::{
    error::{Error, ErrorCode, Result},
    objects::{Domain, enums::DomainAgentResponseTimeoutValues},
    rpc::expecting,
};

/// What an agent is and can do.
#[cfg(feature = "serde")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AgentInfo {
    /// Its version, as in `7.2.17`.
    pub version: String,
    /// The commands that it knows.
    #[cfg_attr(feature = "serde", serde(rename = "supported_commands"))]
    pub commands: Vec<AgentCommand>,
}

/// A command that an agent knows.
#[cfg(feature = "serde")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AgentCommand {
    /// Its name, as in `guest-exec`.
    pub name: String,
    /// Whether it may be used: some distributions disable programs and files.
    pub enabled: bool,
}

#[cfg(feature = "serde")]
impl AgentInfo {
    /// Tells whether the agent knows a command, such as `guest-exec`, and lets it be used.
    #[must_use]
    pub fn allows(&self, command: &str) -> bool {
        self.commands.iter().any(|known| known.name == command && known.enabled)
    }
}

impl Guest {
    /// Asks the agent for a sign of life.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-ping`, since libvirt 0.10.0.
    /// Needs `domain:write`.
    ///
    /// # Errors
    /// [Unsupported](Error::is_unsupported) if the domain has no channel for an agent, [transient](Error::is_transient) if no
    /// agent is connected to it or the agent does not answer, [in the wrong state](Error::is_invalid_state) if the domain
    /// does not run; or why there was no answer.
    pub async fn ping(&self) -> Result<()> {
        let command = "guest-ping";
        let request = format!("{{\"execute\": \"{command}\"}}");
        ask_agent(&self.domain, command, request, Some(self.agent_timeout)).await.map(drop)
    }

    /// Waits until the agent answers, for so long at most. Asks it again and again, first after some milliseconds, then every
    /// second.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-ping`, since libvirt 0.10.0.
    /// Needs `domain:write`.
    ///
    /// # Errors
    /// [`Error::GuestTimeout`], which says what was wrong last; at once what [`ping`](Self::ping) fails with where waiting does
    /// not help: the domain has no channel for an agent, has stopped or is gone, or the connection is.
    ///
    /// # Cancel safety
    /// Dropping the future ends the waiting.
    pub async fn wait_until_ready(&self, timeout: Duration) -> Result<()> {
        let mut last = String::from("it was not asked yet");
        let answers = expecting(|_| true, self.wait_for_answer(&mut last));
        let ready = tokio::time::timeout(timeout, answers).await.unwrap_or_else(|_| {
            let what = format!("the agent of {} did not answer ({last})", self.domain.name());
            Err(Error::GuestTimeout { what, after: timeout })
        });
        self.domain.connection.client().observed(ready)
    }

    async fn wait_for_answer(&self, last: &mut String) -> Result<()> {
        let mut pause = Pause::up_to(Duration::from_secs(1));
        loop {
            let Err(error) = self.ping().await else { return Ok(()) };
            if !goes_on(&self.domain, &error).await? {
                return Err(error);
            }
            *last = error.to_string();
            pause.wait().await;
        }
    }

    /// Returns the agent's version and its commands, and which of them are enabled.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-info`, since libvirt 0.10.0.
    /// Needs `domain:write`.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    #[cfg(feature = "serde")]
    pub async fn agent_info(&self) -> Result<AgentInfo> {
        self.ask("guest-info", ()).await
    }

    /// Sends the agent a command with its arguments.
    #[cfg(feature = "serde")]
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        command: &str,
        arguments: impl serde::Serialize,
    ) -> Result<T> {
        self.domain.agent(command, arguments, self.agent_timeout).await
    }
}

/// Sends the agent a command as JSON. Its refusal is [`Error::Qmp`].
pub(in crate::objects) async fn ask_agent(
    domain: &Domain,
    command: &str,
    request: String,
    timeout: Option<Duration>,
) -> Result<Option<String>> {
    let is_refusal = |error: &Error| refusal("", error).is_some();
    let error = match expecting(is_refusal, domain.qemu_agent_command(request, seconds(timeout))).await {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    match refusal(command, &error) {
        Some(refusal) => domain.connection.client().observed(Err(refusal)),
        None => Err(error),
    }
}

/// Finds the agent's refusal in the daemon's error, which has it in words behind words of its own.
fn refusal(command: &str, error: &Error) -> Option<Error> {
    let remote = error.remote()?;
    if !matches!(remote.code, ErrorCode::INTERNAL_ERROR | ErrorCode::AGENT_COMMAND_FAILED) {
        return None;
    }
    let (_, said) = remote.message.as_deref()?.split_once("unable to execute QEMU agent command '")?;
    let (_, description) = said.split_once("': ")?;
    // While file systems are frozen, most commands are disabled for the time being.
    let is_missing = description.contains("has not been found")
        || (description.contains("has been disabled") && !description.contains("frozen"));
    let class = if is_missing { "CommandNotFound" } else { "GenericError" };
    let (command, class, description) = (command.to_owned(), class.to_owned(), description.to_owned());
    Some(Error::Qmp { command, class, description })
}

/// Counts seconds as libvirt does, where 0 is not to wait at all.
fn seconds(timeout: Option<Duration>) -> i32 {
    let Some(timeout) = timeout else { return DomainAgentResponseTimeoutValues::BLOCK.0 };
    let begun = u64::from(timeout.subsec_nanos() > 0);
    i32::try_from(timeout.as_secs().saturating_add(begun)).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{ErrorDomain, ErrorLevel, RemoteError};

    #[test]
    fn time_is_counted_as_libvirt_counts_it() {
        let secs = Duration::from_secs;
        assert_eq!([seconds(None), seconds(Some(secs(5))), seconds(Some(Duration::ZERO))], [-2, 5, 1]);
        assert_eq!(seconds(Some(Duration::from_millis(1001))), 2);
        assert_eq!(seconds(Some(Duration::MAX)), i32::MAX);
    }

    fn remote(code: ErrorCode, message: &str) -> Error {
        let error =
            RemoteError::new("QEMU_PROC_DOMAIN_AGENT_COMMAND", code, ErrorDomain::QEMU, ErrorLevel::ERROR);
        Error::Remote(Arc::new(RemoteError { message: Some(message.to_owned()), ..error }))
    }

    /// The messages are those of QEMU's agent 7.2, by way of libvirt 9.0.0.
    #[test]
    fn refusals_of_the_agent_are_told_from_errors_of_the_daemon() {
        let refused = |command: &str, description: &str| {
            let message =
                format!("internal error: unable to execute QEMU agent command '{command}': {description}");
            refusal(command, &remote(ErrorCode::INTERNAL_ERROR, &message)).unwrap()
        };
        let missing =
            refused("guest-file-open", "failed to open file '/none' (mode: 'r'): No such file or directory");
        assert!(missing.is_not_found() && !missing.is_unsupported(), "{missing:?}");
        assert_eq!(
            missing.to_string(),
            "the guest's agent refuses guest-file-open: failed to open file '/none' (mode: 'r'): \
             No such file or directory (GenericError)"
        );
        for description in [
            "The command guest-exec has not been found",
            "Command guest-exec has been disabled: the command is not allowed",
        ] {
            assert!(refused("guest-exec", description).is_unsupported(), "{description}");
        }
        let frozen =
            refused("guest-exec", "Command guest-exec has been disabled: the agent is in frozen state");
        assert!(!frozen.is_unsupported() && !frozen.is_not_found(), "{frozen:?}");

        let away = remote(
            ErrorCode::AGENT_UNRESPONSIVE,
            "Guest agent is not responding: QEMU guest agent is not connected",
        );
        assert!(refusal("guest-ping", &away).is_none() && away.is_transient());
        assert!(refusal("guest-ping", &remote(ErrorCode::INTERNAL_ERROR, "internal error: other")).is_none());
    }
}

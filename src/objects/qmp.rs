//! Commands of QEMU's monitor (QMP) and of the guest's agent, with arguments and answers in Rust's types (feature
//! `serde`).
//!
//! There is no method for each command: QEMU has hundreds, whose answers grow with its versions, and libvirt's own methods
//! stand for most of what people use them for. What a program reads of an answer, it names in a struct of its own.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Domain, guest::ask_agent};
use crate::{
    error::{Error, Result},
    protocol::{Call, qemu},
};

/// A command, as both the monitor and the agent take it.
#[derive(Serialize)]
struct Request<'a> {
    execute: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    arguments: Value,
}

/// What they answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "return")]
    result: Option<Value>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    class: String,
    desc: String,
}

impl Domain {
    /// Sends a command to QEMU's monitor, and returns its answer. The domain is marked as tainted, since libvirt cannot
    /// follow what is changed behind its back.
    ///
    /// The arguments are a struct, a map or `serde_json::json!({..})`, and `()` for none. The answer is read as a struct
    /// with the fields that matter, as `serde_json::Value`, or as `()` where there is nothing in it.
    ///
    /// ```no_run
    /// # async fn example(domain: libvirt_client::Domain) -> libvirt_client::Result<()> {
    /// #[derive(serde::Deserialize)]
    /// struct Status {
    ///     running: bool,
    /// }
    ///
    /// let status: Status = domain.qmp("query-status", ()).await?;
    /// if status.running {
    ///     domain.qmp::<()>("device_del", serde_json::json!({ "id": "net1" })).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `QEMU_PROC_DOMAIN_MONITOR_COMMAND` (1), C: `virDomainQemuMonitorCommand`, since libvirt 0.8.3. Needs
    /// `domain:write`.
    ///
    /// # Errors
    /// [`Error::Qmp`] if QEMU refuses the command, what the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainQemuMonitorCommand")]
    pub async fn qmp<T: DeserializeOwned>(
        &self,
        command: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<T> {
        let what = qemu::DomainMonitorCommandArgs::PROCEDURE.name;
        let command = command.into();
        let client = self.connection.client();
        let request = client.observed(request(&command, arguments, what))?;
        let answer = self.qemu_monitor_command(request).await?;
        client.observed(read(command, &answer, what))
    }

    /// Sends a command to the guest's agent, and returns its answer. Arguments and answer are as with [`qmp`](Self::qmp).
    /// The agent may take so long to answer, in whole seconds and at least one; with `None`, as long as it takes.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(domain: libvirt_client::Domain) -> libvirt_client::Result<()> {
    /// domain.agent::<()>("guest-ping", (), Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand`, since libvirt 0.10.0. Needs
    /// `domain:write`.
    ///
    /// # Errors
    /// [`Error::Qmp`] if the agent refuses the command, what the daemon refuses it with, or why there was no answer. The daemon
    /// passes a refusal on in words: where these are not English, it is the daemon's error.
    #[doc(alias = "virDomainQemuAgentCommand")]
    pub async fn agent<T: DeserializeOwned>(
        &self,
        command: impl Into<String>,
        arguments: impl Serialize,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<T> {
        let what = qemu::DomainAgentCommandArgs::PROCEDURE.name;
        let command = command.into();
        let client = self.connection.client();
        let request = client.observed(request(&command, arguments, what))?;
        let answer = ask_agent(self, &command, request, timeout.into()).await?;
        client.observed(read(command, answer.as_deref().unwrap_or("{\"return\": {}}"), what))
    }
}

fn request(command: &str, arguments: impl Serialize, what: &'static str) -> Result<String> {
    let request = serde_json::to_value(arguments)
        .and_then(|arguments| serde_json::to_string(&Request { execute: command, arguments }));
    request.map_err(|error| Error::Encode { what, cause: Arc::new(error) })
}

fn read<T: DeserializeOwned>(command: String, answer: &str, what: &'static str) -> Result<T> {
    let undecodable = |error: serde_json::Error| Error::Decode { what, cause: Arc::new(error) };
    let Answer { result, error } = serde_json::from_str(answer).map_err(undecodable)?;
    if let Some(Failure { class, desc }) = error {
        return Err(Error::Qmp { command, class, description: desc });
    }
    value(result.unwrap_or_default()).map_err(undecodable)
}

/// Reads a result. Commands without one give an empty object, which is `()` too.
fn value<T: DeserializeOwned>(result: Value) -> serde_json::Result<T> {
    let is_empty = result.as_object().is_some_and(|fields| fields.is_empty());
    let read = serde_json::from_value(result);
    if is_empty { read.or_else(|error| serde_json::from_value(Value::Null).map_err(|_| error)) } else { read }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_have_arguments_where_there_are_any() {
        let made = |arguments: Value| request("device_del", arguments, "X").unwrap();
        assert_eq!(made(json!(null)), r#"{"execute":"device_del"}"#);
        assert_eq!(made(json!({"id": "net1"})), r#"{"execute":"device_del","arguments":{"id":"net1"}}"#);
        assert_eq!(request("stop", (), "X").unwrap(), r#"{"execute":"stop"}"#);
        let error = request("stop", std::collections::HashMap::from([((1, 2), 3)]), "X").unwrap_err();
        assert_eq!(error.to_string(), "cannot send X: key must be a string");
    }

    /// The answers are those of QEMU 7.2, by way of libvirt 9.0.0.
    #[test]
    fn answers_are_results_or_errors() {
        let read = |answer: &str| super::read::<Value>("nope".to_owned(), answer, "X");
        let status =
            r#"{"return":{"status":"running","singlestep":false,"running":true},"id":"libvirt-411"}"#;
        assert_eq!(read(status).unwrap()["status"], "running");
        let refusal = r#"{"id":"libvirt-412","error":{"class":"CommandNotFound","desc":"The command nope has not been found"}}"#;
        assert_eq!(
            read(refusal).unwrap_err().to_string(),
            "QEMU refuses nope: The command nope has not been found (CommandNotFound)"
        );
        assert!(matches!(read("nonsense"), Err(Error::Decode { what: "X", .. })));
    }

    #[test]
    fn an_empty_result_is_nothing() {
        let empty = r#"{"return":{},"id":"libvirt-413"}"#;
        super::read::<()>("stop".to_owned(), empty, "X").unwrap();
        assert_eq!(super::read::<Value>("stop".to_owned(), empty, "X").unwrap(), json!({}));
        let full = r#"{"return":{"status":"running"}}"#;
        assert!(super::read::<()>("query-status".to_owned(), full, "X").is_err(), "it would be lost");
    }
}

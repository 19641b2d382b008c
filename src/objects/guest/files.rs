//! Files in a guest, read and written in parts (feature `serde`).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::json;
use tokio::sync::oneshot;

use super::Guest;
use crate::{
    error::{Error, Result},
    protocol::{Call, qemu},
};

/// How much of a file goes in one command, in bytes. libvirt damages commands that the agent's socket does not take at once,
/// which are those of some 200 KiB, with the bytes as base64; and what it reads it searches anew with each KiB that comes.
const PART: usize = 64 << 10;

/// An open file in a guest: see [`Guest::open_file`].
///
/// It is closed when it is dropped, by a task on the connection's runtime, which nobody hears of; [`close`](Self::close)
/// says whether all was written.
#[derive(Debug)]
pub struct GuestFile {
    guest: Guest,
    /// None once somebody closes it.
    handle: Option<i64>,
    at_end: bool,
}

impl Guest {
    /// Returns the contents of a file in the guest, of so many bytes at most. Also of files that do not say how long they
    /// are, as in `/proc`.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-file-open`, `guest-file-read` and
    /// `guest-file-close`, since libvirt 0.10.0. Needs `domain:write`.
    ///
    /// # Errors
    /// [Not found](Error::is_not_found) if there is no such file, [unsupported](Error::is_unsupported) if the agent does not
    /// open files, [`Error::Unsupported`] if the file is longer; or what [`ping`](Self::ping) fails with.
    ///
    /// # Cancel safety
    /// If the future is dropped, the file is closed.
    pub async fn read_file(&self, path: impl Into<String>, longest: usize) -> Result<Vec<u8>> {
        let path = path.into();
        let mut file = self.open_file(path.as_str(), "r").await?;
        let mut contents = Vec::new();
        loop {
            let part = file.read().await?;
            if part.is_empty() {
                break;
            }
            contents.extend_from_slice(&part);
            if contents.len() > longest {
                let reason = format!("{path} in {} is longer than {longest} bytes", self.domain.name());
                return self.domain.connection.client().observed(Err(Error::Unsupported(reason)));
            }
        }
        file.close().await?;
        Ok(contents)
    }

    /// Writes a file in the guest, instead of what it held before.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-file-open`, `guest-file-write`
    /// and `guest-file-close`, since libvirt 0.10.0. Needs `domain:write`.
    ///
    /// # Errors
    /// [Not found](Error::is_not_found) if its directory is not there, [unsupported](Error::is_unsupported) if the agent does
    /// not open files; what the agent refuses it with, as a full disk; or what [`ping`](Self::ping) fails with. A part may have
    /// been written.
    ///
    /// # Cancel safety
    /// If the future is dropped, the file is closed with what was written before.
    pub async fn write_file(&self, path: impl Into<String>, contents: impl AsRef<[u8]>) -> Result<()> {
        let mut file = self.open_file(path, "w").await?;
        file.write_all(contents).await?;
        file.close().await
    }

    /// Opens a file in the guest, in a mode as C's `fopen` has them: `r`, `w`, `a`, and with a `+` both ways.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-file-open`, since libvirt 0.10.0.
    /// Needs `domain:write`.
    ///
    /// # Errors
    /// [Not found](Error::is_not_found) if there is no such file, [unsupported](Error::is_unsupported) if the agent does not
    /// open files; what the agent refuses it with; or what [`ping`](Self::ping) fails with.
    ///
    /// # Cancel safety
    /// If the future is dropped, the file is closed once it is open.
    pub async fn open_file(&self, path: impl Into<String>, mode: impl Into<String>) -> Result<GuestFile> {
        let arguments = json!({ "path": path.into(), "mode": mode.into() });
        let guest = self.clone();
        // On a task of its own: the agent opens it also if nobody waits any more, and only its answer says what to close.
        let (done, opened) = oneshot::channel();
        self.domain.connection.client().runtime().spawn(async move {
            let handle: Result<i64> = guest.ask("guest-file-open", arguments).await;
            let _ = done.send(handle.map(|handle| GuestFile { guest, handle: Some(handle), at_end: false }));
        });
        match opened.await {
            Ok(opened) => opened,
            Err(_) => Err(Error::Closed(self.domain.connection.client().closed().await)),
        }
    }
}

impl GuestFile {
    /// Reads the next part, of 64 KiB at most; empty at the end of the file.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-file-read`, since libvirt 0.10.0.
    /// Needs `domain:write`.
    ///
    /// # Errors
    /// What the agent or the daemon refuses it with, or why there was no answer.
    ///
    /// # Cancel safety
    /// If the future is dropped, the part may be lost: it is read, and nobody gets it.
    pub async fn read(&mut self) -> Result<Vec<u8>> {
        #[derive(Deserialize)]
        struct Part {
            #[serde(rename = "buf-b64")]
            contents: Base64,
            eof: bool,
        }

        if self.at_end {
            return Ok(Vec::new());
        }
        let arguments = json!({ "handle": self.handle, "count": PART });
        let Part { contents: Base64(contents), eof } = self.guest.ask("guest-file-read", arguments).await?;
        self.at_end = eof || contents.is_empty();
        Ok(contents)
    }

    /// Writes all of this, in parts of 64 KiB.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-file-write`, since libvirt
    /// 0.10.0. Needs `domain:write`.
    ///
    /// # Errors
    /// What the agent or the daemon refuses it with, as a full disk, or why there was no answer. A part may have been written.
    ///
    /// # Cancel safety
    /// If the future is dropped, a part may have been written.
    pub async fn write_all(&mut self, contents: impl AsRef<[u8]>) -> Result<()> {
        #[derive(Deserialize)]
        struct Written {
            count: usize,
        }

        let mut rest = contents.as_ref();
        while !rest.is_empty() {
            let part = rest.get(..PART).unwrap_or(rest);
            let arguments = json!({ "handle": self.handle, "buf-b64": STANDARD.encode(part) });
            let Written { count } = self.guest.ask("guest-file-write", arguments).await?;
            rest = rest.get(count..).filter(|_| count > 0).ok_or_else(|| wrong_count(count, part.len()))?;
        }
        Ok(())
    }

    /// Closes the file, which has the guest take what was written.
    ///
    /// Calls `QEMU_PROC_DOMAIN_AGENT_COMMAND` (3), C: `virDomainQemuAgentCommand` with `guest-file-close`, since libvirt
    /// 0.10.0. Needs `domain:write`.
    ///
    /// # Errors
    /// What the agent or the daemon refuses it with, or why there was no answer.
    ///
    /// # Cancel safety
    /// If the future is dropped, the file is closed all the same.
    pub async fn close(mut self) -> Result<()> {
        let closing = self.closing();
        match closing.await {
            Ok(closed) => closed,
            Err(_) => Err(Error::Closed(self.guest.domain.connection.client().closed().await)),
        }
    }

    /// Has a task close it.
    fn closing(&mut self) -> oneshot::Receiver<Result<()>> {
        let (done, closed) = oneshot::channel();
        let Some(handle) = self.handle.take() else { return closed };
        let guest = self.guest.clone();
        self.guest.domain.connection.client().runtime().spawn(async move {
            let _ = done.send(guest.ask("guest-file-close", json!({ "handle": handle })).await);
        });
        closed
    }
}

impl Drop for GuestFile {
    fn drop(&mut self) {
        drop(self.closing());
    }
}

/// The agent says that it wrote nothing, or more than it was given: neither makes progress.
fn wrong_count(count: usize, given: usize) -> Error {
    let cause = format!("guest-file-write wrote {count} of {given} bytes");
    Error::Decode { what: qemu::DomainAgentCommandArgs::PROCEDURE.name, cause: Arc::from(Box::from(cause)) }
}

/// Bytes as the agent writes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}

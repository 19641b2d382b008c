//! What can go wrong, by whose doing it is.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

mod as_io;
mod close_reason;
mod migrate;
pub(crate) mod phase;
mod remote;

pub use close_reason::CloseReason;
pub use migrate::{MigrateError, MigrateFault, MigratePhase, MigrateSide, MigrateWhereabouts};
pub use remote::{ErrorObject, RemoteError};

include!(concat!(env!("OUT_DIR"), "/error_codes.rs"));

/// Why something could not be done.
///
/// Ask it rather than matching its text: [`code`](Self::code) and [`close_reason`](Self::close_reason), or what is to be
/// done about it:
///
/// | question | what helps |
/// |---|---|
/// | [`is_not_found`](Self::is_not_found) | taking it for an answer, or making what is missing |
/// | [`is_already_exists`](Self::is_already_exists) | using what is there, or another name |
/// | [`is_invalid_state`](Self::is_invalid_state) | bringing the object into another state first, or nothing: it is as wanted |
/// | [`is_unsupported`](Self::is_unsupported) | another way, or a newer daemon |
/// | [`is_auth`](Self::is_auth) | other credentials, another user |
/// | [`is_read_only`](Self::is_read_only) | a connection that is not read-only |
/// | [`is_timeout`](Self::is_timeout) | more time |
/// | [`is_transient`](Self::is_transient) | trying again later, over a new connection if this one has ended |
/// | [`is_cancelled`](Self::is_cancelled) | nothing: somebody wanted it so |
///
/// At most one of the first six is so.
///
/// Errors are cheap to clone, since one of them may have to be handed to every caller that waits on a connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The daemon carried out the call's dispatch and answered with an error.
    #[error("{0}")]
    Remote(Arc<RemoteError>),

    /// The connection ended before the answer came.
    #[error("the connection is closed: {0}")]
    Closed(CloseReason),

    /// A supervised connection was lost, or was not there, and the call was not made again over another one: there was none
    /// in time, or it may have been carried out, and twice would do harm.
    #[error("{what} {}: {cause}", match may_have_run {
        false => "was not carried out",
        true => "was interrupted, and may have been carried out",
    })]
    Interrupted {
        /// The procedure.
        what: &'static str,
        /// Whether the daemon may have carried it out; if not, it has not.
        may_have_run: bool,
        /// Why there was no connection: mostly [`Closed`](Self::Closed) or [`Connect`](Self::Connect).
        cause: Arc<Error>,
    },

    /// The deadline passed.
    #[error("{what} {}", match waiting {
        Waiting::ForReconnection => format!(
            "had no connection within {after:?}: it was not there yet, or not there again"
        ),
        Waiting::ForTurn => format!(
            "was not sent within {after:?}: as many calls as the daemon takes at once were waiting for answers"
        ),
        Waiting::ForAnswer => format!("had no answer within {after:?}; the daemon may still carry it out"),
        Waiting::ForReader => format!(
            "was broken off: its reader took nothing for {after:?}, while others waited for what came behind its data"
        ),
        Waiting::ForConnection => format!(
            "was not done within {after:?}: is a libvirt daemon on the other side, and is it able to answer?"
        ),
        Waiting::ForEnd => format!("was not done within {after:?}, and was cancelled"),
    })]
    Timeout {
        /// The procedure, or what else was being done.
        what: &'static str,
        /// The deadline.
        after: Duration,
        /// What was being waited for when it passed.
        waiting: Waiting,
    },

    /// The daemon could not be reached, has not proved that it is the one that was meant, or does not let this client in.
    #[error("cannot connect to {address}: {hint}")]
    Connect {
        /// Where: a socket's path, a host and port.
        address: String,
        /// What happened, and what to do about it.
        hint: String,
        /// The operating system's error, or what is wrong with a certificate.
        #[source]
        source: Arc<io::Error>,
    },

    /// The URI does not say where to connect to.
    #[error("invalid connection URI {uri:?}: {reason}")]
    Uri {
        /// The URI as it was given.
        uri: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },

    /// A file of configuration is wrong or cannot be read: libvirt's `libvirt.conf` and `auth.conf`, ssh's `config`.
    #[error("cannot use {}: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and in which line.
        reason: String,
    },

    /// The daemon asks for an authentication that cannot be given.
    #[error("cannot authenticate: {0}")]
    Auth(String),

    /// A value does not fit into the protocol; nothing was sent.
    #[error("cannot send {what}: {cause}")]
    Encode {
        /// The procedure that was to be called.
        what: &'static str,
        /// Which field, and its limit.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// The daemon's answer is not what the protocol says. The connection goes on where frames are intact.
    #[error("cannot understand the daemon's answer to {what}: {cause}")]
    Decode {
        /// The procedure that was called.
        what: &'static str,
        /// What is wrong with the answer, and where.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// QEMU's monitor refused a command that `Domain::qmp` sent to it, or the agent in the guest one that `Domain::agent` or
    /// a [`Guest`](crate::guest::Guest) sent.
    #[error("{} refuses {command}: {description} ({class})", refuser(command))]
    Qmp {
        /// The command, as in `query-status`; those of the agent begin with `guest-`.
        command: String,
        /// What kind of error it is: `GenericError`, `CommandNotFound`, `DeviceNotFound`, `DeviceNotActive`,
        /// `KVMMissingCap`. The daemon does not pass on that of the agent: here it is `CommandNotFound` for commands that the
        /// agent lacks or has disabled, and `GenericError` for all else.
        class: String,
        /// What QEMU or the agent says about it.
        description: String,
    },

    /// A guest did not get as far as was waited for: an address, its agent's answer, the end of a program.
    #[error("{what} within {after:?}")]
    GuestTimeout {
        /// What did not happen, and what was last seen instead.
        what: String,
        /// The deadline.
        after: Duration,
    },

    /// A file of this program could not be read or written, while it was transferred.
    #[error("cannot {doing} the file: {source}")]
    File {
        /// What was being done with it: `read`, `write to`.
        doing: &'static str,
        /// The operating system's error.
        #[source]
        source: Arc<io::Error>,
    },

    /// What was asked for is not possible here, or not with these arguments; nothing was sent.
    #[error("{0}")]
    Unsupported(String),

    /// It was cancelled by this program before the daemon had done anything that it could say so of.
    #[error("{0}")]
    Cancelled(String),

    /// A domain was not migrated. The error says in which phase it failed, on which side, and where the domain is now.
    #[error(transparent)]
    Migrate(Arc<MigrateError>),
}

/// What was being waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Waiting {
    /// The call's turn: the daemon has never seen it.
    ForTurn,
    /// The answer: the daemon may still carry the call out.
    ForAnswer,
    /// The connection, while it was being opened.
    ForConnection,
    /// The connection's return, if it is supervised: the daemon has not seen the call, or one that is safe to repeat.
    ForReconnection,
    /// The reader of a data stream, who held up all others.
    ForReader,
    /// The end of what takes its time, such as a migration, which was then cancelled.
    ForEnd,
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the daemon's error, if this is one.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteError> {
        match self.cause() {
            Self::Remote(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the code of the daemon's error, if this is one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.remote().map(|error| error.code)
    }

    /// Tells whether the daemon may have carried out the call that has failed so: the connection ended or the deadline passed
    /// while the answer was on its way. If not, it has not, or not wholly, and says so. [`Closed`](Self::Closed) does not tell
    /// whether the call was sent before the connection ended, so that it counts as sent.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Interrupted { may_have_run, .. } => *may_have_run,
            Self::Timeout { waiting, .. } => matches!(waiting, Waiting::ForAnswer),
            Self::Closed(_) | Self::Decode { .. } => true,
            Self::Migrate(error) => error.cause.may_have_run(),
            _ => false,
        }
    }

    /// Returns why the connection ended, if that is the error.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match self.cause() {
            Self::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Tells whether what was asked for does not exist: a domain, network, pool, volume, …, a snapshot, a domain's device
    /// or metadata, a backup job.
    ///
    /// It covers the codes `NO_DOMAIN`, `NO_NETWORK`, `NO_STORAGE_POOL`, … of all objects, `NO_DOMAIN_METADATA`,
    /// `NO_NETWORK_METADATA`, `NO_DOMAIN_BACKUP` and `DEVICE_MISSING`; of the errors of QEMU's monitor the class
    /// `DeviceNotFound`, and of the guest's agent those that say in English that a file or program is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Qmp { class, description, .. } => {
                class == "DeviceNotFound" || NO_SUCH_FILE.iter().any(|words| description.contains(words))
            }
            _ => self.code_is_in(&NOT_FOUND),
        }
    }

    /// Tells whether something of that name, UUID or place is there already, so that it cannot be defined, created, renamed
    /// or built.
    ///
    /// It covers the codes `DOM_EXIST`, `NETWORK_EXIST`, `NETWORK_PORT_EXIST`, `STORAGE_VOL_EXIST` and
    /// `STORAGE_POOL_BUILT`. But daemons have general codes for most objects, and say only in words what it is: their
    /// English words are covered too, those of a daemon that speaks another language are not. What is defined again under
    /// its name *and* UUID is changed without any error; what runs already is
    /// [in the wrong state](Self::is_invalid_state).
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.code_is_in(&ALREADY_EXISTS) || self.remote().is_some_and(RemoteError::says_already_exists)
    }

    /// Tells whether the object is not in a state in which this can be done: it is running, or it is not, or something else
    /// is being done with it that must end first.
    ///
    /// It covers the codes `OPERATION_INVALID` and `BLOCK_COPY_ACTIVE`. The simulated hypervisor (`test:///default`) has
    /// `INTERNAL_ERROR` for some of this, which is not covered.
    #[must_use]
    pub fn is_invalid_state(&self) -> bool {
        self.code_is_in(&INVALID_STATE) && !self.is_already_exists()
    }

    /// Tells whether the daemon or the hypervisor lacks what was asked for, or this crate does.
    ///
    /// It covers [`Error::Unsupported`] and the codes `NO_SUPPORT`, `OPERATION_UNSUPPORTED`, `CONFIG_UNSUPPORTED` and
    /// `ARGUMENT_UNSUPPORTED`, and commands that QEMU or the guest's agent lacks or has disabled. A daemon too old to know
    /// the procedure is told as `NO_SUPPORT`, with [the version that has it](RemoteError::since).
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self.cause() {
            Self::Unsupported(_) => true,
            Self::Qmp { class, .. } => class == "CommandNotFound",
            _ => self.code_is_in(&UNSUPPORTED),
        }
    }

    /// Tells whether the daemon does not let this user in, or does not let this user do it: other credentials or another
    /// user may be let.
    ///
    /// It covers [`Error::Auth`], a socket that this user may not open, a server that refuses our certificate, and the codes
    /// `AUTH_FAILED`, `AUTH_CANCELLED`, `AUTH_UNAVAILABLE` and `ACCESS_DENIED`, the last of which is the daemon's access
    /// control for single objects.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        match self.cause() {
            Self::Auth(_) => true,
            Self::Connect { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => self.code_is_in(&AUTH),
        }
    }

    /// Tells whether this needs a connection that is not read-only: one opened without
    /// [`read_only`](crate::Builder::read_only).
    ///
    /// It covers the code `OPERATION_DENIED`.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.code() == Some(ErrorCode::OPERATION_DENIED)
    }

    /// Tells whether a deadline passed, ours or one that the daemon keeps.
    ///
    /// It covers [`Error::Timeout`], [`Error::GuestTimeout`] and the codes `OPERATION_TIMEOUT` and `AGENT_COMMAND_TIMEOUT`.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause(), Self::Timeout { .. } | Self::GuestTimeout { .. }) || self.code_is_in(&TIMEOUT)
    }

    /// Tells whether the same may succeed later without anybody changing anything: the daemon was restarted or is not up
    /// yet, the network failed, somebody else's work on the object took too long, the guest's agent was busy or away.
    ///
    /// It covers [deadlines](Self::is_timeout); connections that were not made since nobody answered, or that ended by the
    /// daemon, a failure of the network or silence, or with the daemon's own connection, after which a new one is needed; and
    /// the codes `AGENT_UNRESPONSIVE`, `AGENT_UNSYNCED` and `RESOURCE_BUSY`.
    ///
    /// It does not say that trying again does no harm: where the connection ended or a deadline passed, the daemon may have
    /// carried the call out. And it may be in vain: limit how often you try.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.cause() {
            Self::Closed(reason) => match reason {
                CloseReason::Eof
                | CloseReason::Io(_)
                | CloseReason::Keepalive { .. }
                | CloseReason::Announced(_)
                | CloseReason::Unresponsive { .. } => true,
                CloseReason::GivenUp { error, .. } => error.is_transient(),
                CloseReason::Client | CloseReason::Protocol(_) | CloseReason::Runtime => false,
            },
            Self::Connect { source, .. } => UNREACHED.contains(&source.kind()),
            _ => self.is_timeout() || self.code_is_in(&TRANSIENT),
        }
    }

    /// Tells whether it was cancelled, by this program or by somebody else.
    ///
    /// It covers [`Error::Cancelled`] and the code `OPERATION_ABORTED`, of jobs such as migrations, saves and dumps.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause(), Self::Cancelled(_)) || self.code() == Some(ErrorCode::OPERATION_ABORTED)
    }

    /// Returns why the domain was not migrated, if that is the error.
    #[must_use]
    pub fn migration(&self) -> Option<&MigrateError> {
        match self {
            Self::Migrate(error) => Some(error),
            _ => None,
        }
    }

    /// What is asked about: of a migration, what stopped it; of a call that was interrupted, what interrupted it.
    fn cause(&self) -> &Self {
        match self {
            Self::Migrate(error) => error.cause.cause(),
            Self::Interrupted { cause, .. } => cause.cause(),
            other => other,
        }
    }

    fn code_is_in(&self, codes: &[ErrorCode]) -> bool {
        self.code().is_some_and(|code| codes.contains(&code))
    }
}

const NOT_FOUND: [ErrorCode; 18] = [
    ErrorCode::NO_DOMAIN,
    ErrorCode::NO_NETWORK,
    ErrorCode::NO_STORAGE_POOL,
    ErrorCode::NO_STORAGE_VOL,
    ErrorCode::NO_NODE_DEVICE,
    ErrorCode::NO_INTERFACE,
    ErrorCode::NO_NWFILTER,
    ErrorCode::NO_NWFILTER_BINDING,
    ErrorCode::NO_SECRET,
    ErrorCode::NO_DOMAIN_SNAPSHOT,
    ErrorCode::NO_DOMAIN_CHECKPOINT,
    ErrorCode::NO_DOMAIN_BACKUP,
    ErrorCode::NO_DOMAIN_METADATA,
    ErrorCode::NO_NETWORK_METADATA,
    ErrorCode::NO_NETWORK_PORT,
    ErrorCode::DEVICE_MISSING,
    ErrorCode::NO_SERVER,
    ErrorCode::NO_CLIENT,
];

/// How the agents of Linux and of Windows say that there is no such file.
const NO_SUCH_FILE: [&str; 2] = ["No such file or directory", "cannot find the file"];

/// Tells whose command it is: the agent's own all begin alike.
fn refuser(command: &str) -> &'static str {
    if command.starts_with("guest-") { "the guest's agent" } else { "QEMU" }
}

const ALREADY_EXISTS: [ErrorCode; 5] = [
    ErrorCode::DOM_EXIST,
    ErrorCode::NETWORK_EXIST,
    ErrorCode::NETWORK_PORT_EXIST,
    ErrorCode::STORAGE_VOL_EXIST,
    ErrorCode::STORAGE_POOL_BUILT,
];

const INVALID_STATE: [ErrorCode; 2] = [ErrorCode::OPERATION_INVALID, ErrorCode::BLOCK_COPY_ACTIVE];

const UNSUPPORTED: [ErrorCode; 4] = [
    ErrorCode::NO_SUPPORT,
    ErrorCode::OPERATION_UNSUPPORTED,
    ErrorCode::CONFIG_UNSUPPORTED,
    ErrorCode::ARGUMENT_UNSUPPORTED,
];

const AUTH: [ErrorCode; 4] = [
    ErrorCode::AUTH_FAILED,
    ErrorCode::AUTH_CANCELLED,
    ErrorCode::AUTH_UNAVAILABLE,
    ErrorCode::ACCESS_DENIED,
];

const TIMEOUT: [ErrorCode; 2] = [ErrorCode::OPERATION_TIMEOUT, ErrorCode::AGENT_COMMAND_TIMEOUT];

const TRANSIENT: [ErrorCode; 3] =
    [ErrorCode::AGENT_UNRESPONSIVE, ErrorCode::AGENT_UNSYNCED, ErrorCode::RESOURCE_BUSY];

/// Why nobody may have answered for now. While a daemon is being restarted, its socket may be missing, too.
const UNREACHED: [io::ErrorKind; 9] = [
    io::ErrorKind::NotFound,
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::TimedOut,
    io::ErrorKind::WouldBlock,
];

#[cfg(test)]
mod tests {
    use super::*;

    type Question = (&'static str, fn(&Error) -> bool);

    /// The questions that are answered with yes, in the order of the table at [`Error`].
    fn answers(error: &Error) -> Vec<&'static str> {
        let questions: [Question; 8] = [
            ("not found", Error::is_not_found),
            ("already exists", Error::is_already_exists),
            ("invalid state", Error::is_invalid_state),
            ("unsupported", Error::is_unsupported),
            ("auth", Error::is_auth),
            ("read only", Error::is_read_only),
            ("timeout", Error::is_timeout),
            ("transient", Error::is_transient),
        ];
        questions.iter().filter(|(_, is)| is(error)).map(|(question, _)| *question).collect()
    }

    fn remote(code: i32, message: &str) -> Error {
        let mut error = RemoteError::new("X", ErrorCode(code), ErrorDomain::NONE, ErrorLevel::ERROR);
        error.message = Some(message.to_owned());
        error.into()
    }

    /// By number, as libvirt's header has them.
    #[test]
    fn codes_have_answers() {
        for code in -1..200 {
            let expected: &[&str] = match code {
                42 | 43 | 49 | 50 | 53 | 57 | 62 | 66 | 72 | 80 | 95 | 96 | 99 | 101 | 103 | 104 | 107
                | 111 => &["not found"],
                28 | 37 | 76 | 90 | 106 => &["already exists"],
                55 | 83 => &["invalid state"],
                3 | 67 | 74 | 84 => &["unsupported"],
                45 | 79 | 88 | 94 => &["auth"],
                29 => &["read only"],
                68 | 112 => &["timeout", "transient"],
                86 | 87 | 97 => &["transient"],
                _ => &[],
            };
            let error = remote(code, "no words");
            assert_eq!(answers(&error), expected, "{code}: {error}");
        }
    }

    /// As libvirt 9.0.0 says it.
    #[test]
    fn words_tell_what_exists_already() {
        let exists = &["already exists"][..];
        for (code, words, expected) in [
            (9, "operation failed: domain 'd' already exists with uuid 1111", exists),
            (9, "operation failed: domain 'd' is already defined with uuid 1111", exists),
            (9, "operation failed: network 'it's' already exists with uuid 1111", exists),
            (9, "operation failed: domain moment s already exists", exists),
            (9, "operation failed: storage vol already exists", exists),
            (9, "operation failed: filter with same UUID but different name ('f') already exists", exists),
            (55, "Requested operation is not valid: domain with name 'd' already exists", exists),
            (1, "internal error: a secret with UUID 1111 already defined for use with /a", exists),
            (1, "internal error: a secret with UUID 1111 is already defined for use with /a", exists),
            (1, "internal error: storage volume name 'v' already in use.", exists),
            (9, "operation failed: domain 'that already exists' cannot be moved", &[]),
            (9, "operation failed: Storage source conflict with pool: 'p'", &[]),
            (1, "internal error: bridge name 'virbr5' already in use.", &[]),
            (55, "Requested operation is not valid: domain 'd' is already active", &["invalid state"]),
        ] {
            assert_eq!(answers(&remote(code, words)), expected, "{words}");
        }
        let silent = RemoteError::new("X", ErrorCode::OPERATION_FAILED, ErrorDomain::NONE, ErrorLevel::ERROR);
        assert!(answers(&silent.into()).is_empty());
    }

    #[test]
    fn errors_of_ours_have_answers() {
        let connect = |kind: io::ErrorKind| Error::Connect {
            address: "/socket".to_owned(),
            hint: String::new(),
            source: Arc::new(kind.into()),
        };
        let cause = || Arc::new(io::Error::other("why"));
        let (what, after) = ("X", Duration::from_secs(1));
        let timeout = |waiting| Error::Timeout { what, after, waiting };
        let (late, transient) = (&["timeout", "transient"][..], &["transient"][..]);
        for (error, expected) in [
            (Error::Closed(CloseReason::Eof), transient),
            (Error::Closed(CloseReason::Io(cause())), transient),
            (Error::Closed(CloseReason::Keepalive { silence: after }), transient),
            (Error::Closed(CloseReason::Announced(ConnectCloseReason::EOF)), transient),
            (Error::Closed(CloseReason::Client), &[]),
            (Error::Closed(CloseReason::Protocol(cause())), &[]),
            (Error::Closed(CloseReason::Runtime), &[]),
            (timeout(Waiting::ForTurn), late),
            (timeout(Waiting::ForAnswer), late),
            (timeout(Waiting::ForConnection), late),
            (timeout(Waiting::ForReader), late),
            (connect(io::ErrorKind::NotFound), transient),
            (connect(io::ErrorKind::ConnectionRefused), transient),
            (connect(io::ErrorKind::ConnectionAborted), transient),
            (connect(io::ErrorKind::PermissionDenied), &["auth"]),
            (connect(io::ErrorKind::InvalidData), &[]),
            (Error::Uri { uri: String::new(), reason: String::new() }, &[]),
            (Error::Config { file: PathBuf::new(), reason: String::new() }, &[]),
            (Error::Auth(String::new()), &["auth"]),
            (Error::Encode { what, cause: cause() }, &[]),
            (Error::Decode { what, cause: cause() }, &[]),
            (Error::File { doing: "read", source: Arc::new(io::ErrorKind::NotFound.into()) }, &[]),
            (Error::Unsupported(String::new()), &["unsupported"]),
        ] {
            assert_eq!(answers(&error), expected, "{error:?}");
        }
    }
}

//! Why a program that carries a connection ended.

use std::{fmt, io};

/// The most that is kept of what a program complains about: libvirt's own client keeps as much.
const MOST_KEPT: usize = 1024;

/// What a program at the other end of a byte stream left behind: one that was started here, or by an SSH server.
///
/// A stream that ends because such a program ended fails with it as the error's inside, so that whoever reads the stream
/// can say more than that nothing more comes. Where the program ended well and silently, the stream just ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Farewell {
    /// The program, as people know it.
    pub program: String,
    /// How it ended, where that is known.
    pub exit: Option<Exit>,
    /// The end of what it wrote to its standard error.
    pub complaint: Complaint,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with a status; 0 is success.
    Status(u32),
    /// By a signal: its number, or its name where it comes from an SSH server.
    Signal(String),
}

impl Farewell {
    /// Describes the end of `program`, of which nothing is known yet.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), exit: None, complaint: Complaint::default() }
    }

    /// Tells whether the program ended as one does that has done its work: with success, or not known otherwise, and
    /// without a complaint.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self.exit, None | Some(Exit::Status(0))) && self.complaint.text().is_empty()
    }

    /// Makes this the error of a stream.
    #[must_use]
    pub fn into_io_error(self) -> io::Error {
        io::Error::new(self.kind(), self)
    }

    /// Finds what a stream's error says of a program's end.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Sorts the complaint as the operating system would have: by it a program decides whether to ask for other
    /// credentials or to try again. The words are OpenSSH's, which speaks English everywhere, and the C library's for the
    /// language that programs are started with.
    fn kind(&self) -> io::ErrorKind {
        let complaint = self.complaint.text();
        let says = |words: &[&str]| words.iter().any(|words| complaint.contains(words));
        if says(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            io::ErrorKind::InvalidData
        } else if says(&["Permission denied", "Too many authentication failures"]) {
            io::ErrorKind::PermissionDenied
        } else if says(&["Connection refused"]) {
            io::ErrorKind::ConnectionRefused
        } else if says(&["timed out"]) {
            io::ErrorKind::TimedOut
        } else if says(&[
            "No route to host",
            "Network is unreachable",
            "Temporary failure in name resolution",
        ]) {
            io::ErrorKind::HostUnreachable
        // Last, since ssh says these, too, of what a host on the way to another one has refused.
        } else if says(&["Connection reset by"]) {
            io::ErrorKind::ConnectionReset
        } else if says(&["Connection closed by"]) {
            io::ErrorKind::ConnectionAborted
        } else {
            io::ErrorKind::UnexpectedEof
        }
    }
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        match &self.exit {
            Some(Exit::Status(status)) => write!(f, " ended with status {status}")?,
            Some(Exit::Signal(signal)) => write!(f, " was ended by signal {signal}")?,
            None => f.write_str(" closed the connection")?,
        }
        let complaint = self.complaint.text();
        if complaint.is_empty() { f.write_str(" and said nothing") } else { write!(f, ": {complaint}") }
    }
}

impl std::error::Error for Farewell {}

/// The end of what a program wrote to its standard error: at most 1 KiB.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Complaint(Vec<u8>);

impl Complaint {
    /// Takes more of it, and forgets the start of what is too much.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let surplus = self.0.len().saturating_sub(MOST_KEPT);
        self.0.drain(..surplus);
    }

    /// Returns it as a text of one line: what is no text is replaced, and neither a line's end nor what moves a terminal's
    /// cursor is left in it.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().join("; ")
    }

    /// Returns its last line in the same form; an empty text if there is none.
    #[must_use]
    pub fn last_line(&self) -> String {
        self.lines().pop().unwrap_or_default()
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let lines = text.split(['\n', '\r']).map(|line| line.replace(char::is_control, " "));
        lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }
}

impl fmt::Debug for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Complaint").field(&self.text()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn farewell(exit: Option<Exit>, complaint: &str) -> Farewell {
        let mut farewell = Farewell { exit, ..Farewell::new("ssh") };
        farewell.complaint.push(complaint.as_bytes());
        farewell
    }

    #[test]
    fn an_end_is_told_in_one_line() {
        for (exit, complaint, expected) in [
            (Some(Exit::Status(1)), "", "ssh ended with status 1 and said nothing"),
            (
                Some(Exit::Status(127)),
                "sh: nc: not found\r\n",
                "ssh ended with status 127: sh: nc: not found",
            ),
            (Some(Exit::Signal("9".to_owned())), "", "ssh was ended by signal 9 and said nothing"),
            (None, "\n a\u{1b}[2J\n\nb\n", "ssh closed the connection: a [2J; b"),
        ] {
            assert_eq!(farewell(exit, complaint).to_string(), expected);
        }
    }

    #[test]
    fn only_success_without_words_is_silent() {
        for (exit, complaint, expected) in [
            (None, "", true),
            (Some(Exit::Status(0)), " \n", true),
            (Some(Exit::Status(0)), "a warning", false),
            (Some(Exit::Status(1)), "", false),
            (Some(Exit::Signal("TERM".to_owned())), "", false),
        ] {
            assert_eq!(farewell(exit, complaint).is_silent(), expected, "{complaint}");
        }
    }

    #[test]
    fn a_long_complaint_keeps_its_end() {
        let mut complaint = Complaint::default();
        for number in 0..10_000 {
            complaint.push(format!("{number}\n").as_bytes());
        }
        assert!(complaint.0.len() <= MOST_KEPT);
        assert!(complaint.text().ends_with("; 9998; 9999"), "{complaint:?}");
    }

    #[test]
    fn what_openssh_says_decides_what_kind_of_error_it_is() {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidData,
            PermissionDenied, TimedOut, UnexpectedEof,
        };
        for (complaint, expected) in [
            ("u@h: Permission denied (publickey,password).", PermissionDenied),
            ("No ED25519 host key is known for h.\nHost key verification failed.", InvalidData),
            ("ssh: connect to host h port 22: Connection refused", ConnectionRefused),
            ("ssh: connect to host h port 22: Connection timed out", TimedOut),
            ("ssh: connect to host h port 22: No route to host", HostUnreachable),
            ("ssh: Could not resolve hostname h: Temporary failure in name resolution", HostUnreachable),
            ("ssh: Could not resolve hostname h: Name or service not known", UnexpectedEof),
            ("kex_exchange_identification: Connection closed by remote host", ConnectionAborted),
            ("Connection closed by 192.0.2.1 port 22", ConnectionAborted),
            ("kex_exchange_identification: read: Connection reset by peer", ConnectionReset),
            ("Connection reset by 192.0.2.1 port 22", ConnectionReset),
            (
                "u@gate: Permission denied (publickey).\r\n\
                 kex_exchange_identification: Connection closed by remote host\r\n\
                 Connection closed by UNKNOWN port 65535",
                PermissionDenied,
            ),
            ("sh: 1: nc: not found", UnexpectedEof),
        ] {
            let error = farewell(Some(Exit::Status(255)), complaint).into_io_error();
            assert_eq!(error.kind(), expected, "{complaint}");
            assert_eq!(Farewell::of(&error).unwrap().exit, Some(Exit::Status(255)));
        }
    }
}

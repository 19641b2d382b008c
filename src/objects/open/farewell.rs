//! Why a program on the way to a daemon ended, and what to do about it.

use std::{io, sync::Arc};

use crate::{
    error::Error,
    transport::{Exit, Farewell},
};

/// Says why there is no connection over a program that has ended, if `error` is the end of one.
pub(super) fn explain(address: &str, error: &io::Error) -> Option<Error> {
    let farewell = Farewell::of(error)?;
    let (kind, hint) = match advise(farewell) {
        Some((kind, advice)) => (kind, format!("{farewell}; {advice}")),
        None => (error.kind(), farewell.to_string()),
    };
    let source = Arc::new(io::Error::new(kind, farewell.clone()));
    Some(Error::Connect { address: address.to_owned(), hint, source })
}

/// The status of shells that do not find a program.
const MISSING: u32 = 127;

/// Says what a program complained about, by its last words if they are any: what is before may be the noise of a shell's
/// start.
fn advise(farewell: &Farewell) -> Option<(io::ErrorKind, &'static str)> {
    let (exit, complaint) = (farewell.exit.as_ref(), &farewell.complaint);
    let by_last_line = match exit {
        // The status says it all.
        Some(Exit::Status(MISSING)) => None,
        _ => meaning(exit, &complaint.last_line()),
    };
    by_last_line.or_else(|| meaning(exit, &complaint.text()))
}

/// What the words of shells, netcats and libvirt's `virt-ssh-helper` mean here, and what kind of error of the operating
/// system they stand for. `ssh` has words and a status, 255, of its own, and says of hosts what these say of sockets.
fn meaning(exit: Option<&Exit>, said: &str) -> Option<(io::ErrorKind, &'static str)> {
    let says = |words: &str| said.contains(words);
    let is_missing = exit == Some(&Exit::Status(MISSING)) || says("command not found");
    if is_missing && says("virt-ssh-helper") {
        return Some((
            io::ErrorKind::Unsupported,
            "virt-ssh-helper comes with libvirt 6.9 and later; \"proxy=netcat\" in the URI does without it",
        ));
    }
    if is_missing {
        return Some((
            io::ErrorKind::Unsupported,
            "install netcat-openbsd or libvirt's virt-ssh-helper there, or name another program by \"netcat=\" in the URI",
        ));
    }
    if ["invalid option", "illegal option", "unrecognized option", "unknown option"]
        .iter()
        .any(|words| says(words))
    {
        return Some((
            io::ErrorKind::Unsupported,
            "this netcat knows no Unix sockets; install netcat-openbsd or libvirt's virt-ssh-helper there",
        ));
    }
    if exit == Some(&Exit::Status(255)) {
        return None;
    }
    if says("No such file or directory") {
        return Some((
            io::ErrorKind::NotFound,
            "is the daemon installed and running there? \"socket=\" in the URI names another socket",
        ));
    }
    if says("Permission denied") {
        return Some((
            io::ErrorKind::PermissionDenied,
            "the user there must be root or in the group that owns the socket (often \"libvirt\")",
        ));
    }
    if says("Connection refused") {
        return Some((
            io::ErrorKind::ConnectionRefused,
            "nobody listens on the socket; has the daemon been stopped?",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_is_explained() {
        for (status, said, kind, advice) in [
            (127, "sh: 1: virt-ssh-helper: not found", io::ErrorKind::Unsupported, "proxy=netcat"),
            (
                127,
                "bash: line 1: nc: command not found",
                io::ErrorKind::Unsupported,
                "install netcat-openbsd",
            ),
            (1, "nc: invalid option -- 'U'", io::ErrorKind::Unsupported, "knows no Unix sockets"),
            (1, "nc: /s: No such file or directory", io::ErrorKind::NotFound, "installed and running"),
            (1, "nc: /s: Permission denied", io::ErrorKind::PermissionDenied, "the group that owns"),
            (
                1,
                "virt-ssh-helper: cannot connect to '/s': Failed to connect socket to '/s': Connection refused",
                io::ErrorKind::ConnectionRefused,
                "has the daemon been stopped",
            ),
            (
                1,
                "bash: /home/u/.cargo/env: No such file or directory\nnc: /s: Permission denied",
                io::ErrorKind::PermissionDenied,
                "the group that owns",
            ),
            (
                1,
                "bash: fortune: command not found\nnc: /s: Connection refused\n",
                io::ErrorKind::ConnectionRefused,
                "has the daemon been stopped",
            ),
            (
                1,
                "nc: /s: No such file or directory\nlogged out",
                io::ErrorKind::NotFound,
                "installed and running",
            ),
            (
                127,
                "sh: 1: virt-ssh-helper: not found\nlogged out",
                io::ErrorKind::Unsupported,
                "proxy=netcat",
            ),
            (255, "u@h: Permission denied (publickey).", io::ErrorKind::PermissionDenied, "status 255"),
            (3, "something else", io::ErrorKind::UnexpectedEof, "status 3: something else"),
        ] {
            let mut farewell = Farewell::new("the remote command");
            farewell.exit = Some(Exit::Status(status));
            farewell.complaint.push(said.as_bytes());
            let Some(Error::Connect { hint, source, .. }) = explain("h", &farewell.into_io_error()) else {
                panic!("{said}")
            };
            assert!(hint.contains(&said.trim().replace('\n', "; ")) && hint.contains(advice), "{hint}");
            assert_eq!(source.kind(), kind, "{said}");
            assert!(Farewell::of(&source).is_some());
        }
        assert!(explain("h", &io::ErrorKind::ConnectionReset.into()).is_none());
    }
}

//! What runs on the far side of an SSH connection, as the command that a shell there is given.

use std::fmt;

/// What runs on the far side of an SSH connection: its standard input and output lead to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RemoteSide {
    /// netcat, connected to a socket.
    Netcat {
        /// The program, `nc` unless stated.
        program: String,
        /// The socket's path over there.
        socket: String,
    },
    /// libvirt's `virt-ssh-helper`, which finds the socket itself.
    Helper {
        /// What the helper is to reach.
        uri: String,
        /// Whether it is to take the socket that is for reading only.
        read_only: bool,
    },
    /// The helper if it is there, else netcat.
    Auto {
        /// What the helper is to reach.
        uri: String,
        /// Whether the helper is to take the socket that is for reading only.
        read_only: bool,
        /// The program netcat.
        program: String,
        /// The socket's path over there, for netcat.
        socket: String,
    },
}

impl RemoteSide {
    /// Returns the command for the shell over there, in the words of libvirt's own client: servers may allow these and no
    /// others.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Netcat { program, socket } => format!("sh -c '{}'", netcat(program, socket)),
            Self::Helper { uri, read_only } => format!("sh -c '{}'", helper(uri, *read_only)),
            Self::Auto { uri, read_only, program, socket } => format!(
                "sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then     {}; else    {}; fi'",
                helper(uri, *read_only),
                netcat(program, socket)
            ),
        }
    }

    /// Returns the socket's path over there, where it is not left to the helper alone.
    #[must_use]
    pub fn socket(&self) -> Option<&str> {
        match self {
            Self::Netcat { socket, .. } | Self::Auto { socket, .. } => Some(socket),
            Self::Helper { .. } => None,
        }
    }
}

impl fmt::Display for RemoteSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Netcat { program, socket } => write!(f, "{program} to {socket}"),
            Self::Helper { uri, .. } => write!(f, "virt-ssh-helper for {uri:?}"),
            Self::Auto { uri, program, socket, .. } => {
                write!(f, "virt-ssh-helper for {uri:?}, or {program} to {socket} if there is no such helper")
            }
        }
    }
}

/// Some netcats end when their input does; `-q0` makes the others do so too.
fn netcat(program: &str, socket: &str) -> String {
    let program = in_quotes(program);
    // libvirt's own client does not quote the socket at all: the same for a path of plain characters, another command for
    // others.
    let socket = if needs_quotes(socket) { in_quotes(socket) } else { socket.to_owned() };
    format!(
        "if {program} -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then ARG=-q0;else ARG=;fi;\
         {program} $ARG -U {socket}"
    )
}

fn helper(uri: &str, read_only: bool) -> String {
    format!("virt-ssh-helper {}{}", if read_only { "-r " } else { "" }, in_quotes(uri))
}

/// Makes a word of a text that two shells read one after the other: the login shell and `sh`. The outer quotes close the ones
/// around the whole command and open them again.
fn in_quotes(text: &str) -> String {
    format!("'{}'", quote(&quote(text)))
}

fn quote(text: &str) -> String {
    if needs_quotes(text) { format!("'{}'", text.replace('\'', r"'\''")) } else { text.to_owned() }
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.contains(|c| "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn netcat_to(program: &str, socket: &str) -> String {
        RemoteSide::Netcat { program: program.to_owned(), socket: socket.to_owned() }.command()
    }

    #[test]
    fn commands_are_those_of_libvirts_own_client() {
        let nc = |quoted: &str| {
            format!(
                "if {quoted} -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then ARG=-q0;else ARG=;fi;\
                 {quoted} $ARG -U /tmp/socket"
            )
        };
        for (program, quoted) in [
            ("nc", "'nc'"),
            ("n c", r"'''\''n c'\''''"),
            ("n'c", r"'''\''n'\''\'\'''\''c'\''''"),
            ("n\"c", r#"'''\''n"c'\''''"#),
        ] {
            assert_eq!(netcat_to(program, "/tmp/socket"), format!("sh -c '{}'", nc(quoted)), "{program}");
        }
        for (uri, read_only, command) in [
            ("qemu:///session", false, "virt-ssh-helper 'qemu:///session'"),
            ("qemu:///system", true, "virt-ssh-helper -r 'qemu:///system'"),
            ("", false, r"virt-ssh-helper '''\'''\''''"),
            ("qemu:///system?a=1", false, r"virt-ssh-helper '''\''qemu:///system?a=1'\''''"),
        ] {
            let uri = uri.to_owned();
            assert_eq!(
                RemoteSide::Helper { uri: uri.clone(), read_only }.command(),
                format!("sh -c '{command}'")
            );
            let (program, socket) = ("nc".to_owned(), "/tmp/socket".to_owned());
            assert_eq!(
                RemoteSide::Auto { uri, read_only, program, socket }.command(),
                format!(
                    "sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then     {command}; else    {}; fi'",
                    nc("'nc'")
                )
            );
        }
    }

    #[test]
    fn a_sockets_path_runs_no_command() {
        assert!(
            netcat_to("nc", "/var/run/libvirt/libvirt-sock").ends_with(" -U /var/run/libvirt/libvirt-sock'")
        );
        let command = netcat_to("nc", "/a'; touch /tmp/b; '");
        assert!(
            command.ends_with(r" -U '''\''/a'\''\'\'''\''; touch /tmp/b; '\''\'\'''\'''\'''''"),
            "{command}"
        );
    }
}

//! The machine and the user that this program runs as.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use super::{ConfigFile, Environment};

/// Describes them to a function.
pub(super) fn with_environment<T>(function: impl FnOnce(&Environment<'_>) -> T) -> T {
    let uid = uid();
    let listed = fs::read_to_string("/etc/passwd").ok().and_then(|text| listed(uid, &text));
    let (user, home) = listed.unwrap_or_else(of_variables);
    function(&Environment {
        home,
        user,
        uid,
        host: host(),
        variable: &|name| env::var(name).ok(),
        read: &|file| read(file, uid),
        entries: &entries,
    })
}

/// The name and the home directory that belong to a number in this machine's list of users.
fn listed(uid: u32, passwd: &str) -> Option<(String, PathBuf)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number, home) = (fields.next()?, fields.nth(1)?, fields.nth(2)?);
        (number.parse() == Ok(uid)).then(|| (name.to_owned(), home.into()))
    })
}

/// The same of a user whom that list does not have: from a directory service, or in a container.
fn of_variables() -> (String, PathBuf) {
    let user = ["LOGNAME", "USER", "USERNAME"].iter().find_map(|name| env::var(name).ok());
    #[allow(deprecated, reason = "it is right since Rust 1.85, and no longer deprecated since 1.87")]
    let home = env::home_dir();
    (user.unwrap_or_default(), home.unwrap_or_else(|| "/".into()))
}

#[cfg(unix)]
fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn uid() -> u32 {
    0
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    env::var("COMPUTERNAME").unwrap_or_default()
}

fn read(file: &ConfigFile, uid: u32) -> io::Result<Vec<u8>> {
    let mut opened = fs::File::open(&file.path)?;
    trust(file, &opened.metadata()?, uid)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut opened, &mut bytes)?;
    Ok(bytes)
}

/// As OpenSSH does: what others can write into a user's file could make this program run theirs. Debian's takes a file that
/// the group may write to, if it is the user's own; who else is in a group cannot be known here.
#[cfg(unix)]
fn trust(file: &ConfigFile, metadata: &fs::Metadata, uid: u32) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let trusted = [0, uid].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
    if trusted || file.owner == super::Owner::System {
        return Ok(());
    }
    let reason = "it belongs to another user, or others may write to it; chmod go-w helps";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

#[cfg(not(unix))]
fn trust(_: &ConfigFile, _: &fs::Metadata, _: u32) -> io::Result<()> {
    Ok(())
}

fn entries(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_their_numbers() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nu:x:1000:1000::/home/u:/bin/sh\nv:x:1000:1::/:\n";
        let user = |name: &str, home: &str| Some((name.to_owned(), PathBuf::from(home)));
        assert_eq!(listed(0, passwd), user("root", "/root"));
        assert_eq!(listed(1000, passwd), user("u", "/home/u"));
        assert_eq!(listed(7, passwd), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_users_file_that_others_may_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;

        use crate::transport::ssh::config::Owner;

        let path = env::temp_dir().join(format!("libvirt-client-trust-{}", std::process::id()));
        fs::write(&path, "Port 1").unwrap();
        let read = |mode, owner| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&ConfigFile { path: path.clone(), owner }, uid()).map_err(|error| error.kind())
        };
        let refused = Err(io::ErrorKind::PermissionDenied);
        for (mode, owner, expected) in [
            (0o644, Owner::User, Ok(b"Port 1".to_vec())),
            (0o664, Owner::User, refused.clone()),
            (0o646, Owner::User, refused),
            (0o664, Owner::System, Ok(b"Port 1".to_vec())),
        ] {
            assert_eq!(read(mode, owner), expected, "{mode:o} {owner:?}");
        }
        fs::remove_file(&path).unwrap();
    }
}

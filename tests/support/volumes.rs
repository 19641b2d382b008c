//! Volumes with content, in a pool of the daemon's directory.

use std::{os::unix::fs::MetadataExt, path::Path, process::Command, time::Duration};

use libvirt_client::{Connection, StoragePool, StorageVol, enums::StoragePoolCreateFlags};

use super::{Daemon, command};

/// Makes a pool of this name in the daemon's directory.
pub(crate) async fn pool(daemon: &Daemon, connection: &Connection, name: &str) -> StoragePool {
    let xml = format!(
        "<pool type='dir'><name>{name}</name><target><path>{}/{name}</path></target></pool>",
        daemon.directory().display()
    );
    connection.create_storage_pool_with(xml, StoragePoolCreateFlags::WITH_BUILD).await.unwrap()
}

/// Makes a volume of this many bytes, all of them a hole.
pub(crate) async fn volume(pool: &StoragePool, name: &str, bytes: u64) -> StorageVol {
    let xml = format!(
        "<volume><name>{name}</name><capacity>{bytes}</capacity><allocation>0</allocation>\
         <target><format type='raw'/></target></volume>"
    );
    pool.create_volume(xml).await.unwrap()
}

/// Makes a file of this many bytes that nobody can compress or foretell.
#[track_caller]
pub(crate) fn random_file(path: &Path, bytes: u64) {
    shell(&format!("head -c {bytes} /dev/urandom > {}", path.display()));
}

/// Returns a hash of what is in a file.
#[track_caller]
pub(crate) fn hash(path: impl AsRef<Path>) -> String {
    let said = shell(&format!("sha256sum < {}", path.as_ref().display()));
    said.split_whitespace().next().unwrap().to_owned()
}

/// Returns how many bytes of a file are allocated.
#[track_caller]
pub(crate) fn allocated(path: impl AsRef<Path>) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

#[track_caller]
pub(crate) fn shell(line: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-c", line]);
    command::run(command, Duration::from_secs(60)).expect_success()
}

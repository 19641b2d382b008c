//! This process and its machine, as plans want them described.

use std::{fs, io, path::Path};

use crate::uri::{Environment, Files, System};

/// The variables that plans depend on.
const VARIABLES: [&str; 12] = [
    "HOMEBREW_PREFIX",
    "HOME",
    "LIBVIRTD_PATH",
    "LIBVIRT_ADMIN_DEFAULT_URI",
    "LIBVIRT_AUTH_FILE",
    "LIBVIRT_AUTOSTART",
    "LIBVIRT_DEFAULT_URI",
    "PATH",
    "VIRTD_PATH",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// Describes the process that this runs in.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new(System::CURRENT, uid(), &Disk);
    for name in VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            environment.variables.insert(name.to_owned(), value);
        }
    }
    #[allow(deprecated, reason = "only Rust before 1.85 read HOME where Windows has it not")]
    let home = std::env::home_dir();
    environment.home = home.filter(|home| !home.as_os_str().is_empty());
    environment
}

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_executable(&self, path: &Path) -> bool {
        is_executable(path)
    }

    fn is_readable(&self, path: &Path) -> bool {
        is_readable(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(unix)]
fn is_readable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::READ_OK).is_ok()
}

#[cfg(not(unix))]
fn is_readable(path: &Path) -> bool {
    fs::File::open(path).is_ok()
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(unix)]
fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn uid() -> u32 {
    u32::MAX
}

//! What a plan depends on besides the URI: the machine, the user, and the files that are there.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
};

/// The machine and the user that a plan is made for.
#[derive(Clone)]
#[non_exhaustive]
pub struct Environment<'a> {
    /// The operating system.
    pub system: System,
    /// The effective user id; 0 is root.
    pub uid: u32,
    /// The user's home directory, where known.
    pub home: Option<PathBuf>,
    /// The variables of the environment: `XDG_RUNTIME_DIR`, `LIBVIRT_DEFAULT_URI`, `PATH` and others.
    pub variables: BTreeMap<String, OsString>,
    /// The files.
    pub files: &'a dyn Files,
}

/// An operating system, by where it keeps libvirt's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum System {
    /// Linux.
    Linux,
    /// macOS on Apple's own processors, where Homebrew is in `/opt/homebrew`.
    MacOsArm,
    /// macOS on Intel's processors, where Homebrew is in `/usr/local`.
    MacOsIntel,
    /// FreeBSD and other systems that are like Unix.
    FreeBsd,
    /// Windows, without Unix sockets.
    Windows,
}

/// The files of a machine, as far as plans look at them.
pub trait Files {
    /// Tells whether there is a file, of any kind.
    fn exists(&self, path: &Path) -> bool;

    /// Tells whether there is a program that may be run.
    fn is_executable(&self, path: &Path) -> bool;

    /// Tells whether there is a file that may be read.
    fn is_readable(&self, path: &Path) -> bool;

    /// Returns a file's contents.
    ///
    /// # Errors
    /// There is no such file, or it may not be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// A machine without any files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn is_executable(&self, _: &Path) -> bool {
        false
    }

    fn is_readable(&self, _: &Path) -> bool {
        false
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl System {
    /// The system that this was built for.
    pub const CURRENT: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
        Self::MacOsIntel
    } else if cfg!(target_os = "macos") {
        Self::MacOsArm
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        Self::Linux
    } else {
        Self::FreeBsd
    };
}

/// What was looked at, line by line.
pub(super) type Steps = Vec<String>;

impl<'a> Environment<'a> {
    /// Describes a user without variables and home.
    #[must_use]
    pub fn new(system: System, uid: u32, files: &'a dyn Files) -> Self {
        Self { system, uid, home: None, variables: BTreeMap::new(), files }
    }

    /// Returns a variable's value, if there is one that is not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub(super) fn is_root(&self) -> bool {
        self.uid == 0 && self.system != System::Windows
    }

    /// The directories in which a system's daemons keep their sockets, best first. `/var/run` and not `/run`, as libvirt's own
    /// client; Homebrew keeps the sockets below its prefix.
    pub(super) fn system_dirs(&self) -> Vec<PathBuf> {
        self.prefixes("var").into_iter().map(|var| var.join("run/libvirt")).collect()
    }

    /// The directories of the system's configuration, best first.
    pub(super) fn config_dirs(&self) -> Vec<PathBuf> {
        self.prefixes("etc")
    }

    fn prefixes(&self, directory: &str) -> Vec<PathBuf> {
        let homebrew = match self.system {
            System::MacOsArm => ["/opt/homebrew", "/usr/local"],
            System::MacOsIntel => ["/usr/local", "/opt/homebrew"],
            System::FreeBsd if directory == "etc" => return vec!["/usr/local/etc".into(), "/etc".into()],
            _ => return vec![Path::new("/").join(directory)],
        };
        // Homebrew may be elsewhere, and tells programs where.
        let mut prefixes: Vec<PathBuf> =
            self.variable("HOMEBREW_PREFIX").map(PathBuf::from).into_iter().collect();
        for prefix in homebrew.map(PathBuf::from).into_iter().chain([PathBuf::from("/")]) {
            if !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
        prefixes.into_iter().map(|prefix| prefix.join(directory)).collect()
    }

    /// The directory of the user's own sockets. Where there is no directory for what lasts as long as a login, as on macOS,
    /// libvirt's daemons use the one for caches.
    pub(super) fn session_dir(&self) -> Option<PathBuf> {
        let runtime = self.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        Some(runtime.or_else(|| self.user_dir("XDG_CACHE_HOME", ".cache"))?.join("libvirt"))
    }

    /// The directory of the user's own configuration of libvirt.
    pub(super) fn user_config_dir(&self) -> Option<PathBuf> {
        Some(self.user_dir("XDG_CONFIG_HOME", ".config")?.join("libvirt"))
    }

    /// Returns where a program is: in one of the directories of `PATH`, or where daemons are though `PATH` of users often lacks
    /// it.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        let daemons = self.prefixes("sbin").into_iter().chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .chain(daemons)
            .map(|directory| directory.join(name))
            .find(|path| self.files.is_executable(path))
    }

    fn user_dir(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let stated = self.variable(variable).map(PathBuf::from);
        stated.or_else(|| Some(self.home.as_ref()?.join(below_home)))
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("system", &self.system)
            .field("uid", &self.uid)
            .field("home", &self.home)
            .field("variables", &self.variables)
            .finish_non_exhaustive()
    }
}

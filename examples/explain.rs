//! Says what a connection URI means, without connecting: which way it goes, by which socket, files and programs, and what was
//! looked at to decide it.
//!
//! ```text
//! cargo run --example explain -- qemu+ssh://host/system           here
//! cargo run --example explain -- ''                               what is opened where no URI is given
//! cargo run --example explain -- --user 1000 --variable XDG_RUNTIME_DIR=/run/user/1000 \
//!     --file /run/user/1000/libvirt/virtqemud-sock qemu:///session    on a machine that is described
//! ```

use std::{
    env, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use libvirt_client::{
    Connection, Result,
    uri::{Environment, Files, Options, Plan, Route, System},
};

const USAGE: &str = "usage: explain [--read-only] [--system-ssh] [--describe] [--system linux|macos|macos-intel|freebsd|windows]
               [--user UID] [--home DIRECTORY] [--variable NAME=VALUE].. [--file PATH].. URI
--describe, --system, --user, --home, --variable and --file describe another machine, with these files and no others";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(question) = Question::read(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match question.plan() {
        Ok(plan) => {
            println!("{plan}");
            if let Route::Ssh(route) = &plan.route {
                println!("the command over there:\n{}", route.remote.command());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("explain: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Question {
    uri: String,
    read_only: bool,
    system_ssh: bool,
    described: Option<Machine>,
}

/// A machine that is not this one.
#[derive(Default)]
struct Machine {
    system: Option<System>,
    user: u32,
    home: Option<PathBuf>,
    variables: Vec<(String, String)>,
    files: Vec<PathBuf>,
}

impl Question {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (mut question, mut uri) = (Self::default(), None);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--read-only" => question.read_only = true,
                "--system-ssh" => question.system_ssh = true,
                option if option.starts_with("--") => {
                    let machine = question.described.get_or_insert_default();
                    machine.read(option, &mut arguments)?;
                }
                _ if uri.is_none() => uri = Some(argument),
                _ => return None,
            }
        }
        question.uri = uri?;
        Some(question)
    }

    fn plan(&self) -> Result<Plan> {
        let Some(machine) = &self.described else {
            let mut builder = Connection::builder(&self.uri);
            if self.read_only {
                builder = builder.read_only();
            }
            if self.system_ssh {
                builder = builder.system_ssh();
            }
            return builder.plan();
        };
        let mut environment =
            Environment::new(machine.system.unwrap_or(System::Linux), machine.user, machine);
        environment.home.clone_from(&machine.home);
        environment
            .variables
            .extend(machine.variables.iter().map(|(name, value)| (name.clone(), value.into())));
        let options = Options::default().read_only(self.read_only).system_ssh(self.system_ssh);
        Plan::new(&self.uri, options, &environment)
    }
}

impl Machine {
    fn read(&mut self, option: &str, arguments: &mut impl Iterator<Item = String>) -> Option<()> {
        if option == "--describe" {
            return Some(());
        }
        let value = arguments.next()?;
        match option {
            "--system" => self.system = Some(system(&value)?),
            "--user" => self.user = value.parse().ok()?,
            "--home" => self.home = Some(value.into()),
            "--variable" => {
                let (name, value) = value.split_once('=')?;
                self.variables.push((name.to_owned(), value.to_owned()));
            }
            "--file" => self.files.push(value.into()),
            _ => return None,
        }
        Some(())
    }
}

fn system(name: &str) -> Option<System> {
    Some(match name {
        "linux" => System::Linux,
        "macos" => System::MacOsArm,
        "macos-intel" => System::MacOsIntel,
        "freebsd" => System::FreeBsd,
        "windows" => System::Windows,
        _ => return None,
    })
}

impl Files for Machine {
    fn exists(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path)
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.exists(path)
    }

    fn is_readable(&self, _: &Path) -> bool {
        false
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

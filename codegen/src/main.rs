//! `libvirt-client-codegen`: looks at protocol definitions from the command line.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use libvirt_client_codegen::{
    Api, Error,
    emit::{self, Tables},
    print, read_directory, show,
    spec::Spec,
};

const USAGE: &str = "\
Looks at libvirt's protocol definitions (*.x).

Usage: libvirt-client-codegen check [DIR]
       libvirt-client-codegen facts [DIR]
       libvirt-client-codegen show NAME [--protocol DIR]

  check   reads all definitions of a directory and counts them, or says what is wrong with them
  facts   prints what the definitions say, one fact a line, for diff
  show    prints a procedure or definition, and the Rust that it becomes:
          show REMOTE_PROC_DOMAIN_GET_INFO, show remote_domain_get_info_ret

DIR is a directory with .x files, or libvirt's source tree; without it, the definitions that libvirt-client is
built from are read, at
";

/// The definitions of the repository that this program was built in.
const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol");

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let output = match Command::parse(&arguments).and_then(|command| command.run()) {
        Ok(output) => output,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}\n\n{USAGE}{DEFAULT}");
            return ExitCode::from(2);
        }
        Err(Failure::Definitions(message)) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    match io::stdout().lock().write_all(output.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader had enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write the output: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Command {
    Help,
    Check(PathBuf),
    Facts(PathBuf),
    Show(String, PathBuf),
}

/// Reads a directory. The default one is missing where the program was installed from the registry.
fn read(directory: &Path) -> Result<Spec, Failure> {
    read_directory(directory).map(|(spec, _)| spec).map_err(|error| {
        let missing =
            matches!(&error, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound);
        let help = "\n  = help: name a directory with .x files, such as libvirt's source tree";
        Failure::Definitions(format!("{error}{}", if missing { help } else { "" }))
    })
}

/// Reads what is said about the procedures, where something is: libvirt's source tree has no such file.
fn read_api(directory: &Path) -> Result<Option<Api>, Failure> {
    let path = directory.join("api.toml");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    Api::read(&path, &text).map(Some).map_err(|error| Failure::Definitions(error.to_string()))
}

enum Failure {
    Usage(String),
    Definitions(String),
}

impl Command {
    fn parse(arguments: &[OsString]) -> Result<Self, Failure> {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let directory = |at: usize| arguments.get(at).map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from);
        match words[..] {
            ["help" | "--help" | "-h", ..] => Ok(Self::Help),
            ["check"] => Ok(Self::Check(directory(1))),
            ["facts"] => Ok(Self::Facts(directory(1))),
            ["check", word] if !word.starts_with('-') => Ok(Self::Check(directory(1))),
            ["facts", word] if !word.starts_with('-') => Ok(Self::Facts(directory(1))),
            ["show", name] if !name.starts_with('-') => Ok(Self::Show(name.to_owned(), directory(2))),
            ["show", name, "--protocol", _] => Ok(Self::Show(name.to_owned(), directory(3))),
            ["show", "--protocol", _, name] => Ok(Self::Show(name.to_owned(), directory(2))),
            ["show", "--protocol"] | ["show", _, "--protocol"] => {
                Err(Failure::Usage("expected a directory after --protocol, found nothing".to_owned()))
            }
            ["show", "--protocol", _] | ["show"] => Err(Failure::Usage(
                "expected the name of a procedure or definition, found nothing".to_owned(),
            )),
            [] => Err(Failure::Usage("expected a command, found nothing".to_owned())),
            [command @ ("check" | "facts" | "show"), ref rest @ ..] => {
                Err(Failure::Usage(format!("cannot make sense of `{}` after `{command}`", rest.join(" "))))
            }
            [other, ..] => Err(Failure::Usage(format!("expected check, facts or show, found `{other}`"))),
        }
    }

    fn run(self) -> Result<String, Failure> {
        match self {
            Self::Help => Ok(format!("{USAGE}{DEFAULT}\n")),
            Self::Check(directory) => Ok(print::summary(&read(&directory)?)),
            Self::Facts(directory) => {
                let mut text = String::new();
                for protocol in &read(&directory)?.protocols {
                    text.push_str(&format!("# {}\n", protocol.name));
                    for line in print::facts(protocol) {
                        text.push_str(&line);
                        text.push('\n');
                    }
                }
                Ok(text)
            }
            Self::Show(name, directory) => {
                let spec = read(&directory)?;
                let text = show(&spec, &name).map_err(|error| Failure::Definitions(error.to_string()))?;
                let api = read_api(&directory)?;
                match emit::show(&spec, &Tables::default(), api.as_ref(), &name).map_err(Error::from) {
                    Ok(Some(rust)) => Ok(format!("{text}\n{rust}")),
                    Ok(None) => Ok(text),
                    Err(error) => Err(Failure::Definitions(error.to_string())),
                }
            }
        }
    }
}

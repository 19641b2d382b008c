//! URIs, and the plans that they lead to.
//!
//! Input: a byte whose bits describe the machine and the wishes, then the URI.

use std::{io, path::Path};

use libvirt_client::uri::{Environment, Files, Options, Plan, Route, System, Uri};

use super::Input;

/// A machine on which either everything exists or nothing does.
struct Everything(bool);

impl Files for Everything {
    fn exists(&self, _: &Path) -> bool {
        self.0
    }

    fn is_executable(&self, _: &Path) -> bool {
        self.0
    }

    fn is_readable(&self, _: &Path) -> bool {
        self.0
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Plans for one URI; tells whether it has a plan.
pub fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let bits = input.byte();
    let Ok(text) = std::str::from_utf8(input.0) else { return false };

    let files = Everything(bits & 1 != 0);
    let system = match bits >> 1 & 3 {
        0 => System::Linux,
        1 => System::MacOsArm,
        2 => System::FreeBsd,
        _ => System::Windows,
    };
    let mut environment = Environment::new(system, if bits & 8 != 0 { 0 } else { 1000 }, &files);
    environment.home = Some("/home/u".into());
    environment.variables.insert("XDG_RUNTIME_DIR".to_owned(), "/run/user/1000".into());
    let options = Options::default().read_only(bits & 16 != 0).system_ssh(bits & 32 != 0);

    let plan = match Plan::new(text, options, &environment) {
        Ok(plan) => plan,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    assert!(!plan.to_string().is_empty());
    if let Route::Ssh(route) = &plan.route {
        check_command(&route.remote.command());
    }
    if let (Some(name), Some(uri)) = (&plan.name, &plan.uri) {
        check_name(name, uri);
    }
    true
}

/// The name that a daemon is told means the same when it is read again.
fn check_name(name: &str, uri: &Uri) {
    // What the URI itself states goes out as it is, and names of parameters are not escaped.
    if uri.parameter("name").is_some()
        || uri.parameters.iter().any(|(key, _)| key.contains(['&', ';', '#', '%', '=']))
    {
        return;
    }
    let again = Uri::parse(name).expect("it is a URI");
    assert_eq!((&again.driver, &again.path, &again.fragment), (&uri.driver, &uri.path, &uri.fragment));
    assert!(again.host.is_none() && again.transport.is_none());
}

/// The far side's shell runs one program, `sh`, with two arguments: every quote that is opened is closed.
fn check_command(command: &str) {
    assert!(command.starts_with("sh -c '"), "{command}");
    let (mut quoted, mut escaped, mut words) = (false, false, 1);
    for c in command.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if !quoted => escaped = true,
            '\'' => quoted = !quoted,
            ' ' if !quoted => words += 1,
            ';' | '&' | '|' | '`' | '$' | '(' | ')' | '<' | '>' | '\n' if !quoted => {
                panic!("{c:?} is left to the login shell: {command}")
            }
            _ => {}
        }
    }
    assert!(!quoted && !escaped, "a quote stays open: {command}");
    assert_eq!(words, 3, "{command}");
}

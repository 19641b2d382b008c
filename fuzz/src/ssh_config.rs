//! Configurations of SSH.
//!
//! Input: the user's file.

use std::{io, path::Path};

use libvirt_client::transport::ssh::config::{
    Asked, ConfigError, ConfigFile, Environment, HostConfig, Owner,
};

const FILE: &str = "/home/u/.ssh/config";

/// Reads one input; tells whether it is right.
pub fn run(data: &[u8]) -> bool {
    let config = match resolve(data) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.reason.is_empty());
            let lines = data.split(|byte| *byte == b'\n').count();
            if error.file == Path::new(FILE) {
                let line = error.line.expect("the file can be read");
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {error}");
            }
            return false;
        }
    };
    assert!(config.port > 0 && !config.user.is_empty());
    assert_eq!(resolve(data).as_ref(), Ok(&config));
    // What comes first counts, whatever comes then.
    let first = [b"Port 4242\nBatchMode yes\n", data].concat();
    let first = resolve(&first).expect("the lines before are right");
    assert!(first.port == 4242 && first.batch_mode);
    // What is for another host does not.
    let last = [data, b"\nMatch originalhost other\nPort 4242\n"].concat();
    assert_eq!(resolve(&last).as_ref().map(|config| config.port), Ok(config.port));
    true
}

fn resolve(data: &[u8]) -> Result<HostConfig, ConfigError> {
    let environment = Environment {
        home: "/home/u".into(),
        user: "u".to_owned(),
        uid: 1000,
        host: "here.example".to_owned(),
        variable: &|name| (name == "SSH_AUTH_SOCK").then(|| "/run/agent".to_owned()),
        read: &|file| match file.path.to_str() {
            Some(FILE) => Ok(data.to_vec()),
            Some("/home/u/.ssh/more") => Ok(b"IdentityFile ~/.ssh/%h\nUser more\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        },
        entries: &|_| vec!["config".to_owned(), "more".to_owned()],
    };
    let file = ConfigFile { path: FILE.into(), owner: Owner::User };
    HostConfig::resolve(&Asked { host: "host.example".to_owned(), ..Asked::default() }, &[file], &environment)
}

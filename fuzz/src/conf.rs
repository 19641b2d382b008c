//! The files of libvirt's configuration for clients: `libvirt.conf` and `auth.conf`.

use libvirt_client::uri::{AuthConfig, ClientConfig};

/// Reads one input as either file; tells whether it is one.
pub fn run(data: &[u8]) -> bool {
    let client = ClientConfig::parse(data);
    if let Err(reason) = &client {
        check_line(reason, data);
    }
    match AuthConfig::parse(data) {
        Ok(config) => {
            let _ = config.value("libvirt", "localhost", "password");
            // A list of its own, a key file of groups: what is both says nothing.
            !data.is_empty()
        }
        Err(reason) => {
            check_line(&reason, data);
            client.is_ok()
        }
    }
}

/// An error names a line of the file, or the one after its end.
fn check_line(reason: &str, data: &[u8]) {
    let number = reason.strip_prefix("line ").and_then(|rest| rest.split(':').next());
    let line: usize = number.and_then(|number| number.parse().ok()).expect("a line is named");
    let lines = data.iter().filter(|&&byte| byte == b'\n').count() + 1;
    assert!((1..=lines).contains(&line), "{reason}: the file has {lines} lines");
}

//! Files of known hosts.
//!
//! Input: a file.

use std::path::Path;

use libvirt_client::transport::ssh::known_hosts::{HostKey, HostName, KnownHosts, Verdict};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0UlWgTW/AtU970LL/joh3do0wv6eyQwVGJw/mylq8e";

/// Reads one input; tells whether it says anything about the host.
pub fn run(data: &[u8]) -> bool {
    let key = HostKey::from_openssh(KEY).expect("a key");
    let mut reached = false;
    for port in [22, 2222] {
        let host = HostName::new("host.example", port);
        let known = read(&[data]);
        let verdict = known.check(&host, &key);
        let lines = String::from_utf8_lossy(data).lines().count();
        if let Verdict::Changed { place, .. } | Verdict::Revoked { place } = &verdict {
            assert!((1..=lines).contains(&place.line), "{place} of {lines}");
        }
        for skipped in known.skipped(&host) {
            assert!((1..=lines).contains(&skipped.place.line) && !skipped.reason.is_empty(), "{skipped:?}");
        }
        reached |= !matches!(verdict, Verdict::Unknown { .. });

        // A line that names the key is enough, but for one that revokes it, which is always enough.
        let line = format!("{} {KEY}\n", host.text());
        let with_line = read(&[data, line.as_bytes()]).check(&host, &key);
        match &verdict {
            Verdict::Revoked { .. } => assert_eq!(with_line, verdict),
            _ => assert_eq!(with_line, Verdict::Accepted),
        }
        let revoked = format!("@revoked * {KEY}\n");
        let revoked = read(&[data, line.as_bytes(), revoked.as_bytes()]).check(&host, &key);
        assert!(matches!(revoked, Verdict::Revoked { .. }), "{revoked:?}");
        assert!(read(&[data, line.as_bytes()]).algorithms(&host).contains("ssh-ed25519"));
    }
    reached
}

fn read(files: &[&[u8]]) -> KnownHosts {
    let mut known = KnownHosts::default();
    for text in files {
        known.add_text(Path::new("known_hosts"), text);
    }
    known
}

//! The private daemon itself: what every other test relies on.

use std::{fs, os::unix::net::UnixStream, path::Path, time::Duration};

use crate::support::{Daemon, inside, live};

#[test]
fn daemons_are_apart_from_each_other() {
    live(async {
        let (one, other) = (Daemon::start(), Daemon::start());
        let network =
            "<network><name>only-here</name><ip address='192.168.122.1' netmask='255.255.255.0'/></network>";
        let file = one.file("network.xml", network);
        one.virsh("network:///system", &["net-define", &file.display().to_string()]);
        assert_eq!(one.virsh("network:///system", &["net-list", "--all", "--name"]), "only-here");
        assert_eq!(other.virsh("network:///system", &["net-list", "--all", "--name"]), "");
        assert_ne!(one.shell("readlink /proc/self/ns/net"), other.shell("readlink /proc/self/ns/net"));
    });
}

#[test]
fn nothing_is_left_behind() {
    live(async {
        let daemon = Daemon::start();
        let directory = daemon.directory().to_owned();
        let mark = directory.display().to_string();
        assert!(processes_that_mention(&mark) > 0);
        drop(daemon);
        assert!(!directory.exists());
        // The kernel kills what is left in the namespace without anybody waiting for it.
        for _ in 0..2000 {
            if processes_that_mention(&mark) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(processes_that_mention(&mark), 0);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&mark), "{mounts}");
    });
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    live(async {
        let error =
            Daemon::builder().setting("max_workers", "many").try_start().expect_err("a text for a number");
        assert!(error.contains("did not start"), "{error}");
        assert!(error.contains("max_workers"), "the daemon's own message: {error}");
    });
}

#[test]
fn a_killed_daemon_comes_back_at_the_same_socket() {
    live(async {
        let mut daemon = Daemon::start();
        daemon.signal("KILL");
        assert!(daemon.socket().exists(), "a killed daemon cannot remove its socket");
        assert_eq!(
            UnixStream::connect(daemon.socket()).unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        daemon.restart();
        assert_eq!(daemon.virsh("test:///default", &["list", "--name"]), "test");
        daemon.restart();
        assert_eq!(daemon.virsh("test:///default", &["list", "--name"]), "test");
    });
}

#[test]
fn programs_of_ours_run_inside_as_nobody() {
    let name = "harness::programs_of_ours_run_inside_as_nobody";
    inside::as_nobody(name, Daemon::start, async |socket| {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("Uid:\t65534\t65534"), "{status}");
        assert!(UnixStream::connect(Path::new(&socket)).is_ok());
        let first = fs::read_to_string("/proc/1/comm").unwrap();
        assert_eq!(first.trim(), "bash", "pid 1 here is that of the daemon's namespaces");
    });
}

/// Counts the processes with a word in their command lines.
fn processes_that_mention(word: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mentions = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    };
    processes.filter(|path| mentions(path)).count()
}

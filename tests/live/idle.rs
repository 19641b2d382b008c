//! What connections take that do nothing.

use std::time::Duration;

use crate::{
    TEST, examples,
    support::{Daemon, live_within},
};

/// Built without optimisation, they take more than in a program that is released.
#[test]
fn two_hundred_idle_connections_take_little() {
    live_within(Duration::from_secs(100), async {
        let daemon =
            Daemon::builder().setting("max_clients", 500).setting("max_anonymous_clients", 500).start();
        let socket = daemon.socket();
        let line = examples::run("bench", &["idle", socket.to_str().unwrap(), "200", TEST]).expect_success();
        println!("{line}");
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [count, kib, tasks, descriptors] = numbers[..] else { panic!("{line}") };
        assert_eq!(count, 200.0);
        assert!(kib < 48.0, "{kib} KiB each");
        assert!(tasks <= 2.0, "{tasks} tasks each");
        assert!(descriptors <= 1.1, "{descriptors} descriptors each");
    });
}

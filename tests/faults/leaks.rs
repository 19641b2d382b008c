//! What a phase must not leave behind.

use std::{
    fs,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

/// How long what a phase leaves behind may take to go.
const CLEARING: Duration = Duration::from_secs(20);

/// Tasks of the runtime, descriptors of the process, and panics. All of it must be as it was before.
pub(crate) struct Baseline {
    tasks: usize,
    descriptors: usize,
    panics: usize,
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

impl Baseline {
    pub(crate) fn now() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                PANICS.fetch_add(1, Ordering::SeqCst);
                hook(panic);
            }));
        });
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors: descriptors(),
            panics: PANICS.load(Ordering::SeqCst),
        }
    }

    /// Waits until it is.
    pub(crate) async fn is_restored(&self) -> Result<(), String> {
        let end = Instant::now() + CLEARING;
        loop {
            let now = Self::now();
            if now.panics > self.panics {
                return Err("something panicked".to_owned());
            }
            if now.tasks <= self.tasks && now.descriptors <= self.descriptors {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!(
                    "there were {} tasks and {} descriptors, and now {} and {}",
                    self.tasks, self.descriptors, now.tasks, now.descriptors
                ));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

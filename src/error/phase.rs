//! How far the opening of a connection has got, for the error that says where it stopped.
//!
//! Opening goes through rooms that do not know each other. Each says what it waits for, and the deadline, which is kept in one
//! place, names the last of it.

use std::{cell::Cell, future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{CloseReason, Error, Result, Waiting};

tokio::task_local! {
    static PHASE: Cell<&'static str>;
}

/// Does `doing`, which waits for what `phase` names. Outside of an opening nobody is told.
pub(crate) async fn during<T>(phase: &'static str, doing: impl Future<Output = T>) -> T {
    // In a box, here and below: a future that waits for another has room for it twice, and openings are futures in futures.
    let doing = Box::pin(doing);
    let _outer = Outer(PHASE.try_with(|current| current.replace(phase)).ok());
    doing.await
}

/// Does what may stand still, as reading files from a disk that hangs, beside the runtime's tasks. `phase` names it. When
/// nobody waits any more, it goes on until it is done.
pub(crate) async fn aside<T: Send + 'static>(
    phase: &'static str,
    doing: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let span = tracing::Span::current();
    match during(phase, tokio::task::spawn_blocking(move || span.in_scope(doing))).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Closed(CloseReason::Runtime)),
        },
    }
}

/// The phase around another one, which goes on when that has ended or is dropped.
struct Outer(Option<&'static str>);

impl Drop for Outer {
    fn drop(&mut self) {
        if let Some(outer) = self.0 {
            let _ = PHASE.try_with(|current| current.set(outer));
        }
    }
}

/// Does `doing` until `at`, which is `after` the start: then fails with what was waited for, `phase` if nobody has said more.
pub(crate) async fn until<T>(
    at: Instant,
    after: Duration,
    phase: &'static str,
    doing: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut doing = Box::pin(doing);
    let limited = async {
        // Kept until its phase was read: what is dropped is in none.
        match timeout_at(at, doing.as_mut()).await {
            Ok(result) => result,
            Err(_) => {
                Err(Error::Timeout { what: PHASE.with(Cell::get), after, waiting: Waiting::ForConnection })
            }
        }
    };
    PHASE.scope(Cell::new(phase), limited).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn stopped(doing: impl Future<Output = ()>) -> &'static str {
        let after = Duration::from_secs(1);
        let doing = async {
            doing.await;
            Ok(())
        };
        match until(Instant::now() + after, after, "all of it", doing).await {
            Err(Error::Timeout { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_waited_for_is_named() {
        use std::future::pending;
        assert_eq!(stopped(pending()).await, "all of it");
        assert_eq!(
            stopped(during("the first", during("its second part", pending()))).await,
            "its second part"
        );
        let parts = async {
            during("a part that ends", async {}).await;
            pending().await
        };
        assert_eq!(stopped(during("the whole", parts)).await, "the whole");
        during("what nobody limits", async {}).await;
    }

    #[tokio::test]
    async fn what_stands_still_aside_holds_up_nothing() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let standing = aside("what stands still", move || held.recv().is_err());
        let after = Duration::from_millis(50);
        let error = until(Instant::now() + after, after, "all of it", standing).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "what stands still", .. }), "{error:?}");
        drop(release);
        assert_eq!(aside("what is quick", || 7).await.unwrap(), 7);
    }

    /// As where two ways are tried, or an attempt has a limit of its own.
    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_is_waited_for_no_longer() {
        use std::future::pending;
        let parts = async {
            let attempt =
                tokio::time::timeout(Duration::from_millis(1), during("the first attempt", pending::<()>()));
            assert!(attempt.await.is_err());
            pending().await
        };
        assert_eq!(stopped(during("all attempts", parts)).await, "all attempts");
    }
}

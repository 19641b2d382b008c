//! Who is told of errors besides the callers who get them.

use std::{fmt, future::Future, sync::Arc};

use crate::error::Error;

/// A function that is told of each error that a connection gives to its users, once. It runs in the task that gets the
/// error, before that task has it: it holds up only that one, and if it panics, that one does.
#[derive(Clone)]
pub struct ErrorHook(Arc<dyn Fn(&Error) + Send + Sync>);

impl ErrorHook {
    /// Takes the function.
    #[must_use]
    pub fn new(hook: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn tell(&self, error: &Error) {
        if !EXPECTED.try_with(|expected| expected(error)).unwrap_or(false) {
            (self.0)(error);
        }
    }
}

impl fmt::Debug for ErrorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorHook")
    }
}

tokio::task_local! {
    /// Which errors are answers to what is being done here, and no news to anybody else.
    static EXPECTED: Expected;
}

type Expected = Arc<dyn Fn(&Error) -> bool + Send + Sync>;

/// Does something that takes some errors for answers; hooks are not told of these, nor of those that whatever this is done
/// for takes for answers.
pub(crate) async fn expecting<T>(
    expected: impl Fn(&Error) -> bool + Send + Sync + 'static,
    doing: impl Future<Output = T>,
) -> T {
    let outer = EXPECTED.try_with(Expected::clone).ok();
    let expected = move |error: &Error| expected(error) || outer.as_ref().is_some_and(|outer| outer(error));
    EXPECTED.scope(Arc::new(expected), doing).await
}

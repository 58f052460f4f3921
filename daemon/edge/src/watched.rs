//! A handler's future that says when one of its steps held the serving thread.

use kilo_pulse::Handling;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future under the name of its operation; see [`Handling`].
pub(crate) struct Watched<F> {
    operation: &'static str,
    inner: Pin<Box<F>>,
}

impl<F> Watched<F> {
    pub fn new(operation: &'static str, inner: F) -> Self {
        Self {
            operation,
            inner: Box::pin(inner),
        }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _step = Handling::of(self.operation);
        self.inner.as_mut().poll(cx)
    }
}

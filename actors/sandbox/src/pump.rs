//! A child's streams as readers and writers.

use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A terminal's side that the daemon holds.
pub type Terminal = Arc<AsyncFd<OwnedFd>>;

/// Reads what a child writes. Ends with the tree: whoever else holds the other end does not hold the reader.
pub struct Reader<S> {
    source: S,
    /// Ready when the tree is gone.
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    is_gone: bool,
}

impl<S> Reader<S> {
    pub fn new(source: S, gone: CancellationToken) -> Self {
        Self {
            source,
            gone: Box::pin(gone.cancelled_owned()),
            is_gone: false,
        }
    }
}

impl<S: Source> AsyncRead for Reader<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(result) = self.source.poll_read(cx, buffer) {
            return Poll::Ready(result);
        }
        if !self.is_gone {
            ready!(self.gone.as_mut().poll(cx));
            self.is_gone = true;
        }
        // Nothing more will be written by the tree. The descriptor itself is asked for the rest: what tokio knows of its
        // readiness may be older than the last write.
        match rustix::io::read(self.source.fd(), buffer.initialize_unfilled()) {
            Ok(read) => buffer.advance(read),
            Err(Errno::AGAIN | Errno::IO) => {} // the end
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        Poll::Ready(Ok(()))
    }
}

/// What a [`Reader`] reads from; it does not block.
pub trait Source: Unpin {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>)
    -> Poll<io::Result<()>>;
    fn fd(&self) -> impl AsFd;
}

impl Source for pipe::Receiver {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self).poll_read(cx, buffer)
    }

    fn fd(&self) -> impl AsFd {
        self
    }
}

impl Source for Terminal {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.poll_read_ready(cx))?;
            let read = guard.try_io(|fd| {
                Ok(rustix::io::read(
                    fd.get_ref(),
                    buffer.initialize_unfilled(),
                )?)
            });
            match read {
                Ok(Ok(read)) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // So the kernel says that nobody has the other side open any more.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }

    fn fd(&self) -> impl AsFd {
        self.get_ref()
    }
}

/// Writes what a child reads through a pipe. Tokio's own writer leaves the pipe open when it is shut down; the child
/// would wait for more for ever.
pub struct PipeWriter(pub Option<pipe::Sender>);

impl PipeWriter {
    fn open(self: Pin<&mut Self>) -> io::Result<Pin<&mut pipe::Sender>> {
        let sender = self.get_mut().0.as_mut();
        sender.map(Pin::new).ok_or(io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

/// Writes to a terminal as a keyboard does.
pub struct TerminalWriter(pub Terminal);

impl AsyncWrite for TerminalWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A keyboard has no end.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

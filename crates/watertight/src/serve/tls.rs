//! TLS between a socket and what reads from it: the handshake, hyper on HTTP/1.1 and HTTP/2, until a stream leaves.
//!
//! Why not `tokio-rustls`: its connection cannot be taken out again in a form that an idle stream can afford
//! (`crate::tls`). This gives back socket, connection, and what was sealed and not sent. Nothing is held while nothing
//! waits: buffers are made when bytes come, and given back when they are gone.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;
use super::charge::{Allowance, Charge};
use crate::tls::{RECORD_BYTES, Receiver, TlsError, TlsSession};

/// Bytes read at a time, on the stack.
const READ_BYTES: usize = 4096;
/// What may be held without a charge of its own: it is in what a TLS connection is charged from its first byte on.
const FREE_BYTES: usize = 4096;

/// Charges what is held: records that have not arrived whole, what was decrypted and not read, what was sealed and not
/// sent.
struct Room {
    shared: Arc<Shared>,
    allowance: Allowance,
    charge: Option<Charge>,
    /// What the charge is for.
    bytes: usize,
}

impl Room {
    fn make(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes.max(FREE_BYTES) {
            let bytes = bytes.next_power_of_two();
            let Some(charge) = self.allowance.charge(&self.shared, bytes) else { return false };
            (self.charge, self.bytes) = (Some(charge), bytes);
        }
        true
    }

    fn give_back(&mut self) {
        (self.charge, self.bytes) = (None, 0);
    }
}

/// Application data goes to who reads.
struct Arrived<'a> {
    plain: &'a mut Vec<u8>,
    room: &'a mut Room,
}

impl Receiver for Arrived<'_> {
    fn data(&mut self, plain: &[u8]) {
        self.plain.extend_from_slice(plain);
    }

    fn room(&mut self, bytes: usize) -> bool {
        self.room.make(bytes)
    }
}

/// A TLS connection as a stream of plain bytes.
pub(super) struct TlsStream<S> {
    io: S,
    session: Box<TlsSession>,
    room: Room,
    /// Decrypted, and not read yet from `plain_at` on: at most what one read of the socket made whole.
    plain: Vec<u8>,
    plain_at: usize,
    /// Sealed, and not sent yet from `sealed_at` on: a record, and what TLS has to say by itself.
    sealed: Vec<u8>,
    sealed_at: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Does the handshake.
    pub(super) async fn accept(
        io: S,
        config: Arc<ServerConfig>,
        shared: &Arc<Shared>,
        allowance: &Allowance,
    ) -> io::Result<TlsStream<S>> {
        let session = Box::new(TlsSession::new(config).map_err(io::Error::other)?);
        let room = Room { shared: Arc::clone(shared), allowance: allowance.clone(), charge: None, bytes: 0 };
        let mut stream =
            TlsStream { io, session, room, plain: Vec::new(), plain_at: 0, sealed: Vec::new(), sealed_at: 0 };
        std::future::poll_fn(|context| {
            while stream.session.is_handshaking() {
                ready!(stream.poll_send(context))?;
                ready!(stream.poll_receive(context))?;
            }
            Pin::new(&mut stream).poll_flush(context)
        })
        .await?;
        Ok(stream)
    }

    /// What was settled by ALPN.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn()
    }

    /// The stream underneath, its TLS, and what is sealed and not sent. What was decrypted and not read is thrown away,
    /// like everything behind a request for a stream.
    pub(super) fn into_parts(mut self) -> (S, TlsSession, Vec<u8>) {
        self.sealed.drain(..self.sealed_at);
        (self.io, *self.session, self.sealed)
    }

    /// Sends what is sealed.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.sealed.get(self.sealed_at..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => self.sealed_at += wrote,
            }
        }
        if !self.sealed.is_empty() {
            (self.sealed, self.sealed_at) = (Vec::new(), 0);
            self.charge_held()?;
        }
        Poll::Ready(Ok(()))
    }

    /// Charges what is held now, or gives the charge back.
    ///
    /// # Errors
    /// When there is no room for it: the connection ends.
    fn charge_held(&mut self) -> io::Result<()> {
        let held = self.session.held() + self.plain.len() + self.sealed.len();
        if held <= FREE_BYTES {
            self.room.give_back();
        } else if !self.room.make(held) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    /// Reads once, and gives what came to TLS.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled_mut();
        if bytes.is_empty() {
            // Without `close_notify` nobody can tell an end from a line that was cut.
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut arrived = Arrived { plain: &mut self.plain, room: &mut self.room };
        let received = self.session.receive(bytes, &mut self.sealed, &mut arrived);
        // An answer or an alert goes out now if it can; if not, with the next write. Whoever reads need not wait for it.
        let sent = self.poll_send(context);
        received.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.charge_held()?;
        if let Poll::Ready(Err(error)) = sent { Poll::Ready(Err(error)) } else { Poll::Ready(Ok(())) }
    }
}

fn sealing_failed(error: TlsError) -> io::Error {
    io::Error::other(error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = this.plain.get(this.plain_at..).unwrap_or_default();
            if !rest.is_empty() {
                let some = rest.len().min(buffer.remaining());
                buffer.put_slice(rest.get(..some).unwrap_or_default());
                this.plain_at += some;
                if this.plain_at == this.plain.len() {
                    (this.plain, this.plain_at) = (Vec::new(), 0);
                    this.charge_held()?;
                }
                return Poll::Ready(Ok(()));
            }
            if this.session.peer_closed() {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_receive(context))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        let some = bytes.get(..RECORD_BYTES).unwrap_or(bytes);
        if some.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.session.seal(some, &mut this.sealed).map_err(sealing_failed)?;
        // A record that was sealed counts as written: what is not sent now goes before the next.
        match this.poll_send(context) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
            Poll::Pending => this.charge_held()?,
        }
        Poll::Ready(Ok(some.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut runs = runs.iter().filter(|run| !run.is_empty());
        let Some(first) = runs.next() else { return Poll::Ready(Ok(0)) };
        let mut runs = runs.peekable();
        if first.len() >= RECORD_BYTES || runs.peek().is_none() {
            return self.poll_write(context, first);
        }
        // As much as fits goes into one record.
        let mut together = first.to_vec();
        for run in runs {
            let room = RECORD_BYTES.saturating_sub(together.len());
            together.extend_from_slice(run.get(..room).unwrap_or(run));
        }
        self.poll_write(context, &together)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Says `close_notify` once, however often this is polled.
        this.session.close(&mut this.sealed).map_err(sealing_failed)?;
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.io).poll_shutdown(context)
    }
}

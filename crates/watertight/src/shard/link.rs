//! The TLS of an adopted socket. Plain sockets have none, and pay a branch.
//!
//! A record that was sealed cannot be unsealed, and the next one is only valid behind it. So what is sealed counts as
//! written: its events are never written again, and what the kernel does not take of it is kept (charged), and written
//! before anything else. One record at a time is sealed, so one record at most is kept; what follows stays in the log.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::sync::Arc;

use watertight_core::prefetch::prefetch_ends;
use watertight_core::{Budget, Owner, Permit};

use super::conn::{Wrote, retry};
use super::seal::Seal;
use super::socket::PeerSocket;
use crate::tls::{RECORD_BYTES, Receiver, TlsError, TlsSession};

/// What the TLS of an idle subscriber holds, bytes: rustls's state and keys. Measured with the binary.
const LINK_BYTES: usize = 4096;

/// A socket that what is sealed is written to.
pub(super) trait Socket {
    /// Writes. With `more`, more bytes follow at once: the kernel need not send these by themselves. So a run of several
    /// records goes through the network's code once, as it does on a plain socket, although no more than one record is
    /// sealed before the kernel has taken the one before.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize>;
}

impl Socket for &PeerSocket {
    #[cfg(target_os = "linux")]
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        use rustix::net::SendFlags;
        let more = if more { SendFlags::MORE } else { SendFlags::empty() };
        Ok(rustix::net::send(*self, bytes, SendFlags::NOSIGNAL | more)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<usize> {
        io::Write::write(self, bytes)
    }
}

impl<S: Socket> Socket for &mut S {
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        (**self).send(bytes, more)
    }
}

/// What the kernel did not take.
#[derive(Debug)]
struct Unsent {
    bytes: Box<[u8]>,
    at: usize,
    _permit: Permit,
}

/// What comes behind a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// Another record, at once.
    More,
    /// `close_notify`.
    Close,
    Nothing,
}

/// The TLS of one socket. In this order: what each delivery reads stands at the beginning, side by side. With a thousand
/// sockets per event each cache line that has to be fetched is a fiftieth of what a delivery costs.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct TlsLink {
    unsent: Option<Box<Unsent>>,
    session: TlsSession,
    /// For what has arrived and is no whole record yet.
    incoming: Option<Permit>,
    /// What has arrived, as it is on the wire.
    on_the_wire: usize,
    /// Bytes of application data that arrived and were not asked for yet.
    data: usize,
    _permit: Permit,
}

impl TlsLink {
    /// A connection whose handshake is done, and what is sealed and not sent yet.
    pub(crate) fn new(session: TlsSession, unsent: Vec<u8>, budget: &Arc<Budget>) -> TlsLink {
        let charge = |bytes| budget.charge(Owner::Subscribers, bytes);
        let incoming = (session.held() > 0).then(|| charge(session.held()));
        let unsent = (!unsent.is_empty()).then(|| {
            let permit = charge(unsent.len());
            Box::new(Unsent { bytes: unsent.into(), at: 0, _permit: permit })
        });
        TlsLink { unsent, session, incoming, on_the_wire: 0, data: 0, _permit: charge(LINK_BYTES) }
    }

    /// Asks for what a write reads: all but the middle, where rustls keeps what it would need for QUIC.
    pub(super) fn prefetch(&self) {
        const FIRST: usize = 256;
        const LAST: usize = 384;
        prefetch_ends(self, FIRST, LAST);
    }

    /// What has arrived so far, as it is on the wire, bytes.
    pub(super) fn on_the_wire(&self) -> usize {
        self.on_the_wire
    }

    /// Bytes of application data that arrived since this was last asked.
    pub(super) fn take_data(&mut self) -> usize {
        std::mem::take(&mut self.data)
    }

    /// Whether something is sealed that the kernel has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent.is_some()
    }

    /// Whether the peer has said that it sends nothing more.
    pub(super) fn peer_closed(&self) -> bool {
        self.session.peer_closed()
    }

    /// Writes on in what is sealed. Returns the bytes that were taken.
    pub(super) fn write_unsent(&mut self, mut socket: impl Socket) -> io::Result<usize> {
        let Some(unsent) = &mut self.unsent else { return Ok(0) };
        let rest = unsent.bytes.get(unsent.at..).unwrap_or_default();
        let took = retry(|| socket.send(rest, false))?;
        unsent.at += took;
        if took == rest.len() {
            self.unsent = None;
        }
        Ok(took)
    }

    /// Seals and writes `bytes`, a record at a time, while the kernel takes them. With `ends`, `close_notify` goes
    /// behind them in the same write. What is sealed counts as written.
    pub(super) fn write(
        &mut self,
        mut socket: impl Socket,
        bytes: &[u8],
        ends: bool,
        seal: &mut Seal,
    ) -> io::Result<Wrote> {
        let mut written = 0;
        for piece in bytes.chunks(RECORD_BYTES) {
            written += piece.len();
            let follows = if written < bytes.len() {
                Follows::More
            } else if ends {
                Follows::Close
            } else {
                Follows::Nothing
            };
            if !self.write_record(&mut socket, piece, follows, seal)? {
                return Ok(Wrote::Part(written));
            }
        }
        Ok(Wrote::All)
    }

    /// The same for several runs: as many of them as fit go into one record.
    pub(super) fn write_vectored(
        &mut self,
        mut socket: impl Socket,
        runs: &[IoSlice<'_>],
        seal: &mut Seal,
    ) -> io::Result<Wrote> {
        seal.plain.clear();
        let total: usize = runs.iter().map(|run| run.len()).sum();
        let mut written = 0;
        for run in runs {
            let mut rest = &**run;
            while !rest.is_empty() {
                rest = seal.gather(rest);
                if seal.is_full() || written + seal.plain.len() == total {
                    written += seal.plain.len();
                    let follows = if written < total { Follows::More } else { Follows::Nothing };
                    if !self.write_gathered(&mut socket, follows, seal)? {
                        return Ok(Wrote::Part(written));
                    }
                }
            }
        }
        Ok(Wrote::All)
    }

    fn write_gathered(
        &mut self,
        socket: &mut impl Socket,
        follows: Follows,
        seal: &mut Seal,
    ) -> io::Result<bool> {
        let mut plain = std::mem::take(&mut seal.plain);
        let took = self.write_record(socket, &plain, follows, seal);
        plain.clear();
        seal.plain = plain;
        took
    }

    /// Seals and writes one record. `false`: the kernel did not take all of it; the rest is kept.
    fn write_record(
        &mut self,
        socket: &mut impl Socket,
        plain: &[u8],
        follows: Follows,
        seal: &mut Seal,
    ) -> io::Result<bool> {
        seal.sealed.clear();
        let mut sealed = self.session.seal(plain, &mut seal.sealed);
        if follows == Follows::Close && sealed.is_ok() {
            sealed = self.session.close(&mut seal.sealed);
        }
        let more = follows == Follows::More && sealed.is_ok();
        let took = self.send(socket, more, seal)?;
        // What could not be sealed ends the connection; what rustls had to say about it was sent.
        sealed.map_err(io::Error::other)?;
        Ok(took)
    }

    /// Writes what was sealed behind what is still unsent, and keeps what is not taken. `false`: something was kept.
    fn send(&mut self, socket: &mut impl Socket, more: bool, seal: &mut Seal) -> io::Result<bool> {
        if let Some(unsent) = &mut self.unsent {
            let rest = unsent.bytes.get(unsent.at..).unwrap_or_default();
            let bytes: Box<[u8]> = [rest, &seal.sealed].concat().into();
            **unsent = Unsent { at: 0, _permit: seal.charge(bytes.len()), bytes };
            return Ok(false);
        }
        let took = retry(|| socket.send(&seal.sealed, more))?;
        let rest = seal.sealed.get(took..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(true);
        }
        let permit = seal.charge(rest.len());
        self.unsent = Some(Box::new(Unsent { bytes: rest.into(), at: 0, _permit: permit }));
        Ok(false)
    }

    /// Says `close_notify` if the kernel takes it; a socket that is full, or gone, is closed without.
    pub(super) fn say_close(&mut self, mut socket: impl Socket, seal: &mut Seal) {
        seal.sealed.clear();
        if self.unsent.is_none() && self.session.close(&mut seal.sealed).is_ok() && !seal.sealed.is_empty() {
            // The connection is dropped right after, whatever becomes of this.
            let _ = retry(|| socket.send(&seal.sealed, false));
        }
    }

    /// Takes bytes that have arrived: rustls answers them, application data is thrown away. `true`: the peer has
    /// said that it sends nothing more. What is to be answered is sent or kept.
    ///
    /// # Errors
    /// When the connection cannot go on; the alert that says so was sent if the kernel took it.
    pub(super) fn receive(
        &mut self,
        mut socket: impl Socket,
        bytes: &mut [u8],
        seal: &mut Seal,
    ) -> Result<bool, TlsError> {
        let mut out = std::mem::take(&mut seal.sealed);
        out.clear();
        self.on_the_wire = self.on_the_wire.saturating_add(bytes.len());
        let mut discards = Discards { seal, permit: &mut self.incoming, data: &mut self.data };
        let result = self.session.receive(bytes, &mut out, &mut discards);
        seal.sealed = out;
        if self.session.held() == 0 {
            self.incoming = None;
        }
        if !seal.sealed.is_empty()
            && let Err(error) = self.send(&mut socket, false, seal)
        {
            // The next read or write says the same.
            tracing::trace!(%error, "an answer of TLS could not be sent");
        }
        result.map(|()| self.session.peer_closed())
    }
}

/// Throws application data away.
struct Discards<'a> {
    seal: &'a Seal,
    permit: &'a mut Option<Permit>,
    data: &'a mut usize,
}

impl Receiver for Discards<'_> {
    fn data(&mut self, bytes: &[u8]) {
        *self.data = self.data.saturating_add(bytes.len());
    }

    fn room(&mut self, bytes: usize) -> bool {
        if self.permit.as_ref().is_none_or(|permit| permit.bytes() < bytes) {
            // What was charged before stays charged until the larger charge is there: both buffers exist meanwhile.
            *self.permit = self.seal.try_charge(bytes);
        }
        self.permit.is_some()
    }
}

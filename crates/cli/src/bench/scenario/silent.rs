//! Connections that ask for something and take nothing of the answer.

use std::io::Write;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use super::super::endpoint::{Blocking, Endpoint};
use super::super::failure::{Outcome, While};
use super::super::http::HttpClient;
use super::super::http2::Http2;
use super::super::hub::HOST;

/// The kernel doubles it and takes no less.
const RECEIVE_BUFFER_BYTES: usize = 1024;

/// What the session of unread answers holds: control characters, each six bytes long in JSON.
const EVENTS: usize = 4;
const EVENT_BYTES: usize = 256 * 1024;

/// Polls over each connection of HTTP/2.
const POLLS_PER_CONNECTION: usize = 100;

const PATH: &str = "/sessions/unread/events";

/// Sends a request over a connection with a tiny receive buffer, and never reads.
pub(super) fn ask(to: impl Into<Endpoint>, request: &[u8]) -> Outcome<Blocking> {
    let to = to.into();
    let ask = || -> std::io::Result<Blocking> {
        let socket = Socket::new(Domain::for_address(to.address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.connect(&to.address.into())?;
        let mut stream = to.blocking(socket.into())?;
        stream.write_all(request)?;
        stream.flush()?;
        Ok(stream)
    };
    ask().during("connecting")
}

/// Long-polls for large answers that nobody takes, over both protocols. Dropping it closes them.
pub(super) struct UnreadAnswers {
    _plain: Vec<Blocking>,
    _multiplexed: Vec<Http2>,
}

impl UnreadAnswers {
    /// Publishes what is to be answered.
    pub(super) fn prepare(address: SocketAddr) -> Outcome<()> {
        let mut client = HttpClient::connect(address)?;
        let data = vec![1; EVENT_BYTES];
        (0..EVENTS).try_for_each(|_| client.post(PATH, "text/plain", &data)?.json("a publish").map(drop))
    }

    pub(super) fn ask(address: SocketAddr, plain: usize, multiplexed: usize) -> Outcome<Self> {
        let path = format!("{PATH}?replay=all");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {HOST}\r\naccept: application/json\r\nconnection: close\r\n\r\n"
        );
        let plain = (0..plain).map(|_| ask(address, request.as_bytes())).collect::<Outcome<_>>()?;
        let connect = |polls: usize| {
            let mut connection = Http2::connect(address)?;
            (0..polls).try_for_each(|_| connection.get(&path))?;
            Ok(connection)
        };
        let share = |first: usize| POLLS_PER_CONNECTION.min(multiplexed - first);
        let firsts = (0..multiplexed).step_by(POLLS_PER_CONNECTION);
        let multiplexed = firsts.map(|first| connect(share(first))).collect::<Outcome<_>>()?;
        Ok(Self { _plain: plain, _multiplexed: multiplexed })
    }
}

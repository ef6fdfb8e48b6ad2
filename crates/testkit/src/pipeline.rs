//! Many requests over one connection, not waiting for each answer: floods of names and of events.

use std::net::SocketAddr;

use crate::http::Response;
use crate::raw::RawConnection;

/// Requests that are sent before the first of their answers is read.
const AT_ONCE: usize = 128;

/// A connection that asks one thing after the other.
#[derive(Debug)]
pub struct Pipeline(RawConnection);

impl Pipeline {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Pipeline {
        Pipeline(RawConnection::connect(to))
    }

    /// Publishes each data to its session and returns the answers' statuses, in order.
    ///
    /// # Panics
    /// When an answer does not come.
    pub fn publish(&mut self, events: impl IntoIterator<Item = (String, String)>) -> Vec<u16> {
        let (mut statuses, mut waiting, mut bytes) = (Vec::new(), 0, Vec::new());
        for (session, data) in events {
            let length = data.len();
            let request = format!(
                "POST /sessions/{session}/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n\
                 Content-Length: {length}\r\n\r\n{data}"
            );
            bytes.extend_from_slice(request.as_bytes());
            waiting += 1;
            if waiting == AT_ONCE {
                self.exchange(&mut bytes, &mut waiting, &mut statuses);
            }
        }
        self.exchange(&mut bytes, &mut waiting, &mut statuses);
        statuses
    }

    /// One request, one answer.
    ///
    /// # Panics
    /// When the answer does not come.
    pub fn get(&mut self, path: &str) -> Response {
        self.0.send_get(path, &[]);
        self.0.read_response("GET")
    }

    fn exchange(&mut self, bytes: &mut Vec<u8>, waiting: &mut usize, statuses: &mut Vec<u16>) {
        self.0.send(&bytes);
        bytes.clear();
        statuses.extend((0..std::mem::take(waiting)).map(|_| self.0.read_response("POST").status));
    }
}

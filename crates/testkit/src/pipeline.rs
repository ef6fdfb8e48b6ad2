//! Many requests over one connection, not waiting for each answer: floods of names and of events.

use std::time::Instant;

use crate::PATIENCE;
use crate::http::Response;
use crate::raw::RawConnection;
use crate::transport::Endpoint;

/// Requests that are sent before the first of their answers is read.
const AT_ONCE: usize = 128;

/// A connection that asks one thing after the other.
#[derive(Debug)]
pub struct Pipeline {
    to: Endpoint,
    connection: RawConnection,
}

impl Pipeline {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn connect(to: impl Into<Endpoint>) -> Pipeline {
        let to = to.into();
        Pipeline { connection: RawConnection::connect(&to), to }
    }

    /// Publishes each data to its session and returns the answers' statuses, in order.
    ///
    /// # Panics
    /// When an answer does not come.
    pub fn publish(&mut self, events: impl IntoIterator<Item = (String, String)>) -> Vec<u16> {
        self.publish_with(events.into_iter().map(|(session, data)| (session, data, String::new())))
    }

    /// The same, each with further header lines (each ended by CRLF).
    ///
    /// # Panics
    /// When an answer does not come.
    pub fn publish_with(&mut self, events: impl IntoIterator<Item = (String, String, String)>) -> Vec<u16> {
        let mut statuses = Vec::new();
        self.each_batch(events, |pipeline, bytes, count| {
            pipeline.connection.send(bytes);
            statuses.extend((0..count).map(|_| pipeline.connection.read_response("POST").status));
        });
        statuses
    }

    /// The same towards a hub that refuses without reading on and then closes: it is connected to anew, and
    /// what was not answered is not repeated.
    ///
    /// # Panics
    /// When it cannot connect.
    pub fn press(&mut self, events: impl IntoIterator<Item = (String, String)>) -> Vec<u16> {
        let mut statuses = Vec::new();
        let events = events.into_iter().map(|(session, data)| (session, data, String::new()));
        self.each_batch(events, |pipeline, bytes, count| {
            let _ = pipeline.connection.try_send(bytes);
            let deadline = Instant::now() + PATIENCE;
            for _ in 0..count {
                match Response::read_from(&mut pipeline.connection, "POST", deadline) {
                    Ok(answer) => statuses.push(answer.status),
                    Err(_) => {
                        pipeline.connection = RawConnection::connect(&pipeline.to);
                        break;
                    }
                }
            }
        });
        statuses
    }

    /// One request, one answer.
    ///
    /// # Panics
    /// When the answer does not come.
    pub fn get(&mut self, path: &str) -> Response {
        self.connection.send_get(path, &[]);
        self.connection.read_response("GET")
    }

    fn each_batch(
        &mut self,
        events: impl IntoIterator<Item = (String, String, String)>,
        mut exchange: impl FnMut(&mut Pipeline, &[u8], usize),
    ) {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for (session, data, headers) in events {
            let length = data.len();
            let request = format!(
                "POST /sessions/{session}/events HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n\
                 {headers}Content-Length: {length}\r\n\r\n{data}"
            );
            bytes.extend_from_slice(request.as_bytes());
            count += 1;
            if count == AT_ONCE {
                exchange(self, &bytes, count);
                bytes.clear();
                count = 0;
            }
        }
        if count > 0 {
            exchange(self, &bytes, count);
        }
    }
}

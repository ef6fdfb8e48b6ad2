//! A request that is there whole, and the bytes of its answer: what an application needs to answer at once, without a
//! router, a map of headers or a body that is read in pieces.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::Response;

/// The fields that are the connection's own business. An application is not shown them.
const OF_CONNECTION: [&str; 3] = ["host", "content-length", "connection"];
/// Fields of a request that is looked at here; one with more goes the general way.
pub(super) const FIELDS_MAX: usize = 24;
/// Head and body of such a request together, bytes.
pub(super) const WHOLE_BYTES_MAX: usize = 16 * 1024;

/// A request of HTTP/1.1 with a body that is there whole, as it was sent: for [`Application::answer_at_once`].
///
/// [`Application::answer_at_once`]: super::Application::answer_at_once
#[derive(Debug)]
pub struct WholeRequest<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its target in origin form, not decoded, with its query.
    pub target: &'r str,
    /// A name or an IPv4 address, perhaps with a port.
    pub host: &'r str,
    /// Its body.
    pub body: &'r [u8],
    fields: &'r [httparse::Header<'r>],
}

impl<'r> WholeRequest<'r> {
    /// Its header fields in their order, names as they were sent; without those that describe the connection and the
    /// body's length.
    pub fn fields(&self) -> impl Iterator<Item = (&'r str, &'r [u8])> {
        let fields = self.fields.iter().map(|field| (field.name, field.value));
        fields.filter(|(name, _)| !OF_CONNECTION.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }
}

/// How an application answers a request that is there whole.
pub enum AtOnce {
    /// It does not, and has done nothing: the request goes the general way.
    NotHere,
    /// The answer was written.
    Answered,
    /// The answer was written, and is to be sent when this ends. It must end by itself; dropping it gives it up.
    Later(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl std::fmt::Debug for AtOnce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AtOnce::NotHere => "NotHere",
            AtOnce::Answered => "Answered",
            AtOnce::Later(_) => "Later",
        })
    }
}

/// The bytes of an answer. Grows as they are written.
#[derive(Debug, Default)]
pub struct AnswerBytes(Vec<u8>);

impl AnswerBytes {
    /// Writes an answer: `head` is its status line and fields, each with its line end, as [`AnswerBytes::head_of`]
    /// makes it; length and date are added. The parts of the body follow one another.
    pub fn write(&mut self, head: &[u8], body: &[&[u8]]) {
        self.0.extend_from_slice(head);
        self.0.extend_from_slice(b"content-length: ");
        let length = body.iter().map(|part| part.len()).sum::<usize>();
        self.0.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        self.0.extend_from_slice(b"\r\n");
        super::date::write(&mut self.0);
        self.0.extend_from_slice(b"\r\n");
        for part in body {
            self.0.extend_from_slice(part);
        }
    }

    /// Writes a response.
    pub fn write_response(&mut self, response: &Response<Bytes>) {
        self.write(&AnswerBytes::head_of(response), &[response.body()]);
    }

    /// Status line and fields of a response on HTTP/1.1, without length and date.
    #[must_use]
    pub fn head_of<B>(response: &Response<B>) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        super::head::write_status("HTTP/1.1 ", response.status(), &mut head);
        super::head::write_fields(response.headers(), &mut head);
        head
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets what was written; what was taken for a large answer is given back.
    pub(super) fn clear(&mut self, keep_bytes: usize) {
        self.0.clear();
        self.0.shrink_to(keep_bytes);
    }
}

/// What was found at the beginning of a buffer that holds a complete head.
#[derive(Debug)]
pub(super) enum Found<'r> {
    /// A request, and its length with its body.
    Whole(WholeRequest<'r>, usize),
    /// So many bytes are needed in all.
    Part(usize),
    /// Something that goes the general way.
    Other,
}

/// Looks for a request. Takes only what can be read in one way: whatever is unusual is left to hyper.
pub(super) fn find<'r>(
    bytes: &'r [u8],
    fields: &'r mut [httparse::Header<'r>; FIELDS_MAX],
    max_head_bytes: usize,
    max_fields: usize,
) -> Found<'r> {
    let mut request = httparse::Request::new(fields);
    let Ok(httparse::Status::Complete(head)) = request.parse(bytes) else { return Found::Other };
    let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
        return Found::Other;
    };
    let fields: &'r [httparse::Header<'r>] = request.headers;
    let is_usual = head <= max_head_bytes && fields.len() <= max_fields && target.starts_with('/');
    let (Some(own), true) = (Own::of(fields), is_usual) else { return Found::Other };
    let whole = head + own.length;
    if whole > WHOLE_BYTES_MAX {
        return Found::Other;
    }
    let Some(body) = bytes.get(head..whole) else { return Found::Part(whole) };
    Found::Whole(WholeRequest { method, target, host: own.host, body, fields }, whole)
}

/// What the connection's own fields say.
struct Own<'r> {
    host: &'r str,
    length: usize,
}

impl<'r> Own<'r> {
    /// `None`: something is there that changes how the request is read or answered, or there is no body.
    fn of(fields: &[httparse::Header<'r>]) -> Option<Own<'r>> {
        let (mut host, mut length) = (None, None);
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("host") {
                let value = str::from_utf8(field.value).ok()?;
                if host.replace(value).is_some() || !super::service::is_plain_host(field.value) {
                    return None;
                }
            } else if is("content-length") {
                let digits = field.value;
                if !(1..=5).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                let number = digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
                if length.replace(number).is_some() {
                    return None;
                }
            } else if is("connection") {
                if !field.value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            } else if ["transfer-encoding", "content-encoding", "expect", "upgrade", "te", "trailer"]
                .iter()
                .any(|name| is(name))
            {
                return None;
            }
        }
        Some(Own { host: host?, length: length.filter(|length| *length > 0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "POST /a?b HTTP/1.1\r\nHost: h:1\r\nX-One: 1\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody";

    fn found(text: &str) -> String {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        match find(text.as_bytes(), &mut fields, 1024, 8) {
            Found::Whole(request, length) => {
                let fields: Vec<_> = request.fields().collect();
                let WholeRequest { method, target, host, body, .. } = request;
                format!("{method} {target} {host} {fields:?} {} {length}", String::from_utf8_lossy(body))
            }
            Found::Part(length) => format!("part of {length}"),
            Found::Other => "other".to_owned(),
        }
    }

    #[test]
    fn a_request_is_found_when_it_is_whole_and_what_follows_it_is_left() {
        let all = format!("POST /a?b h:1 {:?} body {}", [("X-One", b"1")], WHOLE.len());
        assert_eq!(found(WHOLE), all);
        assert_eq!(found(&format!("{WHOLE}POST /next")), all);
        let head = WHOLE.len() - 4;
        for cut in 0..WHOLE.len() {
            let expected = if cut < head { "other".to_owned() } else { format!("part of {}", WHOLE.len()) };
            assert_eq!(found(&WHOLE[..cut]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn whatever_could_be_read_in_another_way_is_left_to_hyper() {
        let with = |from: &str, to: &str| found(&WHOLE.replace(from, to));
        for (from, to) in [
            ("HTTP/1.1", "HTTP/1.0"),
            ("Host: h:1\r\n", ""),
            ("Host: h:1", "Host: h:1\r\nHost: h:1"),
            ("Host: h:1", "Host: [::1]"),
            ("Host: h:1", "Host: a b"),
            ("/a?b", "http://h/a"),
            ("/a?b", "*"),
            ("Content-Length: 4", "Content-Length: 4\r\nContent-Length: 4"),
            ("Content-Length: 4", "Content-Length: +4"),
            ("Content-Length: 4", "Content-Length: 4, 4"),
            ("Content-Length: 4", "Content-Length: 0"),
            ("Content-Length: 4", "Content-Length: 99999"),
            ("Content-Length: 4", "Content-Length: 4\r\nTransfer-Encoding: chunked"),
            ("Content-Length: 4", "Content-Length : 4"),
            ("Content-Length: 4\r\n", ""),
            ("X-One", "Expect"),
            ("X-One", "Content-Encoding"),
            ("X-One", "Upgrade"),
            ("X-One: 1", "X-One: 1\r\n folded"),
            ("keep-alive", "close"),
            ("keep-alive", "keep-alive, upgrade"),
            ("X-One: 1", "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1"),
            ("X-One: 1", &format!("X-One: {}", "1".repeat(1024))),
        ] {
            assert_ne!(WHOLE.replace(from, to), WHOLE);
            assert_eq!(with(from, to), "other", "{to}");
        }
    }
}

//! The cases that clients get wrong, as literal bytes, through the whole client: whole, in pieces of one and of
//! two bytes, and cut anywhere. The streams stay open, so nothing here waits for an end.

use crate::common::memory::{Memory, now};
use futures_util::{StreamExt, stream};
use http::Response;
use watertight_client::{Answering, Body, Error, Event, Item, Subscriber, Transport};

const BOM: &str = "\u{FEFF}";

/// A server that says the same bytes on every connection, and then nothing more.
struct Recorded(Vec<bytes::Bytes>);

impl Transport for Recorded {
    fn open(&self, _: http::Request<bytes::Bytes>) -> Answering {
        let chunks = self.0.clone().into_iter().map(Ok);
        let body: Body = Box::pin(stream::iter(chunks).chain(stream::pending()));
        let answer = Response::builder().header("content-type", "text/event-stream").body(body).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn cut(wire: &[u8], mut size: impl FnMut() -> usize) -> Vec<bytes::Bytes> {
    let (mut chunks, mut rest) = (Vec::new(), wire);
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(size().clamp(1, rest.len()));
        chunks.push(bytes::Bytes::copy_from_slice(chunk));
        rest = later;
    }
    chunks
}

/// What the client makes of a stream that stays open, and the position it is left with.
async fn outcome(chunks: Vec<bytes::Bytes>) -> (Vec<Item>, String) {
    let subscriber = Subscriber::from_url("http://server/").unwrap().with_comments();
    let mut subscriber = subscriber.with_transport(Recorded(chunks));
    let mut items = Vec::new();
    // A future that is ready with nothing new left: all chunks were taken.
    while let Some(item) = now(&mut subscriber).await {
        match item.expect("not over").expect("no error") {
            Item::Status(_) => {}
            item => items.push(item),
        }
    }
    (items, subscriber.last_event_id().unwrap_or_default().to_owned())
}

/// The same however the bytes are cut.
async fn read(wire: impl AsRef<[u8]>) -> (Vec<Item>, String) {
    let wire = wire.as_ref();
    let whole = outcome(cut(wire, || wire.len())).await;
    assert_eq!(outcome(cut(wire, || 1)).await, whole, "byte by byte");
    assert_eq!(outcome(cut(wire, || 2)).await, whole, "two bytes at a time");
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        assert_eq!(outcome(cut(wire, || random.usize(1..10))).await, whole, "cut anywhere, seed {seed}");
    }
    whole
}

async fn events(wire: impl AsRef<[u8]>) -> Vec<(String, String, String)> {
    let events = read(wire).await.0.into_iter().filter_map(|item| match item {
        Item::Event(Event { id, event_type, data, .. }) => Some((id, event_type, data)),
        _ => None,
    });
    events.collect()
}

async fn data(wire: impl AsRef<[u8]>) -> Vec<String> {
    events(wire).await.into_iter().map(|(_, _, data)| data).collect()
}

async fn typed(wire: &str) -> Vec<(String, String)> {
    events(wire).await.into_iter().map(|(_, event_type, data)| (event_type, data)).collect()
}

async fn ids(wire: &str) -> Vec<String> {
    events(wire).await.into_iter().map(|(id, ..)| id).collect()
}

#[tokio::test]
async fn only_the_first_byte_order_mark_is_stripped() {
    assert_eq!(data(format!("{BOM}data:1\n\n{BOM}data:2\n\ndata:3\n\n")).await, ["1", "3"]);
    assert_eq!(data(format!("{BOM}{BOM}data:1\n\ndata:2\n\n")).await, ["2"]);
    assert_eq!(data(b"\xEF\xBB\xBFdata:a\n\n").await, ["a"]);
    assert_eq!(data(b"\xEF\xBBdata:a\n\ndata:b\n\n").await, ["b"]);
    assert_eq!(data(format!("data:a{BOM}b\n\n")).await, [format!("a{BOM}b")]);
}

#[tokio::test]
async fn line_ends_of_all_kinds_end_lines_at_once() {
    let long = "x".repeat(2048);
    let wire = format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
    assert_eq!(data(wire).await, ["1\n2\n3\n4"]);
    assert_eq!(data("data:a\r\rdata:b\r\r").await, ["a", "b"]);
    assert_eq!(data("data:x\r\n\r\n").await, ["x"]);
    assert_eq!(data("data:x\r\ndata:y\r\n\r\n").await, ["x\ny"]);
}

#[tokio::test]
async fn fields_are_read_as_the_standard_has_it() {
    assert_eq!(data("data:test\r\ndata\ndata:test\r\n\r\n").await, ["test\n\ntest"]);
    assert_eq!(data("data:\n\ndata\ndata\n\ndata:test").await, ["", "\n"]);
    assert_eq!(data("data:\ndata:x\n\n").await, ["\nx"]);
    assert_eq!(data("data:\0\n\n").await, ["\0"]);
    let wire = "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n \
                data:32\ndata:4\n\n";
    assert_eq!(data(wire).await, ["\0\n 2\n1\n3\n\n4"]);
    let wire = "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:c\ndata:test\n\n";
    assert_eq!(data(wire).await, ["test\n\ntest"]);
    assert_eq!(data("foo: bar\n\ndata:a\n\n").await, ["a"]);
    assert_eq!(data("data:\ttest\rdata: \ndata:test\n\n").await, ["\ttest\n\ntest"]);
    assert_eq!(data("data:a:b: c\n\n").await, ["a:b: c"]);
    assert_eq!(data("__proto__: x\nconstructor: y\ntoString\n\ndata:a\n\n").await, ["a"]);
}

#[tokio::test]
async fn a_field_called_comment_is_no_comment_and_comments_are_told_when_asked_for() {
    let (items, _) = read("comment: x\ndata:a\n\n").await;
    assert!(matches!(&items[..], [Item::Event(_)]), "{items:?}");
    let (items, _) = read(": one\n:two\n\ndata:a\n\n:\n").await;
    let comment = |text: &str| Item::Comment(text.to_owned());
    assert_eq!((&items[0], &items[1], &items[3]), (&comment(" one"), &comment("two"), &comment("")));
}

#[tokio::test]
async fn a_type_counts_for_its_own_event_only() {
    let pair = |event_type: &str, data: &str| (event_type.to_owned(), data.to_owned());
    assert_eq!(typed("event: \ndata:x\n\n").await, [pair("message", "x")]);
    assert_eq!(typed("event:a\n\ndata:x\n\n").await, [pair("message", "x")]);
    assert_eq!(typed("event:test\ndata:x\n\ndata:x\n\n").await, [pair("test", "x"), pair("message", "x")]);
    assert_eq!(typed("event:a\nevent:b\ndata:x\n\n").await, [pair("b", "x")]);
}

#[tokio::test]
async fn an_id_stays_in_force_until_the_next() {
    assert_eq!(ids("id: 1\ndata: 1\n\ndata: 2\n\nid: 2\ndata:3\n\ndata:4\n\n").await, ["1", "1", "2", "2"]);
    assert_eq!(ids("id: 1\ndata:1\n\nid:\ndata:2\n\ndata:3\n\n").await, ["1", "", ""]);
    assert_eq!(ids("id: 1\ndata:1\n\nid\ndata:2\n\ndata:3\n\n").await, ["1", "", ""]);
    for id in [" x\0y", "\0\0", "x\0", "\0x", " \0"] {
        assert_eq!(ids(&format!("id:1\ndata:0\n\nid:{id}\ndata:h\n\n")).await, ["1", "1"], "{id:?}");
    }
    assert_eq!(read("id:9\n\n").await, (vec![], "9".to_owned()));
    assert_eq!(read("id:9\n").await, (vec![], String::new()));
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_replaced_and_the_stream_goes_on() {
    assert_eq!(data(b"data:a\xFFb\n\ndata:c\n\n").await, ["a\u{FFFD}b", "c"]);
    assert_eq!(data(b":\xFF\ndata:c\n\n").await, ["c"]);
    for bytes in [b"\xE2\x98".as_slice(), b"\xC0\xAF", b"\xED\xA0\x80", b"\xF0\x9F\x92"] {
        let wire = [b"data:", bytes, b"\n\ndata:c\n\n"].concat();
        let seen = data(wire).await;
        assert!(seen[0].chars().all(|character| character == '\u{FFFD}') && seen[1] == "c", "{seen:?}");
    }
    assert_eq!(data("data:☃💧é\n\n").await, ["☃💧é"]);
    let text = "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\u{1c}g";
    assert_eq!(data(format!("data:{text}\n\n")).await, [text]);
}

#[tokio::test]
async fn what_is_not_ended_is_not_delivered() {
    assert!(data("data:x\n").await.is_empty());
    assert!(data("data:x").await.is_empty());
    assert_eq!(data("data:x\n\r").await, ["x"]);
}

#[tokio::test]
async fn ten_thousand_events_in_one_chunk_larger_than_the_limit_are_all_delivered() {
    let wire: String = (0..10_000).map(|number| format!("data:{number}\n\n")).collect();
    let subscriber = Subscriber::from_url("http://server/").unwrap().with_max_event_bytes(1000);
    let mut subscriber = subscriber.with_transport(Recorded(vec![wire.into()]));
    let mut seen = 0;
    while let Some(item) = now(&mut subscriber).await {
        if let Item::Event(event) = item.unwrap().unwrap() {
            assert_eq!(event.data, seen.to_string());
            seen += 1;
        }
    }
    assert_eq!(seen, 10_000);
}

#[tokio::test]
async fn a_line_without_end_is_refused_at_the_limit_and_the_socket_closed() {
    let memory = Memory::default();
    let mut subscriber = memory.subscriber().with_max_event_bytes(100_000);
    let server = async {
        let (_, writer) = memory.stream().await;
        while writer.say([b"data: ", [b'x'; 58].as_slice()].concat()).await {}
    };
    let (_, seen) = tokio::join!(server, crate::common::memory::until_over(&mut subscriber));
    assert!(matches!(seen.last().unwrap(), Err(Error::EventTooLarge { limit: 100_000 })), "{seen:?}");
    assert_eq!(memory.open(), 0);
}

#[tokio::test]
async fn a_comment_and_blank_lines_without_end_are_passed_over() {
    let comment = vec![bytes::Bytes::from(vec![b':'; 64 * 1024]); 64];
    assert_eq!(outcome(comment).await, (vec![], String::new()));
    let blank = vec![bytes::Bytes::from(vec![b'\n'; 64 * 1024]); 16];
    assert_eq!(outcome(blank).await, (vec![], String::new()));
}

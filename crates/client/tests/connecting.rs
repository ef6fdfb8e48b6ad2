//! A connection that does not come about, over real sockets.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::common::memory::now;
use socket2::{Domain, SockAddr, Socket, Type};
use watertight_client::{Item, Status, Subscriber};
use watertight_testkit::eventually;

/// How long a connection to a listener with room takes at the most.
const CONNECT: Duration = Duration::from_millis(300);

/// A listener whose queue is full: the kernel leaves whoever connects without an answer.
fn full() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let queue = std::iter::from_fn(|| TcpStream::connect_timeout(&address, CONNECT).ok()).take(64).collect();
    (listener, address, queue)
}

/// Connections of this machine that wait for an answer from `to` (state `SYN_SENT`).
fn pending(to: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", to.port());
    let is_pending = |row: &&str| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        fields[2].ends_with(&port) && fields[3] == "02"
    };
    table.lines().skip(1).filter(is_pending).count()
}

#[tokio::test]
async fn dropped_or_closed_while_it_connects_it_leaves_no_socket() {
    let (_listener, address, _queue) = full();
    for close in [false, true] {
        let mut subscriber = Subscriber::new(&format!("http://{address}"), "demo").unwrap();
        let connecting = now(&mut subscriber).await.unwrap().unwrap().unwrap();
        assert_eq!(connecting, Item::Status(Status::Connecting { attempt: 1 }));
        assert!(now(&mut subscriber).await.is_none());
        eventually!(pending(address) == 1);
        if close {
            subscriber.close();
            assert!(subscriber.next().await.is_none());
        } else {
            drop(subscriber);
        }
        eventually!(pending(address) == 0);
    }
}

#[tokio::test]
async fn nobody_there_is_told_and_tried_again() {
    let (listener, address, queue) = full();
    drop((listener, queue));
    let subscriber = Subscriber::new(&format!("http://{address}"), "demo").unwrap().with_max_retries(1);
    let mut subscriber = subscriber.with_retry_max(Duration::from_millis(100));
    let seen = crate::common::memory::until_over(&mut subscriber).await;
    let error = seen.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains(&format!("cannot connect to {address}")), "{error}");
}

//! A listener whose connections are served on a thread each, and all end with it: what the test kit's servers have
//! in common. Must not know what is said over them.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The listener. Dropping it closes everything and waits for its threads.
#[derive(Debug)]
pub(crate) struct Acceptor {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Owns the threads of the connections.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Connections there are, so that they can be cut; by their number.
    open: Mutex<Vec<(u64, TcpStream)>>,
    stop: AtomicBool,
}

impl Acceptor {
    /// Listens on a free port of loopback; `serve` is called once for each connection, which ends when it returns.
    pub(crate) fn start(serve: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Acceptor {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&theirs, &listener, &serve));
        Acceptor { address, shared, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.lock().unwrap().len()
    }

    /// Ends every connection there is.
    pub(crate) fn cut(&self) {
        self.shared.cut();
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread, which then looks whether it is to stop.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn cut(&self) {
        for (_, socket) in &*self.open.lock().unwrap() {
            // Its peer may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn accept(
    shared: &Shared,
    listener: &TcpListener,
    serve: &(impl Fn(&TcpStream) -> io::Result<()> + Send + Sync),
) {
    std::thread::scope(|scope| {
        for number in 0.. {
            let Ok((socket, _)) = listener.accept() else { break };
            if shared.stop.load(Ordering::SeqCst) {
                break;
            }
            let Ok(held) = socket.try_clone() else { continue };
            shared.open.lock().unwrap().push((number, held));
            scope.spawn(move || {
                // A peer that breaks off is what these tests are about.
                let _ = serve(&socket);
                let _ = socket.shutdown(Shutdown::Both);
                shared.open.lock().unwrap().retain(|(open, _)| *open != number);
            });
        }
        // Those that came while it was being dropped.
        shared.cut();
    });
}

//! A network that fails on command: a TCP proxy on loopback between a client and the hub.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

/// How often a worker looks whether it is to do something else.
const STEP: Duration = Duration::from_millis(5);

/// What becomes of bytes and newcomers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both ways, at once.
    Pass,
    /// Both ways, this much later.
    Delay(Duration),
    /// Connections stay, but no byte passes; newcomers are accepted and wait.
    Stall,
    /// What comes is read and thrown away, both ways: the peers seem alive and are not.
    BlackHole,
    /// Newcomers are refused (`ECONNREFUSED`); those who are there pass.
    Refuse,
}

/// How connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Closed gently, towards both sides.
    Fin,
    /// Reset, towards both sides.
    Rst,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    mode: Mutex<Mode>,
    stop: AtomicBool,
    /// Connections ever accepted.
    accepted: AtomicU64,
    /// Of each connection there is: how many cuts there had been when it came.
    live: Mutex<Vec<u64>>,
    /// Raised by each cut; connections that came before it end.
    cuts: AtomicU64,
    cut_by_reset: AtomicBool,
    /// Bytes from the hub that each connection may still pass before it is reset; `u64::MAX`: all.
    limit_down: AtomicU64,
    /// Bytes passed from the hub to clients.
    passed_down: AtomicU64,
}

/// The proxy. Dropping it closes everything.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    /// Bound, and never listening: nobody else gets the port while connections are refused.
    _place: Socket,
}

impl FaultProxy {
    /// A proxy in front of `upstream`, on a free port of loopback.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> FaultProxy {
        let place = bound("127.0.0.1:0".parse().unwrap());
        let address = place.local_addr().unwrap().as_socket().unwrap();
        let listener = listen(address);
        let shared = Arc::new(Shared {
            upstream,
            mode: Mutex::new(Mode::Pass),
            stop: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            live: Mutex::default(),
            cuts: AtomicU64::new(0),
            cut_by_reset: AtomicBool::new(false),
            limit_down: AtomicU64::new(u64::MAX),
            passed_down: AtomicU64::new(0),
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&shared, listener, address)
        });
        FaultProxy { address, shared, acceptor: Some(acceptor), _place: place }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The proxy's URL, with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on, for those who are there and those who come.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Cuts all connections there are, and waits until they are gone. New connections are treated as the mode
    /// says.
    pub fn cut(&self, how: Cut) {
        self.shared.cut_by_reset.store(how == Cut::Rst, Ordering::SeqCst);
        self.shared.cuts.fetch_add(1, Ordering::SeqCst);
        let cuts = self.shared.cuts.load(Ordering::SeqCst);
        // Newcomers may be there already: only those from before the cut count.
        crate::eventually!(self.shared.live.lock().unwrap().iter().all(|began| *began >= cuts));
    }

    /// Each connection is reset after it has passed so many bytes from the hub; `None`: never.
    pub fn limit_bytes(&self, bytes: Option<u64>) {
        self.shared.limit_down.store(bytes.unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Connections ever accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections there are.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.live.lock().unwrap().len()
    }

    /// Bytes passed from the hub to clients so far.
    #[must_use]
    pub fn passed_down(&self) -> u64 {
        self.shared.passed_down.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            // Whatever it panicked with has been printed.
            let _ = acceptor.join();
        }
    }
}

/// A socket at this address, beside others that were made here.
fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    // The same port again after a refusal, with connections of before that are just going.
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = bound(address);
    socket.listen(1024).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// Accepts until the proxy stops; without a listener while it refuses.
fn accept(shared: &Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stop.load(Ordering::SeqCst) {
        let mode = *shared.mode.lock().unwrap();
        if mode == Mode::Refuse {
            listener = None;
        } else {
            let open = listener.get_or_insert_with(|| listen(address));
            if let Ok((client, _)) = open.accept() {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                let (shared, cuts) = (Arc::clone(shared), shared.cuts.load(Ordering::SeqCst));
                shared.live.lock().unwrap().push(cuts);
                workers.push(std::thread::spawn(move || {
                    serve(&shared, client, cuts);
                    let mut live = shared.live.lock().unwrap();
                    let at = live.iter().position(|began| *began == cuts);
                    at.map(|at| live.swap_remove(at));
                }));
                continue;
            }
        }
        workers.retain(|worker| !worker.is_finished());
        std::thread::sleep(STEP);
    }
    for worker in workers {
        let _ = worker.join();
    }
}

/// One connection: a thread for each way, sockets closed when both have ended.
fn serve(shared: &Arc<Shared>, client: TcpStream, cuts: u64) {
    let _ = client.set_nonblocking(false);
    let Ok(hub) = TcpStream::connect(shared.upstream) else { return reset(&client) };
    for socket in [&client, &hub] {
        let _ = socket.set_nodelay(true);
        let _ = socket.set_read_timeout(Some(STEP));
        let _ = socket.set_write_timeout(Some(STEP));
    }
    let pair = Arc::new(Pair { client, hub, cuts, broken: AtomicBool::new(false) });
    let up = std::thread::spawn({
        let (shared, pair) = (Arc::clone(shared), Arc::clone(&pair));
        move || pair.pump(&shared, &pair.client, &pair.hub, false)
    });
    pair.pump(shared, &pair.hub, &pair.client, true);
    // Its own failure, if it had one, has been printed.
    let _ = up.join();
    let by_cut = pair.is_over(shared) && shared.cut_by_reset.load(Ordering::SeqCst);
    if by_cut || pair.broken.load(Ordering::SeqCst) {
        reset(&pair.client);
        reset(&pair.hub);
    }
}

/// One connection's two sockets.
#[derive(Debug)]
struct Pair {
    client: TcpStream,
    hub: TcpStream,
    /// How many cuts there had been when it came.
    cuts: u64,
    /// One way failed: both end, by a reset.
    broken: AtomicBool,
}

impl Pair {
    /// Whether it was cut or the proxy stops.
    fn is_over(&self, shared: &Shared) -> bool {
        shared.stop.load(Ordering::SeqCst) || shared.cuts.load(Ordering::SeqCst) != self.cuts
    }

    fn goes_on(&self, shared: &Shared) -> bool {
        !self.is_over(shared) && !self.broken.load(Ordering::SeqCst)
    }

    /// Moves bytes one way until that way ends.
    fn pump(&self, shared: &Shared, mut from: &TcpStream, to: &TcpStream, is_down: bool) {
        let mut buffer = [0; 16 * 1024];
        let mut passed = 0;
        while self.goes_on(shared) {
            let mode = *shared.mode.lock().unwrap();
            if mode == Mode::Stall {
                std::thread::sleep(STEP);
                continue;
            }
            let limit = if is_down { shared.limit_down.load(Ordering::SeqCst) } else { u64::MAX };
            let room = usize::try_from(limit.saturating_sub(passed)).unwrap_or(usize::MAX);
            if room == 0 {
                break;
            }
            let some = buffer.len().min(room);
            match from.read(&mut buffer[..some]) {
                Ok(0) => {
                    // The other way may go on: a half close passes through.
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(count) => {
                    passed += count as u64;
                    if mode != Mode::BlackHole {
                        self.pass(shared, to, &buffer[..count], mode, is_down);
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => break,
            }
        }
        if !self.is_over(shared) {
            self.broken.store(true, Ordering::SeqCst);
        }
    }

    /// Writes all of it, however long the peer takes, unless the connection ends meanwhile.
    fn pass(&self, shared: &Shared, mut to: &TcpStream, mut bytes: &[u8], mode: Mode, is_down: bool) {
        if let Mode::Delay(time) = mode {
            let until = Instant::now() + time;
            while Instant::now() < until && self.goes_on(shared) {
                std::thread::sleep(STEP.min(until.saturating_duration_since(Instant::now())));
            }
        }
        while !bytes.is_empty() && self.goes_on(shared) {
            match to.write(bytes) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    if is_down {
                        shared.passed_down.fetch_add(count as u64, Ordering::SeqCst);
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => self.broken.store(true, Ordering::SeqCst),
            }
        }
    }
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn reset(socket: &TcpStream) {
    // A socket that is gone needs no reset.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

//! Which server to go to: the one that is named, the master that the sentinels name, or that of a key in a cluster. What was
//! found is asked for again when it turns out to be wrong, by one who asks at a time and not in a storm.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::signed_in;
use super::target::{Target, Topology};
use super::wire::{Reply, wire};
use crate::outbound::RemoteServer;

/// How long one server may take to say where another is.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// A cluster is not asked for its map more often.
const MAP_EVERY: Duration = Duration::from_millis(250);
/// How many slots a cluster has.
pub(super) const SLOTS: u16 = 16_384;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

/// Which server is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Which {
    /// The one that is named, the master, or any of a cluster.
    Main,
    /// This one of a cluster.
    At(Address),
}

pub(super) struct Servers {
    pub(super) target: Target,
    /// Of a cluster.
    map: RwLock<Option<Arc<SlotMap>>>,
    /// Held by whoever asks for the map, with when it was asked last.
    asking: tokio::sync::Mutex<Option<Instant>>,
}

/// Which server of a cluster has which slots.
#[derive(Debug)]
struct SlotMap {
    nodes: Vec<Address>,
    /// For each slot an index of `nodes`, or one beyond.
    slots: Box<[u16]>,
}

impl Servers {
    pub(super) fn new(target: Target) -> Servers {
        Servers { target, map: RwLock::new(None), asking: tokio::sync::Mutex::new(None) }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.target.topology, Topology::Cluster(_))
    }

    /// Whether a replica will not do.
    pub(super) fn wants_master(&self) -> bool {
        matches!(self.target.topology, Topology::Sentinels(..))
    }

    /// Where to connect to. Limited in time.
    pub(super) async fn find(&self, which: &Which, shared: &Shared) -> Result<RemoteServer, Arc<str>> {
        match (&self.target.topology, which) {
            (Topology::Server(server), _) => Ok(server.clone()),
            (Topology::Sentinels(sentinels, master), _) => ask_sentinels(sentinels, master, shared).await,
            (Topology::Cluster(seeds), Which::At(address)) => remote(&seeds[0], address),
            (Topology::Cluster(seeds), Which::Main) => {
                // Any may be gone, the map included: another one is tried next time.
                let map = self.map.read().clone();
                let nodes = map.as_deref().map_or(&[][..], |map| &map.nodes);
                let at = fastrand::usize(..seeds.len() + nodes.len());
                match seeds.get(at) {
                    Some(seed) => Ok(seed.clone()),
                    None => remote(&seeds[0], &nodes[at - seeds.len()]),
                }
            }
        }
    }

    /// Who has this key. Asks the cluster if that is not known.
    pub(super) async fn of_key(&self, key: &[u8], shared: &Shared) -> Result<Which, Arc<str>> {
        let Topology::Cluster(seeds) = &self.target.topology else { return Ok(Which::Main) };
        let slot = slot_of(key);
        if let Some(found) = self.map.read().as_deref().and_then(|map| map.node(slot)) {
            return Ok(Which::At(found.clone()));
        }
        self.ask_cluster(seeds, shared).await?;
        let map = self.map.read();
        let found = map.as_deref().and_then(|map| map.node(slot));
        found
            .map(|node| Which::At(node.clone()))
            .ok_or_else(|| "no server of the cluster has that key".into())
    }

    /// A server turned out not to have its keys any more, or is gone: the map is asked for before it is used again.
    pub(super) async fn map_is_wrong(&self, shared: &Shared) {
        if let Topology::Cluster(seeds) = &self.target.topology {
            // What was known stays if nobody answers.
            let _ = self.ask_cluster(seeds, shared).await;
        }
    }

    /// Whether a cluster still has this server with keys of its own.
    pub(super) fn knows(&self, which: &Which) -> bool {
        match (which, self.map.read().as_deref()) {
            (Which::At(address), Some(map)) => map.nodes.contains(address),
            _ => true,
        }
    }

    async fn ask_cluster(&self, seeds: &[RemoteServer], shared: &Shared) -> Result<(), Arc<str>> {
        let wanted_since = Instant::now();
        let mut last = self.asking.lock().await;
        if let Some(asked) = *last {
            // Somebody else has asked since, while this one waited.
            if asked >= wanted_since && self.map.read().is_some() {
                return Ok(());
            }
            sleep_until(asked + MAP_EVERY).await;
        }
        let known: Vec<Address> = self.map.read().as_deref().map_or_else(Vec::new, |map| map.nodes.clone());
        let mut servers: Vec<RemoteServer> = seeds.to_vec();
        servers.extend(known.iter().filter_map(|address| remote(&seeds[0], address).ok()));
        // At random: whoever gives up waiting after one that is dead gets to the others next time.
        fastrand::shuffle(&mut servers);
        let mut why: Arc<str> = "no server of the cluster answers".into();
        for server in &servers {
            *last = Some(Instant::now());
            match ask_for_map(server, shared).await {
                Ok(map) => {
                    *self.map.write() = Some(Arc::new(map));
                    return Ok(());
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

impl SlotMap {
    fn node(&self, slot: u16) -> Option<&Address> {
        self.nodes.get(usize::from(*self.slots.get(usize::from(slot))?))
    }

    /// Of what CLUSTER SLOTS answers. `asked`: who answered, in place of a host that is left out.
    fn of(reply: &Reply, asked: &RemoteServer) -> Option<SlotMap> {
        let mut map = SlotMap { nodes: Vec::new(), slots: vec![u16::MAX; usize::from(SLOTS)].into() };
        let mut indexes: HashMap<Address, u16> = HashMap::new();
        for range in reply.parts()? {
            let [from, to, master, ..] = range.parts()? else { return None };
            let [host, port, ..] = master.parts()? else { return None };
            let host = match host.text() {
                None | Some("" | "?") => asked.host(),
                Some(host) => host,
            };
            let port = u16::try_from(port.integer()?).ok()?;
            let address = Address { host: host.into(), port };
            let index = *indexes.entry(address).or_insert_with_key(|address| {
                map.nodes.push(address.clone());
                // There are no more nodes than slots.
                u16::try_from(map.nodes.len() - 1).unwrap_or(u16::MAX)
            });
            let (from, to) = (usize::try_from(from.integer()?).ok()?, usize::try_from(to.integer()?).ok()?);
            map.slots.get_mut(from..=to)?.fill(index);
        }
        (!map.nodes.is_empty()).then_some(map)
    }
}

async fn ask_for_map(server: &RemoteServer, shared: &Shared) -> Result<SlotMap, Arc<str>> {
    let asking = async {
        let (mut reader, mut writer, _) = signed_in::connect(server, shared, ASK_TIMEOUT).await?;
        let answer = signed_in::ask(&mut reader, &mut writer, &[b"CLUSTER", b"SLOTS"]).await;
        match answer.map_err(signed_in::shown)? {
            Reply::Error(error) if error.contains("cluster support disabled") => {
                Err("redis_url names several servers, but they are no cluster".into())
            }
            Reply::Error(error) => {
                Err(format!("it does not say which server has which keys ({})", signed_in::code_of(&error))
                    .into())
            }
            reply => SlotMap::of(&reply, server).ok_or_else(|| "the cluster has no servers with keys".into()),
        }
    };
    timeout(ASK_TIMEOUT, asking).await.unwrap_or_else(|_| Err("it does not answer".into()))
}

/// Asks one sentinel after the other, beginning with any.
async fn ask_sentinels(
    sentinels: &[RemoteServer],
    master: &str,
    shared: &Shared,
) -> Result<RemoteServer, Arc<str>> {
    let mut why: Arc<str> = "no sentinel answers".into();
    let first = fastrand::usize(..sentinels.len());
    for sentinel in sentinels.iter().cycle().skip(first).take(sentinels.len()) {
        let asked = timeout(ASK_TIMEOUT, ask_sentinel(sentinel, master, shared)).await;
        match asked.unwrap_or_else(|_| Err("a sentinel does not answer".into())) {
            Ok(address) => return remote(sentinel, &address),
            Err(error) => why = error,
        }
    }
    Err(why)
}

async fn ask_sentinel(sentinel: &RemoteServer, master: &str, shared: &Shared) -> Result<Address, Arc<str>> {
    let stream = sentinel.connect().await.map_err(|error| format!("a sentinel: {error}"))?;
    let (mut reader, mut writer) = wire(stream, &shared.budget);
    let sign_in = &shared.target().sign_in;
    if let Some(password) = sign_in.password() {
        let user = sign_in.username().unwrap_or("default");
        let words: [&[u8]; 3] = [b"AUTH", user.as_bytes(), password.as_bytes()];
        // Many sentinels have no password, or another one than Redis: if it is needed, the question itself is refused.
        signed_in::ask(&mut reader, &mut writer, &words).await.map_err(signed_in::shown)?;
    }
    let words: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", master.as_bytes()];
    let reply = signed_in::ask(&mut reader, &mut writer, &words).await.map_err(signed_in::shown)?;
    match (&reply, reply.parts()) {
        (_, Some([host, port])) => {
            let port = port.text().and_then(|port| port.parse().ok());
            let address = host.text().zip(port).map(|(host, port)| Address { host: host.into(), port });
            address.ok_or_else(|| "a sentinel does not say where the master is".into())
        }
        (Reply::Null, _) => Err(format!("the sentinels know no master {master:?}").into()),
        (Reply::Error(error), _) => {
            Err(format!("a sentinel does not say where the master is ({})", signed_in::code_of(error)).into())
        }
        _ => Err("a sentinel does not say where the master is".into()),
    }
}

fn remote(beside: &RemoteServer, address: &Address) -> Result<RemoteServer, Arc<str>> {
    beside.at(&address.host, address.port).map_err(|error| error.to_string().into())
}

/// The slot of a key: of what stands in its first braces, if there are any with something in them.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let braced = key.iter().position(|b| *b == b'{').and_then(|open| {
        let inside = &key[open + 1..];
        let close = inside.iter().position(|b| *b == b'}')?;
        (close > 0).then_some(&inside[..close])
    });
    crc16(braced.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the specification of the cluster says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

//! A cluster of Redis: three masters, each with a third of the slots.

use super::Redis;
use crate::ports::free_address;
use crate::{PATIENCE, eventually};

/// How many servers it has.
const SERVERS: usize = 3;
const SLOTS: usize = 16_384;

/// Three servers. Dropping it kills them.
#[derive(Debug)]
pub struct RedisCluster {
    /// The servers, in the order of their slots.
    pub servers: Vec<Redis>,
}

impl RedisCluster {
    /// Starts them, and waits until each knows the others and all slots are served.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    pub fn start() -> RedisCluster {
        let (servers, buses): (Vec<Redis>, Vec<u16>) = (0..SERVERS).map(|_| start_one()).unzip();
        for (n, server) in servers.iter().enumerate() {
            let (from, to) = (n * SLOTS / SERVERS, (n + 1) * SLOTS / SERVERS - 1);
            let said = server.command(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            assert_eq!(said, "OK");
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            if n > 0 {
                let port = servers[0].address().port().to_string();
                server.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &buses[0].to_string()]);
            }
        }
        let cluster = RedisCluster { servers };
        cluster.serves();
        cluster
    }

    /// URLs of the first servers, as a list.
    #[must_use]
    pub fn urls(&self, count: usize) -> Vec<String> {
        self.servers[..count].iter().map(Redis::url).collect()
    }

    /// Waits until all slots are served in the eyes of every server.
    ///
    /// # Panics
    /// When they are not.
    pub fn serves(&self) {
        for server in &self.servers {
            eventually!(
                server.command(&["CLUSTER", "INFO"]),
                |info| info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_ok:16384")
                    && info.contains("cluster_known_nodes:3"),
                2 * PATIENCE
            );
        }
    }

    /// Which server has a key.
    ///
    /// # Panics
    /// When none has.
    #[must_use]
    pub fn of_key(&self, key: &str) -> usize {
        let has_it = |server: &Redis| !server.command(&["TYPE", key]).starts_with("-MOVED");
        self.servers.iter().position(has_it).expect("one of them has the key")
    }

    /// Carries out a command where its key is.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn command(&self, key: &str, words: &[&str]) -> String {
        self.servers[self.of_key(key)].command(words)
    }

    /// Begins to move the slot of a key to another server: what is not there yet is asked for with ASK.
    ///
    /// # Panics
    /// When it cannot be moved.
    pub fn begin_to_move(&self, key: &str, to: usize) -> SlotMove {
        let from = self.of_key(key);
        let slot = self.servers[from].command(&["CLUSTER", "KEYSLOT", key]);
        let [from_id, to_id] = [from, to].map(|n| self.servers[n].command(&["CLUSTER", "MYID"]));
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id];
        assert_eq!(self.servers[to].command(&importing), "OK");
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id];
        assert_eq!(self.servers[from].command(&migrating), "OK");
        SlotMove { from, to, slot, to_id }
    }

    /// Moves a key of a slot that is being moved.
    ///
    /// # Panics
    /// When it is not moved.
    pub fn move_key(&self, slot: &SlotMove, key: &str) {
        let port = self.servers[slot.to].address().port().to_string();
        let said = self.servers[slot.from].command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        assert_eq!(said, "OK");
    }

    /// Ends the move.
    ///
    /// # Panics
    /// When it cannot.
    pub fn end_move(&self, slot: &SlotMove) {
        for server in [slot.to, slot.from] {
            let words = ["CLUSTER", "SETSLOT", &slot.slot, "NODE", &slot.to_id];
            assert_eq!(self.servers[server].command(&words), "OK");
        }
    }
}

/// A slot on its way from one server to another.
#[derive(Debug)]
pub struct SlotMove {
    from: usize,
    to: usize,
    slot: String,
    to_id: String,
}

/// A server, and the port at which the others reach it.
fn start_one() -> (Redis, u16) {
    // As the server's own port, it must be free again for a restart.
    let bus = free_address().port();
    let server = Redis::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-config-file",
        "nodes.conf",
        "--cluster-node-timeout",
        "2000",
        "--cluster-port",
        &bus.to_string(),
    ]);
    (server, bus)
}

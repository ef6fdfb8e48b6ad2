//! What the registry holds on to: only its insides can tell.

use super::{Registry, RegistryError, ScanPoint};
use crate::budget::{Budget, Owner};
use crate::id::Epoch;
use crate::ledger::{Kind, Ledger};
use crate::limits::{REGISTRY_STRIPES, SESSION_OVERHEAD_BYTES};
use crate::log::{Log, LogLimits};
use crate::name::SessionName;
use crate::session::{Session, ShardView};
use crate::sync::Arc;
use crate::time::Tick;

const LIMITS: LogLimits = LogLimits { max_queue_size: 1, max_history: 1, max_bytes: 1 };

fn crowd(registry: &Registry, sessions: usize) -> Vec<Arc<Session>> {
    let (ledger, budget) = (Ledger::new(), Budget::new(usize::MAX, usize::MAX));
    let made = (0..sessions).map(|number| {
        let name = SessionName::new(&format!("{number}"), 10).unwrap();
        let make = || {
            let (entry, permit) = (ledger.open(Kind::Session), budget.charge(Owner::Sessions, 1));
            let log = Log::new(Epoch::from_bits(number as u64), LIMITS);
            Ok::<_, RegistryError>(Session::new(name.clone(), log, 1, Tick::ZERO, entry, permit))
        };
        registry.get_or_create(&name, Tick::ZERO, false, make).unwrap()
    });
    made.collect()
}

fn sweep(registry: &Registry, idle: impl Fn(&Session) -> bool) {
    let mut next = Some(ScanPoint::default());
    while let Some(at) = next {
        next = registry.slice(at, &idle, |_| {}).next;
    }
}

/// Capacity of the slabs and of the tables.
fn capacity(registry: &Registry) -> (usize, usize) {
    let stripes = registry.stripes.iter().map(|stripe| stripe.lock());
    stripes.fold((0, 0), |(sessions, table), stripe| {
        (sessions + stripe.sessions.capacity(), table + stripe.table.capacity())
    })
}

#[test]
fn leak_class_e_a_registry_gives_its_room_back_after_a_crowd() {
    for swept in [true, false] {
        let registry = Registry::new(usize::MAX);
        let sessions = crowd(&registry, 20_000);
        assert!(capacity(&registry).0 >= 20_000);
        if !swept {
            for session in sessions {
                assert!(registry.remove(&session).is_some());
            }
        }
        sweep(&registry, |_| true);
        let (sessions, table) = capacity(&registry);
        assert!(sessions <= 64 * REGISTRY_STRIPES && table <= 64 * REGISTRY_STRIPES, "{sessions} {table}");
        assert!(registry.is_empty());
    }
}

#[test]
fn who_was_there_before_the_crowd_is_still_found_after_it() {
    let registry = Registry::new(usize::MAX);
    let sessions = crowd(&registry, 20_000);
    let early = &sessions[..100];
    let is_early = |session: &Session| early.iter().any(|kept| std::ptr::eq(&raw const **kept, session));
    sweep(&registry, |session| !is_early(session));
    assert_eq!(registry.len(), 100);
    assert!(capacity(&registry).0 < 20_000 / 4);
    for session in early {
        assert!(Arc::ptr_eq(session, &registry.get(session.name().as_str()).unwrap()));
    }
}

#[test]
fn stripes_share_the_sessions_among_them() {
    let registry = Registry::new(usize::MAX);
    let _sessions = crowd(&registry, 100 * REGISTRY_STRIPES);
    let fullest = registry.stripes.iter().map(|stripe| stripe.lock().sessions.len()).max();
    assert!(fullest < Some(200), "{fullest:?} of 100 on average");
}

#[test]
fn a_session_costs_no_more_than_it_is_charged() {
    let counts_of_arc = 2 * size_of::<usize>();
    // Slab and table may be twice as large as what stands in them.
    let in_registry = 2 * (2 * size_of::<usize>() + size_of::<u32>() + 1);
    let bytes = size_of::<Session>() + counts_of_arc + in_registry;
    // What is kept of the end of a session.
    let bytes = bytes + crate::log::END_BYTES;
    assert!(bytes <= SESSION_OVERHEAD_BYTES, "{bytes} bytes without its name and its shards");
    let name = SessionName::new("demo", 10).unwrap();
    assert_eq!(Session::cost(&name, 3), SESSION_OVERHEAD_BYTES + 4 + 3 * size_of::<ShardView>());
}

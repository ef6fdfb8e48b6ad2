//! The budget: every byte that can grow is charged to one process-wide account.
//!
//! A charge is a [`Permit`]; dropping it gives the bytes back. What is charged and what the allocator reports
//! are both looked at, and the larger one counts as pressure. The [`Ladder`] turns pressure into [`Rung`]s.

use std::sync::OnceLock;

use crate::limits::HYSTERESIS_PERCENT;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// Who holds bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owner {
    /// Encoded events, in logs or still being written.
    Frames,
    /// Subscribers of any delivery.
    Subscribers,
    /// Sessions without their frames.
    Sessions,
    /// Request heads and bodies in flight, and answers being built.
    Requests,
    /// Caches: idempotency keys, and tombstones of sessions.
    Caches,
    /// Rights under which streams are open.
    Access,
    /// What sources hold between where events come from and the sessions.
    Sources,
}

impl Owner {
    /// All owners, in the order in which they are shown.
    pub const ALL: [Owner; 7] = [
        Owner::Frames,
        Owner::Subscribers,
        Owner::Sessions,
        Owner::Requests,
        Owner::Caches,
        Owner::Access,
        Owner::Sources,
    ];

    /// The owner's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Owner::Frames => "frames",
            Owner::Subscribers => "subscribers",
            Owner::Sessions => "sessions",
            Owner::Requests => "requests",
            Owner::Caches => "caches",
            Owner::Access => "access",
            Owner::Sources => "sources",
        }
    }
}

/// The charge was refused: it would have taken the charged bytes above the critical threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory budget of {critical_bytes} bytes is exhausted")]
pub struct Exhausted {
    /// The critical threshold.
    pub critical_bytes: usize,
}

/// Tells how many bytes the process holds; `None` if that is not known.
pub type Observer = fn() -> Option<usize>;

/// All bytes that are charged, in total and by owner.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    owners: [AtomicUsize; Owner::ALL.len()],
    observed: AtomicUsize,
    observer: OnceLock<Observer>,
    refused: AtomicBool,
    rung: AtomicU8,
    warning_bytes: usize,
    critical_bytes: usize,
}

impl Budget {
    /// A budget that warns at `warning_bytes` and never charges beyond `critical_bytes` where it has a choice.
    #[must_use]
    pub fn new(warning_bytes: usize, critical_bytes: usize) -> Arc<Budget> {
        Arc::new(Budget {
            used: AtomicUsize::new(0),
            owners: std::array::from_fn(|_| AtomicUsize::new(0)),
            observed: AtomicUsize::new(0),
            observer: OnceLock::new(),
            refused: AtomicBool::new(false),
            rung: AtomicU8::new(Rung::Normal as u8),
            warning_bytes,
            critical_bytes,
        })
    }

    /// Charges bytes that are there already and cannot be refused any more; of more than 4 GiB at once, 4 GiB.
    pub fn charge(self: &Arc<Self>, owner: Owner, bytes: usize) -> Permit {
        // What is charged must be what the permit gives back, to the byte.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.used.fetch_add(bytes as usize, Ordering::Relaxed);
        self.permit(owner, bytes)
    }

    /// Charges bytes that are about to be taken.
    ///
    /// # Errors
    /// When they do not fit below the critical threshold, or are more than 4 GiB at once. The refusal is
    /// remembered and counts as pressure at the ladder's next step.
    pub fn try_charge(self: &Arc<Self>, owner: Owner, bytes: usize) -> Result<Permit, Exhausted> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.critical_bytes);
        let charged = u32::try_from(bytes)
            .ok()
            .filter(|_| self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok());
        if let Some(bytes) = charged {
            return Ok(self.permit(owner, bytes));
        }
        // Only bytes refused to publishers count as pressure, because shedding can make room for them. Refused
        // newcomers must not count: a crowd of them would raise the rung and cost existing subscribers their history.
        if owner == Owner::Frames {
            self.refused.store(true, Ordering::Relaxed);
        }
        Err(Exhausted { critical_bytes: self.critical_bytes })
    }

    /// The permit for bytes that stand in `used` already.
    fn permit(self: &Arc<Self>, owner: Owner, bytes: u32) -> Permit {
        self.owners[owner as usize].fetch_add(bytes as usize, Ordering::Relaxed);
        Permit { budget: Arc::clone(self), owner, bytes }
    }

    /// Has the ladder ask `observer` before each of its steps. The first one given stays.
    pub fn observe_by(&self, observer: Observer) {
        self.observer.get_or_init(|| observer);
    }

    /// Takes note of what the allocator says the process holds, in bytes; for a process without an [`Observer`].
    pub fn observe(&self, bytes: usize) {
        self.observed.store(bytes, Ordering::Relaxed);
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes the allocator reported last; 0 if nobody reports.
    #[must_use]
    pub fn observed(&self) -> usize {
        self.observed.load(Ordering::Relaxed)
    }

    /// Bytes charged to one owner.
    #[must_use]
    pub fn used_by(&self, owner: Owner) -> usize {
        self.owners[owner as usize].load(Ordering::Relaxed)
    }

    /// The larger of what is charged and what was observed.
    #[must_use]
    pub fn pressure(&self) -> usize {
        self.used().max(self.observed())
    }

    /// How much has to be given back for the measures to end, bytes.
    #[must_use]
    pub fn excess(&self) -> usize {
        (self.pressure() + 1).saturating_sub(share(self.critical_bytes))
    }

    /// Where warning begins, bytes.
    #[must_use]
    pub fn warning_bytes(&self) -> usize {
        self.warning_bytes
    }

    /// Where shedding begins, bytes.
    #[must_use]
    pub fn critical_bytes(&self) -> usize {
        self.critical_bytes
    }

    /// The rung that the ladder stands on.
    #[must_use]
    pub fn rung(&self) -> Rung {
        Rung::from_u8(self.rung.load(Ordering::Relaxed))
    }
}

/// The share of a threshold below which it is left again.
fn share(threshold: usize) -> usize {
    threshold.saturating_mul(HYSTERESIS_PERCENT) / 100
}

/// Charged bytes; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping the permit gives the bytes back at once"]
pub struct Permit {
    budget: Arc<Budget>,
    owner: Owner,
    bytes: u32,
}

impl Permit {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Takes up to `bytes` of it out, as a permit of their own. What is charged in all stays the same.
    pub fn split(&mut self, bytes: usize) -> Permit {
        let taken = self.bytes.min(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.bytes -= taken;
        Permit { budget: Arc::clone(&self.budget), owner: self.owner, bytes: taken }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.owners[self.owner as usize].fetch_sub(self.bytes(), Ordering::Relaxed);
        self.budget.used.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// What is done under pressure, in rising order. Each rung includes those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rung {
    /// Nothing: below the warning threshold.
    Normal = 0,
    /// The hub warns.
    Warning = 1,
    /// History older than live cursors need is let go.
    ShedHistory = 2,
    /// Newcomers get live events only, after a gap.
    NoReplay = 3,
    /// Newcomers are refused (503).
    NoNewcomers = 4,
    /// The laggards furthest behind are closed (`SLOW_CONSUMER`).
    CloseLaggards = 5,
}

impl Rung {
    fn from_u8(value: u8) -> Rung {
        match value {
            0 => Rung::Normal,
            1 => Rung::Warning,
            2 => Rung::ShedHistory,
            3 => Rung::NoReplay,
            4 => Rung::NoNewcomers,
            _ => Rung::CloseLaggards,
        }
    }

    /// The rung's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rung::Normal => "normal",
            Rung::Warning => "warning",
            Rung::ShedHistory => "shed_history",
            Rung::NoReplay => "no_replay",
            Rung::NoNewcomers => "no_newcomers",
            Rung::CloseLaggards => "close_laggards",
        }
    }

    /// Whether this is above the critical threshold.
    #[must_use]
    pub fn is_critical(self) -> bool {
        self >= Rung::ShedHistory
    }
}

/// Raises the rung by one per step while pressure stays critical, so that each measure can take effect before the
/// next; lowers it by one per step once pressure is below the threshold by the hysteresis.
#[derive(Debug)]
pub struct Ladder {
    budget: Arc<Budget>,
}

impl Ladder {
    /// The ladder of `budget`. There must be one only: it owns the budget's rung.
    #[must_use]
    pub fn new(budget: Arc<Budget>) -> Ladder {
        Ladder { budget }
    }

    /// Looks at the pressure and moves by one rung at most (warning is no measure: from below it, critical
    /// pressure leads to the first measure at once). Returns the rung before and the rung now.
    pub fn step(&mut self) -> (Rung, Rung) {
        let budget = &self.budget;
        if let Some(bytes) = budget.observer.get().and_then(|observer| observer()) {
            budget.observe(bytes);
        }
        let before = budget.rung();
        let pressure = budget.pressure();
        let refused = budget.refused.swap(false, Ordering::Relaxed);
        let low = |threshold| pressure < share(threshold);
        let now = if pressure >= budget.critical_bytes || refused {
            Rung::from_u8((before as u8 + 1).max(Rung::ShedHistory as u8))
        } else if before.is_critical() {
            if low(budget.critical_bytes) { Rung::from_u8(before as u8 - 1) } else { before }
        } else if pressure >= budget.warning_bytes || (before == Rung::Warning && !low(budget.warning_bytes))
        {
            Rung::Warning
        } else {
            Rung::Normal
        };
        budget.rung.store(now as u8, Ordering::Relaxed);
        (before, now)
    }
}

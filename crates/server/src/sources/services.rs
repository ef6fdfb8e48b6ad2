//! The services that are declared, and where the figures of each come from. Replaced whole when the file is read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use watertight_figures::{ProcessId, ScrapeUrl, StartError, Target};

use crate::config::{Declared, Service};
use crate::resource::ResourceId;

/// All services, by id.
pub(crate) type Table = Arc<BTreeMap<ResourceId, Service>>;

/// The services that are declared; without any, one: the host.
#[derive(Debug)]
pub(crate) struct Services(RwLock<Table>);

impl Services {
    pub(crate) fn new(declared: &Declared) -> Services {
        Services(RwLock::new(table(declared)))
    }

    /// Takes others.
    pub(crate) fn declare(&self, declared: &Declared) {
        *self.0.write() = table(declared);
    }

    /// Those at this moment.
    pub(crate) fn now(&self) -> Table {
        Arc::clone(&self.0.read())
    }
}

fn table(declared: &Declared) -> Table {
    let mut services = declared.services.clone();
    if services.is_empty()
        && let Ok(host) = ResourceId::new("host")
    {
        services.insert(host, Service { host: true, ..Service::default() });
    }
    Arc::new(services)
}

/// What is to be sampled for a service. `started`: when the process started that was sampled before, so that no later
/// process of the same id is taken for it. `None`: nothing is declared for it.
pub(super) fn target(service: &Service, started: Option<u64>) -> Result<Option<Target>, StartError> {
    if let Some(url) = &service.prometheus {
        let url = ScrapeUrl::new(url.expose().as_str())?;
        return Ok(Some(Target::Prometheus { url, families: service.families.clone() }));
    }
    if let Some(id) = service.pid {
        let id = u32::try_from(id).map_err(|_| StartError::NotAProcess)?;
        return Ok(Some(Target::Process(ProcessId { id, started })));
    }
    if let Some(path) = &service.cgroup {
        return Ok(Some(Target::Cgroup(path.clone())));
    }
    Ok(service.host.then_some(Target::Host))
}

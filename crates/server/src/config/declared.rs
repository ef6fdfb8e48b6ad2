//! What the tables of the file declare: `[deployments.ID]` and `[services.ID]`, each with its keys. There are none in the
//! environment and on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::amount::Count;
use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::read_list;
use super::server_url::{ServerUrl, WebUrl};
use super::words::{File, Switch};
use crate::resource::ResourceId;

/// How many deployments, and how many services, a file may declare. More belong into a directory of their own.
pub(super) const DECLARED_MAX: usize = 10_000;
/// How many bytes the name of an owner may have.
const OWNER_BYTES_MAX: usize = watertight_access::limits::SUBJECT_BYTES_MAX;
/// How many families of figures a service may name.
const FAMILIES_MAX: usize = 256;

/// Deployments and services of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// `[deployments.ID]`
    pub deployments: BTreeMap<ResourceId, Deployment>,
    /// `[services.ID]`
    pub services: BTreeMap<ResourceId, Service>,
}

impl Declared {
    /// None at all.
    pub(super) const NONE: Declared = Declared { deployments: BTreeMap::new(), services: BTreeMap::new() };
}

/// A deployment of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deployment {
    /// The user it belongs to.
    pub owner: Option<String>,
}

/// A service of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// The user it belongs to; without one it is for operators only.
    pub owner: Option<String>,
    /// The Prometheus endpoint that its figures come from.
    pub prometheus: Option<ServerUrl>,
    /// Which of that endpoint's families are figures of the service; all if there are none.
    pub families: Vec<String>,
    /// The process that it is.
    pub pid: Option<usize>,
    /// The control group that it runs in.
    pub cgroup: Option<PathBuf>,
    /// Whether it is the whole host.
    pub host: bool,
}

/// A key of a table, as [`Setting`](super::setting::Setting) is one of the file.
pub(super) struct Field<T> {
    pub(super) key: &'static str,
    pub(super) is_confidential: bool,
    pub(super) set: fn(&mut T, &Raw) -> Result<(), Refusal>,
    /// The value; `None` if nobody has set it.
    pub(super) plain: fn(&T) -> Option<Plain>,
}

/// A kind of table.
pub(super) trait Table: Default + 'static {
    /// What stands before the id, `deployments` of `[deployments.42]`.
    const NAME: &'static str;
    const FIELDS: &'static [Field<Self>];

    /// What is wrong with the table as a whole, and what would do.
    fn check(&self) -> Result<(), (&'static str, &'static str)>;
    fn all(declared: &mut Declared) -> &mut BTreeMap<ResourceId, Self>;
}

impl Table for Deployment {
    const NAME: &'static str = "deployments";
    const FIELDS: &'static [Field<Deployment>] = &[Field {
        key: "owner",
        is_confidential: false,
        set: |it, raw| OwnerName::read(raw, None).map(|value| it.owner = Some(value)),
        plain: |it| it.owner.as_ref().map(OwnerName::plain),
    }];

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self.owner {
            Some(_) => Ok(()),
            None => Err(("has no owner", "write owner = \"USER\" into it")),
        }
    }

    fn all(declared: &mut Declared) -> &mut BTreeMap<ResourceId, Deployment> {
        &mut declared.deployments
    }
}

/// The bounds of a process's id: those of Linux (`PID_MAX_LIMIT`).
const PID: Bounds =
    Bounds::new(1, "processes count from 1", 4_194_304, "Linux has no process of that number");

impl Table for Service {
    const NAME: &'static str = "services";
    const FIELDS: &'static [Field<Service>] = &[
        Field {
            key: "owner",
            is_confidential: false,
            set: |it, raw| OwnerName::read(raw, None).map(|value| it.owner = Some(value)),
            plain: |it| it.owner.as_ref().map(OwnerName::plain),
        },
        Field {
            key: "prometheus",
            is_confidential: true,
            set: |it, raw| WebUrl::read(raw, None).map(|value| it.prometheus = value),
            plain: |it| it.prometheus.as_ref().map(|url| Plain::Text(url.to_string())),
        },
        Field {
            key: "families",
            is_confidential: false,
            set: |it, raw| Families::read(raw, None).map(|value| it.families = value),
            plain: |it| (!it.families.is_empty()).then(|| Families::plain(&it.families)),
        },
        Field {
            key: "pid",
            is_confidential: false,
            set: |it, raw| Count::read(raw, Some(&PID)).map(|value| it.pid = Some(value)),
            plain: |it| it.pid.as_ref().map(Count::plain),
        },
        Field {
            key: "cgroup",
            is_confidential: false,
            set: |it, raw| File::read(raw, None).map(|value| it.cgroup = value),
            plain: |it| it.cgroup.is_some().then(|| File::plain(&it.cgroup)),
        },
        Field {
            key: "host",
            is_confidential: false,
            set: |it, raw| Switch::read(raw, None).map(|value| it.host = value),
            plain: |it| it.host.then(|| Switch::plain(&it.host)),
        },
    ];

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let sources = [self.prometheus.is_some(), self.pid.is_some(), self.cgroup.is_some(), self.host];
        if sources.into_iter().filter(|is_set| *is_set).count() > 1 {
            return Err(("has several sources of figures", "keep one of prometheus, pid, cgroup and host"));
        }
        if !self.families.is_empty() && self.prometheus.is_none() {
            return Err(("has families of figures but no endpoint", "write prometheus = \"URL\" into it"));
        }
        Ok(())
    }

    fn all(declared: &mut Declared) -> &mut BTreeMap<ResourceId, Service> {
        &mut declared.services
    }
}

/// The name of a user, as tokens have it in `sub`.
enum OwnerName {}

impl Kind for OwnerName {
    type Value = String;
    const FORM: Form = Form {
        value_name: "USER",
        noun: "the name of a user",
        advice: "a text such as \"ada\", as tokens have it in `sub`",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<String, Refusal> {
        match raw {
            Raw::Text(text)
                if (1..=OWNER_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control) =>
            {
                Ok(text.clone())
            }
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &String) -> Plain {
        Plain::Text(value.clone())
    }
}

/// Names of families of figures, as Prometheus has them.
enum Families {}

impl Families {
    fn one(text: &str) -> Result<String, &'static str> {
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':'));
        let goes_on = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
        if starts && goes_on { Ok(text.to_owned()) } else { Err("is no name of a figure") }
    }
}

impl Kind for Families {
    type Value = Vec<String>;
    const FORM: Form = Form {
        value_name: "NAME,...",
        noun: "a list of figures",
        advice: "a list of names, such as [\"http_requests_total\"], 256 at most",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Vec<String>, Refusal> {
        let families = read_list(raw, &Self::FORM, bounds, Self::one)?;
        if families.len() > FAMILIES_MAX { Err(Self::FORM.refuse(bounds)) } else { Ok(families) }
    }

    fn plain(value: &Vec<String>) -> Plain {
        Plain::List(value.clone())
    }
}

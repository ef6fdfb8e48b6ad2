//! What a row of the table of settings is made into: the field of [`Config`], and a [`Setting`]
//! by which everything else (file, environment, flags, help, report, reference) finds it.
//!
//! Knows no single key; those stand in [`super::limits`].

use std::sync::LazyLock;

use super::error::Refusal;
use super::kind::{Bounds, Form, Plain, Raw};
use super::limits::{Config, SETTINGS};

/// What the name of every variable of the environment begins with.
pub(super) const VARIABLE_PREFIX: &str = "WATERTIGHT_";

/// One row of the table.
pub(super) struct Setting {
    pub(super) key: &'static str,
    /// The heading it stands under.
    pub(super) section: &'static str,
    /// What it means, line by line.
    pub(super) about: &'static [&'static str],
    pub(super) form: Form,
    /// Whether what is written may hold a secret.
    pub(super) is_confidential: bool,
    pub(super) bounds: Option<Bounds>,
    /// Reads and checks a value; leaves the configuration alone if it is refused.
    pub(super) set: fn(&mut Config, &Raw) -> Result<(), Refusal>,
    pub(super) plain: fn(&Config) -> Plain,
    /// The value in base units of the form's unit, if it is numeric.
    pub(super) amount: fn(&Config) -> Option<u64>,
}

impl Setting {
    /// What it means, on one line.
    pub(super) fn about(&self) -> String {
        self.about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// What a message repeats of what was written, which may be nothing.
    pub(super) fn repeated(&self, written: &str) -> Option<String> {
        (!self.is_confidential).then(|| written.to_owned())
    }

    /// Whether it is a list, whose flag may be given several times.
    pub(super) fn is_list(&self) -> bool {
        matches!((self.plain)(&Config::DEFAULT), Plain::List(_))
    }

    /// Whether its flag may stand without a value.
    pub(super) fn is_switch(&self) -> bool {
        matches!((self.plain)(&Config::DEFAULT), Plain::Switch(_))
    }
}

/// The names of one setting outside the file.
pub(super) struct Names {
    /// `WATERTIGHT_MAX_QUEUE_SIZE`
    pub(super) variable: String,
    /// `max-queue-size`
    pub(super) flag: String,
}

/// The names of each setting, in the order of the table.
pub(super) static NAMES: LazyLock<Vec<Names>> = LazyLock::new(|| {
    let names = |setting: &Setting| Names {
        variable: format!("{VARIABLE_PREFIX}{}", setting.key.to_ascii_uppercase()),
        flag: setting.key.replace('_', "-"),
    };
    SETTINGS.iter().map(names).collect()
});

/// The number of a key's row in the table.
pub(super) fn row_of(key: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.key == key)
}

/// Makes `Config` and `SETTINGS` from the table. A row is
///
/// ```text
/// /// What it means.
/// key: Type as Kind = default, min LEAST => "what is wrong with less", max MOST => "... with more";
/// ```
macro_rules! settings {
    ($( $section:literal { $(
        $(#[doc = $about:literal])+
        $key:ident : $type:ty as $kind:ty = $default:expr
        $(, min $min:expr => $below:literal, max $max:expr => $above:literal)? ;
    )+ } )+) => {
        /// The configuration of the hub: every field is within its bounds if it comes from
        /// [`load`](super::load()).
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $($( $(#[doc = $about])+ pub $key: $type, )+)+
            /// What the tables of the file declare.
            pub declared: Declared,
        }

        impl Config {
            /// The configuration of a hub nobody has configured.
            pub const DEFAULT: Config = Config { $($( $key: $default, )+)+ declared: Declared::NONE };
        }

        /// All settings, in the order of the reference.
        pub(super) static SETTINGS: &[Setting] = &[$($(
            {
                type ThisKind = $kind;
                const BOUNDS: Option<Bounds> =
                    [$( Some(Bounds::new($min, $below, $max, $above)), )? None][0];
                Setting {
                    key: stringify!($key),
                    section: $section,
                    about: &[$($about),+],
                    form: <ThisKind as Kind>::FORM,
                    is_confidential: <ThisKind as Kind>::IS_CONFIDENTIAL,
                    bounds: BOUNDS,
                    set: |config, raw| {
                        config.$key = <ThisKind as Kind>::read(raw, BOUNDS.as_ref())?;
                        Ok(())
                    },
                    plain: |config| <ThisKind as Kind>::plain(&config.$key),
                    amount: |config| <ThisKind as Kind>::amount(&config.$key),
                }
            },
        )+)+];
    };
}
pub(super) use settings;

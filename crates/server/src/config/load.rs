//! Putting the configuration together from its sources, in rising order of precedence: built-in
//! defaults, the TOML file, the environment, the flags.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::args::ConfigArgs;
use super::draft::{Draft, SEE_HELP};
use super::error::{ConfigError, Mistake, Origin, Problem, printable};
use super::kind::Raw;
use super::limits::SETTINGS;
use super::service_links::is_service_link;
use super::setting::{NAMES, VARIABLE_PREFIX};
use super::suggest::nearest_key;
use super::{Loaded, file};

/// The variable that names the file.
const CONFIG_VARIABLE: &str = "WATERTIGHT_CONFIG";

/// Variables with our prefix that are no settings.
const NO_SETTINGS: [&str; 4] = [CONFIG_VARIABLE, "WATERTIGHT_LOG", "WATERTIGHT_TOKEN", "WATERTIGHT_URL"];

/// Reads the configuration from its file, the environment and the flags.
///
/// `env` is what `std::env::vars_os()` gives; only names that begin with `WATERTIGHT_` are looked
/// at, and those of them that Kubernetes sets for a Service are left out. Reads the file and nothing else: whether the address can be bound or the certificate
/// exists is found out by whoever uses them.
///
/// # Errors
///
/// Everything that is wrong, in every source, at once: see [`ConfigError::problems`].
pub fn load(
    args: &ConfigArgs,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    // By name, so that problems come in the same order every time.
    let variables: BTreeMap<OsString, OsString> =
        env.filter(|(name, _)| name.as_encoded_bytes().starts_with(VARIABLE_PREFIX.as_bytes())).collect();

    let mut draft = Draft::new();
    let by_flag = args.config.clone().map(|path| (path, Origin::Flag { flag: "--config".to_owned() }));
    let by_variable = || {
        let path = variables.get(OsStr::new(CONFIG_VARIABLE))?;
        Some((PathBuf::from(path), Origin::Environment { variable: CONFIG_VARIABLE.to_owned() }))
    };
    let named = by_flag.or_else(by_variable);
    if let Some((path, origin)) = &named {
        file::read(path, origin.clone(), &mut draft);
    }
    for (name, value) in &variables {
        variable(name, value, &mut draft);
    }
    for (at, values) in args.given() {
        let origin = Origin::Flag { flag: format!("--{}", NAMES[at].flag) };
        offer_texts(at, origin, values, &mut draft);
    }
    let loaded = draft.finish()?;
    Ok(Loaded { file: named.map(|(path, _)| path), ..loaded })
}

fn variable(name: &OsStr, value: &OsString, draft: &mut Draft) {
    if NO_SETTINGS.iter().any(|known| name == *known) {
        return;
    }
    let origin = Origin::Environment { variable: name.to_string_lossy().into_owned() };
    if let Some(at) = NAMES.iter().position(|names| name == names.variable.as_str()) {
        return offer_texts(at, origin, std::slice::from_ref(value), draft);
    }
    let name = name.to_string_lossy();
    if is_service_link(name.trim_start_matches(VARIABLE_PREFIX), &value.to_string_lossy()) {
        return;
    }
    let advice = match nearest_key(name.trim_start_matches(VARIABLE_PREFIX)) {
        Some(near) => format!("did you mean {VARIABLE_PREFIX}{}?", near.to_ascii_uppercase()),
        None => format!("unset it; {SEE_HELP}"),
    };
    draft.problem(Problem {
        origin,
        mistake: Mistake::UnknownKey,
        key: None,
        value: None,
        wrong: "no such setting".to_owned(),
        advice: Some(advice),
    });
}

/// Offers what a variable or a flag says: one text, or several of a flag that may be repeated.
fn offer_texts(at: usize, origin: Origin, values: &[OsString], draft: &mut Draft) {
    let lossy: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
    let written = format!("\"{}\"", printable(&lossy.join(",")));
    let texts: Option<Vec<String>> = values.iter().map(|value| value.to_str().map(str::to_owned)).collect();
    match texts {
        Some(mut texts) if texts.len() == 1 => {
            draft.offer(at, origin, &Raw::Text(texts.remove(0)), &written);
        }
        Some(texts) => {
            draft.offer(at, origin, &Raw::List(texts.into_iter().map(Raw::Text).collect()), &written);
        }
        None => {
            let setting = &SETTINGS[at];
            draft.refuse(at);
            draft.problem(Problem {
                origin,
                mistake: Mistake::NotUtf8,
                key: Some(setting.key.to_owned()),
                value: setting.repeated(&written),
                wrong: "not UTF-8".to_owned(),
                advice: Some("write it in UTF-8".to_owned()),
            });
        }
    }
}

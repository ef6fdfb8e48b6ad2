//! The verifier that the configuration describes, and reading its keys again.

use std::path::PathBuf;
use std::sync::Arc;

use watertight::Hub;
use watertight_access::fetch::InvalidEndpoint;
use watertight_access::{
    Clock, Endpoint, IntrospectionSettings, InvalidSettings, KeySetSettings, KeySource, RefusedKey, Rules,
    Settings, StaticKeys, Verifier, Zeroizing,
};

use super::Authorization;
use crate::config::{Config, Secret, SecretFileError, ServerUrl};
use crate::reload::Reloadable;

/// Why the hub cannot verify tokens.
#[derive(Debug, thiserror::Error)]
pub enum AccessStartError {
    /// Keys are of no use.
    #[error("{}", listed(.0))]
    Keys(Vec<RefusedKey>),
    /// An address is of no use.
    #[error("{key} {why}")]
    Endpoint {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        why: InvalidEndpoint,
    },
    /// A password cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// A secret is no text.
    #[error("{0} is not UTF-8; `base64:` and its bytes would do")]
    NotText(&'static str),
    /// Settings contradict each other.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
}

fn listed(refused: &[RefusedKey]) -> String {
    let lines: Vec<String> = refused.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The verifier. `None`: there is nothing to verify tokens with, and the hub is open.
pub(super) fn verifier(hub: &Hub, config: &Config) -> Result<Option<Verifier>, AccessStartError> {
    if !config.needs_tokens() {
        return Ok(None);
    }
    let issuer: Option<Arc<str>> = config.token_issuer.as_deref().map(Into::into);
    let key_set = config.jwks_url.as_ref().map(|url| {
        let url = endpoint("jwks_url", url)?;
        let (cache, cooldown, stale) = (config.jwks_cache, config.jwks_cooldown, config.jwks_stale);
        Ok::<_, AccessStartError>(KeySetSettings { issuer: issuer.clone(), url, cache, cooldown, stale })
    });
    let settings = Settings {
        rules: Rules { issuer, audience: config.token_audience.clone(), leeway: config.token_leeway },
        keys: keys(config).map_err(AccessStartError::Keys)?,
        algorithms: config.token_algorithms.clone(),
        key_sets: key_set.transpose()?.into_iter().collect(),
        introspection: introspection(config)?,
        clock: Clock::system(),
        budget: Arc::clone(hub.budget()),
    };
    Ok(Some(Verifier::new(settings)?))
}

fn keys(config: &Config) -> Result<StaticKeys, Vec<RefusedKey>> {
    let mut sources = Vec::new();
    if let Some(secret) = &config.token_secret {
        // What is no text was refused where settings are read.
        sources
            .push(KeySource::Secret(Zeroizing::new(String::from_utf8_lossy(secret.expose()).into_owned())));
    }
    sources.extend(config.token_secret_file.clone().map(KeySource::SecretFile));
    sources.extend(config.token_public_key.clone().map(KeySource::PublicKeyFile));
    StaticKeys::load(&sources, &config.token_algorithms, config.jwks_url.is_some())
}

fn introspection(config: &Config) -> Result<Option<IntrospectionSettings>, AccessStartError> {
    let (Some(url), Some(client)) = (&config.introspection_url, &config.introspection_client) else {
        return Ok(None);
    };
    let read = config.introspection_secret_file.as_deref().map(Secret::read).transpose()?;
    let Some(secret) = read.or_else(|| config.introspection_secret.clone()) else { return Ok(None) };
    let text =
        str::from_utf8(secret.expose()).map_err(|_| AccessStartError::NotText("introspection_secret"))?;
    Ok(Some(IntrospectionSettings {
        url: endpoint("introspection_url", url)?,
        client: client.clone(),
        secret: Zeroizing::new(text.to_owned()),
        cache: config.directory_cache,
    }))
}

fn endpoint(key: &'static str, url: &ServerUrl) -> Result<Endpoint, AccessStartError> {
    Endpoint::new(url.expose().as_str()).map_err(|why| AccessStartError::Endpoint { key, why })
}

/// The static keys of a running hub, and where they are read again.
pub(crate) struct TokenKeys {
    config: Arc<Config>,
    access: Arc<Authorization>,
}

impl TokenKeys {
    /// `None`: no key is in a file.
    pub(crate) fn of(config: &Arc<Config>, access: &Arc<Authorization>) -> Option<TokenKeys> {
        let keys = TokenKeys { config: Arc::clone(config), access: Arc::clone(access) };
        (access.tokens.is_some() && !keys.files().is_empty()).then_some(keys)
    }
}

impl Reloadable for TokenKeys {
    fn what(&self) -> &'static str {
        "the set of token keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        [&self.config.token_secret_file, &self.config.token_public_key]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn reload(&self) -> Result<(), String> {
        let keys = keys(&self.config).map_err(|refused| listed(&refused))?;
        if let Some(tokens) = &self.access.tokens {
            tokens.verifier.reload(keys);
        }
        Ok(())
    }
}

//! What settings owe each other: the rules that no single value can break.
//!
//! Checked last, on the merged configuration, and only where every key of a rule was taken: a rule
//! says nothing about a value that is refused anyway.

use super::cross_origin::AllowedOrigins;
use super::directory::DirectoryKind;
use super::error::{Mistake, Origin, Problem, printable};
use super::limits::{Config, SETTINGS};
use super::listen::ListenAddress;
use super::logs::LogsSource;
use super::setting::row_of;

/// A rule between two settings.
pub(super) struct Relation {
    pub(super) keys: [&'static str; 2],
    pub(super) rule: Rule,
    /// Why, a fragment.
    pub(super) why: &'static str,
}

/// How the first key of a [`Relation`] is to stand to the second.
pub(super) enum Rule {
    /// Below the second. A word in either place (`auto`, `none`) satisfies it.
    Below,
    /// At most the second. A word in either place satisfies it.
    AtMost,
    /// Something else, which `holds` decides; the fault is the first key's. `says` stands before
    /// the second key and its value.
    Other { holds: fn(&Config) -> bool, says: &'static str, advice: &'static str },
}

pub(super) static RELATIONS: &[Relation] = &[
    Relation {
        keys: ["listen", "insecure_open"],
        rule: Rule::Other {
            holds: |config| {
                let is_loopback = config.listen.iter().all(ListenAddress::is_local);
                config.insecure_open || config.needs_tokens() || is_loopback
            },
            says: "must be a loopback address with",
            advice: "set token_secret_file (`watertight token secret` makes one), token_public_key or jwks_url, so that \
                     tokens are needed; or listen on 127.0.0.1; or set insecure_open = true (--insecure-open) to mean it",
        },
        why: "an open hub lets whoever reaches it read, publish and end every session",
    },
    Relation {
        keys: ["admin_listen", "insecure_open"],
        rule: Rule::Other {
            holds: |config| {
                let is_loopback = config.admin_listen.as_ref().is_none_or(ListenAddress::is_local);
                config.insecure_open || config.needs_tokens() || is_loopback
            },
            says: "must be a loopback address with",
            advice: "listen on 127.0.0.1, or set insecure_open = true (--insecure-open) to mean it",
        },
        why: "whoever reaches it sees every reader and may close and end what they like",
    },
    Relation {
        keys: ["admin_listen", "listen"],
        rule: Rule::Other {
            // Port 0 takes a free one each time.
            holds: |config| {
                let is_another =
                    |admin: &ListenAddress| admin.is_free_port() || !config.listen.contains(admin);
                config.admin_listen.as_ref().is_none_or(is_another)
            },
            says: "must be another address than",
            advice: "give admin_listen a port of its own",
        },
        why: "what is for operators alone needs a listener of its own",
    },
    Relation {
        keys: ["tls_cert", "tls_key"],
        rule: Rule::Other {
            holds: |config| config.tls_cert.is_none() || config.tls_key.is_some(),
            says: "does not go with",
            advice: "set both tls_cert and tls_key, or neither",
        },
        why: "TLS takes a certificate and its key",
    },
    Relation {
        keys: ["tls_key", "tls_cert"],
        rule: Rule::Other {
            holds: |config| config.tls_key.is_none() || config.tls_cert.is_some(),
            says: "does not go with",
            advice: "set both tls_cert and tls_key, or neither",
        },
        why: "TLS takes a certificate and its key",
    },
    Relation {
        keys: ["cors_credentials", "cors_origins"],
        rule: Rule::Other {
            holds: |config| !(config.cors_credentials && config.cors_origins == AllowedOrigins::Any),
            says: "does not go with",
            advice: "list the origins that may send cookies, or set cors_credentials = false",
        },
        why: "every page on the web could use a visitor's cookie",
    },
    exclusive(
        ["token_secret_file", "token_secret"],
        |config| config.token_secret.is_none() || config.token_secret_file.is_none(),
        "there is one secret",
    ),
    exclusive(
        ["introspection_secret_file", "introspection_secret"],
        |config| config.introspection_secret.is_none() || config.introspection_secret_file.is_none(),
        "there is one password",
    ),
    Relation {
        keys: ["introspection_url", "introspection_client"],
        rule: Rule::Other {
            holds: |config| config.introspection_url.is_some() == config.introspection_client.is_some(),
            says: "does not go with",
            advice: "set both introspection_url and introspection_client, or neither",
        },
        why: "the issuer answers only those it knows",
    },
    Relation {
        keys: ["introspection_url", "introspection_secret"],
        rule: Rule::Other {
            holds: |config| {
                let is_given =
                    config.introspection_secret.is_some() || config.introspection_secret_file.is_some();
                config.introspection_url.is_some() == is_given
            },
            says: "does not go with",
            advice: "set introspection_secret_file, or introspection_secret, and introspection_url",
        },
        why: "the issuer answers only those it knows",
    },
    Relation {
        keys: ["insecure_open", "token_secret"],
        rule: Rule::Other {
            holds: |config| !(config.insecure_open && config.needs_tokens()),
            says: "does not go with tokens, such as by",
            advice: "set insecure_open = false, or none of token_secret, token_secret_file, token_public_key, jwks_url and \
                     introspection_url",
        },
        why: "a hub is open, or asks for tokens",
    },
    at_most("jwks_cooldown", "jwks_cache", "the keys are to be read again when they are old"),
    at_most("jwks_cache", "jwks_stale", "keys that are still fresh have to count"),
    Relation {
        keys: ["directory", "webhook_url"],
        rule: Rule::Other {
            holds: |config| (config.directory == DirectoryKind::Webhook) == config.webhook_url.is_some(),
            says: "does not go with",
            advice: "set both directory = \"webhook\" and webhook_url, or neither",
        },
        why: "a webhook is asked at its URL, and no other directory is",
    },
    Relation {
        keys: ["directory", "webhook_secret"],
        rule: Rule::Other {
            holds: |config| {
                let is_given = config.webhook_secret.is_some() || config.webhook_secret_file.is_some();
                config.directory != DirectoryKind::Webhook || is_given
            },
            says: "does not go with",
            advice: "set webhook_secret_file, or webhook_secret",
        },
        why: "the application could not tell the hub's questions from anybody's",
    },
    exclusive(
        ["webhook_secret_file", "webhook_secret"],
        |config| config.webhook_secret.is_none() || config.webhook_secret_file.is_none(),
        "there is one secret",
    ),
    Relation {
        keys: ["webhook_url", "webhook_secret"],
        rule: Rule::Other {
            holds: |config| config.webhook_url.as_ref().is_none_or(|url| !url.signs_in()),
            says: "has a user or a password beside",
            advice: "leave them out of webhook_url",
        },
        why: "questions are signed with the secret",
    },
    Relation {
        keys: ["directory", "redis_url"],
        rule: Rule::Other {
            holds: |config| config.directory != DirectoryKind::Redis || !config.redis_url.is_empty(),
            says: "does not go with",
            advice: "set redis_url = \"redis://HOST:6379\"",
        },
        why: "Redis has to be found",
    },
    Relation {
        keys: ["logs_source", "redis_url"],
        rule: Rule::Other {
            holds: |config| config.logs_source == LogsSource::Post || !config.redis_url.is_empty(),
            says: "does not go with",
            advice: "set redis_url = \"redis://HOST:6379\"",
        },
        why: "Redis has to be found",
    },
    below(
        "memory_warning_threshold_mb",
        "memory_critical_threshold_mb",
        "the hub warns before it sheds, and stops shedding between the two",
    ),
    at_most("max_event_bytes", "max_history_bytes_per_session", "an event has to fit its session's history"),
    at_most("max_event_bytes", "max_body_bytes", "an event has to fit the request that publishes it"),
    below(
        "max_history_bytes_per_session",
        "memory_critical_threshold_mb",
        "one session must not make the hub shed",
    ),
    below("max_body_bytes", "memory_critical_threshold_mb", "one request must not make the hub shed"),
    at_most("max_connections_per_address", "max_connections", "it could never be reached"),
    below("max_session_name_bytes", "max_uri_bytes", "a session's name stands in the path"),
    below("max_uri_bytes", "max_head_bytes", "the target is a part of the head"),
    below(
        "heartbeat_interval",
        "write_deadline",
        "a reader that stalls in silence is noticed only by a heartbeat it does not take",
    ),
    below(
        "heartbeat_interval",
        "max_subscriber_idle_time",
        "on a quiet stream the heartbeat is the only sign of life",
    ),
    at_most("long_poll_default_wait", "long_poll_max_wait", "the default has to be allowed"),
    at_most("long_poll_default_events", "long_poll_max_events", "the default has to be allowed"),
];

/// Two settings of which one at most is given.
const fn exclusive(keys: [&'static str; 2], holds: fn(&Config) -> bool, why: &'static str) -> Relation {
    Relation {
        keys,
        rule: Rule::Other { holds, says: "does not go with", advice: "keep one of the two" },
        why,
    }
}

const fn below(lesser: &'static str, greater: &'static str, why: &'static str) -> Relation {
    Relation { keys: [lesser, greater], rule: Rule::Below, why }
}

const fn at_most(lesser: &'static str, greater: &'static str, why: &'static str) -> Relation {
    Relation { keys: [lesser, greater], rule: Rule::AtMost, why }
}

impl Relation {
    pub(super) fn holds(&self, config: &Config) -> bool {
        let strictly = match &self.rule {
            Rule::Other { holds, .. } => return holds(config),
            Rule::Below => true,
            Rule::AtMost => false,
        };
        match self.keys.map(|key| amount(config, key)) {
            [Some(lesser), Some(greater)] if strictly => lesser < greater,
            [Some(lesser), Some(greater)] => lesser <= greater,
            _ => true,
        }
    }

    /// The problem it is that this does not hold. It is laid at the key that somebody wrote, the
    /// one of the higher precedence if both were written.
    pub(super) fn broken(&self, config: &Config, origins: &[Origin]) -> Problem {
        let [first, second] = self.keys.map(|key| {
            let at = row_of(key).unwrap_or_default();
            (key, (SETTINGS[at].plain)(config).toml(), &origins[at])
        });
        let at_first = matches!(self.rule, Rule::Other { .. }) || rank(first.2) >= rank(second.2);
        let (guilty, other) = if at_first { (first, second) } else { (second, first) };
        let (says, advice) = match (&self.rule, at_first) {
            (Rule::Other { says, advice, .. }, _) => (*says, (*advice).to_owned()),
            (Rule::Below, true) => ("must be below", change(guilty.0, other.0)),
            (Rule::Below, false) => ("must be above", change(guilty.0, other.0)),
            (Rule::AtMost, true) => ("must be at most", change(guilty.0, other.0)),
            (Rule::AtMost, false) => ("must be at least", change(guilty.0, other.0)),
        };
        let (key, value, origin) = guilty;
        Problem {
            origin: origin.clone(),
            mistake: Mistake::Conflict,
            key: Some(key.to_owned()),
            value: Some(printable(&value)),
            wrong: format!("{says} {} = {} ({}): {}", other.0, printable(&other.1), other.2, self.why),
            advice: Some(advice),
        }
    }

    /// The rule in words, for the reference.
    pub(super) fn words(&self) -> String {
        let [first, second] = self.keys;
        match &self.rule {
            Rule::Below => format!("`{first}` is below `{second}`: {}", self.why),
            Rule::AtMost => format!("`{first}` is at most `{second}`: {}", self.why),
            Rule::Other { advice, .. } => format!("`{first}` and `{second}`: {advice}; {}", self.why),
        }
    }
}

fn change(one: &str, other: &str) -> String {
    format!("change {one} or {other}")
}

/// The value of a key in the base unit it is compared in with others.
fn amount(config: &Config, key: &str) -> Option<u128> {
    let setting = &SETTINGS[row_of(key)?];
    Some(u128::from((setting.amount)(config)?) * u128::from(setting.form.unit?.scale()))
}

/// Precedence, rising.
fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::File { .. } => 1,
        Origin::Environment { .. } => 2,
        Origin::Flag { .. } => 3,
    }
}

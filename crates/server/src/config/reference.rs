//! The reference of all settings, `docs/configuration.md`, made from the table.

use std::fmt::Write as _;

use super::limits::{Config, SETTINGS};
use super::relations::RELATIONS;
use super::setting::Setting;

const HEAD: &str = "\
# Configuration

<!-- Made from the table of settings; change that, then run
     `BLESS=1 cargo test -p watertight-server configuration_md`. -->

Every setting has a default. Values come from four sources, each overriding the one before it:

1. the default built in;
2. a TOML file, named by `--config FILE` or by `WATERTIGHT_CONFIG`, with all settings at its top level:
   `max_queue_size = 2000`;
3. the environment, the key in capitals after `WATERTIGHT_`: `WATERTIGHT_MAX_QUEUE_SIZE=2000`;
4. a flag, the key with dashes: `--max-queue-size 2000`.

The configuration is accepted or refused as a whole. If a key does not exist, a value is out of its bounds or two
settings contradict each other, the program reports all problems at once, each with its location (`hub.toml:3:18`,
the variable, the flag) and the valid values, and ends with exit code 64. This applies to all variables that begin
with `WATERTIGHT_`, except `WATERTIGHT_CONFIG`, `WATERTIGHT_LOG`, `WATERTIGHT_TOKEN` and `WATERTIGHT_URL`, and except
those that Kubernetes sets for a Service called `watertight`, or `watertight-` and more: `WATERTIGHT_SERVICE_HOST`,
`WATERTIGHT_SERVICE_PORT` and `WATERTIGHT_SERVICE_PORT_HTTP`, `WATERTIGHT_PORT` with an address such as
`tcp://10.0.0.1:8080`, `WATERTIGHT_PORT_8080_TCP` and the same with `_PROTO`, `_PORT` or `_ADDR`. Those are ignored.
`watertight check FILE` prints the resulting settings, key by key.

| kind | written as |
|---|---|
| time | seconds (`300`, `0.5`), or with a unit: `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`, `\"1d\"` |
| size | bytes (`262144`), or with a unit: `\"256 KiB\"`, `\"8MiB\"` (1,024), `\"1GB\"` (1,000) |
| `*_mb` | a whole number of MiB |
| switch | `true` or `false`; as a flag, `--key` alone means `true`, and `--key=false` the other |
| list | a TOML array; in a variable or a flag separated by commas |
| secret | a text; no message and no report shows it, `(secret)` stands in its place. The same holds for the user, the password and the query in a URL |

Numbers may be quoted in the file. Paths are relative to the directory the hub is started in.
";

const TABLES: &str = "
## Deployments and services

Tables of the file, below all settings; there are none in the environment and on the command line. Each has the id that
stands in the path, in quotes if it is not of letters, digits, `-` and `_`. [access.md](access.md#directory) tells what
they are for.

```toml
[deployments.42]
owner = \"ada\"

[services.api]
owner = \"ada\"
prometheus = \"http://127.0.0.1:9100/metrics\"
families = [\"http_requests_total\"]
```

| key | of | meaning |
|---|---|---|
| `owner` | both | the user it belongs to, as tokens have it in `sub`; a service without one is for operators only |
| `prometheus` | services | the endpoint that its figures come from |
| `families` | services | which families of that endpoint; all if there are none |
| `pid`, `cgroup`, `host` | services | instead of an endpoint: the process, the control group, or `true` for the whole host |
";

/// The reference of all settings in Markdown; `docs/configuration.md` is this text.
pub fn reference_markdown() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for setting in SETTINGS {
        if setting.section != section {
            section = setting.section;
            let _ = write!(text, "\n## {section}\n\n");
            text.push_str("| key | default | meaning | bounds |\n|---|---|---|---|\n");
        }
        text.push_str(&row(setting));
    }
    text.push_str(TABLES);
    text.push_str("\n## Between settings\n\n");
    for (at, relation) in RELATIONS.iter().enumerate() {
        let [first, second] = relation.keys;
        // Two that need each other are two rules, but one thing to say.
        if !RELATIONS[..at].iter().any(|before| before.keys == [second, first]) {
            let _ = writeln!(text, "- {}.", relation.words());
        }
    }
    text
}

fn row(setting: &Setting) -> String {
    let default = (setting.plain)(&Config::DEFAULT).toml();
    let bounds = match (setting.bounds, setting.form.unit) {
        (Some(bounds), Some(unit)) => {
            let words = match setting.form.words {
                "" => String::new(),
                words => format!(", or {words}"),
            };
            let [min, max] = unit.range(bounds.min, bounds.max);
            format!("{min} (less: {}) to {max} (more: {}){words}", bounds.below, bounds.above)
        }
        _ => setting.form.advice(None).trim_start_matches("use ").to_owned(),
    };
    let cell = |text: &str| text.replace('|', "\\|");
    format!("| `{}` | `{default}` | {} | {} |\n", setting.key, cell(&setting.about()), cell(&bounds))
}

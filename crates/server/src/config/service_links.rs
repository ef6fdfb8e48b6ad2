//! Variables that Kubernetes sets by itself: for a Service called `watertight` every container of the namespace gets
//! `WATERTIGHT_SERVICE_HOST`, `WATERTIGHT_PORT=tcp://10.0.0.1:8080` and more, for `watertight-admin`
//! `WATERTIGHT_ADMIN_SERVICE_HOST` and so on. They carry our prefix and are no settings.

/// Whether a variable is one of those: `name` without our prefix, and its value.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    (0..words.len()).any(|at| match &words[at..] {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        // The value tells it from a setting that somebody thinks there is.
        ["PORT"] => value.contains("://"),
        ["PORT", number, "TCP" | "UDP" | "SCTP", rest @ ..] => {
            !number.is_empty()
                && number.bytes().all(|digit| digit.is_ascii_digit())
                && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::limits::SETTINGS;
    use super::*;

    #[test]
    fn no_setting_is_taken_for_a_service_link() {
        for setting in SETTINGS {
            assert!(
                !is_service_link(&setting.key.to_ascii_uppercase(), "tcp://10.0.0.1:8080"),
                "{}",
                setting.key
            );
        }
    }

    #[test]
    fn what_merely_resembles_a_service_link_is_none() {
        for (name, value) in [
            ("PORT", "8080"),
            ("PORT_TCP", "8080"),
            ("PORT__TCP", "8080"),
            ("PORT_8080_TCP_HOST", "10.0.0.1"),
            ("PORT_8080_HTTP", "tcp://10.0.0.1:8080"),
            ("SERVICE", "tcp://10.0.0.1:8080"),
            ("SERVICE_HOSTS", "10.0.0.1"),
            ("", "tcp://10.0.0.1:8080"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}

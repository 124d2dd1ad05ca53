//! The environment of a program: what is inherited, what its revision says, and what differs per replica.
//!
//! Never: passes on anything else of the supervisor's environment, which would make two starts differ.

use crate::folders::Folders;
use crate::sockets::Sockets;
use shoal_model::{ReplicaName, Revision};
use std::collections::BTreeMap;

/// How the names of more variables that a program inherits begin: where certificates are, and where telemetry goes.
const PREFIXES_INHERITED: [&str; 2] = ["SSL_CERT_", "OTEL_EXPORTER_"];
/// The variables a program inherits from whoever started the supervisor.
pub(crate) const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR"];

/// By its value Shoal knows every process of one launch again.
pub(crate) const LAUNCH: &str = "SHOAL_LAUNCH";

/// The whole environment of one replica; later sources win.
pub(crate) fn of_program(
    replica: &ReplicaName,
    revision: &Revision,
    folders: &Folders,
    sockets: &Sockets,
    launch: &str,
) -> BTreeMap<String, String> {
    let mut variables = inherited(std::env::vars_os().filter_map(|(name, value)| {
        // What is not UTF-8 is none of the variables that matter here.
        Some((name.into_string().ok()?, value.into_string().ok()?))
    }));
    variables.extend(revision.launch.env.clone());
    for (callee, (_, address)) in &sockets.calls {
        variables.insert(callee.url_variable(), format!("http://{address}"));
    }
    variables.insert("SHOAL_SERVICE".to_owned(), replica.service.to_string());
    variables.insert("SHOAL_REPLICA".to_owned(), replica.to_string());
    variables.insert("SHOAL_HEALTH".to_owned(), folders.health_socket(replica).display().to_string());
    variables.insert(LAUNCH.to_owned(), launch.to_owned());
    if let Some(port) = sockets.port {
        variables.insert("PORT".to_owned(), port.to_string());
    }
    variables
}

fn inherited(variables: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let listed =
        |name: &str| INHERITED.contains(&name) || PREFIXES_INHERITED.iter().any(|prefix| name.starts_with(prefix));
    variables.filter(|(name, _)| listed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_inherited() {
        let given = [
            "PATH",
            "SSL_CERT_FILE",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_SECRET",
            "AWS_SECRET_ACCESS_KEY",
            "SHOAL_LAUNCH",
            "LISTEN_FDS",
        ];
        let kept = inherited(given.iter().map(|name| ((*name).to_owned(), "x".to_owned())));
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["OTEL_EXPORTER_OTLP_ENDPOINT", "PATH", "SSL_CERT_FILE"]);
    }
}

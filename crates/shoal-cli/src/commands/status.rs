//! `shoal status`: one table of the whole application.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::screen;
use comfy_table::{Table, presets};
use shoal_sdk::Call;
use shoal_server::api::{ServiceStatus, StatusRequest, StatusResponse};

/// Prints the application as it is now.
pub async fn run(at: &Where, json: bool) -> Result<(), Failure> {
    let control = Application::at(at)?.control().await?;
    let status = control.status(&Call::new(), StatusRequest::default()).await?;
    if json {
        return screen::json(&status);
    }
    print(&status);
    Ok(())
}

fn print(status: &StatusResponse) {
    let bold = anstyle::Style::new().bold();
    crate::say!(
        "{bold}{}{bold:#} {} · {} · supervisor {} ({})",
        status.application,
        status.phase,
        gateway(status),
        status.supervisor_pid,
        screen::bytes(status.supervisor_memory_bytes)
    );
    crate::say!("{}", table(&status.services));
    for service in &status.services {
        for reason in &service.reasons {
            crate::say!("{bold}{}{bold:#}: {reason}", service.name);
        }
    }
    for fault in &status.faults {
        crate::say!("{}", super::fault::sentence(fault));
    }
    let mut used = status.edges.iter().filter(|edge| edge.calls > 0 || edge.in_flight > 0).peekable();
    if used.peek().is_some() {
        crate::say!("\n{bold}calls{bold:#}");
    }
    for edge in used {
        crate::say!(
            "  {} → {}: {} calls, {} errors, {} in flight, p50 {:.1} ms, p99 {:.1} ms",
            edge.caller,
            edge.callee,
            edge.calls,
            edge.errors,
            edge.in_flight,
            edge.p50_ms,
            edge.p99_ms
        );
    }
}

/// Where the gateway takes requests, and what is wrong when it does not.
fn gateway(status: &StatusResponse) -> String {
    if status.address.is_empty() {
        return "no gateway".to_owned();
    }
    let Some(gateway) = status.services.iter().find(|service| service.name == "gateway" && service.ready == 0) else {
        return status.address.clone();
    };
    // The newest: of an older one it matters only that it is not ready.
    let phase = gateway.replicas.last().map_or("not running", |replica| replica.phase.as_str());
    format!("{} (the gateway is {phase})", status.address)
}

fn table(services: &[ServiceStatus]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SERVICE", "REVISION", "READY", "REQ/S", "ERRORS", "P99", "CPU", "MEMORY", "PIDS"]);
    for service in services {
        let pids: Vec<String> =
            service.replicas.iter().filter(|replica| replica.pid != 0).map(|replica| replica.pid.to_string()).collect();
        table.add_row([
            service.name.clone(),
            service.revision.clone(),
            format!("{}/{}", service.ready, service.wanted),
            format!("{:.1}", service.requests_per_second),
            format!("{:.1} %", service.errors * 100.0),
            format!("{:.1} ms", service.p99_ms),
            format!("{:.2}", service.cpu),
            screen::bytes(service.memory_bytes),
            pids.join(" "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_server::api::ReplicaStatus;

    #[test]
    fn the_address_is_said_with_what_is_wrong_with_the_gateway() {
        let replica = |phase: &str| ReplicaStatus { phase: phase.to_owned(), ..Default::default() };
        let with = |ready, replicas: Vec<ReplicaStatus>| {
            let service = ServiceStatus { name: "gateway".to_owned(), ready, replicas, ..Default::default() };
            let address = "http://127.0.0.1:8080".to_owned();
            gateway(&StatusResponse { address, services: vec![service], ..Default::default() })
        };
        assert_eq!(gateway(&StatusResponse::default()), "no gateway");
        assert_eq!(with(1, vec![replica("terminating"), replica("ready")]), "http://127.0.0.1:8080");
        assert!(with(0, vec![replica("terminating"), replica("starting")]).ends_with("(the gateway is starting)"));
        assert!(with(0, Vec::new()).ends_with("(the gateway is not running)"));
    }
}

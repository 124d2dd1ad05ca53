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
    let address = if status.address.is_empty() { "no gateway" } else { &status.address };
    crate::say!(
        "{bold}{}{bold:#} {} · {address} · supervisor {} ({})",
        status.application,
        status.phase,
        status.supervisor_pid,
        screen::bytes(status.supervisor_memory_bytes)
    );
    crate::say!("{}", table(&status.services));
    for service in &status.services {
        for reason in &service.reasons {
            crate::say!("{bold}{}{bold:#}: {reason}", service.name);
        }
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

//! `shoal call`: any API from the shell, through the replica that answers first in the list.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::json_call;
use shoal_sdk::Call;
use shoal_server::api::{ServiceStatus, StatusRequest};
use std::io::Read;

/// The largest request read from standard input, in bytes.
const REQUEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Calls `method` with a JSON request and prints the JSON answer.
pub async fn run(at: &Where, method: &str, request: &str) -> Result<(), Failure> {
    let request = if request == "-" { standard_input()? } else { request.to_owned() };
    let request: serde_json::Value =
        serde_json::from_str(&request).map_err(|error| Failure::because("the request is not JSON", error))?;
    let control = Application::at(at)?.control().await?;
    let status = control.status(&Call::new(), StatusRequest::default()).await?;
    let (service, procedure) = find(&status.services, method)?;
    let replica = service.replicas.iter().find(|replica| replica.phase == "ready" && !replica.address.is_empty());
    let replica = replica
        .ok_or_else(|| Failure::new(format!("{} has no ready replica; `shoal status` says why", service.name)))?;
    let answer = json_call::call(&replica.address, &procedure, &request)
        .await
        .map_err(|error| Failure::because(format!("{procedure} at {} failed", replica.name), error))?;
    crate::screen::json(&answer)
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(REQUEST_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::because("standard input cannot be read", error))?;
    Ok(text)
}

/// The service whose contract has `method`, and the method's full path.
fn find<'a>(services: &'a [ServiceStatus], method: &str) -> Result<(&'a ServiceStatus, String), Failure> {
    let (wanted, name) = method
        .trim_start_matches('/')
        .split_once('/')
        .ok_or_else(|| Failure::new(format!("`{method}` is not a method such as catalogue.v1.Catalogue/Search")))?;
    let (mut known, mut matching) = (Vec::new(), Vec::new());
    for service in services.iter().filter(|service| !service.contract.is_empty()) {
        let found = shoal_server::methods(service.contract.as_ref())
            .map_err(|error| Failure::because(format!("the contract of {} cannot be read", service.name), error))?;
        for (api, methods) in found {
            let matches = api == wanted || api.ends_with(&format!(".{wanted}"));
            if matches && methods.iter().any(|method| method == name) {
                matching.push((service, format!("/{api}/{name}")));
            }
            known.extend(methods.iter().map(|method| format!("{api}/{method}")));
        }
    }
    // A full name, or the end of only one.
    let exact = matching.iter().position(|(_, path)| *path == format!("/{wanted}/{name}"));
    match (exact, matching.len()) {
        (Some(position), _) => Ok(matching.swap_remove(position)),
        (None, 1) => Ok(matching.swap_remove(0)),
        (None, 0) => Err(Failure::new(format!("no service has `{method}`; there are:\n  {}", known.join("\n  ")))),
        (None, _) => {
            let names: Vec<&str> = matching.iter().map(|(_, path)| path.trim_start_matches('/')).collect();
            Err(Failure::new(format!(
                "`{method}` may be any of these; give more of its name:\n  {}",
                names.join("\n  ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_by_the_end_of_its_name_where_that_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let service = |name: &str, package: &str| {
            let contract = folder.path().join(name);
            std::fs::create_dir(&contract).unwrap();
            let text = format!("syntax = \"proto3\"; package {package}; service Stock {{ rpc Take(M) returns (M); }}");
            std::fs::write(contract.join("stock.proto"), text).unwrap();
            ServiceStatus { name: name.to_owned(), contract: contract.display().to_string(), ..Default::default() }
        };
        let services = [service("old", "shop.v1"), service("new", "shop.v2"), ServiceStatus::default()];
        for method in ["v1.Stock/Take", "shop.v1.Stock/Take", "/shop.v1.Stock/Take"] {
            let (found, path) = find(&services, method).unwrap();
            assert_eq!((found.name.as_str(), path.as_str()), ("old", "/shop.v1.Stock/Take"));
        }
        let told = |method: &str| format!("{:?}", find(&services, method).err().unwrap());
        assert!(told("Stock/Take").contains("give more of its name"));
        assert!(told("Stock/Give").contains("shop.v2.Stock/Take"));
        assert!(told("tock/Take").contains("no service has"));
        assert!(told("Stock").contains("not a method"));
    }
}

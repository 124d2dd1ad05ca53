//! What only the machine can tell about a manifest: a folder, a program or an address that cannot be had. Looks, and
//! changes nothing; what it finds is shown at its place in the file.

use shoal_manifest::{Code, Diagnostic, Diagnostics, Manifest, Place, ServicePart};
use shoal_model::{Gateway, Run, Service, ServiceName};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds what this machine lacks for the manifest. `held` is the public address that our own gateway listens on now.
///
/// # Errors
/// All that is missing, each at its place in the file.
pub fn check(manifest: &Manifest, search: &[PathBuf], held: Option<SocketAddr>) -> Result<(), Diagnostics> {
    let mut problems = Vec::new();
    if let Some(gateway) = &manifest.application.gateway {
        check_gateway(gateway, held, &mut problems);
    }
    for (name, service) in &manifest.application.services {
        check_service(name, service, search, &mut problems);
    }
    if problems.is_empty() { Ok(()) } else { Err(manifest.spans.report(problems)) }
}

fn check_gateway(gateway: &Gateway, held: Option<SocketAddr>, problems: &mut Vec<Diagnostic>) {
    let listen = gateway.listen;
    // Somebody who listens there now would make us wait in vain; our own gateway does so with every right.
    let is_ours = held.is_some_and(|held| held.port() == listen.port() && overlap(held.ip(), listen.ip()));
    if !is_ours && let Err(error) = TcpListener::bind(listen) {
        problems.push(Diagnostic::at(
            Place::GatewayListen,
            Code::AddressTaken,
            format!("the gateway cannot listen on {listen}: {error}"),
            "stop the program that listens there, or write another address; port 0 takes a free one",
        ));
    }
    let Some(tls) = &gateway.tls else { return };
    for (place, file) in [(Place::Certificate, &tls.certificate), (Place::CertificateKey, &tls.key)] {
        if let Err(error) = std::fs::File::open(file) {
            problems.push(Diagnostic::at(
                place,
                Code::BadCertificate,
                format!("{} cannot be read: {error}", file.display()),
                "name a PEM file that this user may read",
            ));
        }
    }
}

/// Whether who listens on one address keeps others from the other; the gateway frees its own when it is replaced.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

fn check_service(name: &ServiceName, service: &Service, search: &[PathBuf], problems: &mut Vec<Diagnostic>) {
    let folder = &service.source.path;
    if !folder.is_dir() {
        problems.push(Diagnostic::at(
            Place::of(name, ServicePart::Source),
            Code::FolderNotFound,
            format!("{} is not a folder", folder.display()),
            "name the folder that holds the service, from where the manifest is",
        ));
        return;
    }
    if let Some(contract) = service.contract.as_ref().filter(|contract| !contract.is_dir()) {
        problems.push(Diagnostic::at(
            Place::of(name, ServicePart::Contract),
            Code::FolderNotFound,
            format!("{} is not a folder", contract.display()),
            "name the folder that holds the service's .proto files, from where the manifest is",
        ));
    }
    if let Run::Command(command) = &service.run
        && let Some(program) = command.first()
        && let Err(why) = find_program(program, folder, search)
    {
        problems.push(Diagnostic::at(
            Place::of(name, ServicePart::Program),
            Code::ProgramNotFound,
            why,
            "install it, or write the path of a program, from the service's folder",
        ));
    }
}

/// Finds a program as the replica's start will: a path from `folder`, or a name on the search path.
fn find_program(program: &str, folder: &Path, search: &[PathBuf]) -> Result<(), String> {
    if program.contains('/') {
        let path = folder.join(program);
        return match is_program(&path) {
            Some(true) => Ok(()),
            Some(false) => Err(format!("{} may not be run: it is not marked as executable", path.display())),
            None => Err(format!("there is no program {}", path.display())),
        };
    }
    if search.iter().any(|place| is_program(&place.join(program)) == Some(true)) {
        return Ok(());
    }
    Err(format!("there is no program `{program}` on PATH"))
}

/// Whether the file may be run; `None` when there is no such file.
fn is_program(path: &Path) -> Option<bool> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some(metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(folder: &Path, text: &str) -> Result<(), String> {
        let path = folder.join("shoal.toml");
        std::fs::write(&path, text).unwrap();
        let manifest = shoal_manifest::parse(text, &path).unwrap();
        check(&manifest, &["/bin".into(), "/usr/bin".into()], None).map_err(|found| found.render(false))
    }

    #[test]
    fn what_the_machine_lacks_is_shown_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[application]\nname = \"shop\"\n[gateway]\nlisten = \"{}\"\nroutes = [{{ path = \"/\", service = \"a\" }}]\n\
             [services.a]\nrun = {{ command = [\"no-such-program-here\"] }}\n\
             [services.b]\nsource = {{ path = \"nowhere\" }}\nrun = {{ command = [\"sh\"] }}\n",
            taken.local_addr().unwrap()
        );
        let shown = check_text(folder.path(), &text).unwrap_err();
        for part in ["SH0100", "SH0101", "SH0102", "no-such-program-here", "shoal.toml:4", "shoal.toml:9"] {
            assert!(shown.contains(part), "{part} in:\n{shown}");
        }
    }

    #[test]
    fn the_address_that_our_own_gateway_has_is_not_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = taken.local_addr().unwrap();
        let text = |listen: &str| {
            format!(
                "[application]\nname = \"shop\"\n[gateway]\nlisten = \"{listen}:{}\"\n\
                 routes = [{{ path = \"/\", service = \"a\" }}]\n[services.a]\nrun = {{ command = [\"sh\"] }}\n",
                held.port()
            )
        };
        for listen in ["127.0.0.1", "0.0.0.0"] {
            let manifest = shoal_manifest::parse(&text(listen), Path::new("/shoal.toml")).unwrap();
            assert_eq!(gateway_problems(&manifest, Some(held)), 0, "{listen}");
            assert_eq!(gateway_problems(&manifest, None), 1, "{listen}");
        }
    }

    fn gateway_problems(manifest: &Manifest, held: Option<SocketAddr>) -> usize {
        let mut problems = Vec::new();
        check_gateway(manifest.application.gateway.as_ref().unwrap(), held, &mut problems);
        problems.len()
    }

    #[test]
    fn what_is_there_is_not_complained_about() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[application]\nname = \"shop\"\n[services.a]\nrun = { command = [\"sh\", \"-c\", \"true\"] }\n";
        check_text(folder.path(), text).unwrap();
    }
}

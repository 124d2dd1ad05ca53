//! The gateway with a certificate.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use shoal_e2e::{Application, eventually, hello};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The usual application with a certificate for its gateway. Not started yet.
fn certified() -> Application {
    let application = hello(1);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(application.folder())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let manifest = std::fs::read_to_string(application.folder().join("shoal.toml")).unwrap();
    let tls = "[gateway]\ntls = { certificate = \"certificate.pem\", key = \"key.pem\" }";
    application.write("shoal.toml", manifest.replace("[gateway]", tls));
    application
}

/// Asks on a connection of its own.
fn curl(folder: &std::path::Path, flag: &str, address: &str) -> Output {
    Command::new("curl")
        .args(["-sS", "--cacert", "certificate.pem", flag, "-w", " %{http_version}", address])
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn pages_come_over_tls_with_http1_and_http2() {
    let application = certified();
    std::fs::rename(application.folder().join("key.pem"), application.folder().join("elsewhere.pem")).unwrap();
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("SH0103") && told.contains("key.pem"), "{told}");
    std::fs::rename(application.folder().join("elsewhere.pem"), application.folder().join("key.pem")).unwrap();

    application.up();
    let address = application.address();
    assert!(address.starts_with("https://"), "{address}");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = curl(application.folder(), flag, &address);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("pages-1 {version}"), "{output:?}");
    }
}

#[test]
fn a_gateway_is_replaced_under_tls_and_no_request_fails() {
    let application = certified();
    application.up();
    let mut gateway = application.until_ready("gateway", 1)[0];
    let (address, done) = (application.address(), Arc::new(AtomicBool::new(false)));
    let asking: Vec<_> = ["--http1.1", "--http2", "--http1.1", "--http2"]
        .into_iter()
        .map(|flag| {
            let (folder, address, done) = (application.folder().to_owned(), address.clone(), Arc::clone(&done));
            thread::spawn(move || {
                let (mut asked, mut failed) = (0, Vec::new());
                while asked == 0 || !done.load(Ordering::Relaxed) {
                    let output = curl(&folder, flag, &address);
                    asked += 1;
                    if !(output.status.success() && output.stdout.starts_with(b"pages-1 ")) {
                        failed.push(output);
                    }
                }
                (asked, failed)
            })
        })
        .collect();
    for _ in 0..3 {
        let _ = application.shoal(&["restart", "gateway"]).succeeded();
        gateway = eventually("another gateway serves alone", || {
            let pids = application.pids("gateway");
            (pids.len() == 1 && pids[0] != gateway).then(|| pids[0])
        });
    }
    done.store(true, Ordering::Relaxed);
    for asked in asking {
        let (asked, failed) = asked.join().unwrap();
        assert!(failed.is_empty(), "{} of {asked}: {failed:?}", failed.len());
    }
}

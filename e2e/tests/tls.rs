//! The gateway with a certificate.

use shoal_e2e::hello;
use std::process::Command;

#[test]
fn pages_come_over_tls_with_http1_and_http2() {
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

    std::fs::rename(application.folder().join("key.pem"), application.folder().join("elsewhere.pem")).unwrap();
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("SH0103") && told.contains("key.pem"), "{told}");
    std::fs::rename(application.folder().join("elsewhere.pem"), application.folder().join("key.pem")).unwrap();

    application.up();
    let address = application.address();
    assert!(address.starts_with("https://"), "{address}");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = Command::new("curl")
            .args(["-sS", "--cacert", "certificate.pem", flag, "-w", " %{http_version}", &address])
            .current_dir(application.folder())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("pages-1 {version}"), "{output:?}");
    }
}

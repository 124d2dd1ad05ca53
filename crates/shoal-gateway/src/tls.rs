//! TLS from PEM certificate files. Read once; a changed file counts from the next start. Never serves without a
//! certificate that was asked for.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use shoal_model::Tls;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// An acceptor for a certificate chain and its key. `Err` is a sentence that names the file.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, String> {
    let certificate = tls.certificate.display();
    let unreadable = |error| format!("the certificate `{certificate}` cannot be read: {error}");
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.certificate)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(format!("the file `{certificate}` holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| format!("the private key `{}` cannot be read: {error}", tls.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            format!("the certificate `{certificate}` and the key `{}` do not go together: {error}", tls.key.display())
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

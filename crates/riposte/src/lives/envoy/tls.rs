//! Whose word for another host's name counts: the system's certificates, and one's own. Never lets a name pass unproved.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The system's, and those of a file beside them, in DER.
///
/// # Errors
/// If the file has none.
pub fn roots(key: &str, own: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if let Some(own) = own {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(own).collect();
        let certificates = certificates.map_err(|error| format!("{key}: {error:?}"))?;
        if certificates.is_empty() {
            return Err(format!("{key}: there is no certificate in it"));
        }
        roots.extend(certificates);
    }
    Ok(roots)
}

/// What a web server is believed by: its name, proved by one of `roots`.
///
/// # Errors
/// If the file has no certificate.
pub fn config(key: &str, own: Option<&[u8]>) -> Result<TlsConfig, String> {
    let roots = roots(key, own)?.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).unversioned_rustls_crypto_provider(provider);
    Ok(tls.build())
}

//! TLS for every connection the watchdog opens, and its failures in words.
//!
//! The cryptography is passed explicitly, so nothing depends on a process-wide default.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::config::Identity;
use crate::expiry::Validity;
use crate::sha256::sha256;
use crate::text::hex;
use crate::time::Time;

/// TLS 1.2 or 1.3, trusting the system's authorities and those in `ca_file`; or, with a pin, exactly the certificate
/// with that SHA-256, whoever signed it, whatever its name and dates. Reads files: call it where blocking is allowed.
pub(crate) fn client_config(ca_file: Option<&Path>, pin_sha256: Option<[u8; 32]>) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("TLS cannot be set up")?;
    let builder = builder.dangerous();
    let config = match pin_sha256 {
        Some(pin) => builder.with_custom_certificate_verifier(Arc::new(Pinned { pin, provider })),
        None => {
            let roots = Arc::new(trusted_roots(ca_file)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .context("the trusted authorities cannot be used")?;
            builder.with_custom_certificate_verifier(verifier)
        }
    };
    Ok(config.with_no_client_auth())
}

/// TLS 1.2 or 1.3 for a server that shows this certificate. Reads files: call it where blocking is allowed.
pub(crate) fn server_config(identity: &Identity) -> Result<ServerConfig> {
    let Identity { certificate, key } = identity;
    let unreadable =
        || format!("tls.certificate {} cannot be read as PEM certificates", certificate.display());
    let chain: Vec<CertificateDer<'_>> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).with_context(unreadable)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("tls.key {} cannot be read as a PEM key", key.display()))?;
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("TLS cannot be set up")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("tls.certificate {} and tls.key do not fit", certificate.display()))
}

fn trusted_roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Errors about single files of the system's store do not matter as long as some authority is left.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let shown = path.display();
        let unreadable = || format!("ca_file {shown} cannot be read as PEM certificates");
        let mut found = false;
        for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
            roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
            found = true;
        }
        ensure!(found, "ca_file {shown} contains no certificate");
    }
    ensure!(
        !roots.is_empty(),
        "this machine trusts no certificate authority: install the package ca-certificates, or set ca_file or pin_sha256"
    );
    Ok(roots)
}

/// Accepts one certificate. That the peer holds its key is still proven by the handshake's signature.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate has the SHA-256 {seen}, not the pinned one")]
struct PinMismatch {
    seen: String,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = sha256(end_entity);
        if seen == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let seen = hex(&seen);
        Err(CertificateError::Other(OtherError(Arc::new(PinMismatch { seen }))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// From when until when a certificate is good; None when it cannot be read.
///
/// No crate of ours hands out these two dates, but the verifier names them in its refusal of a certificate that is
/// not valid yet or not any more. It compares the dates of the server's own certificate before all else.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    /// The last moment that X.509 knows: 9999-12-31T23:59:59Z (RFC 5280, section 4.1.2.5). One more second is after
    /// every end.
    const AFTER_ALL: Duration = Duration::from_secs(253_402_300_800);
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let refused_at = |time| {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let now = UnixTime::since_unix_epoch(time);
        let nobody = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, algorithms.all) {
            Err(rustls::Error::InvalidCertificate(problem)) => Some(problem),
            _ => None,
        }
    };
    let CertificateError::ExpiredContext { not_after, .. } = refused_at(AFTER_ALL)? else { return None };
    let from = match refused_at(Duration::ZERO)? {
        CertificateError::NotValidYetContext { not_before, .. } => time(not_before)?,
        _ => Time::UNIX_EPOCH,
    };
    Some(Validity { from, until: time(not_after)? })
}

/// Why a handshake with `host` failed, in one sentence that says what to do.
pub(crate) fn explain(host: &str, error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(problem)) => explain_certificate(host, problem),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!(
                "{host} does not speak TLS on this port: is it a port for tls = \"starttls\", or another service's?"
            )
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("{host} refused the TLS handshake ({alert:?}): it must offer TLS 1.2 or 1.3")
        }
        Some(rustls::Error::PeerIncompatible(why)) => {
            format!("{host} offers no TLS that is safe enough ({why:?}): it must offer TLS 1.2 or 1.3")
        }
        Some(other) => format!("the TLS handshake with {host} failed ({other})"),
        None => format!("{host} ended the connection during the TLS handshake ({error}): check port and tls"),
    }
}

fn explain_certificate(host: &str, problem: &CertificateError) -> String {
    let whose = format!("the certificate of {host}");
    match problem {
        CertificateError::Expired => format!("{whose} has expired; renew it on the server"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{whose} expired on {}; renew it on the server", day(*not_after))
        }
        CertificateError::NotValidYet => format!("{whose} is not valid yet; check this machine's clock"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{whose} is valid only from {}; check this machine's clock", day(*not_before))
        }
        CertificateError::BadSignature => format!(
            "{whose} is not signed by the trusted authority it names, or the server does not hold its key: set ca_file to \
             the right authority's certificate, and find out who answers under this name"
        ),
        CertificateError::UnknownIssuer => format!(
            "{whose} is signed by an authority this machine does not trust; set ca_file to that authority's \
             certificate, or pin_sha256 to the server's"
        ),
        CertificateError::NotValidForName => {
            format!("{whose} was not issued for this name; set host to a name the certificate contains")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(5).map(String::as_str).collect();
            format!("{whose} was issued for other names ({}); set host to one of them", names.join(", "))
        }
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref::<PinMismatch>() {
            Some(PinMismatch { seen }) => format!(
                "{whose} is not the pinned one; if it was renewed on purpose, set pin_sha256 = \"{seen}\""
            ),
            // rustls-webpki's own error type is not among our dependencies.
            None if format!("{inner:?}").contains("CaUsedAsEndEntity") => format!(
                "{whose} is self-signed as an authority (CA:TRUE) and cannot be trusted through ca_file; set \
                 pin_sha256 to it, or make it again with CA:FALSE"
            ),
            None => format!("{whose} cannot be accepted ({inner})"),
        },
        other => format!("{whose} cannot be accepted ({other})"),
    }
}

fn day(at: UnixTime) -> String {
    time(at).map_or_else(|| "an unknown day".to_owned(), |at| at.format("%F").to_string())
}

fn time(at: UnixTime) -> Option<Time> {
    DateTime::from_timestamp(i64::try_from(at.as_secs()).ok()?, 0)
}

#[cfg(test)]
mod tests;

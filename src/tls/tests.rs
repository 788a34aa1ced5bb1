use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

struct Server {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Server {
    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["mail.example".to_owned()]).unwrap();
        change(&mut params);
        Self { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    /// What a client with `config` is told when it calls this server `mail.example`.
    async fn meet(&self, config: ClientConfig) -> Result<(), String> {
        self.meet_by(rustls::DEFAULT_VERSIONS, config).await
    }

    async fn meet_by(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        config: ClientConfig,
    ) -> Result<(), String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        // Unlike `with_single_cert` this does not check that key and certificate belong together.
        let pair = SingleCertAndKey::from(CertifiedKey::new(vec![self.certificate.clone()], key));
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(pair));
        let (near, far) = tokio::io::duplex(16 << 10);
        let name = ServerName::try_from("mail.example").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let (client, _server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
        client.map(drop).map_err(|error| explain("mail.example", &error))
    }

    fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }
}

/// Keeps the folder alive as long as the file is needed.
fn ca_file(der: &[u8]) -> (tempfile::TempDir, PathBuf) {
    use base64::Engine;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    std::fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    (folder, path)
}

/// A server whose certificate is signed by the authority in the file.
fn signed_by(
    authority_name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (Server, tempfile::TempDir, PathBuf) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(rcgen::DnType::CommonName, authority_name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let (folder, path) = ca_file(authority.der());
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["mail.example".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
    (Server { certificate, key }, folder, path)
}

fn signed(change: impl FnOnce(&mut CertificateParams)) -> (Server, tempfile::TempDir, PathBuf) {
    signed_by("an authority", change)
}

#[tokio::test]
async fn a_private_authority_is_trusted_through_ca_file_only() {
    let (server, _folder, path) = signed(|_| {});
    assert_eq!(server.meet(client_config(Some(&path), None).unwrap()).await, Ok(()));
    let (_, _other_folder, other) = signed_by("another authority", |_| {});
    let error = server.meet(client_config(Some(&other), None).unwrap()).await.unwrap_err();
    assert!(error.contains("does not trust; set ca_file"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_its_last_day() {
    let (server, _folder, path) = signed(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 11, 1);
    });
    let error = server.meet(client_config(Some(&path), None).unwrap()).await.unwrap_err();
    assert_eq!(error, "the certificate of mail.example expired on 2020-11-01; renew it on the server");
}

#[tokio::test]
async fn a_certificate_from_the_future_points_at_the_clock() {
    let (server, _folder, path) = signed(|params| params.not_before = date_time_ymd(2090, 1, 1));
    let error = server.meet(client_config(Some(&path), None).unwrap()).await.unwrap_err();
    assert_eq!(
        error,
        "the certificate of mail.example is valid only from 2090-01-01; check this machine's clock"
    );
}

#[tokio::test]
async fn a_wrong_name_is_told_with_the_right_ones() {
    let (server, _folder, path) = signed(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("imap.example".try_into().unwrap())];
    });
    let error = server.meet(client_config(Some(&path), None).unwrap()).await.unwrap_err();
    assert!(error.contains("imap.example") && error.contains("set host to one of them"), "{error}");
}

#[tokio::test]
async fn openssls_default_self_signed_certificate_needs_a_pin() {
    let server = Server::self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let (_folder, path) = ca_file(&server.certificate);
    let error = server.meet(client_config(Some(&path), None).unwrap()).await.unwrap_err();
    assert!(error.contains("CA:TRUE") && error.contains("pin_sha256"), "{error}");
    assert_eq!(server.meet(client_config(None, Some(server.fingerprint())).unwrap()).await, Ok(()));
}

#[tokio::test]
async fn a_pin_accepts_one_certificate_and_tells_the_fingerprint_of_another() {
    let server = Server::self_signed(|_| {});
    let other = Server::self_signed(|_| {});
    let error = server.meet(client_config(None, Some(other.fingerprint())).unwrap()).await.unwrap_err();
    let seen: String = server.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(error.ends_with(&format!("set pin_sha256 = \"{seen}\"")), "{error}");
}

#[tokio::test]
async fn the_pinned_certificate_without_its_key_is_refused() {
    let honest = Server::self_signed(|_| {});
    let thief = Server { certificate: honest.certificate.clone(), key: KeyPair::generate().unwrap() };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let pinned = client_config(None, Some(honest.fingerprint())).unwrap();
        let error = thief.meet_by(&[version], pinned).await.unwrap_err();
        assert!(error.contains("does not hold its key"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let (near, mut far) = tokio::io::duplex(16 << 10);
    let connector = TlsConnector::from(Arc::new(client_config(None, Some([0; 32])).unwrap()));
    let name = ServerName::try_from("mail.example").unwrap();
    let greet = tokio::io::AsyncWriteExt::write_all(&mut far, b"* OK IMAP4rev1 ready\r\n");
    let (client, _) = tokio::join!(connector.connect(name, near), greet);
    let error = explain("mail.example", &client.unwrap_err());
    assert!(error.contains("does not speak TLS on this port"), "{error}");
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pem");
    std::fs::write(&path, "no PEM at all").unwrap();
    for path in [path, folder.path().join("missing.pem")] {
        let error = format!("{:#}", client_config(Some(&path), None).unwrap_err());
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn the_dates_of_a_certificate_are_read_whoever_signed_it_and_whatever_it_is_for() {
    let dates = |from, until| {
        move |params: &mut CertificateParams| {
            (params.not_before, params.not_after) = (date_time_ymd(from, 3, 4), date_time_ymd(until, 5, 6));
        }
    };
    for (from, until) in [(2026, 2027), (2000, 2001), (2049, 2050), (1970, 9999)] {
        let plain = Server::self_signed(dates(from, until));
        let authority = Server::self_signed(|params| {
            dates(from, until)(params);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        });
        for server in [plain, authority] {
            let Validity { from: since, until: end } = validity(&server.certificate).unwrap();
            assert_eq!(since.format("%F").to_string(), format!("{from}-03-04"));
            assert_eq!(end.format("%F").to_string(), format!("{until}-05-06"));
        }
    }
    for garbage in [&b""[..], b"0", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(validity(&CertificateDer::from(garbage)), None);
    }
}

/// A server that speaks TLS 1.1 whatever it is offered: RFC 4346, section 7.4.1.3, in a record of its own.
#[tokio::test]
async fn a_server_that_answers_with_an_older_version_than_it_was_offered_is_refused() {
    let (near, mut far) = tokio::io::duplex(16 << 10);
    let connector = TlsConnector::from(Arc::new(client_config(None, Some([0; 32])).unwrap()));
    let name = ServerName::try_from("mail.example").unwrap();
    let hello = [&[0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    let answer = tokio::io::AsyncWriteExt::write_all(&mut far, &hello);
    let (client, _) = tokio::join!(connector.connect(name, near), answer);
    let error = explain("mail.example", &client.unwrap_err());
    assert!(error.contains("no TLS that is safe enough"), "{error}");
}

/// What a client that trusts its certificate says to `openssl s_server` with only that version of TLS.
async fn met_with_only(version: &str) -> Result<(), String> {
    let server = Server::self_signed(|_| {});
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.der"), folder.path().join("key.der"));
    std::fs::write(&certificate, &server.certificate).unwrap();
    std::fs::write(&key, server.key.serialize_der()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The security level: without it OpenSSL itself offers nothing older than 1.2.
    let _openssl = tokio::process::Command::new("openssl")
        .args(["s_server", "-quiet", "-cipher", "ALL:@SECLEVEL=0", version, "-accept"])
        .arg(format!("127.0.0.1:{port}"))
        .args(["-certform", "DER", "-keyform", "DER", "-cert"])
        .arg(&certificate)
        .arg("-key")
        .arg(&key)
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("openssl is needed: tests/run installs it");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let stream = loop {
        match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => break stream,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "no openssl s_server: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let config = client_config(None, Some(server.fingerprint())).unwrap();
    let name = ServerName::try_from("mail.example").unwrap();
    let met = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    met.map(drop).map_err(|error| explain("mail.example", &error))
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    for version in ["-tls1", "-tls1_1"] {
        let refusal = met_with_only(version).await.unwrap_err();
        assert!(refusal.contains("it must offer TLS 1.2 or 1.3"), "{version}: {refusal}");
    }
    // Neither the certificate nor the server was what it refused.
    for version in ["-tls1_2", "-tls1_3"] {
        met_with_only(version).await.unwrap();
    }
}

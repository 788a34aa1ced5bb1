//! A private certificate authority.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{Datelike, TimeDelta, Utc};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority made for one server; nobody trusts it unless told to.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    /// Makes an authority and writes its certificate to [`Authority::ca_file`].
    pub(crate) fn new(dir: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Bresse test authority");
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self { issuer: Issuer::new(params, key), dir: dir.to_owned() };
        fs::write(authority.ca_file(), certificate.pem()).unwrap();
        authority
    }

    /// The authority's certificate, PEM.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Writes a certificate for localhost, 127.0.0.1 and imap.example, and its key; returns both paths.
    ///
    /// An expired one was good from 2000 to 2001.
    pub(crate) fn server_certificate(&self, expired: bool) -> (PathBuf, PathBuf) {
        self.server_certificate_with(|params| {
            if expired {
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            }
        })
    }

    /// As above, good for 80 days until today and for so many days more.
    pub(crate) fn server_certificate_for(&self, days: i64) -> (PathBuf, PathBuf) {
        let day = |from_today| Utc::now().date_naive() + TimeDelta::days(from_today);
        let (from, until) = (day(-80), day(days));
        let number = |number: u32| u8::try_from(number).unwrap();
        self.server_certificate_with(|params| {
            params.not_before = date_time_ymd(from.year(), number(from.month()), number(from.day()));
            params.not_after = date_time_ymd(until.year(), number(until.month()), number(until.day()));
        })
    }

    fn server_certificate_with(&self, change: impl FnOnce(&mut CertificateParams)) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1", "imap.example"].map(str::to_owned);
        let mut params = CertificateParams::new(names.to_vec()).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (self.dir.join("server.pem"), self.dir.join("server.key"));
        fs::write(&files.0, certificate.pem()).unwrap();
        fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }
}

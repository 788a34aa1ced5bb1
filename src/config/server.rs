//! Where a server is and how the connection is protected: keys that `[mailbox]` and `[[channel]]` share.

use super::report::Reported;
use super::section::Section;
use super::{Server, Tls, value};

/// The ports that stand for a protocol when the file names none.
pub(super) struct Ports {
    pub(super) implicit: u16,
    /// With STARTTLS and in plain text.
    pub(super) starttls: u16,
}

/// RFC 8314, section 3.2, and RFC 3501, section 2.1.
pub(super) const IMAP: Ports = Ports { implicit: 993, starttls: 143 };
/// RFC 8314, section 3.3, and RFC 6409, section 3.1.
pub(super) const SUBMISSION: Ports = Ports { implicit: 465, starttls: 587 };

const TLS: [(&str, Tls); 3] =
    [("implicit", Tls::Implicit), ("starttls", Tls::Starttls), ("plain", Tls::Plain)];

pub(super) fn read(section: &mut Section<'_>, ports: &Ports) -> Result<Server, Reported> {
    let host = section.required("host", |item| value::host(&item));
    let port = section.optional("port", |item| item.integer(1..=u16::MAX));
    let tls = section.optional("tls", |item| item.choice(&TLS)).map(|tls| tls.unwrap_or(Tls::Implicit));
    let ca_file = section.optional("ca_file", |item| value::path(&item));
    let pin_sha256 = section.optional("pin_sha256", |item| value::fingerprint(&item));

    if let (Ok(host), Ok(Tls::Plain)) = (&host, tls)
        && !value::is_loopback(host)
    {
        let sentence = "\"plain\" is allowed for loopback addresses only (127.0.0.1, ::1, localhost)";
        return Err(section.wrong("tls", sentence));
    }
    let tls = tls?;
    let default_port = if tls == Tls::Implicit { ports.implicit } else { ports.starttls };
    Ok(Server {
        host: host?,
        port: port?.unwrap_or(default_port),
        tls,
        ca_file: ca_file?,
        pin_sha256: pin_sha256?,
    })
}

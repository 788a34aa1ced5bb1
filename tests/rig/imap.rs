//! A small, strict IMAP client: what the rig itself needs, independent of the product's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::tls::{TlsStream, tls_over};

/// A connection over TLS that trusts one authority only.
pub(crate) struct ImapClient {
    stream: BufReader<TlsStream>,
}

impl ImapClient {
    /// Connects to the implicit-TLS port. Panics when the server cannot be reached; `Err` when TLS fails.
    pub(crate) fn connect(port: u16, ca_file: &Path) -> Result<Self, String> {
        let mut client = Self { stream: BufReader::new(tls(tcp(port), ca_file)) };
        client.expect_greeting()?;
        Ok(client)
    }

    /// Connects in the clear and switches to TLS by STARTTLS (RFC 9051, section 6.2.1).
    pub(crate) fn connect_starttls(port: u16, ca_file: &Path) -> Result<Self, String> {
        let mut clear = BufReader::new(tcp(port));
        let greeting = read_line(&mut clear)?;
        if !greeting.starts_with("* OK") {
            return Err(greeting);
        }
        clear.get_mut().write_all(b"s STARTTLS\r\n").unwrap();
        let answer = read_line(&mut clear)?;
        if !answer.starts_with("s OK") {
            return Err(answer);
        }
        Ok(Self { stream: BufReader::new(tls(clear.into_inner(), ca_file)) })
    }

    pub(crate) fn login(&mut self, user: &str, password: &str) -> Result<(), String> {
        self.command(&format!("LOGIN {user} {password}")).map(|_| ())
    }

    /// Sends one command; returns what came before the tagged OK. `Err` is the tagged line that was not OK.
    pub(crate) fn command(&mut self, command: &str) -> Result<String, String> {
        write!(self.stream.get_mut(), "t {command}\r\n").map_err(|error| error.to_string())?;
        self.read_answer()
    }

    /// APPENDs a mail without flags; `date` is an IMAP date-time without quotes.
    pub(crate) fn append(&mut self, folder: &str, date: &str, mail: &[u8]) -> Result<(), String> {
        let stream = self.stream.get_mut();
        write!(stream, "t APPEND {folder} \"{date}\" {{{}}}\r\n", mail.len()).unwrap();
        let go_ahead = read_line(&mut self.stream)?;
        if !go_ahead.starts_with('+') {
            return Err(go_ahead);
        }
        let stream = self.stream.get_mut();
        stream.write_all(mail).and_then(|()| stream.write_all(b"\r\n")).map_err(|error| error.to_string())?;
        self.read_answer().map(|_| ())
    }

    fn expect_greeting(&mut self) -> Result<(), String> {
        let line = read_line(&mut self.stream)?;
        if line.starts_with("* OK") { Ok(()) } else { Err(line) }
    }

    fn read_answer(&mut self) -> Result<String, String> {
        let mut untagged = String::new();
        loop {
            let line = read_line(&mut self.stream)?;
            if line.starts_with("t OK") {
                return Ok(untagged);
            }
            if line.starts_with("t ") {
                return Err(line);
            }
            untagged.push_str(&line);
        }
    }
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect to the private Dovecot");
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn tls(stream: TcpStream, ca_file: &Path) -> TlsStream {
    tls_over(stream, &std::fs::read(ca_file).unwrap())
}

/// A line with its line break; a closed connection is an error. Bytes that are not UTF-8 are replaced.
fn read_line(stream: &mut impl BufRead) -> Result<String, String> {
    const LONGEST: u64 = 10_000_000;
    let mut line = Vec::new();
    let read = stream.take(LONGEST).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    if read == 0 {
        return Err("the server closed the connection".to_owned());
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

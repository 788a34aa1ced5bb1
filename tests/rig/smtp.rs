//! Hands one mail to a server, by SMTP (RFC 5321) or LMTP (RFC 2033).

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Lmtp,
}

/// Delivers `mail` (lines end in CRLF) to one recipient; `Err` says what failed or what the server answered.
pub(crate) fn submit(protocol: Protocol, port: u16, from: &str, to: &str, mail: &[u8]) -> Result<(), String> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut stream = BufReader::new(stream);
    expect(&mut stream, '2')?;
    let hello = if protocol == Protocol::Smtp { "EHLO" } else { "LHLO" };
    for (line, class) in [
        (format!("{hello} checker.example"), '2'),
        (format!("MAIL FROM:<{from}>"), '2'),
        (format!("RCPT TO:<{to}>"), '2'),
        ("DATA".to_owned(), '3'),
    ] {
        write!(stream.get_mut(), "{line}\r\n").map_err(|error| error.to_string())?;
        expect(&mut stream, class)?;
    }
    let mut data = Vec::with_capacity(mail.len() + 8);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    stream.get_mut().write_all(&data).map_err(|error| error.to_string())?;
    expect(&mut stream, '2')?;
    // The mail is delivered; how the connection ends no longer matters.
    let _ = stream.get_mut().write_all(b"QUIT\r\n");
    Ok(())
}

/// Reads one answer, of one or several lines, whose code must begin with `class`.
fn expect(stream: &mut impl BufRead, class: char) -> Result<(), String> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(|error| error.to_string())?;
        if !line.starts_with(class) {
            return Err(if line.is_empty() { "the server closed the connection".to_owned() } else { line });
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

//! One log line as a value, and how journald and GELF write it. Pure: texts come from mails and servers, and no byte of
//! them may pass for another field or another line.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::text::cut;

/// Of each text, in characters.
const TEXT_CHARS_MAX: usize = 1_000;
/// So many fields are kept beside the message.
const FIELDS_MAX: usize = 16;
/// One datagram that no network has to be asked about, and no chunk of it can be lost: GELF's own chunks are this long.
const GELF_BYTES_MAX: usize = 8_192;
/// Of each text, in characters, when all of them together are longer than that.
const GELF_SHORT_CHARS_MAX: usize = 60;

pub(super) const IDENTIFIER: &str = env!("CARGO_PKG_NAME");

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// As syslog counts (RFC 5424, section 6.2.1).
    pub(super) severity: u8,
    pub(super) target: String,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let severity = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let mut record = Self {
            severity,
            target: metadata.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    fn take(&mut self, field: &Field, text: &str) {
        let text = cut(text, TEXT_CHARS_MAX);
        if field.name() == "message" {
            self.message = text;
        } else if self.fields.len() < FIELDS_MAX {
            self.fields.push((field.name(), text));
        }
    }

    /// The native protocol of systemd-journald (systemd.io/JOURNAL_NATIVE_PROTOCOL). Every value is written with its
    /// length, so that none can end early.
    pub(super) fn journald(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |name: &str, value: &str| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'\n');
            // A usize has no more than 64 bits.
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        };
        // What people see in `journalctl`.
        let shown = self
            .fields
            .iter()
            .fold(self.message.clone(), |shown, (name, value)| format!("{shown} {name}={value:?}"));
        put("MESSAGE", &shown);
        put("PRIORITY", &self.severity.to_string());
        put("SYSLOG_IDENTIFIER", IDENTIFIER);
        put("TARGET", &self.target);
        for (name, value) in &self.fields {
            put(&format!("BRESSE_{}", name.to_ascii_uppercase().replace(|c| !is_word(c), "_")), value);
        }
        bytes
    }

    /// GELF 1.1 as one datagram without compression; `since_1970_ms` is now, and `host` this machine's name.
    pub(super) fn gelf(&self, host: &str, since_1970_ms: i64) -> Vec<u8> {
        let whole = self.gelf_cut(host, since_1970_ms, TEXT_CHARS_MAX);
        if whole.len() <= GELF_BYTES_MAX {
            return whole;
        }
        self.gelf_cut(host, since_1970_ms, GELF_SHORT_CHARS_MAX)
    }

    fn gelf_cut(&self, host: &str, since_1970_ms: i64, chars: usize) -> Vec<u8> {
        let mut fields = Map::new();
        let mut put = |name: String, value: Value| fields.insert(name, value);
        for (name, value) in &self.fields {
            // Fields of one's own begin with _, and _id is taken.
            let name = name.replace(|c| !is_word(c), "_");
            let own = if name == "id" { "_id_".to_owned() } else { format!("_{name}") };
            put(own, cut(value, chars).into());
        }
        // A message may not be empty.
        let message = if self.message.is_empty() { "-" } else { &self.message };
        put("version".to_owned(), "1.1".into());
        put("host".to_owned(), cut(host, chars).into());
        put("short_message".to_owned(), cut(message, chars).into());
        put("timestamp".to_owned(), (since_1970_ms as f64 / 1_000.0).into());
        put("level".to_owned(), self.severity.into());
        put("_target".to_owned(), self.target.clone().into());
        put("_application".to_owned(), IDENTIFIER.into());
        Value::Object(fields).to_string().into_bytes()
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format!("{value:?}"));
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nPRIORITY=0\n\u{1b}[2J\0\",\"level\":0,\"x\":\"é";

    fn record(message: &str, error: &str) -> Record {
        let fields = vec![("error", error.to_owned()), ("id", "7".to_owned())];
        Record { severity: 4, target: "bresse_watchdog::imap".into(), message: message.into(), fields }
    }

    /// The fields as journald reads them.
    fn understood(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let (length, rest) = bytes[end + 1..].split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            fields.push((name, String::from_utf8(rest[..length].to_vec()).unwrap()));
            assert_eq!(rest[length], b'\n');
            bytes = &rest[length + 1..];
        }
        fields
    }

    #[test]
    fn what_is_hostile_stays_within_its_field() {
        let names: Vec<String> = understood(&record("it cannot be read", HOSTILE).journald())
            .into_iter()
            .map(|field| field.0)
            .collect();
        let expected = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "TARGET", "BRESSE_ERROR", "BRESSE_ID"];
        assert_eq!(names, expected);
        let fields = understood(&record("it cannot be read", HOSTILE).journald());
        assert_eq!((fields[1].1.as_str(), fields[4].1.as_str()), ("4", HOSTILE));
        assert!(fields[0].1.starts_with("it cannot be read error=\"a\\nPRIORITY=0"), "{}", fields[0].1);

        let gelf = record(HOSTILE, HOSTILE).gelf("host", 1_795_143_600_123);
        assert!(!gelf.iter().any(u8::is_ascii_control), "one line");
        let gelf: Value = serde_json::from_slice(&gelf).unwrap();
        assert_eq!((&gelf["level"], &gelf["version"], &gelf["x"]), (&4.into(), &"1.1".into(), &Value::Null));
        assert_eq!((gelf["_error"].as_str(), gelf["_id_"].as_str()), (Some(HOSTILE), Some("7")));
        assert_eq!(gelf["timestamp"], 1_795_143_600.123);
        assert!(gelf.get("_id").is_none() && gelf["short_message"] == HOSTILE);
    }

    #[test]
    fn a_line_is_one_datagram_however_much_is_said() {
        // Each of these takes six bytes in JSON.
        let long = "\u{1}".repeat(1_000);
        let mut record = record(&long, &long);
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
        assert_eq!(names.len(), FIELDS_MAX);
        record.fields = names.map(|name| (name, long.clone())).to_vec();
        let gelf = record.gelf(&long, 0);
        assert!((4_000..=GELF_BYTES_MAX).contains(&gelf.len()), "{}", gelf.len());
        record.message = String::new();
        let gelf: Value = serde_json::from_slice(&record.gelf("h", 0)).unwrap();
        assert_eq!(gelf["short_message"], "-");
    }
}

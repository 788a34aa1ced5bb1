use super::text;
use crate::mail::limits::Notes;

/// The text, and whether there was a problem.
fn read(body: &[u8], encoding: &str, charset: &str) -> (String, bool) {
    let mut notes = Notes::default();
    let text = text(body, encoding, Some(charset).filter(|charset| !charset.is_empty()), &mut notes);
    assert!(!notes.truncated);
    (text, !notes.problems.is_empty())
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

#[test]
fn right_bodies_are_decoded_without_a_problem() {
    for (body, encoding, charset, expected) in [
        (b"DRYRUN.OK\r\nA.NOK\r\n".as_slice(), "7bit", "us-ascii", "DRYRUN.OK\nA.NOK\n"),
        (b"RFJZUlVOLk9LCkEuTk9LCg==", "base64", "utf-8", "DRYRUN.OK\nA.NOK\n"),
        (b"RFJZUlVO\r\nLk9LCkEuTk9LCg==\r\n", " BASE64 ", "", "DRYRUN.OK\nA.NOK\n"),
        (b"R=C3=A9seau.N=\r\nOK", "quoted-printable", "utf-8", "Réseau.NOK"),
        (b"R=E9seau.N=\nOK", "Quoted-Printable; x", "iso-8859-1", "Réseau.NOK"),
        (b"R\xe9seau.OK", "8bit", "windows-1252", "Réseau.OK"),
        ("Réseau.OK".as_bytes(), "8bit", "", "Réseau.OK"),
        ("Réseau.OK".as_bytes(), "8bit", "us-ascii", "Réseau.OK"),
        ("\u{feff}Réseau.OK".as_bytes(), "binary", "utf-8", "Réseau.OK"),
        (b"\x1b$B%3!<\x1b(B.OK", "7bit", "iso-2022-jp", "コー.OK"),
        (b"R+AOk-seau.OK", "7bit", "utf-7", "Réseau.OK"),
        (b"\x83\x52\x81[.OK", "8bit", "shift_jis", "コー.OK"),
        (b"a\0b\rc\r\nd\ne\r", "7bit", "utf-8", "ab\nc\nd\ne\n"),
        ("Réseau".as_bytes().split_at(2).0, "8bit", "utf-8", "R"),
        (b"", "base64", "utf-8", ""),
    ] {
        assert_eq!(read(body, encoding, charset), (expected.to_owned(), false), "{expected:?}");
    }
}

#[test]
fn broken_bodies_are_read_as_far_as_they_make_sense() {
    for (body, encoding, charset, expected) in [
        (b"RFJZUlVOLk9LCkEuTk".as_slice(), "base64", "utf-8", "DRYRUN.OK\nA.\n"),
        (b"RFJZUlVOLk9LCg==\nscanned: no virus.\n", "base64", "utf-8", "DRYRUN.OK\n\nscanned: no virus.\n"),
        (b"DRYRUN.OK\nA.NOK\n", "base64", "utf-8", "\nDRYRUN.OK\nA.NOK\n"),
        ("東京.OK\n".as_bytes(), "base64", "utf-8", "\n東京.OK\n"),
        (b"RFJZUlVO!\n Lk9L\n", "base64", "utf-8", "DRYRUN.OK\n"),
        (b"RFJZUlVO\n***\n\0\n\xe9\n>Lk9L<\n", "base64", "utf-8", "DRYRUN.OK\n"),
        (
            b"c3RlcCAwOiBhbnN3ZXJlZApzdGVwIDE6IGFuc3dlcmVkCkRS*WVJVTi5PSw==",
            "base64",
            "utf-8",
            "step 0: answered\nstep 1: answered\nDRYRUN.OK\n",
        ),
        (b"RFJZUlVOLk9LCg==\n!\nQS5OT0s=", "base64", "utf-8", "DRYRUN.OK\nA.NOK\n"),
        (b"a=b A.OK =ZZ", "quoted-printable", "utf-8", "a=b A.OK =ZZ"),
        ("Réseau.OK".as_bytes(), "quoted-printable", "utf-8", "Réseau.OK"),
        (b"R\xe9seau.OK", "8bit", "utf-8", "Réseau.OK"),
        (b"R\xe9seau.OK", "8bit", "", "Réseau.OK"),
        ("Réseau.OK".as_bytes(), "8bit", "x-nonsense", "Réseau.OK"),
        ("Réseau.OK\n".as_bytes(), "8bit", "utf-16", "Réseau.OK\n"),
        (b"begin 644 x", "x-uuencode", "utf-8", "begin 644 x"),
    ] {
        assert_eq!(read(body, encoding, charset), (expected.to_owned(), true), "{expected:?}");
    }
}

#[test]
fn utf_16_is_read_with_and_without_a_byte_order_mark() {
    let text = "DRYRUN.OK\r\nRéseau.NOK\r\n";
    let expected = "DRYRUN.OK\nRéseau.NOK\n";
    let marked = format!("\u{feff}{text}");
    for (name, body, charset) in [
        ("little endian, marked", utf16(&marked, u16::to_le_bytes), "utf-16"),
        ("big endian, marked", utf16(&marked, u16::to_be_bytes), "utf-16"),
        ("little endian", utf16(text, u16::to_le_bytes), "utf-16"),
        ("big endian", utf16(text, u16::to_be_bytes), "utf-16"),
        ("little endian by name", utf16(text, u16::to_le_bytes), "utf-16le"),
        ("big endian by name", utf16(text, u16::to_be_bytes), "UTF-16BE"),
        ("marked, under a wrong name", utf16(&marked, u16::to_le_bytes), "utf-8"),
        ("under a wrong name", utf16(text, u16::to_le_bytes), "us-ascii"),
    ] {
        assert_eq!(read(&body, "8bit", charset), (expected.to_owned(), false), "{name}");
    }
}

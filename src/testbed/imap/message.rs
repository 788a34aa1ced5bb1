//! The parts of a mail that FETCH and SEARCH ask for.

/// The header with the empty line that ends it; the whole mail when there is none.
pub(super) fn header(mail: &[u8]) -> &[u8] {
    mail.get(..header_length(mail)).unwrap_or(mail)
}

pub(super) fn text(mail: &[u8]) -> &[u8] {
    mail.get(header_length(mail)..).unwrap_or_default()
}

fn header_length(mail: &[u8]) -> usize {
    if mail.starts_with(b"\r\n") {
        return 2;
    }
    // Mails with bare line feeds do not come from a real server, but tests store them.
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"];
    let found =
        ends.iter().filter_map(|end| memchr::memmem::find(mail, end).map(|position| position + end.len()));
    found.min().unwrap_or(mail.len())
}

/// The header's fields, each with its folded lines and its line end.
pub(super) fn fields(mail: &[u8]) -> Vec<&[u8]> {
    let mut rest = header(mail);
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let end = memchr::memchr_iter(b'\n', rest)
            .map(|newline| newline + 1)
            .find(|next| !matches!(rest.get(*next), Some(b' ' | b'\t')))
            .unwrap_or(rest.len());
        let Some((field, after)) = rest.split_at_checked(end) else { break };
        if !matches!(field, b"\r\n" | b"\n") {
            fields.push(field);
        }
        rest = after;
    }
    fields
}

pub(super) fn field_name(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii()
}

/// Unfolded and in lower case, encoded words as they stand.
pub(super) fn field_value(field: &[u8]) -> String {
    let value = field.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default();
    String::from_utf8_lossy(value).replace(['\r', '\n'], "").trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_text_are_parted_at_the_first_empty_line() {
        let cases: [(&[u8], &[u8], &[u8]); 6] = [
            (b"A: 1\r\n\r\nx\r\n\r\ny", b"A: 1\r\n\r\n", b"x\r\n\r\ny"),
            (b"A: 1\n\nx", b"A: 1\n\n", b"x"),
            (b"\r\nA: 1\r\n\r\n", b"\r\n", b"A: 1\r\n\r\n"),
            (b"A: 1\r\n", b"A: 1\r\n", b""),
            (b"\r\n", b"\r\n", b""),
            (b"", b"", b""),
        ];
        for (mail, expected_header, expected_text) in cases {
            assert_eq!((header(mail), text(mail)), (expected_header, expected_text), "{mail:?}");
        }
    }

    #[test]
    fn fields_keep_their_folded_lines() {
        let mail = b"To: a,\r\n b\r\nSubject : Hi\r\n\tyou\r\nX\r\n\r\nTo: body";
        let fields = fields(mail);
        assert_eq!(fields, [b"To: a,\r\n b\r\n".as_slice(), b"Subject : Hi\r\n\tyou\r\n", b"X\r\n"]);
        assert_eq!(field_name(fields[1]), b"Subject");
        assert_eq!(field_value(fields[1]), "hi\tyou");
        assert_eq!((field_name(fields[2]), field_value(fields[2])), (b"X".as_slice(), String::new()));
    }
}

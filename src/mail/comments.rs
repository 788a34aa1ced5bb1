//! Comments in header values: in parentheses, between any two words, nested (RFC 5322, section 3.2.2).

use std::borrow::Cow;

/// `text` in one line without its comments; a parenthesis in a quoted string starts none. None when one does not end.
pub(super) fn without_comments(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['(', '\r', '\n']) {
        return Some(Cow::Borrowed(text));
    }
    let mut kept = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        let outside = depth == 0;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted || !outside => escaped = true,
            '"' if outside => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !outside => depth -= 1,
            _ => {}
        }
        if outside && depth == 0 {
            kept.push(if matches!(c, '\r' | '\n') { ' ' } else { c });
        }
    }
    (depth == 0).then_some(Cow::Owned(kept))
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn only_comments_are_left_out() {
        for (text, expected) in [
            ("a; b", Some("a; b")),
            ("a (b) c", Some("a  c")),
            ("a(b (c) \\) (d)) e", Some("a e")),
            ("(a)", Some("")),
            (r#"a="(b)"; c"#, Some(r#"a="(b)"; c"#)),
            (r#"a="\"("; (b)c"#, Some(r#"a="\"("; c"#)),
            (r#"("a) b"#, Some(" b")),
            ("a) b", Some("a) b")),
            ("a\r\nb", Some("a  b")),
            ("a (b", None),
            ("(a (b)", None),
            ("", Some("")),
        ] {
            assert_eq!(without_comments(text).as_deref(), expected, "{text:?}");
        }
    }
}

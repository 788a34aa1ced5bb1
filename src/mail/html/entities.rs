//! Character references (HTML standard, section 13.2.5.72).

/// The longest reference that is known, from `&` to `;`.
const LONGEST: usize = 12;

/// The character that `text` starts with as a reference, and its length in bytes; None when it starts with none.
pub(super) fn decode(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    let length = body.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let reference = body.get(..length)?;
    let c = match reference.strip_prefix('#') {
        Some(number) => numbered(number)?,
        None => {
            NAMED.binary_search_by_key(&reference, |&(name, _)| name).ok().and_then(|at| NAMED.get(at))?.1
        }
    };
    Some((c, length + 2))
}

fn numbered(number: &str) -> Option<char> {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    // What is no character, a surrogate for instance, is a replacement character to a browser.
    code.ok().map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// Latin-1, the usual typographic signs, and the ASCII signs that some programs escape. Sorted by name.
#[rustfmt::skip]
const NAMED: [(&str, char); 178] = [
    ("AElig", 'Æ'), ("Aacute", 'Á'), ("Acirc", 'Â'), ("Agrave", 'À'), ("Aring", 'Å'), ("Atilde", 'Ã'),
    ("Auml", 'Ä'), ("Ccedil", 'Ç'), ("Dagger", '‡'), ("ETH", 'Ð'), ("Eacute", 'É'), ("Ecirc", 'Ê'),
    ("Egrave", 'È'), ("Euml", 'Ë'), ("Iacute", 'Í'), ("Icirc", 'Î'), ("Igrave", 'Ì'), ("Iuml", 'Ï'),
    ("NewLine", '\n'), ("Ntilde", 'Ñ'), ("OElig", 'Œ'), ("Oacute", 'Ó'), ("Ocirc", 'Ô'), ("Ograve", 'Ò'),
    ("Oslash", 'Ø'), ("Otilde", 'Õ'), ("Ouml", 'Ö'), ("Prime", '″'), ("Scaron", 'Š'), ("THORN", 'Þ'),
    ("Tab", '\t'), ("Uacute", 'Ú'), ("Ucirc", 'Û'), ("Ugrave", 'Ù'), ("Uuml", 'Ü'), ("Yacute", 'Ý'),
    ("Yuml", 'Ÿ'), ("aacute", 'á'), ("acirc", 'â'), ("acute", '´'), ("aelig", 'æ'), ("agrave", 'à'),
    ("amp", '&'), ("apos", '\''), ("aring", 'å'), ("ast", '*'), ("asymp", '≈'), ("atilde", 'ã'),
    ("auml", 'ä'), ("bdquo", '„'), ("brvbar", '¦'), ("bsol", '\\'), ("bull", '•'), ("ccedil", 'ç'),
    ("cedil", '¸'), ("cent", '¢'), ("check", '✓'), ("circ", 'ˆ'), ("colon", ':'), ("comma", ','),
    ("commat", '@'), ("copy", '©'), ("cross", '✗'), ("curren", '¤'), ("dagger", '†'), ("darr", '↓'),
    ("dash", '‐'), ("deg", '°'), ("divide", '÷'), ("dollar", '$'), ("eacute", 'é'), ("ecirc", 'ê'),
    ("egrave", 'è'), ("emsp", '\u{2003}'), ("ensp", '\u{2002}'), ("equals", '='), ("eth", 'ð'),
    ("euml", 'ë'), ("euro", '€'), ("excl", '!'), ("fnof", 'ƒ'), ("frac12", '½'), ("frac14", '¼'),
    ("frac34", '¾'), ("ge", '≥'), ("grave", '`'), ("gt", '>'), ("harr", '↔'), ("hellip", '…'),
    ("hyphen", '‐'), ("iacute", 'í'), ("icirc", 'î'), ("iexcl", '¡'), ("igrave", 'ì'), ("infin", '∞'),
    ("iquest", '¿'), ("iuml", 'ï'), ("laquo", '«'), ("larr", '←'), ("lbrack", '['), ("lcub", '{'),
    ("ldquo", '“'), ("le", '≤'), ("lowbar", '_'), ("lpar", '('), ("lrm", '\u{200e}'), ("lsaquo", '‹'),
    ("lsqb", '['), ("lsquo", '‘'), ("lt", '<'), ("macr", '¯'), ("mdash", '—'), ("micro", 'µ'),
    ("middot", '·'), ("minus", '−'), ("nbsp", '\u{a0}'), ("ndash", '–'), ("ne", '≠'), ("not", '¬'),
    ("ntilde", 'ñ'), ("num", '#'), ("oacute", 'ó'), ("ocirc", 'ô'), ("oelig", 'œ'), ("ograve", 'ò'),
    ("ordf", 'ª'), ("ordm", 'º'), ("oslash", 'ø'), ("otilde", 'õ'), ("ouml", 'ö'), ("para", '¶'),
    ("percnt", '%'), ("period", '.'), ("permil", '‰'), ("plus", '+'), ("plusmn", '±'), ("pound", '£'),
    ("prime", '′'), ("quest", '?'), ("quot", '"'), ("raquo", '»'), ("rarr", '→'), ("rbrack", ']'),
    ("rcub", '}'), ("rdquo", '”'), ("reg", '®'), ("rlm", '\u{200f}'), ("rpar", ')'), ("rsaquo", '›'),
    ("rsqb", ']'), ("rsquo", '’'), ("sbquo", '‚'), ("scaron", 'š'), ("sect", '§'), ("semi", ';'),
    ("shy", '\u{ad}'), ("sol", '/'), ("sup1", '¹'), ("sup2", '²'), ("sup3", '³'), ("szlig", 'ß'),
    ("thinsp", '\u{2009}'), ("thorn", 'þ'), ("tilde", '˜'), ("times", '×'), ("trade", '™'), ("uacute", 'ú'),
    ("uarr", '↑'), ("ucirc", 'û'), ("ugrave", 'ù'), ("uml", '¨'), ("uuml", 'ü'), ("verbar", '|'),
    ("yacute", 'ý'), ("yen", '¥'), ("yuml", 'ÿ'), ("zwj", '\u{200d}'), ("zwnj", '\u{200c}'),
];

#[cfg(test)]
mod tests {
    use super::{LONGEST, NAMED, decode};

    #[test]
    fn the_table_is_sorted_and_within_its_limit() {
        assert!(NAMED.is_sorted_by(|(one, _), (other, _)| one < other));
        assert!(NAMED.iter().all(|(name, _)| name.len() < LONGEST));
        for (name, c) in NAMED {
            assert_eq!(decode(&format!("&{name};x")), Some((c, name.len() + 2)));
        }
    }

    #[test]
    fn references_are_decoded_and_what_is_none_is_left() {
        for (text, expected) in [
            ("&amp;", Some(('&', 5))),
            ("&eacute;", Some(('é', 8))),
            ("&Eacute;", Some(('É', 8))),
            ("&#233;x", Some(('é', 6))),
            ("&#xE9;", Some(('é', 6))),
            ("&#x1F600;", Some(('😀', 9))),
            ("&#xD800;", Some(('\u{fffd}', 8))),
            ("&#4294967296;", None),
            ("&#;", None),
            ("&#x;", None),
            ("&nosuch;", None),
            ("&amp", None),
            ("&;", None),
            ("& amp;", None),
            ("&é;", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(decode(text), expected, "{text:?}");
        }
    }
}

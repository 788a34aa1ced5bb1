use super::*;

const FIRST: &str = r#"{"version":"1"}"#;

/// Three entries, as they are stored.
fn entries() -> Vec<(i64, i64, &'static str, &'static str, String, Hash)> {
    let mut head = Head::EMPTY;
    let told = [("start", "", FIRST), ("checker", "bresse1", "{\"removed\":true}"), ("stop", "", "{}")];
    let mut at_ms = 1_795_000_000_000;
    told.into_iter()
        .map(|(kind, about, content)| {
            at_ms += 1_000;
            head = head.followed_by(at_ms, kind, about, content);
            (head.seq, at_ms, kind, about, content.to_owned(), head.hash)
        })
        .collect()
}

type Stored = (i64, i64, &'static str, &'static str, String, Hash);

fn follow(entries: &[Stored], kept: Option<Head>) -> Result<Head, Fault> {
    follow_from(Head::EMPTY, entries, kept)
}

fn follow_from(from: Head, entries: &[Stored], kept: Option<Head>) -> Result<Head, Fault> {
    let mut chain = Chain::behind(from, kept);
    for (seq, at_ms, kind, about, content, hash) in entries {
        chain.take(&Row {
            seq: Value::Integer(*seq),
            at_ms: Value::Integer(*at_ms),
            kind: Value::Text(kind.as_bytes()),
            about: Value::Text(about.as_bytes()),
            content: Value::Text(content.as_bytes()),
            hash: Value::Blob(hash),
        })?;
    }
    chain.end()
}

#[test]
fn the_first_entry_is_hashed_as_the_documentation_says() {
    let mut bytes = Vec::new();
    let sized =
        |tag: &[u8], value: &[u8]| [tag, (value.len() as u64).to_be_bytes().as_slice(), value].concat();
    bytes.extend(sized(b"b", &[0; 32]));
    bytes.extend([b"i".as_slice(), &1_i64.to_be_bytes()].concat());
    bytes.extend([b"i".as_slice(), &1_795_000_001_000_i64.to_be_bytes()].concat());
    bytes.extend(sized(b"t", b"start"));
    bytes.extend(sized(b"t", b""));
    bytes.extend(sized(b"t", FIRST.as_bytes()));
    let expected: Hash = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&bytes).into()
    };
    assert_eq!(entries()[0].5, expected);
}

#[test]
fn a_chain_is_whole_until_an_entry_is_altered_removed_or_inserted() {
    let whole = entries();
    let head = follow(&whole, None).unwrap();
    assert_eq!(head, Head { seq: 3, hash: whole[2].5 });
    let mut altered = whole.clone();
    altered[1].4 = "{\"removed\":false}".to_owned();
    assert_eq!(follow(&altered, None), Err(Fault::Altered(2)));
    let removed = [whole[0].clone(), whole[2].clone()];
    assert_eq!(follow(&removed, None), Err(Fault::Removed(2)));
    let mut renumbered = removed.clone();
    renumbered[1].0 = 2;
    assert_eq!(follow(&renumbered, None), Err(Fault::Altered(2)));
    let doubled = [whole[0].clone(), whole[0].clone()];
    assert_eq!(follow(&doubled, None), Err(Fault::Inserted(1)));
}

#[test]
fn what_was_cut_off_or_written_anew_is_found_with_a_head_that_was_kept() {
    let whole = entries();
    let kept = follow(&whole, None).unwrap();
    assert_eq!(follow(&whole, Some(kept)), Ok(kept));
    assert_eq!(follow(&whole[..2], None).map(|head| head.seq), Ok(2), "without it nothing is missing");
    assert_eq!(follow(&whole[..2], Some(kept)), Err(Fault::CutOff { kept, last: 2 }));
    let forged = Head { seq: 2, hash: whole[0].5 };
    assert_eq!(follow(&whole, Some(forged)), Err(Fault::OtherHead { kept: forged, found: whole[1].5 }));
}

#[test]
fn a_chain_that_was_cut_is_followed_from_the_entry_before() {
    let whole = entries();
    let head = |place: usize| Head { seq: whole[place].0, hash: whole[place].5 };
    let rest = |kept| follow_from(head(0), &whole[1..], kept);
    assert_eq!(rest(None), Ok(head(2)));
    assert_eq!(rest(Some(head(0))), Ok(head(2)));
    assert_eq!(rest(Some(head(1))), Ok(head(2)));
    let forged = Head { seq: 1, hash: whole[1].5 };
    assert_eq!(rest(Some(forged)), Err(Fault::OtherHead { kept: forged, found: whole[0].5 }));
    assert_eq!(follow_from(forged, &whole[1..], None), Err(Fault::Altered(2)));
    let kept = head(0);
    assert_eq!(follow_from(head(1), &whole[2..], Some(kept)), Err(Fault::Before { kept, from: 2 }));
    assert_eq!(follow_from(head(0), &whole[2..], None), Err(Fault::Removed(2)));
}

#[test]
fn a_head_is_read_as_it_is_printed() {
    let head = Head { seq: 17, hash: [0xa5; 32] };
    assert_eq!(head.to_string().parse(), Ok(head));
    let hash = "a5".repeat(32);
    for wrong in ["", "17", &hash, "0:aa", &format!("0:{hash}"), &format!("1:{hash}0"), &format!("1:é{hash}")]
    {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
    }
}

#[test]
fn values_of_different_types_or_borders_have_different_hashes() {
    let all: [&[Value<'_>]; 8] = [
        &[Value::Null],
        &[Value::Integer(0)],
        &[Value::Text(b"")],
        &[Value::Blob(b"")],
        &[Value::Text(b"ab"), Value::Text(b"c")],
        &[Value::Text(b"a"), Value::Text(b"bc")],
        &[Value::Real(0.0)],
        &[],
    ];
    let hashes: std::collections::BTreeSet<Hash> =
        all.iter().map(|values| digest(values.iter().copied())).collect();
    assert_eq!(hashes.len(), all.len());
}

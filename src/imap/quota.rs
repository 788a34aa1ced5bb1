//! How much is in a mailbox and how much may be: QUOTA (RFC 9208, and RFC 2087 before it), STATUS=SIZE (RFC 8438),
//! and the sizes of mails where a server has neither.
//!
//! The answers are read here and not by imap-proto, with tolerance: what is not understood says nothing.

use async_imap::imap_proto::{AttributeValue, Response};

use super::error::Error;
use super::session::Session;
use super::utf7;
use super::wire::{COMMAND_LIMIT, quoted};

/// STORAGE is counted in units of 1024 octets (RFC 9208, section 5.1).
const STORAGE_UNIT: u64 = 1024;
/// A mailbox belongs to few quota roots, each with few resources.
const RESOURCES_MAX: usize = 64;

/// One resource of one quota root, as the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// In upper case.
    name: String,
    pub(super) used: u64,
    pub(super) limit: u64,
}

/// What a server says of the quotas that hold for a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Quota {
    /// In bytes.
    pub(super) storage: Option<(u64, u64)>,
    pub(super) messages: Option<(u64, u64)>,
}

impl Quota {
    /// A mail must fit into every quota root, so the one with the least room decides.
    fn of(resources: &[Resource]) -> Self {
        let tightest = |name: &str, unit: u64| {
            let named = resources.iter().filter(|one| one.name == name && one.limit > 0);
            let scaled = named.map(|one| (one.used.saturating_mul(unit), one.limit.saturating_mul(unit)));
            // used / limit, compared without fractions.
            scaled.max_by(|one, other| {
                let cross =
                    |(used, _): (u64, u64), (_, limit): (u64, u64)| u128::from(used) * u128::from(limit);
                cross(*one, *other).cmp(&cross(*other, *one))
            })
        };
        Self { storage: tightest("STORAGE", STORAGE_UNIT), messages: tightest("MESSAGE", 1) }
    }
}

impl Session {
    pub(super) fn has_quota(&self) -> bool {
        // RFC 9208 announces QUOTA=RES-STORAGE and the like beside it.
        self.capabilities.has("QUOTA")
    }

    /// The quotas that hold for `folder`.
    pub(super) async fn quota(&mut self, folder: &str) -> Result<Quota, Error> {
        let line = format!("GETQUOTAROOT {}", *quoted(&utf7::encode(folder)));
        let answer = self.wire.ask_aside("GETQUOTAROOT", &line).await?;
        Ok(Quota::of(&resources(&answer)))
    }

    /// The bytes of all mails in `folder`, where the server has STATUS=SIZE; None when it does not say.
    pub(super) async fn status_size(&mut self, folder: &str) -> Result<Option<u64>, Error> {
        let line = format!("STATUS {} (SIZE)", *quoted(&utf7::encode(folder)));
        let answer = self.wire.ask_aside("STATUS", &line).await?;
        Ok(status_size(&answer))
    }

    /// How many mails have the numbers from `first` to `last` in the selected folder, and their bytes.
    pub(super) async fn sizes(&mut self, first: u32, last: u32) -> Result<(u32, u64), Error> {
        let (mut count, mut bytes) = (0_u32, 0_u64);
        let line = format!("FETCH {first}:{last} (RFC822.SIZE)");
        self.wire
            .command("FETCH", &line, COMMAND_LIMIT, |response| {
                let Response::Fetch(number, attributes) = response else { return };
                let size = attributes.iter().find_map(|attribute| match attribute {
                    AttributeValue::Rfc822Size(size) => Some(*size),
                    _ => None,
                });
                if let Some(size) = size.filter(|_| (first..=last).contains(number)) {
                    count = count.saturating_add(1);
                    bytes = bytes.saturating_add(u64::from(size));
                }
            })
            .await?;
        Ok((count, bytes))
    }
}

/// `* QUOTA "root" (STORAGE 10 512 MESSAGE 20 100)`, any number of them.
fn resources(answer: &[u8]) -> Vec<Resource> {
    let mut found = Vec::new();
    let mut input = Input(answer);
    while !input.0.is_empty() {
        let here = input.0;
        if input.word("*") && input.word("QUOTA") && input.name().is_some() {
            found.extend(input.triples());
            found.truncate(RESOURCES_MAX);
        }
        input.next_line(here);
    }
    found
}

/// `* STATUS "folder" (SIZE 4711)`.
fn status_size(answer: &[u8]) -> Option<u64> {
    let mut input = Input(answer);
    (input.word("*") && input.word("STATUS") && input.name().is_some()).then_some(())?;
    let words = input.list()?;
    let size = words.iter().position(|word| word.eq_ignore_ascii_case("SIZE"))?;
    words.get(size + 1)?.parse().ok()
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Takes `word` and the space behind it, if they come next.
    fn word(&mut self, word: &str) -> bool {
        let (head, rest) = self.0.split_at_checked(word.len()).unwrap_or((b"", self.0));
        let found = head.eq_ignore_ascii_case(word.as_bytes()).then(|| rest.strip_prefix(b" ")).flatten();
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    /// Takes an astring (RFC 3501, section 9) and the space behind it; what it says does not matter.
    fn name(&mut self) -> Option<()> {
        match self.0 {
            [b'"', rest @ ..] => {
                let mut escaped = false;
                let end = rest.iter().position(|byte| match (escaped, byte) {
                    (true, _) => {
                        escaped = false;
                        false
                    }
                    (false, b'\\') => {
                        escaped = true;
                        false
                    }
                    (false, byte) => *byte == b'"',
                })?;
                self.0 = rest.get(end + 1..)?;
            }
            [b'{', rest @ ..] => {
                let end = rest.windows(3).position(|window| window == b"}\r\n")?;
                let length: usize = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
                self.0 = rest.get(end.checked_add(3)?.checked_add(length)?..)?;
            }
            atom => self.0 = atom.get(atom.iter().position(|byte| b" \r\n(".contains(byte))?..)?,
        }
        self.0 = self.0.strip_prefix(b" ")?;
        Some(())
    }

    /// The words of a list in parentheses, on one line.
    fn list(&mut self) -> Option<Vec<&'a str>> {
        let inner = self.0.strip_prefix(b"(")?;
        let end = inner.iter().position(|byte| b")\r\n".contains(byte))?;
        let (words, rest) = inner.split_at_checked(end)?;
        rest.starts_with(b")").then(|| self.0 = rest)?;
        Some(std::str::from_utf8(words).ok()?.split_ascii_whitespace().collect())
    }

    fn triples(&mut self) -> Vec<Resource> {
        let words = self.list().unwrap_or_default();
        let triples = words.as_chunks::<3>().0.iter();
        let resource = |[name, used, limit]: &[&str; 3]| {
            let (used, limit) = (used.parse().ok()?, limit.parse().ok()?);
            Some(Resource { name: name.to_ascii_uppercase(), used, limit })
        };
        triples.filter_map(resource).take(RESOURCES_MAX).collect()
    }

    /// Goes on behind the next line end, which is never before `from`.
    fn next_line(&mut self, from: &'a [u8]) {
        let end = self.0.iter().position(|byte| *byte == b'\n').map_or(self.0.len(), |end| end + 1);
        self.0 = self.0.get(end..).unwrap_or_default();
        debug_assert!(self.0.len() < from.len(), "each round takes a byte at least");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::peer::session;
    use super::*;

    const KIB: u64 = 1024;

    #[tokio::test]
    async fn the_quota_root_with_the_least_room_decides() {
        let cases: &[(&str, Quota)] = &[
            (
                "* QUOTAROOT INBOX \"User quota\"\r\n* QUOTA \"User quota\" (STORAGE 97 100 MESSAGE 3 20)\r\n",
                Quota { storage: Some((97 * KIB, 100 * KIB)), messages: Some((3, 20)) },
            ),
            (
                "* QUOTA a (STORAGE 1 100)\r\n* QUOTA b (storage 40 50 MAILBOX 1 2)\r\n* QUOTA {3}\r\nx\r\n (MESSAGE 1 2)\r\n",
                Quota { storage: Some((40 * KIB, 50 * KIB)), messages: Some((1, 2)) },
            ),
            (
                "* QUOTA \"a \\\" (STORAGE 9 9)\" (STORAGE 1 2)\r\n",
                Quota { storage: Some((KIB, 2 * KIB)), messages: None },
            ),
            // No quota root, no limit, or nothing that can be understood.
            ("* QUOTAROOT INBOX\r\n", Quota::default()),
            ("* QUOTA \"\" ()\r\n", Quota::default()),
            ("* QUOTA \"\" (STORAGE 10 0)\r\n", Quota::default()),
            ("* QUOTA \"\" (STORAGE 10)\r\n* QUOTA\r\n* QUOTA x\r\n* QUOTA \"x\r\n", Quota::default()),
            ("* QUOTA \"\" (STORAGE -1 99999999999999999999999)\r\n", Quota::default()),
            (
                "* QUOTA \"\" (MESSAGE 18446744073709551615 1 STORAGE 18446744073709551615 1)\r\n",
                Quota { storage: Some((u64::MAX, KIB)), messages: Some((u64::MAX, 1)) },
            ),
        ];
        for (answer, expected) in cases {
            let mut session = session(&[("GETQUOTAROOT \"INBOX\"", &format!("{answer}TAG OK done\r\n"))]);
            assert_eq!(session.quota("INBOX").await.unwrap(), *expected, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn answers_that_nobody_asked_for_are_not_taken_for_the_answer() {
        let mut session = session(&[
            ("NOOP", "* QUOTA \"\" (STORAGE 100 100)\r\nTAG OK done\r\n"),
            ("GETQUOTAROOT", "* QUOTA \"\" (STORAGE 1 100)\r\nTAG OK done\r\n"),
        ]);
        session.noop().await.unwrap();
        assert_eq!(session.quota("INBOX").await.unwrap().storage, Some((KIB, 100 * KIB)));
    }

    #[tokio::test]
    async fn the_size_of_a_folder_is_told_or_summed_up() {
        for (answer, expected) in [
            ("* STATUS \"Entw&APw-rfe\" (SIZE 44421)\r\n", Some(44_421)),
            ("* STATUS x (MESSAGES 4 SIZE 9999999999)\r\n", Some(9_999_999_999)),
            ("* STATUS x (MESSAGES 4)\r\n", None),
            ("* STATUS x (SIZE)\r\n", None),
            ("", None),
        ] {
            let script = format!("{answer}TAG OK done\r\n");
            let mut session = session(&[("STATUS \"Entw&APw-rfe\" (SIZE)", &script)]);
            assert_eq!(session.status_size("Entwürfe").await.unwrap(), expected, "{answer:?}");
        }
        let answer = "* 1 FETCH (RFC822.SIZE 600)\r\n* 2 FETCH (FLAGS ())\r\n* 3 FETCH (RFC822.SIZE 4294967295)\r\n\
                      * 9 FETCH (RFC822.SIZE 5)\r\nTAG OK done\r\n";
        let mut session = session(&[("FETCH 1:3 (RFC822.SIZE)", answer)]);
        assert_eq!(session.sizes(1, 3).await.unwrap(), (2, 4_294_967_895));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(answer in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(resources(&answer).len() <= RESOURCES_MAX);
            let _ = status_size(&answer);
        }

        #[test]
        fn nor_is_one_that_looks_right(
            answer in "(\\* (QUOTA|STATUS) (\"[ a\\\\\"]{0,3}|\\{[0-9]{1,20}\\}\r\n|x)? ?\\(?(STORAGE|SIZE|[0-9 ]{0,25}|\\)|\r\n){0,6}){0,6}",
        ) {
            prop_assert!(resources(answer.as_bytes()).len() <= RESOURCES_MAX);
            let _ = status_size(answer.as_bytes());
        }
    }
}

//! Sequence sets (RFC 3501, section 9): `1,4:7,10:*`.

use super::command::{Args, Syntax};

const MAX_RANGES: usize = 10_000;

/// Ranges with both ends included; None stands for `*`, the largest number in use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SequenceSet(Vec<(Option<u32>, Option<u32>)>);

impl SequenceSet {
    pub(super) fn parse(args: &mut Args<'_>) -> Result<Self, Syntax> {
        let mut ranges = Vec::new();
        loop {
            let first = bound(args)?;
            let last = if args.eat(b":") { bound(args)? } else { first };
            ranges.push((first, last));
            if !args.eat(b",") {
                return Ok(Self(ranges));
            }
            if ranges.len() >= MAX_RANGES {
                return Err(Syntax(format!("More than {MAX_RANGES} ranges in a sequence set")));
            }
        }
    }

    /// Sorted, disjoint ranges of numbers. The ends may come in either order, so that `5:*` holds the largest number
    /// even when that is 3. Nothing when no number is in use.
    pub(super) fn resolve(&self, largest: Option<u32>) -> Ranges {
        let Some(largest) = largest else { return Ranges(Vec::new()) };
        let mut sorted: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|(first, last)| (first.unwrap_or(largest), last.unwrap_or(largest)))
            .map(|(first, last)| (first.min(last), first.max(last)))
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ranges(merged)
    }
}

fn bound(args: &mut Args<'_>) -> Result<Option<u32>, Syntax> {
    if args.eat(b"*") {
        return Ok(None);
    }
    match args.number()? {
        0 => Err(Syntax("Sequence numbers and UIDs begin at 1".to_owned())),
        number => Ok(Some(number)),
    }
}

pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    pub(super) fn contain(&self, number: u32) -> bool {
        let next = self.0.partition_point(|(first, _)| *first <= number);
        next.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|(_, last)| number <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(set: &str, largest: u32) -> Vec<u32> {
        let mut args = Args(set.as_bytes());
        let ranges = SequenceSet::parse(&mut args).unwrap().resolve(Some(largest));
        args.end().unwrap();
        (1..=20).filter(|number| ranges.contain(*number)).collect()
    }

    #[test]
    fn sets_hold_the_numbers_the_rfc_says() {
        let cases: [(&str, u32, &[u32]); 9] = [
            ("1", 9, &[1]),
            ("2:4", 9, &[2, 3, 4]),
            ("4:2", 9, &[2, 3, 4]),
            ("*", 9, &[9]),
            ("8:*", 9, &[8, 9]),
            ("*:8", 9, &[8, 9]),
            ("5:*", 3, &[3, 4, 5]),
            ("1,3,2:3,7", 9, &[1, 2, 3, 7]),
            ("1:10,2:3,6", 9, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ];
        for (set, largest, expected) in cases {
            assert_eq!(numbers(set, largest), expected, "{set} with * = {largest}");
        }
    }

    #[test]
    fn an_empty_mailbox_has_no_star() {
        let set = SequenceSet::parse(&mut Args(b"1:*")).unwrap();
        assert!(!set.resolve(None).contain(1));
    }

    #[test]
    fn broken_sets_are_refused() {
        for broken in ["", "0", "1:", ":1", "1,", "a", "4294967296"] {
            assert!(SequenceSet::parse(&mut Args(broken.as_bytes())).is_err(), "{broken:?}");
        }
        let long = vec!["1"; MAX_RANGES + 1].join(",");
        assert!(SequenceSet::parse(&mut Args(long.as_bytes())).is_err());
    }
}

//! A set of numbers that lie close together.

#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    bits: Vec<u64>,
    count: u64,
}

impl Numbers {
    /// False when it was there before.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let (place, bit) = (usize::try_from(number / 64).unwrap(), 1 << (number % 64));
        if place >= self.bits.len() {
            self.bits.resize(place + 1, 0);
        }
        let fresh = self.bits[place] & bit == 0;
        self.bits[place] |= bit;
        self.count += u64::from(fresh);
        fresh
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

//! The faults in force on a server.

use std::sync::Mutex;

use super::locked;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    Once,
    UntilCleared,
}

/// Oldest first; the first that fits applies.
pub(super) struct Faults<F>(Mutex<Vec<(F, Lasting)>>);

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: PartialEq> Faults<F> {
    pub(super) fn add(&self, fault: F, lasting: Lasting) {
        locked(&self.0).push((fault, lasting));
    }

    pub(super) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// The first answer of `fits`; a fault that was to apply once is gone afterwards.
    pub(super) fn take<T>(&self, fits: impl Fn(&F) -> Option<T>) -> Option<T> {
        let mut list = locked(&self.0);
        let (index, found) =
            list.iter().enumerate().find_map(|(index, (fault, _))| Some((index, fits(fault)?)))?;
        if list.get(index).is_some_and(|(_, lasting)| *lasting == Lasting::Once) {
            list.remove(index);
        }
        Some(found)
    }

    pub(super) fn take_this(&self, wanted: &F) -> bool {
        self.take(|fault| (fault == wanted).then_some(())).is_some()
    }
}

//! How many connections each address holds: a stranger alone must not take everybody's places.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by where they come from.
#[derive(Clone, Default)]
pub(super) struct Crowd(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection, as long as it lives.
pub(super) struct Guest {
    crowd: Crowd,
    from: IpAddr,
}

impl Crowd {
    /// None when this address holds `share` of them already.
    pub(super) fn enter(&self, from: IpAddr, share: usize) -> Option<Guest> {
        let from = subscriber(from);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(from).or_default();
        if *count >= share {
            return None;
        }
        *count += 1;
        Some(Guest { crowd: self.clone(), from })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut held = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = held.remove(&self.from).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            held.insert(self.from, left);
        }
    }
}

/// Whoever has one IPv6 address has all of its network of 64 bits (RFC 6177).
pub(super) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subscriber_has_its_share_and_leaves_the_rest_to_others() {
        let crowd = Crowd::default();
        let enter = |from: &str| crowd.enter(from.parse().unwrap(), 2);
        let first = enter("2001:db8::1");
        let second = enter("2001:db8::2:3");
        assert!(first.is_some() && second.is_some());
        assert!(enter("2001:db8::4").is_none(), "the same network");
        let other = enter("2001:db8:0:1::1");
        let old = enter("192.0.2.1");
        let mapped = enter("::ffff:192.0.2.1");
        assert!(other.is_some() && old.is_some() && mapped.is_some());
        assert!(enter("192.0.2.1").is_none());
        drop(first);
        assert!(enter("2001:db8::4").is_some(), "a place is free again");
        drop((second, other, old, mapped));
        assert!(crowd.0.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }
}

//! How many requests each address may make: whoever asks without end must not keep the machine from the alarms.
//!
//! What load balancers ask (`/lb/`) is not counted: they ask thousands of times a second, and are answered from memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::Site;
use super::crowd::subscriber;
use super::server::Peer;

/// For long. Behind a proxy all people together have one address: hundreds of them with open pages ask less.
const REQUESTS_PER_SECOND: u32 = 200;
/// At once, after a pause: hundreds of pages that are opened together.
const REQUESTS_AT_ONCE: u32 = 2_000;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / REQUESTS_PER_SECOND as u64);
const BURST: Duration = Duration::from_nanos(INTERVAL.as_nanos() as u64 * REQUESTS_AT_ONCE as u64);
/// So many addresses are told apart; all further ones share what one has.
const ADDRESSES_MAX: usize = 10_000;
/// Addresses that have all of theirs again are forgotten so often, when there are too many.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// What each address has asked, as the moment up to which it has used up its rate (the generic cell rate algorithm,
/// ITU-T I.371).
#[derive(Default)]
pub(super) struct Rates(Mutex<Used>);

#[derive(Default)]
struct Used {
    until: BTreeMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl Rates {
    /// Counts one request.
    ///
    /// # Errors
    /// After how long this address may ask again.
    fn take(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = used.place(subscriber(from), now);
        let until = used.until.entry(from).or_insert(now);
        let next = (*until).max(now) + INTERVAL;
        match (next - now).checked_sub(BURST).filter(|over| !over.is_zero()) {
            Some(over) => Err(over),
            None => {
                *until = next;
                Ok(())
            }
        }
    }
}

impl Used {
    /// The address itself, or the one that stands for all for whom there is no room.
    fn place(&mut self, from: IpAddr, now: Instant) -> IpAddr {
        if self.until.len() < ADDRESSES_MAX || self.until.contains_key(&from) {
            return from;
        }
        if self.swept.is_none_or(|swept| now - swept >= SWEPT_EVERY) {
            self.until.retain(|_, until| *until > now);
            self.swept = Some(now);
        }
        if self.until.len() < ADDRESSES_MAX { from } else { Ipv4Addr::UNSPECIFIED.into() }
    }
}

/// Answers for whoever asks too often.
pub(super) async fn paced(
    State(site): State<Arc<Site>>,
    Extension(Peer(from)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match site.rates.take(from, Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let seconds = (wait.as_secs() + 1).to_string();
            let sentence = format!(
                "Too many requests from this address: {REQUESTS_PER_SECOND} a second are answered for long.\n"
            );
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], sentence).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    /// How many of so many requests at one moment are let through.
    fn passed(rates: &Rates, from: IpAddr, now: Instant, requests: u32) -> u32 {
        (0..requests).map(|_| u32::from(rates.take(from, now).is_ok())).sum()
    }

    #[test]
    fn an_address_has_a_burst_and_then_its_rate_and_takes_nothing_from_others() {
        let (rates, start) = (Rates::default(), Instant::now());
        assert_eq!(passed(&rates, address(1), start, 3_000), REQUESTS_AT_ONCE);
        assert_eq!(rates.take(address(1), start), Err(INTERVAL));
        assert_eq!(passed(&rates, address(2), start, 3_000), REQUESTS_AT_ONCE);
        let later = start + Duration::from_secs(1);
        assert_eq!(passed(&rates, address(1), later, 3_000), REQUESTS_PER_SECOND);
        let much_later = start + Duration::from_secs(3_600);
        assert_eq!(passed(&rates, address(1), much_later, 3_000), REQUESTS_AT_ONCE, "it saves up no more");
        let network = |host: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
        assert_eq!(passed(&rates, network(1), start, 3_000), REQUESTS_AT_ONCE);
        assert_eq!(passed(&rates, network(2), start, 1), 0, "a subscriber has a whole network");
    }

    #[test]
    fn whoever_comes_with_many_addresses_takes_no_memory_and_keeps_out_no_one_who_is_known() {
        let (rates, start) = (Rates::default(), Instant::now());
        for number in 0..20_000 {
            let _ = rates.take(address(number), start);
        }
        assert_eq!(rates.0.lock().unwrap().until.len(), ADDRESSES_MAX + 1);
        assert_eq!(passed(&rates, address(19_999), start, 1), 0, "the strangers have used up theirs");
        assert_eq!(passed(&rates, address(7), start, 1), 1);
        let later = start + SWEPT_EVERY;
        assert_eq!(passed(&rates, address(30_000), later, 1), 1, "those of before are forgotten");
        assert_eq!(rates.0.lock().unwrap().until.len(), 1 + 1, "and the strangers' common place is not");
    }
}

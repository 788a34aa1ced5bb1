//! The strips of all checkers, read from the state now and then, and shown to everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use chrono::TimeDelta;
use tokio::sync::Mutex;

use super::Site;
use crate::clock;
use crate::store::Store;
use crate::strip::{Strip, Strips, Window};
use crate::time::Time;

/// Strips no older than this are new enough: their smallest bucket is a quarter of an hour.
const FRESH: TimeDelta = TimeDelta::seconds(15);

/// The strips, or one sentence that says why they cannot be read.
type Found = Result<Arc<Strips>, String>;

/// The latest of each window, with the time of reading.
#[derive(Default)]
pub(super) struct Cache(Mutex<BTreeMap<Window, (Time, Found)>>);

/// The strips of all checkers.
///
/// # Errors
/// One sentence that says why they cannot be read.
pub(super) async fn of_all(site: &Site, window: Window) -> Found {
    // Whoever waits here gets what the one before has read, be it a failure.
    let mut cache = site.strips.0.lock().await;
    let now = clock::now();
    if let Some((read, strips)) = cache.get(&window)
        && (now - *read).abs() < FRESH
    {
        return strips.clone();
    }
    let names: Vec<String> = site.config.checkers.iter().map(|checker| checker.name.clone()).collect();
    let read = site.archive.ask(move |store, _| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(read(store, &names, &[window], now)?.pop())
    });
    let strips = read.await.map_err(|error| format!("{error:#}"));
    let strips =
        strips.and_then(|strips| strips.map(Arc::new).ok_or_else(|| "No window is shown.".to_owned()));
    cache.insert(window, (clock::now(), strips.clone()));
    strips
}

/// The strips of these checkers, for each window.
///
/// # Errors
/// When the state cannot be read.
pub(super) fn read(store: &Store, checkers: &[&str], windows: &[Window], now: Time) -> Result<Vec<Strips>> {
    let Some(longest) = windows.iter().max() else { return Ok(Vec::new()) };
    let records = store.records(checkers, longest.span(now), now)?;
    let strips = |window: &Window| {
        let strip = |name: &&str| records.get(*name).map(|record| Strip::of(name, record, *window, now));
        let span = window.span(now);
        let strips = checkers.iter().filter_map(strip).collect();
        Strips { window: *window, from: span.from, until: span.until, strips }
    };
    Ok(windows.iter().map(strips).collect())
}

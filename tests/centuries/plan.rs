//! What a seed stands for: the size of a world, and how much goes wrong in it.

use fastrand::Rng;

use crate::site::{DAY, HOUR, MINUTE, Ms, Site};

/// What the watchdog of a world is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// The product's flow with its state file.
    Whole,
    /// The core, with a store that is no file.
    Core,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) made: Made,
    pub(crate) site: Site,
    /// As somebody changes it now and then.
    pub(crate) other: Site,
    /// From here on nothing goes wrong any more.
    pub(crate) heal: Ms,
    /// Between two faults that last, on average.
    pub(crate) between_faults: Ms,
    /// The process dies at one step in so many; 0: never.
    pub(crate) dies_once_in: u32,
    /// A process that died is back at once, with the same configuration and the same clock.
    pub(crate) gentle: bool,
    /// The watchdog's clock is set now and then.
    pub(crate) clock_steps: bool,
    /// Per thousand mails.
    pub(crate) bad_mails: u32,
    /// UIDs that the reader asks for at once, of history.
    pub(crate) window: u32,
}

/// A look costs about as much as so many reports: where it finds fewer the world is shorter.
const REPORTS_A_LOOK: i64 = 8;
const LOOKS_MIN: i64 = 2_000;

impl Plan {
    /// A world of about so many reports; of fewer where a look finds few.
    pub(crate) fn random(seed: u64, made: Made, reports: i64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let cycle = [1, 2, 5, 5, 5, 10, 15, 30, 60, 180, 360, 1_440][rng.usize(0..12)] * MINUTE;
        let most = match made {
            Made::Whole => 400,
            Made::Core => 600,
        };
        // The quiet hours at the end must not be most of a world.
        let most = usize::try_from(reports * cycle / (6 * HOUR)).unwrap().clamp(3, most);
        let checkers = rng.usize(3..=most);
        let site = Site::random(rng, checkers, cycle);
        let mut other = site.clone();
        for watched in &mut other.watched {
            if rng.u32(0..4) == 0 {
                watched.cycle = (watched.cycle / MINUTE + rng.i64(0..3)) * MINUTE;
            }
        }
        let looks = (reports / REPORTS_A_LOOK).max(LOOKS_MIN) * site.poll;
        let heal = (reports * cycle / i64::try_from(checkers).unwrap()).min(looks).max(12 * cycle).max(HOUR);
        Self {
            seed,
            made,
            site,
            other,
            heal,
            between_faults: (heal / rng.i64(30..120)).clamp(cycle, 30 * DAY),
            // A process of a large site begins with much to read.
            dies_once_in: [0, 40, 200, 1_000][rng.usize(0..4)] * (1 + u32::try_from(checkers).unwrap() / 20),
            gentle: false,
            clock_steps: rng.u32(0..4) == 0,
            bad_mails: [10, 60, 120, 200][rng.usize(0..4)],
            window: [5, 30, 100, 500][rng.usize(0..4)],
        }
    }

    /// One in which a watchdog that is killed ought to say what one says that is not.
    pub(crate) fn gentle(seed: u64, made: Made, reports: i64) -> Self {
        let dies_once_in = 25;
        Self { gentle: true, clock_steps: false, dies_once_in, ..Self::random(seed, made, reports) }
    }
}

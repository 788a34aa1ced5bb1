//! From the measured path to the margin of the deadline.

use chrono::TimeDelta;

/// Beyond what 99 of 100 mails stay below lie some mails of every day. Few of them take three times as long, and each
/// that does is a false alarm at night.
const SAFETY_FACTOR: i32 = 3;
/// `Date`, stamps and receipts are whole seconds.
const RESOLUTION: TimeDelta = TimeDelta::seconds(1);
/// Seconds. Each is about half as long again as the one before: between two of them nothing is worth a change.
const STEPS: [i64; 21] = [
    5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1_200, 1_800, 2_700, 3_600, 5_400,
    7_200,
];

/// The margin for a path of which 99 of 100 mails take at most `p99`. It grows as soon as it must, and becomes smaller
/// only when it would not have to grow again soon.
pub(super) fn following(p99: TimeDelta, present: Option<TimeDelta>) -> TimeDelta {
    let needed = (p99 + RESOLUTION) * SAFETY_FACTOR;
    let roomy = step(needed + needed / 4);
    match present {
        Some(present) if step(needed) <= present && present <= roomy => present,
        Some(present) if present > roomy => roomy,
        _ => step(needed),
    }
}

fn step(needed: TimeDelta) -> TimeDelta {
    STEPS.iter().map(|step| TimeDelta::seconds(*step)).find(|step| *step >= needed).unwrap_or(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_step_above_three_times_what_one_of_a_hundred_takes() {
        for (p99, margin) in [(0, 5), (4, 15), (5, 20), (19, 60), (20, 90), (199, 600), (5_000, 15_003)] {
            assert_eq!(following(TimeDelta::seconds(p99), None), TimeDelta::seconds(margin), "{p99}");
        }
    }

    #[test]
    fn a_path_at_the_edge_between_two_steps_does_not_make_it_wobble() {
        let mut present = None;
        let margins: Vec<i64> = [18, 19, 20, 21, 20, 19, 18, 17, 16, 15, 14, 20]
            .into_iter()
            .map(|p99| {
                present = Some(following(TimeDelta::seconds(p99), present));
                present.unwrap().num_seconds()
            })
            .collect();
        assert_eq!(margins, [60, 60, 90, 90, 90, 90, 90, 90, 90, 60, 60, 90]);
    }
}

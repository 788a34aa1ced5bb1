//! Times as a page shows them: absolute, in UTC and in the people's zone, with the distance from now beside.

use chrono::TimeDelta;
use chrono_tz::Tz;

use crate::time::{Time, rfc3339, span, utc_and_local};

/// The moment that a page is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub now: Time,
    pub zone: Tz,
    /// False: whatever changes with time alone is left out, so that two renderings of the same facts are the same.
    pub ages: bool,
}

impl Moment {
    /// `2026-11-20 02:58:11 UTC (03:58:11 Europe/Paris), 1 min 49 s ago`.
    pub(super) fn shown(self, time: Time) -> String {
        format!("{}, {}", self.absolute(time), self.ago(time))
    }

    pub(super) fn absolute(self, time: Time) -> String {
        let text = utc_and_local(time, self.zone);
        // A line may end between the two, and nowhere else.
        let parts: Vec<String> = match text.split_once(" (") {
            Some((utc, local)) => vec![format!("<span>{utc}</span>"), format!("<span>({local}</span>")],
            None => vec![format!("<span>{text}</span>")],
        };
        format!("<time datetime=\"{}\">{}</time>", rfc3339(time), parts.join(" "))
    }

    /// The distance alone. The script counts it on.
    pub(super) fn ago(self, time: Time) -> String {
        let text = match self.now - time {
            _ if !self.ages => String::new(),
            past if past >= TimeDelta::zero() => format!("{} ago", span(past)),
            future => format!("in {}", span(-future)),
        };
        format!("<span class=\"ago\" data-at=\"{}\">{text}</span>", time.timestamp())
    }

    pub(super) fn or_never(self, time: Option<Time>) -> String {
        time.map_or("never".to_owned(), |time| self.shown(time))
    }

    /// A bar of the age of `since` against `whole`, the deadline. What it shows stands beside it in words.
    pub(super) fn bar(self, since: Time, whole: TimeDelta) -> String {
        let seconds = whole.num_seconds().max(1);
        let share = (self.now - since).num_seconds().clamp(0, seconds) * 100 / seconds;
        let share = if self.ages { share } else { 0 };
        format!(
            "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"100\" height=\"6\"/>\
             <rect class=\"fill\" width=\"{share}\" height=\"6\" data-since=\"{}\" data-whole=\"{seconds}\"/></svg>",
            since.timestamp()
        )
    }
}

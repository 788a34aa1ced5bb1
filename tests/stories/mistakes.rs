//! Stories that must fail, and the words in which they do: a table of expectations that cannot fail proves nothing.

use crate::compare::perform;
use crate::story::stories;

/// What the mistake is, the story after its title, and what must be said of it. The title is line 1.
pub(crate) const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "an unknown sentence fails with its line",
        "00:00 every checker reports every 5m\n00:10 bresse3 explodes\n00:20 => no alarm stands",
        "test.story:3: no story can be told with these words",
    ),
    (
        "an unknown expectation fails with its line",
        "00:00 every checker reports every 5m\n00:20 => bresse3 is fine",
        "test.story:3: nothing can be expected in these words",
    ),
    (
        "lines that are not in the order of their times fail",
        "00:10 bresse3 stops\n00:09 bresse3 reports once\n00:20 => no alarm stands",
        "test.story:3: the line before it is later, 00:10:00",
    ),
    ("a time that is none fails", "00:61 bresse3 stops", "test.story:2: 00:61 is no time"),
    ("a length that is none fails", "00:00 bresse3 reports every hour", "test.story:2: hour: "),
    (
        "a story that expects nothing fails",
        "00:00 every checker reports every 5m",
        "test.story:1: nothing is expected",
    ),
    (
        "somebody nobody knows fails with the line",
        "00:00 bresse33 reports every 5m\n00:20 => no alarm stands",
        "test.story:2: bresse33 is no checker of this site",
    ),
    (
        "a setting nobody knows fails with the line and in the words of the configuration",
        "set bresse3: cycel = \"1h\"\n00:20 => no alarm stands",
        "test.story:2: watchdog.toml:26: checker[2].cycel: unknown key",
    ),
    (
        "an alarm that was not expected fails",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n00:35 => bresse3 is ok",
        "nobody expected, at 00:36:42: bresse3_Checker.NOK",
    ),
    (
        "an alarm that does not come fails with its line",
        "00:00 every checker reports every 5m\n00:36:42 => alarm bresse3_Checker",
        "line 3: it was not said: 00:36:42 => alarm bresse3_Checker",
    ),
    (
        "an alarm a second early or late fails",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n00:36:41 => alarm bresse3_Checker",
        "nobody expected, at 00:36:42: bresse3_Checker.NOK",
    ),
    (
        "a recovery is no alarm",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n00:36:42 => recovery bresse3_Checker",
        "line 4: it was not said",
    ),
    (
        "an alarm that names others fails",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n\
         00:36:42 => alarm bresse3_Checker naming bresse3 and bresse4",
        "line 4: it names bresse3: bresse3_Checker.NOK",
    ),
    (
        "an alarm for another reason fails",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n\
         00:36:42 => alarm bresse3_Checker because junked",
        "line 4: it does not say \"Reason: junked (\"",
    ),
    (
        "an alarm in other words fails",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n\
         00:36:42 => alarm bresse3_Checker saying \"is asleep\"",
        "line 4: it does not say \"is asleep\"",
    ),
    (
        "another state fails",
        "00:00 every checker reports every 5m\n00:30 => bresse3 is late",
        "line 3: it is otherwise: bresse3 is ok, without a reason",
    ),
    (
        "another reason fails",
        "00:00 every checker reports every 5m\n00:30 => bresse3 is ok because clock_skew",
        "line 3: it is otherwise: bresse3 is ok, without a reason",
    ),
    (
        "another result fails",
        "00:00 every checker reports every 5m\n00:30 => ESHOP_Service of bresse3 is NOK",
        "line 3: it is otherwise: ESHOP_Service of bresse3 is OK",
    ),
    (
        "an alarm that stands and should not fails",
        "00:00 every checker reports every 5m\n00:31 bresse3 stops\n\
         00:36:42 => alarm bresse3_Checker\n00:40 => no alarm stands",
        "line 5: it is otherwise: the alarms that stand are {\"bresse3_Checker\"}",
    ),
];

/// # Errors
/// When the story does not fail, or in other words.
pub(crate) fn fails_with(lines: &str, words: &str) -> Result<(), String> {
    let played = stories("test.story", &format!("title A story with a mistake\n{lines}"))
        .and_then(|stories| stories.iter().try_for_each(perform));
    match played {
        Ok(()) => Err("nothing was wrong with it".to_owned()),
        Err(told) if told.contains(words) => Ok(()),
        Err(told) => Err(format!("{words:?} is not in:\n{told}")),
    }
}

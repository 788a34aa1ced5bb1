//! The stories in `fixtures/stories`, each played through the core as a case of its own.
//!
//! `cargo test --test stories` lists them; words behind `--` choose those whose titles hold them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "stories/compare.rs"]
mod compare;
#[path = "stories/mistakes.rs"]
mod mistakes;
#[path = "stories/moment.rs"]
mod moment;
#[path = "stories/post.rs"]
mod post;
#[path = "stories/sentences.rs"]
mod sentences;
#[path = "stories/site.rs"]
mod site;
#[path = "stories/stage.rs"]
mod stage;
#[path = "stories/story.rs"]
mod story;
#[path = "stories/watchdog.rs"]
mod watchdog;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use story::Story;

const STORIES_AT_LEAST: usize = 100;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut told = 0;
    for (file, text) in files() {
        match story::stories(&file, &text) {
            Ok(stories) => {
                told += stories.len();
                trials.extend(stories.into_iter().map(trial));
            }
            Err(mistakes) => trials.push(Trial::test(file, || Err(Failed::from(mistakes)))),
        }
    }
    trials.push(Trial::test("there are enough stories", move || {
        if told < STORIES_AT_LEAST { Err(Failed::from(format!("only {told} stories"))) } else { Ok(()) }
    }));
    trials.push(Trial::test("the README lists every sentence", || readme_lists_all().map_err(Failed::from)));
    trials.extend(mistakes::MISTAKES.iter().map(|(what, lines, words)| {
        let told = || mistakes::fails_with(lines, words).map_err(Failed::from);
        Trial::test(*what, told).with_kind("mistakes")
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(story: Story) -> Trial {
    let theme = story.file.strip_suffix(".story").unwrap_or(&story.file).to_owned();
    Trial::test(story.title.clone(), move || compare::perform(&story).map_err(Failed::from)).with_kind(theme)
}

fn readme_lists_all() -> Result<(), String> {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let missing: Vec<&str> = sentences::SENTENCES
        .iter()
        .map(|(pattern, _)| *pattern)
        .filter(|pattern| !readme.contains(&format!("`{pattern}`")))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not in the README:\n{}", missing.join("\n"))) }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stories")
}

/// Every story file with its name, in the order of the names.
fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).expect("the folder of stories");
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, String)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "story"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

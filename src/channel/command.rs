//! A program of the user's: it is given the message as JSON on its standard input, and its exit status is the answer.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::outbox::{Message, Sent};
use crate::payload::everything;
use crate::text;

/// All of the environment that it gets, beside the language.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LANGUAGE: &str = "C.UTF-8";
/// So much of what it prints is kept; the rest is read and thrown away.
const OUTPUT_BYTES_MAX: u64 = 8 << 10;
const TEXT_CHARS_MAX: usize = 300;
/// What it left running may hold its output open: that is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// sysexits.h: what another try with the same message cannot mend (EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOPERM, EX_CONFIG).
/// Any other status but 0 is tried again, EX_TEMPFAIL (75) too: most programs end with 1 when the network fails.
const REFUSED: [i32; 5] = [64, 65, 67, 77, 78];

/// Tries once to deliver a message. When it is dropped the program and all it started are killed.
pub(super) async fn deliver(words: &[String], message: &Message) -> Sent {
    let Some((program, arguments)) = words.split_first() else {
        return Sent::Refused("the command is empty".to_owned());
    };
    let child = match spawn(program, arguments) {
        Ok(child) => child,
        Err(error) => return Sent::Refused(format!("{program} cannot be started ({error}); check command")),
    };
    let input = format!("{}\n", everything(message)).into_bytes();
    match Running(child).finish(&input).await {
        Ok((status, said)) => understand(program, status, &said),
        Err(error) => Sent::failed(format!("{program} cannot be waited for ({error})")),
    }
}

/// Whether the program is there and may be run. Runs nothing.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub(super) fn probe(words: &[String]) -> Result<(), String> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        PATH.split(':').map(|folder| Path::new(folder).join(program)).collect()
    };
    match candidates.iter().any(runs) {
        true => Ok(()),
        false => {
            Err(format!("{program} is no program that can be run; write its whole path, and check its mode"))
        }
    }
}

fn spawn(program: &str, arguments: &[String]) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", LANGUAGE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

fn understand(program: &str, status: ExitStatus, said: &str) -> Sent {
    let said = text::quoted(said, TEXT_CHARS_MAX);
    let ended = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
    match status.code() {
        Some(0) => Sent::Accepted(ended),
        Some(code) if REFUSED.contains(&code) => Sent::Refused(format!("{program} refused it ({ended})")),
        _ => Sent::failed(format!("{program} did not take it ({ended})")),
    }
}

/// Leads a process group of its own.
struct Running(Child);

impl Running {
    /// Its exit status, and what it printed: on standard output if it is content, else on standard error.
    async fn finish(mut self, input: &[u8]) -> io::Result<(ExitStatus, String)> {
        let (stdin, stdout, stderr) = (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let talk = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A program that does not read it may have been content with less.
                    let _ = stdin.write_all(input).await;
                }
            };
            tokio::join!(write, listen(stdout, &mut out), listen(stderr, &mut err));
        };
        let status = {
            let mut talk = std::pin::pin!(talk);
            tokio::select! {
                status = self.0.wait() => {
                    let _ = tokio::time::timeout(LAST_WORDS, &mut talk).await;
                    status?
                }
                () = &mut talk => self.0.wait().await?,
            }
        };
        let said = if status.success() || err.is_empty() { out } else { err };
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // None once it was waited for: then its number may be another's.
        let number = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = number {
            // An error means that there is nothing left to end.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn listen(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let _ = (&mut stream).take(OUTPUT_BYTES_MAX).read_to_end(kept).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Kind;
    use crate::payload::tests::message;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    async fn told(script: &str) -> Sent {
        deliver(&words(&["sh", "-c", script]), &message(Kind::Alarm)).await
    }

    #[tokio::test]
    async fn the_exit_status_is_the_answer() {
        let failed = |error: &str| Sent::failed(format!("sh did not take it ({error})"));
        for (script, expected) in [
            ("cat >/dev/null; echo taken", Sent::Accepted("exit status: 0: taken".into())),
            ("exit 0", Sent::Accepted("exit status: 0".into())),
            ("echo no network >&2; exit 75", failed("exit status: 75: no network")),
            ("echo out; exit 1", failed("exit status: 1: out")),
            ("kill -9 $$", failed("signal: 9 (SIGKILL)")),
            ("echo who >&2; exit 67", Sent::Refused("sh refused it (exit status: 67: who)".into())),
        ] {
            assert_eq!(told(script).await, expected, "{script}");
        }
        let absent = deliver(&words(&["/nonexistent/program"]), &message(Kind::Alarm)).await;
        assert!(matches!(absent, Sent::Refused(_)), "{absent:?}");
    }

    #[tokio::test]
    async fn it_gets_the_message_as_json_and_hardly_an_environment() {
        let folder = tempfile::tempdir().unwrap();
        let (seen, variables) = (folder.path().join("seen"), folder.path().join("variables"));
        let script = format!("cat > '{}'; /usr/bin/env > '{}'", seen.display(), variables.display());
        assert!(matches!(told(&script).await, Sent::Accepted(_)));
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(seen).unwrap()).unwrap();
        assert_eq!(json, everything(&message(Kind::Alarm)));
        let variables = std::fs::read_to_string(variables).unwrap();
        let names: Vec<&str> = variables.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        // The shell sets PWD, SHLVL, OLDPWD and _ for itself.
        let given: Vec<&&str> =
            names.iter().filter(|name| !["PWD", "SHLVL", "OLDPWD", "_"].contains(name)).collect();
        assert_eq!(given.len(), 2, "{variables}");
    }

    #[tokio::test]
    async fn one_that_talks_without_end_or_leaves_something_running_is_no_burden() {
        let script = "head -c 50000000 /dev/zero | tr '\\0' x; sleep 60 & exit 0";
        let sent = tokio::time::timeout(Duration::from_secs(20), told(script)).await;
        let Ok(Sent::Accepted(said)) = sent else { panic!("{sent:?}") };
        assert!(said.len() < 2_000, "{}", said.len());
    }

    #[tokio::test]
    async fn given_up_it_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sh -c 'echo $$ > {}; exec sleep 600' & wait", pid.display());
        let number = || std::fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n'));
        let (sh, alarm) = (words(&["sh", "-c", &script]), message(Kind::Alarm));
        let moment = || tokio::time::sleep(Duration::from_millis(10));
        tokio::select! {
            sent = deliver(&sh, &alarm) => panic!("{sent:?}"),
            () = async { while number().is_none() { moment().await } } => {}
        }
        let stat = format!("/proc/{}/stat", number().unwrap().trim());
        // A zombie that nobody waits for yet has ended.
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let ended = async {
            while runs() {
                moment().await
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the grandchild lives");
    }

    #[test]
    fn a_probe_finds_the_program_and_runs_nothing() {
        assert_eq!(probe(&words(&["sh"])), Ok(()));
        assert_eq!(probe(&words(&["/bin/sh"])), Ok(()));
        for absent in ["bresse-no-such-program", "/etc/passwd", "/bin", ""] {
            assert!(probe(&words(&[absent])).is_err(), "{absent}");
        }
    }
}

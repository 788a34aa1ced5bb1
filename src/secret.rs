//! Fetches a secret from where the configuration says it is.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::config::Secret;

/// More than any password or key; a larger file is the wrong file.
const SECRET_BYTES_MAX: u64 = 64 << 10;
const LIMIT: Duration = Duration::from_secs(10);

/// The secret as it is now; files and commands are read anew. No error contains any of it.
pub(crate) async fn resolve(secret: &Secret) -> Result<SecretString> {
    match secret {
        Secret::Value(value) => Ok(value.clone()),
        Secret::File(path) => {
            let (path, shown) = (path.clone(), path.display());
            let read = tokio::task::spawn_blocking(move || from_file(&path));
            // A file on a network that is gone.
            let Ok(read) = tokio::time::timeout(LIMIT, read).await else {
                bail!("the secret file {shown} could not be read within 10 s")
            };
            read.context("reading a secret was interrupted")?
        }
        Secret::Command(words) => from_command(words).await,
    }
}

fn from_file(path: &Path) -> Result<SecretString> {
    let shown = path.display();
    let file = open_regular(path).with_context(|| format!("the secret file {shown} cannot be read"))?;
    let mut bytes = room();
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("the secret file {shown} cannot be read"))?;
    ensure!(
        bytes.len() as u64 <= SECRET_BYTES_MAX,
        "the secret file {shown} is larger than 64 KiB: is it the right one?"
    );
    let Ok(text) = std::str::from_utf8(&bytes) else { bail!("the secret file {shown} is not UTF-8 text") };
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    ensure!(!text.is_empty(), "the secret file {shown} is empty");
    Ok(SecretString::from(text))
}

/// Overwritten when it is dropped, and large enough never to move and leave a copy behind. The `+ 64`: who reads to the
/// end wants room to see that nothing follows.
fn room() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(usize::try_from(SECRET_BYTES_MAX).unwrap_or(0) + 64))
}

/// A pipe or terminal could keep the reader waiting for ever.
fn open_regular(path: &Path) -> std::io::Result<std::fs::File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    std::fs::File::open(path)
}

async fn from_command(words: &[String]) -> Result<SecretString> {
    let Some((program, arguments)) = words.split_first() else { bail!("a secret's command is empty") };
    let output = tokio::time::timeout(LIMIT, first_bytes(program, arguments)).await;
    let Ok(output) = output else { bail!("the secret's command {program} has not ended within 10 s") };
    let bytes = output.with_context(|| format!("the secret's command {program} failed"))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else {
        bail!("the secret's command {program} did not print UTF-8 text")
    };
    let line = line.strip_suffix('\r').unwrap_or(line);
    ensure!(!line.is_empty(), "the first line that the secret's command {program} printed is empty");
    Ok(SecretString::from(line))
}

/// Standard error is passed through: it is where such programs say what they miss.
async fn first_bytes(program: &str, arguments: &[String]) -> Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("it cannot be started")?;
    let mut bytes = room();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).await.context("its output cannot be read")?;
    }
    let status = child.wait().await.context("its end cannot be awaited")?;
    ensure!(status.success(), "it ended with {status}");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use secrecy::ExposeSecret;

    use super::*;

    async fn shown(secret: Secret) -> Result<String> {
        resolve(&secret).await.map(|secret| secret.expose_secret().to_owned())
    }

    fn command(words: &[&str]) -> Secret {
        Secret::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[tokio::test]
    async fn a_file_loses_its_trailing_line_break_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (content, secret) in
            [("abc\n", "abc"), ("abc\r\n", "abc"), ("a b \n\n", "a b \n"), ("abc", "abc")]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(shown(Secret::File(path.clone())).await.unwrap(), secret);
        }
    }

    #[tokio::test]
    async fn wrong_files_are_named_without_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for content in [String::new(), "\n".to_owned(), "hunter2".repeat(10_000)] {
            std::fs::write(&path, content).unwrap();
            let error = format!("{:#}", shown(Secret::File(path.clone())).await.unwrap_err());
            assert!(error.contains("secret") && !error.contains("hunter2"), "{error}");
        }
        assert!(shown(Secret::File(PathBuf::from("/dev/zero"))).await.is_err());
        assert!(shown(Secret::File(folder.path().join("missing"))).await.is_err());
    }

    #[tokio::test]
    async fn a_command_gives_its_first_line() {
        assert_eq!(shown(command(&["printf", "abc\\ndef\\n"])).await.unwrap(), "abc");
        assert_eq!(shown(command(&["printf", "abc"])).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_says_nothing_is_an_error_without_its_output() {
        for words in [&["sh", "-c", "echo hunter2; exit 3"][..], &["true"], &["/nonexistent/program"], &[]] {
            let error = format!("{:#}", shown(command(words)).await.unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_hangs_is_given_up() {
        let error = shown(command(&["sleep", "1000"])).await.unwrap_err();
        assert!(error.to_string().contains("within 10 s"), "{error}");
    }
}

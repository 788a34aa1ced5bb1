//! The socket beside the state file, by which a command reaches the running daemon at once: one JSON line there, one back.
//!
//! Whoever may write in the state's folder may give orders: the socket has the mode 0600, as the state file has.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::orders::Order;

/// A request or an answer is no longer than this.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// So many commands are served at once; more of them wait.
const CONNECTIONS_MAX: usize = 8;
/// Orders that may wait for the daemon.
pub(crate) const ORDERS_WAITING_MAX: usize = 8;
/// Whoever connects has so long to say what he wants.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The daemon stores before it answers; a slow disk may take a while.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// What was done, or why not; one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub done: bool,
    pub sentence: String,
}

impl From<std::result::Result<String, String>> for Answer {
    fn from(outcome: std::result::Result<String, String>) -> Self {
        let done = outcome.is_ok();
        Self { done, sentence: outcome.unwrap_or_else(|error| error) }
    }
}

/// An order, and where the answer goes.
pub(crate) struct Request {
    pub order: Order,
    pub answer: oneshot::Sender<Answer>,
}

/// Gives an order to the daemon of this process, and waits until what it answers is stored.
///
/// # Errors
/// When the daemon is too busy, or ends.
pub(crate) async fn give(orders: &mpsc::Sender<Request>, order: Order) -> Result<Answer> {
    let (answer, answered) = oneshot::channel();
    let request = Request { order: order.bounded(), answer };
    timeout(ANSWER_LIMIT, orders.send(request)).await.context("the daemon is busy")??;
    timeout(ANSWER_LIMIT, answered).await.context("the daemon is busy")?.context("the daemon ends")
}

/// Listens for orders as long as it lives.
pub(crate) struct Control {
    task: JoinHandle<()>,
    path: PathBuf,
}

impl Control {
    /// Listens beside the state file. Only the process that holds the state's lock may call this: it takes the place of a
    /// socket that a dead process left behind.
    ///
    /// # Errors
    /// When the folder does not take a socket.
    pub(crate) fn listen(state: &Path, orders: mpsc::Sender<Request>) -> Result<Self> {
        let (folder, path) = (folder_of(state)?, socket_of(state));
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(refused(&path, &error));
        }
        let listener = UnixListener::bind(short(&folder, &path)).map_err(|error| refused(&path, &error))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|error| refused(&path, &error))?;
        Ok(Self { task: tokio::spawn(accept(listener, orders)), path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // Whoever finds none opens the state itself.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, sender: mpsc::Sender<Request>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &sender).await {
                        tracing::warn!(error = format!("{error:#}"), "an order was not understood");
                    }
                    drop(place);
                });
            }
            // Too many open files, say: that passes.
            Err(error) => {
                tracing::warn!(%error, "the control socket does not answer");
                tokio::time::sleep(REQUEST_LIMIT).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, sender: &mpsc::Sender<Request>) -> Result<()> {
    let line = timeout(REQUEST_LIMIT, line(&mut stream)).await.context("no order came")??;
    let order: Order = serde_json::from_str(&line).context("it is no order of this version")?;
    let answer = give(sender, order).await?;
    let text = serde_json::to_string(&answer)? + "\n";
    timeout(REQUEST_LIMIT, stream.write_all(text.as_bytes())).await.context("nobody took the answer")??;
    Ok(())
}

/// Gives an order to the daemon that holds this state; None when there is none.
///
/// # Errors
/// When there is a daemon that does not answer.
pub(crate) async fn ask(state: &Path, order: &Order) -> Result<Option<Answer>> {
    let (folder, path) = (folder_of(state)?, socket_of(state));
    let mut stream = match UnixStream::connect(short(&folder, &path)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(refused(&path, &error)),
    };
    let text = serde_json::to_string(order)? + "\n";
    let conversation = async {
        stream.write_all(text.as_bytes()).await?;
        line(&mut stream).await
    };
    let answer = timeout(ANSWER_LIMIT + REQUEST_LIMIT, conversation).await;
    let answer = answer.map_err(|_| anyhow!("The daemon has not answered; see its log."))??;
    let answer = serde_json::from_str(&answer)
        .context("The daemon did not take the order; it may be of another version, see its log")?;
    Ok(Some(answer))
}

async fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    Ok(line)
}

fn socket_of(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".socket");
    name.into()
}

fn folder_of(state: &Path) -> Result<File> {
    let folder = state.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    File::open(folder).with_context(|| format!("The folder {} cannot be opened", folder.display()))
}

/// A socket's name may have 107 bytes (unix(7)), a path has more; through the open folder every name is short enough.
fn short(folder: &File, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}

fn refused(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("The control socket {} cannot be used: {error}", path.display())
}

//! The newest mails of some folders, by one connection, for `check`.

use anyhow::{Result, anyhow};

use super::auth::Credential;
use super::connect;
use super::error::Error;
use super::fetch;
use super::session::Session;
use crate::config::Mailbox;
use crate::mail::RawMail;

/// So many of the largest pieces still fit into one window.
const STEP: usize = fetch::WINDOW_BYTES_MAX / fetch::FIRST_BYTES - 1;

/// One mail of a folder. A long one is cut off.
#[derive(Debug)]
pub struct Sampled {
    pub folder: String,
    pub mail: RawMail,
}

/// Hands the newest mails of `folders` to `on`, of each up to the given number and newest first. A folder that cannot be
/// opened is passed over. Ends when `on` fails. Has no time limit as a whole; what was handed over before it is cancelled
/// holds.
///
/// # Errors
/// One sentence that names the host.
pub async fn sample<E, F: Future<Output = Result<(), E>>>(
    mailbox: &Mailbox,
    folders: &[(String, u32)],
    on: impl Fn(Sampled) -> F,
) -> Result<()> {
    let sampled = async {
        let credential = Credential::obtain(mailbox, None).await?;
        let mut session = connect::open(mailbox, &credential).await?;
        for (folder, count) in folders {
            newest(&mut session, folder, *count, &on).await?;
        }
        session.logout().await;
        Ok::<_, Error>(())
    };
    sampled.await.map_err(|error| anyhow!(error.at(&mailbox.server.host)))
}

async fn newest<E, F: Future<Output = Result<(), E>>>(
    session: &mut Session,
    folder: &str,
    count: u32,
    on: &impl Fn(Sampled) -> F,
) -> Result<(), Error> {
    let examined = match session.examine(folder).await {
        Ok(examined) => examined,
        Err(Error::Setup(why)) => {
            tracing::debug!(folder, why, "passed over");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let uids = session.newest_uids(examined.exists, count).await?;
    for step in uids.rchunks(STEP) {
        let (Some(first), Some(last)) = (step.first(), step.last()) else { continue };
        let window = session.fetch(*first, Some(*last), &Some).await?;
        if window.overflow {
            return Err(Error::Protocol("more of each mail than was asked for".to_owned()));
        }
        for mail in window.cut_off(&Some).rev() {
            on(Sampled { folder: folder.to_owned(), mail }).await.map_err(|_| Error::Ended)?;
        }
    }
    Ok(())
}

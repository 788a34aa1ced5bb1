//! The head of the audit ledger, for whoever keeps it.

use super::{Letter, Signature};
use crate::audit::Head;

/// What stands before the words in its subject.
pub const HEAD_TOKEN: &str = "MONITOR_Ledger";

/// No approval may be opened by it; the hash is hexadecimal, so nothing of it is ever broken up.
pub fn head(by: Signature<'_>, head: Head) -> Letter {
    let watchdog = by.watchdog;
    let body = format!(
        "On {}, the ledger of {watchdog} ended with this entry:\n\n{head}\n\n\
         Keep this message where nobody who can change the ledger can change it too. With it, this shows that nothing up \
         to that entry was altered, removed or inserted:\n\n\
         bresse-watchdog audit verify --head {head}\n\n{watchdog}\n",
        by.shown(by.now)
    );
    Letter::notice(&format!("{HEAD_TOKEN} {watchdog}: the ledger has {} entries", head.seq), &body)
}

//! SHA-256, from the library that rustls already takes its cryptography from.

use aws_lc_rs::digest::{SHA256, digest};

/// The hash of `bytes`, in one piece: a hash that is fed piece by piece costs more for its bookkeeping than for texts as
/// short as ours.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

//! The one place where randomness that nobody may guess enters.

use rustls::crypto::aws_lc_rs;

use crate::text::hex;

/// 128 random bits as hexadecimal digits; None when the system has no randomness to give.
pub(crate) fn unguessable() -> Option<String> {
    bytes::<16>().map(|bytes| hex(&bytes))
}

/// Random bytes; None when the system has no randomness to give.
pub(crate) fn bytes<const LENGTH: usize>() -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (unguessable().unwrap(), unguessable().unwrap());
        assert!(one != other && one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    }
}

//! Secrets: random ones that are stored only as hashes, and passwords under argon2id.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// Memory of one password hash, KiB; with two passes and one lane OWASP's recommendation for argon2id (19 MiB).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes computed at once; each takes a core for some tens of milliseconds and 19 MiB.
static HASHING: Semaphore = Semaphore::const_new(2);

/// Shortest password, in characters (NIST SP 800-63B asks for 8; we have a second factor only later).
pub const MIN_PASSWORD: usize = 12;
/// Longest password, in bytes; longer ones are refused before they cost anything.
pub const MAX_PASSWORD: usize = 256;

/// A new secret of 256 random bits with a prefix that tells what it is.
pub fn random(prefix: &str) -> String {
    let bits: [u8; 32] = rand::random();
    format!("{prefix}{}", hex(&bits))
}

/// What is stored instead of a secret. Secrets are 256 random bits, so a plain hash is enough.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether two texts are equal, in time that does not depend on where they differ.
pub fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash of a password as a PHC string.
pub async fn hash_password(password: String) -> Option<String> {
    let _turn = HASHING.acquire().await.ok()?;
    tokio::task::spawn_blocking(move || hasher().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string()))
        .await
        .ok()?
}

/// Whether the password fits the stored hash. Without one, as much work is done in vain, so that a caller cannot tell
/// by the clock whether an account exists.
pub async fn verify_password(password: String, stored: Option<String>) -> bool {
    let Ok(_turn) = HASHING.acquire().await else { return false };
    let check = move || match stored {
        Some(stored) => hasher().verify_password(password.as_bytes(), stored.as_str()).is_ok(),
        None => {
            let _ = hasher().hash_password(password.as_bytes());
            false
        }
    };
    tokio::task::spawn_blocking(check).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_verify_and_name_their_parameters() {
        let stored = hash_password("correct horse battery".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify_password("correct horse battery".into(), Some(stored.clone())).await);
        assert!(!verify_password("correct horse batterz".into(), Some(stored)).await);
        assert!(!verify_password("anything".into(), None).await);
    }

    #[test]
    fn secrets_differ_and_compare() {
        assert_ne!(random("x_"), random("x_"));
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab"));
    }
}

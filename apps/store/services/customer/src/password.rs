//! Hashing passwords with Argon2id, away from the event loop. Never: keeps or prints a password.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use shoal_sdk::{Error, heavy};

/// A salted hash as a PHC string.
pub async fn hash(password: String) -> Result<String, Error> {
    let hashed =
        heavy(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())).await?;
    hashed.map_err(|cause| {
        tracing::error!(%cause, "a password could not be hashed");
        Error::internal("the password could not be hashed")
    })
}

/// Whether a password belongs to a hash. A hash that cannot be read belongs to none.
pub async fn matches(password: String, hash: String) -> Result<bool, Error> {
    heavy(move || match PasswordHash::new(&hash) {
        Ok(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(cause) => {
            tracing::error!(%cause, "a stored password hash is damaged");
            false
        }
    })
    .await
}

//! Sessions: encrypted tokens (PASETO v4.local) that name an account and their end. Never: looks an account up.

use pasetors::claims::{Claims, ClaimsValidationRules};
use pasetors::keys::SymmetricKey;
use pasetors::token::UntrustedToken;
use pasetors::version4::V4;
use pasetors::{Local, local};
use shoal_sdk::{Error, StartError};
use std::time::Duration;
use store_contracts::store::customer::v1::Session;

/// How long a session lasts.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longer tokens are not even decrypted.
const TOKEN_MAX: usize = 1024;

/// Makes and reads tokens.
pub struct Sessions {
    key: SymmetricKey<V4>,
}

/// What a genuine token says.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub customer_id: String,
    /// The account's session epoch when it was made.
    pub epoch: i64,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
}

impl Sessions {
    /// With a key of 32 bytes that all replicas share.
    pub fn new(key: [u8; 32]) -> Result<Self, StartError> {
        Ok(Self { key: SymmetricKey::from(&key)? })
    }

    /// A new session of an account, from `now_ms` on.
    pub fn begin(&self, customer_id: &str, epoch: i64, now_ms: i64) -> Result<Session, Error> {
        let expires_at_ms = now_ms.saturating_add(i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX));
        let token = self.encrypt(customer_id, epoch, expires_at_ms).map_err(|cause| {
            tracing::error!(?cause, "a session could not be made");
            Error::internal("the session could not be made")
        })?;
        Ok(Session { token, expires_at_ms, ..Default::default() })
    }

    fn encrypt(&self, customer_id: &str, epoch: i64, expires_at_ms: i64) -> Result<String, pasetors::errors::Error> {
        let mut claims = Claims::new_expires_in(&LIFETIME)?;
        claims.subject(customer_id)?;
        claims.add_additional("epoch", epoch)?;
        claims.add_additional("end_ms", expires_at_ms)?;
        local::encrypt(&self.key, &claims, None, None)
    }

    /// What a token says; `unauthenticated` when it is not one of ours, or its time is over.
    pub fn read(&self, token: &str, now_ms: i64) -> Result<Token, Error> {
        self.decrypt(token).filter(|token| token.expires_at_ms > now_ms).ok_or_else(signed_out)
    }

    fn decrypt(&self, token: &str) -> Option<Token> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let untrusted = UntrustedToken::<Local, V4>::try_from(token).ok()?;
        let mut rules = ClaimsValidationRules::new();
        // Replicas whose clocks differ a little must accept one another's fresh tokens; the end is checked by `end_ms`.
        rules.disable_valid_at();
        let trusted = local::decrypt(&self.key, &untrusted, &rules, None, None).ok()?;
        let claims = trusted.payload_claims()?;
        Some(Token {
            customer_id: claims.get_claim("sub")?.as_str()?.to_owned(),
            epoch: claims.get_claim("epoch")?.as_i64()?,
            expires_at_ms: claims.get_claim("end_ms")?.as_i64()?,
        })
    }
}

/// What every caller without a good session is told.
pub fn signed_out() -> Error {
    Error::unauthenticated("the session is over: sign in again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_sdk::Code;

    #[test]
    fn a_token_says_what_was_put_in_until_its_end() {
        let sessions = Sessions::new([7; 32]).unwrap();
        let session = sessions.begin("someone", 3, 1_000).unwrap();
        let token = sessions.read(&session.token, 1_001).unwrap();
        assert_eq!(token, Token { customer_id: "someone".into(), epoch: 3, expires_at_ms: session.expires_at_ms });
        assert!(sessions.read(&session.token, session.expires_at_ms).is_err());
    }

    #[test]
    fn a_forged_token_is_refused() {
        let sessions = Sessions::new([7; 32]).unwrap();
        let other = Sessions::new([8; 32]).unwrap().begin("someone", 1, 1_000).unwrap();
        let mut changed = sessions.begin("someone", 1, 1_000).unwrap().token;
        let last = changed.pop().unwrap();
        changed.push(if last == 'A' { 'B' } else { 'A' });
        for token in ["", "v4.local.", "nonsense", &"x".repeat(5_000), &other.token] {
            assert_eq!(sessions.read(token, 1_001).unwrap_err().code, Code::Unauthenticated);
        }
        // The last base64 letter may carry unused bits, so change one in the middle too.
        let middle = sessions.begin("someone", 1, 1_000).unwrap().token;
        let at = middle.len() / 2;
        let swapped = if middle.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed_inside = format!("{}{swapped}{}", &middle[..at], &middle[at + 1..]);
        assert!(sessions.read(&changed_inside, 1_001).is_err());
    }
}

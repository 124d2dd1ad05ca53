//! What the store remembers about a visitor: one encrypted and authenticated cookie, and a second one for a delivery address while checking out.
//! Nothing is stored on the server. A cookie that was changed, swapped for the other one, or is too old counts as none.
//!
//! The cookie is proof of a sign-in only while the customer service is silent, so that browsing and buying go on without it. Otherwise that
//! service is asked, and what it says goes before what the cookie says.

use std::time::Duration;

use pasetors::keys::SymmetricKey;
use pasetors::token::{Local, UntrustedToken};
use pasetors::version4::{LocalToken, V4};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::money::Currency;

/// The cookie that names the visitor.
pub const SESSION: &str = "session";
/// The cookie that holds a delivery while checking out.
pub const DELIVERY: &str = "delivery";
/// Browsers drop a cookie above 4,096 bytes, name and attributes included.
const SEALED_LENGTH_MAX: usize = 3_800;
/// Of an order's key, one half is chance and the other one marks it as ours.
const HALF_KEY_LENGTH: usize = 32;
/// How long a visitor is remembered after the last visit.
pub const SESSION_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long a delivery is remembered.
pub const DELIVERY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A session older than this is sealed anew, so that regular visitors stay remembered.
const RESEAL_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What the session cookie says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A UUID that names the guest's basket and orders, also after signing in.
    pub guest: String,
    /// Every form carries it.
    pub csrf: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Who signed in.
    pub signed_in: Option<SignedIn>,
    /// The guest's basket could not be merged at sign-in and still waits.
    #[serde(default)]
    pub merge_pending: bool,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The account's id.
    pub customer_id: String,
    /// As the customer wishes to be called.
    pub name: String,
    /// May mind the shop. Only decides which links are shown; the customer service is asked again before anything is done.
    pub admin: bool,
    /// The customer service's own proof.
    pub token: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
}

impl Session {
    /// A first visit.
    pub fn new() -> Session {
        Session {
            guest: Uuid::new_v4().to_string(),
            csrf: Uuid::new_v4().simple().to_string(),
            currency: Currency::default().code().to_owned(),
            signed_in: None,
            merge_pending: false,
        }
    }

    /// The chosen currency.
    pub fn currency(&self) -> Currency {
        Currency::from_code(&self.currency).unwrap_or_default()
    }

    /// Under which name this visitor shops without an account.
    pub fn guest_shopper(&self) -> String {
        format!("guest:{}", self.guest)
    }

    /// Under which name this visitor shops.
    pub fn shopper(&self) -> String {
        match &self.signed_in {
            Some(customer) => format!("customer:{}", customer.customer_id),
            None => self.guest_shopper(),
        }
    }

    /// Takes on a sign-in. The token of forms changes, so that a form from before cannot be sent as the customer.
    pub fn sign_in(&mut self, customer: SignedIn) {
        self.csrf = Uuid::new_v4().simple().to_string();
        self.signed_in = Some(customer);
    }

    /// Forgets the sign-in and the guest before it: on a shared computer the next visitor must not see either. The guest stays only while
    /// something in that basket waits, which nobody would find again.
    pub fn sign_out(&mut self) {
        let new = Session::new();
        *self = Session {
            guest: if self.merge_pending { std::mem::take(&mut self.guest) } else { new.guest },
            currency: std::mem::take(&mut self.currency),
            ..new
        };
    }

    /// Whether `token` is the one this session's forms carry. Takes the same time for every wrong token of the right length.
    pub fn owns_form(&self, token: &str) -> bool {
        are_same(&self.csrf, token)
    }
}

/// Whether two texts are the same. Takes the same time for every wrong text of the right length.
fn are_same(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (ours.as_bytes(), theirs.as_bytes());
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

/// Where an order goes, as typed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where mails about the order go.
    pub email: String,
    /// Who receives it.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// Flat, floor, company; may be empty.
    pub line2: String,
    /// Town.
    pub city: String,
    /// State or province; may be empty.
    pub region: String,
    /// Postal code.
    pub postcode: String,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    /// When it was sealed, in milliseconds since the Unix epoch.
    at_ms: i64,
    content: T,
}

/// Something that was opened, and whether it should be sealed anew.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// What it says.
    pub content: T,
    /// It is old enough to be sealed anew.
    pub aging: bool,
}

/// Seals and opens cookies with the key that all replicas share.
pub struct Sealer {
    key: SymmetricKey<V4>,
}

impl Sealer {
    /// A sealer with this key.
    ///
    /// # Errors
    /// None for a key of 32 bytes; the cipher checks it all the same.
    pub fn new(key: &[u8; 32]) -> Result<Sealer, pasetors::errors::Error> {
        Ok(Sealer { key: SymmetricKey::from(key)? })
    }

    /// A new idempotency key for an order of this visitor. It is marked, so that a key from somebody else's link is not taken for it.
    pub fn order_key(&self, session: &Session) -> String {
        let chance = Uuid::new_v4().simple().to_string();
        let mark = self.mark(&chance, &session.shopper());
        chance + &mark
    }

    /// Whether [`order_key`](Self::order_key) made this key for this visitor, also before signing in.
    pub fn is_order_key(&self, session: &Session, key: &str) -> bool {
        let Some((chance, mark)) = key.split_at_checked(HALF_KEY_LENGTH) else {
            return false;
        };
        let shoppers = [session.shopper(), session.guest_shopper()];
        shoppers.iter().any(|shopper| are_same(&self.mark(chance, shopper), mark))
    }

    /// Key and chance have a fixed length each, and half of the sum is left off: nobody can go on from a mark to another one.
    fn mark(&self, chance: &str, shopper: &str) -> String {
        let sum = Sha256::new().chain_update(self.key.as_bytes()).chain_update(chance).chain_update(shopper).finalize();
        let mut digits = format!("{sum:x}");
        digits.truncate(HALF_KEY_LENGTH);
        digits
    }

    /// The text of a cookie; none when it would be longer than browsers keep.
    pub fn seal<T: Serialize>(&self, cookie: &str, content: T, now_ms: i64) -> Option<String> {
        let sealed = Sealed { at_ms: now_ms, content };
        let plain = serde_json::to_vec(&sealed).ok()?;
        let text = LocalToken::encrypt(&self.key, &plain, None, Some(cookie.as_bytes())).ok()?;
        (text.len() <= SEALED_LENGTH_MAX).then_some(text)
    }

    /// What a cookie of this name says, when we sealed it, no longer than `life` ago.
    pub fn open<T: DeserializeOwned>(
        &self,
        cookie: &str,
        text: &str,
        life: Duration,
        now_ms: i64,
    ) -> Option<Opened<T>> {
        if text.len() > SEALED_LENGTH_MAX {
            return None;
        }
        let token = UntrustedToken::<Local, V4>::try_from(text).ok()?;
        let trusted = LocalToken::decrypt(&self.key, &token, None, Some(cookie.as_bytes())).ok()?;
        let sealed: Sealed<T> = serde_json::from_str(trusted.payload()).ok()?;
        let age = u128::try_from(now_ms.saturating_sub(sealed.at_ms)).unwrap_or(0);
        (age <= life.as_millis()).then_some(Opened { content: sealed.content, aging: age > RESEAL_AFTER.as_millis() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 24 * 3600 * 1000;

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32]).unwrap()
    }

    #[test]
    fn opens_what_it_sealed_until_it_is_too_old() {
        let session = Session::new();
        let text = sealer().seal(SESSION, &session, DAY).unwrap();
        let open = |now| sealer().open::<Session>(SESSION, &text, SESSION_LIFE, now);
        assert_eq!(open(DAY), Some(Opened { content: session, aging: false }));
        assert!(open(3 * DAY).unwrap().aging);
        assert_eq!(open(92 * DAY), None);
    }

    #[test]
    fn one_cookie_is_not_taken_for_the_other_nor_another_keys() {
        let text = sealer().seal(DELIVERY, Session::new(), 0).unwrap();
        assert!(sealer().open::<Session>(SESSION, &text, SESSION_LIFE, 0).is_none());
        let other = Sealer::new(&[8; 32]).unwrap();
        assert!(other.open::<Session>(DELIVERY, &text, SESSION_LIFE, 0).is_none());
    }

    #[test]
    fn signing_out_forgets_the_guest_too() {
        let mut session = Session::new();
        let guest = session.guest.clone();
        session.currency = "JPY".to_owned();
        session.sign_out();
        assert_ne!(session.guest, guest);
        assert_eq!(session.currency(), Currency::Jpy);
    }

    #[test]
    fn signing_out_keeps_the_guest_whose_basket_waits() {
        let mut session = Session { merge_pending: true, ..Session::new() };
        let (guest, csrf) = (session.guest.clone(), session.csrf.clone());
        session.sign_out();
        assert_eq!(session.guest, guest);
        assert_ne!(session.csrf, csrf);
        assert!(!session.merge_pending, "the next one to sign in brings it along");
    }

    #[test]
    fn an_orders_key_is_its_visitors_own() {
        let mut visitor = Session::new();
        let as_guest = sealer().order_key(&visitor);
        assert!(crate::visit::is_key(&as_guest));
        assert_ne!(sealer().order_key(&visitor), as_guest);
        visitor.sign_in(SignedIn {
            customer_id: Uuid::new_v4().to_string(),
            name: "Ada".to_owned(),
            admin: false,
            token: String::new(),
            expires_at_ms: 0,
        });
        let as_customer = sealer().order_key(&visitor);
        let stranger = Session::new();
        for key in [as_guest, as_customer] {
            assert!(sealer().is_order_key(&visitor, &key));
            assert!(!sealer().is_order_key(&stranger, &key));
            assert!(!Sealer::new(&[8; 32]).unwrap().is_order_key(&visitor, &key));
            for other in
                ["", &key[1..], &key[..63], &format!("{key}0"), &format!("0{}", &key[1..]), "ü".repeat(32).as_str()]
            {
                assert!(other == key || !sealer().is_order_key(&visitor, other), "{other}");
            }
        }
        visitor.sign_out();
        let key = sealer().order_key(&stranger);
        assert!(!sealer().is_order_key(&visitor, &key));
    }

    #[test]
    fn a_cookie_too_long_for_browsers_is_not_made() {
        let delivery = Delivery { line1: "x".repeat(4000), ..Delivery::default() };
        assert_eq!(sealer().seal(DELIVERY, delivery, 0), None);
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(place in any::<prop::sample::Index>(), change in 1_u8..=127) {
            let text = sealer().seal(SESSION, Session::new(), 0).unwrap();
            let mut bytes = text.into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = (bytes[place] ^ change) & 127;
            let changed = String::from_utf8(bytes).unwrap();
            // The last digit of base64 may hold bits that mean nothing: decoders refuse them, and so must this.
            prop_assert!(sealer().open::<Session>(SESSION, &changed, SESSION_LIFE, 0).is_none());
        }

        #[test]
        fn no_text_makes_it_fail(text in ".*") {
            prop_assert!(sealer().open::<Session>(SESSION, &text, SESSION_LIFE, 0).is_none());
        }
    }
}

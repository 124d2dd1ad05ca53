//! The customer service through its contract, on either database.

use super::*;
use rstest::rstest;
use shoal_sdk::Code;
use store_contracts::store::types::v1::Address;
use test_databases::{Kind, TestDatabase};

const PASSWORD: &str = "correct horse";

/// Where the accounts are, and the key of their sessions.
struct Place {
    folder: tempfile::TempDir,
    database: TestDatabase,
}

impl Place {
    fn new(kind: Kind) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: TestDatabase::new(kind) }
    }

    fn environment(&self) -> Environment {
        Environment::for_tests(self.folder.path()).with_database(self.database.url())
    }
}

async fn open(kind: Kind) -> (Place, Customers) {
    let place = Place::new(kind);
    let customers = Customers::open(&place.environment()).await.unwrap();
    (place, customers)
}

async fn register(customers: &Customers, key: &str, email: &str, password: &str) -> Result<RegisterResponse, Error> {
    let request = RegisterRequest {
        idempotency_key: key.to_owned(),
        email: email.to_owned(),
        password: password.to_owned(),
        name: "Ada".to_owned(),
        ..Default::default()
    };
    customers.register(&Call::new(), request).await
}

async fn sign_in(customers: &Customers, email: &str, password: &str) -> Result<SignInResponse, Error> {
    let request = SignInRequest { email: email.to_owned(), password: password.to_owned(), ..Default::default() };
    customers.sign_in(&Call::new(), request).await
}

async fn verify(customers: &Customers, token: &str) -> Result<Account, Error> {
    let request = VerifyRequest { token: token.to_owned(), ..Default::default() };
    Ok(customers.verify(&Call::new(), request).await?.account.into_option().unwrap())
}

fn home() -> Address {
    Address {
        name: "Ada".to_owned(),
        line1: "Analytical Way 1".to_owned(),
        city: "London".to_owned(),
        postcode: "N1".to_owned(),
        country: "GB".to_owned(),
        ..Default::default()
    }
}

fn put(token: &str, address_id: &str, address: Option<Address>, remove: bool, key: &str) -> PutAddressRequest {
    PutAddressRequest {
        token: token.to_owned(),
        address_id: address_id.to_owned(),
        address: address.into(),
        remove,
        idempotency_key: key.to_owned(),
        ..Default::default()
    }
}

#[rstest]
#[tokio::test]
async fn registering_signing_in_and_verifying(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_place, customers) = open(kind).await;
    let registered = register(&customers, "key-00001", "Ada@Example.org", PASSWORD).await.unwrap();
    assert_eq!(registered.account.email, "ada@example.org");
    assert!(!registered.account.admin);
    assert_eq!(verify(&customers, &registered.session.token).await.unwrap().name, "Ada");
    let signed_in = sign_in(&customers, "ADA@example.org", PASSWORD).await.unwrap();
    assert_eq!(signed_in.account.customer_id, registered.account.customer_id);
}

#[rstest]
#[tokio::test]
async fn signing_out_ends_that_session_wherever_its_token_is_kept(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (place, customers) = open(kind).await;
    let other_replica = Customers::open(&place.environment()).await.unwrap();
    let registered = register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap();
    let elsewhere = sign_in(&customers, "ada@example.org", PASSWORD).await.unwrap();
    let sign_out = |token: &str| SignOutRequest { token: token.to_owned(), ..Default::default() };
    for token in [registered.session.token.as_str(), registered.session.token.as_str(), "", "v4.local.nonsense"] {
        customers.sign_out(&Call::new(), sign_out(token)).await.unwrap();
    }
    for replica in [&customers, &other_replica] {
        let error = verify(replica, &registered.session.token).await.unwrap_err();
        assert_eq!(error.code, Code::Unauthenticated);
        verify(replica, &elsewhere.session.token).await.unwrap();
    }
    let ask = put(&registered.session.token, "", Some(home()), false, "key-00001");
    assert_eq!(customers.put_address(&Call::new(), ask).await.unwrap_err().code, Code::Unauthenticated);
}

#[rstest]
#[tokio::test]
async fn ended_sessions_are_kept_until_they_would_be_over(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_place, customers) = open(kind).await;
    let mut transaction = customers.database.write().await.unwrap();
    ended::end(&mut transaction, "early", 1_000, 0).await.unwrap();
    ended::end(&mut transaction, "late", 2_000, 999).await.unwrap();
    assert!(ended::is_ended(&mut transaction, "early").await.unwrap());
    ended::end(&mut transaction, "last", 3_000, 1_000).await.unwrap();
    for (token, is_ended) in [("early", false), ("late", true), ("last", true)] {
        assert_eq!(ended::is_ended(&mut transaction, token).await.unwrap(), is_ended, "{token}");
    }
    transaction.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn registering_again_is_the_same_account_only_under_the_same_key(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let (_place, customers) = open(kind).await;
    let first = register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap();
    let again = register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap();
    assert_eq!(first.account, again.account);
    let other_key = register(&customers, "key-00002", "ada@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(other_key.code, Code::AlreadyExists);
    let other_password = register(&customers, "key-00001", "ada@example.org", "another one").await.unwrap_err();
    assert_eq!(other_password.code, Code::Unauthenticated);
    let other_email = register(&customers, "key-00001", "eve@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(other_email.code, Code::AlreadyExists);
}

#[rstest]
#[tokio::test]
async fn failures_are_limited_per_address_and_look_the_same_without_an_account(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let (_place, customers) = open(kind).await;
    register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap();
    for email in ["ada@example.org", "nobody@example.org"] {
        let mut errors = Vec::new();
        for _ in 0..5 {
            errors.push(sign_in(&customers, email, "wrong password").await.unwrap_err());
        }
        assert!(
            errors.iter().all(|error| *error == Error::unauthenticated("the e-mail address or the password is wrong"))
        );
        let locked = sign_in(&customers, email, PASSWORD).await.unwrap_err();
        assert_eq!(locked.code, Code::ResourceExhausted);
    }
    register(&customers, "key-00002", "eve@example.org", PASSWORD).await.unwrap();
    sign_in(&customers, "eve@example.org", PASSWORD).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_success_forgets_earlier_failures(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_place, customers) = open(kind).await;
    register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap();
    for _ in 0..2 {
        for _ in 0..4 {
            sign_in(&customers, "ada@example.org", "wrong password").await.unwrap_err();
        }
        sign_in(&customers, "ada@example.org", PASSWORD).await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn addresses_are_added_once_replaced_and_removed(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_place, customers) = open(kind).await;
    let token = register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap().session.token.clone();
    let call = Call::new();
    let added = customers.put_address(&call, put(&token, "", Some(home()), false, "address-1")).await.unwrap();
    let again = customers.put_address(&call, put(&token, "", Some(home()), false, "address-1")).await.unwrap();
    assert_eq!(added.address_id, again.address_id);
    assert_eq!(again.account.addresses.len(), 1);
    let moved = Address { city: "Turin".to_owned(), country: "IT".to_owned(), ..home() };
    customers.put_address(&call, put(&token, &added.address_id, Some(moved), false, "")).await.unwrap();
    assert_eq!(verify(&customers, &token).await.unwrap().addresses[0].address.city, "Turin");
    let unknown = customers.put_address(&call, put(&token, "no-such", Some(home()), false, "")).await.unwrap_err();
    assert_eq!(unknown.code, Code::NotFound);
    let removed = customers.put_address(&call, put(&token, &added.address_id, None, true, "")).await.unwrap();
    assert!(removed.account.addresses.is_empty());
    for index in 0..checks::ADDRESSES_MAX {
        let key = format!("address-number-{index}");
        customers.put_address(&call, put(&token, "", Some(home()), false, &key)).await.unwrap();
    }
    let full = customers.put_address(&call, put(&token, "", Some(home()), false, "one-too-many")).await.unwrap_err();
    assert_eq!(full.code, Code::ResourceExhausted);
}

#[rstest]
#[tokio::test]
async fn erasing_leaves_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_place, customers) = open(kind).await;
    let token = register(&customers, "key-00001", "ada.unmistakable@example.org", PASSWORD)
        .await
        .unwrap()
        .session
        .token
        .clone();
    let call = Call::new();
    customers.put_address(&call, put(&token, "", Some(home()), false, "address-1")).await.unwrap();
    let erase =
        |password: &str| EraseRequest { token: token.clone(), password: password.to_owned(), ..Default::default() };
    let wrong = customers.erase(&call, erase("wrong password")).await.unwrap_err();
    assert_eq!(wrong.code, Code::PermissionDenied);
    customers.erase(&call, erase(PASSWORD)).await.unwrap();
    assert_eq!(verify(&customers, &token).await.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(customers.erase(&call, erase(PASSWORD)).await.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(
        sign_in(&customers, "ada.unmistakable@example.org", PASSWORD).await.unwrap_err().code,
        Code::Unauthenticated
    );
    let counts = query("SELECT (SELECT COUNT(*) FROM accounts), (SELECT COUNT(*) FROM addresses)");
    let rows: (i64, i64) = counts.fetch_one(&mut customers.database.read().await.unwrap()).await.unwrap();
    assert_eq!(rows, (0, 0));
}

#[rstest]
#[tokio::test]
async fn the_administrator_follows_the_settings(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let place = Place::new(kind);
    let with = |email: &str, password: &str| {
        let settings = Settings { admin_email: Some(email.to_owned()), admin_password: Some(password.to_owned()) };
        place.environment().with_settings(&settings).unwrap()
    };
    let customers = Customers::open(&with("boss@example.org", "first password")).await.unwrap();
    let first = sign_in(&customers, "boss@example.org", "first password").await.unwrap();
    assert!(first.account.admin);
    // Again with the same settings: nothing changes, sessions live on.
    let customers = Customers::open(&with("boss@example.org", "first password")).await.unwrap();
    assert!(verify(&customers, &first.session.token).await.unwrap().admin);
    // Another password ends the sessions made under the first.
    let customers = Customers::open(&with("boss@example.org", "second password")).await.unwrap();
    assert_eq!(verify(&customers, &first.session.token).await.unwrap_err().code, Code::Unauthenticated);
    assert!(sign_in(&customers, "boss@example.org", "second password").await.unwrap().account.admin);
    // Another address takes the office away.
    let customers = Customers::open(&with("new@example.org", "third password")).await.unwrap();
    assert!(!sign_in(&customers, "boss@example.org", "second password").await.unwrap().account.admin);
    let bad = Customers::open(&with("new@example.org", "short")).await.err().unwrap().to_string();
    assert!(bad.contains("admin-password") && !bad.contains("short"), "{bad}");
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_place, customers) = open(kind).await;
    let long = "x".repeat(100_000);
    for (key, email, password) in [
        ("", "ada@example.org", PASSWORD),
        ("key-00001", "ada", PASSWORD),
        ("key-00001", "a@b@c", PASSWORD),
        ("key-00001", "ada lovelace@example.org", PASSWORD),
        ("key-00001", &long, PASSWORD),
        ("key-00001", "ada@example.org", "short"),
        ("key-00001", "ada@example.org", &long),
    ] {
        let error = register(&customers, key, email, password).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.len() < 200);
    }
    let token = register(&customers, "key-00001", "ada@example.org", PASSWORD).await.unwrap().session.token.clone();
    for bad in [
        Address { country: "Germany".to_owned(), ..home() },
        Address { line1: String::new(), ..home() },
        Address { city: "two\nlines".to_owned(), ..home() },
        Address { postcode: "1".repeat(21), ..home() },
    ] {
        let error =
            customers.put_address(&Call::new(), put(&token, "", Some(bad), false, "address-1")).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
    }
}

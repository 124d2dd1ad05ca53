//! Accounts and addresses in the database. Never: checks a request, or sees a password.

use crate::checks::ADDRESSES_MAX;
use shoal_sdk::{Connection, Dialect, Error, query};
use store_contracts::store::customer::v1::{Account, SavedAddress};
use store_contracts::store::types::v1::Address;

/// An account with what is needed to sign in.
#[derive(Clone, sqlx::FromRow)]
pub struct Record {
    /// A UUID.
    pub customer_id: String,
    /// In lower case.
    pub email: String,
    /// As the customer wishes to be called.
    pub name: String,
    /// A PHC string.
    pub password_hash: String,
    /// 1 when the account may change prices and receive stock, otherwise 0.
    pub admin: i64,
    /// Sessions of another epoch are over.
    pub session_epoch: i64,
    /// The key under which it was opened.
    pub registered_under: Option<String>,
}

/// The account of an address.
pub async fn by_email(connection: &mut Connection, email: &str) -> Result<Option<Record>, Error> {
    let found = query(
        "SELECT customer_id, email, name, password_hash, admin, session_epoch, registered_under FROM accounts WHERE email = $1",
    );
    found.bind(email).fetch_optional(connection).await
}

/// The account of this id.
pub async fn by_id(connection: &mut Connection, customer_id: &str) -> Result<Option<Record>, Error> {
    let found = query(
        "SELECT customer_id, email, name, password_hash, admin, session_epoch, registered_under FROM accounts WHERE customer_id = $1",
    );
    found.bind(customer_id).fetch_optional(connection).await
}

/// Adds an account.
pub async fn insert(connection: &mut Connection, record: &Record, now_ms: i64) -> Result<(), Error> {
    query(
        "INSERT INTO accounts (customer_id, email, name, password_hash, admin, session_epoch, registered_under, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&record.customer_id)
    .bind(&record.email)
    .bind(&record.name)
    .bind(&record.password_hash)
    .bind(record.admin)
    .bind(record.session_epoch)
    .bind(record.registered_under.clone())
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes an account the administrator, with this password hash when it is given, and nobody else.
pub async fn appoint(connection: &mut Connection, customer_id: &str, new_hash: Option<&str>) -> Result<(), Error> {
    query(
        "UPDATE accounts SET admin = CASE WHEN customer_id = $1 THEN 1 ELSE 0 END WHERE admin = 1 OR customer_id = $1",
    )
    .bind(customer_id)
    .execute(connection)
    .await?;
    if let Some(hash) = new_hash {
        query("UPDATE accounts SET password_hash = $2, session_epoch = session_epoch + 1 WHERE customer_id = $1")
            .bind(customer_id)
            .bind(hash)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Deletes an account, its addresses and the attempts to sign in to it.
pub async fn delete(connection: &mut Connection, record: &Record) -> Result<(), Error> {
    overwrite_what_is_deleted(connection).await?;
    query("DELETE FROM attempts WHERE email = $1").bind(&record.email).execute(connection).await?;
    query("DELETE FROM addresses WHERE customer_id = $1").bind(&record.customer_id).execute(connection).await?;
    query("DELETE FROM accounts WHERE customer_id = $1").bind(&record.customer_id).execute(connection).await?;
    Ok(())
}

/// Nothing of a person stays behind in freed pages of the file. PostgreSQL's vacuum sees to that by itself.
async fn overwrite_what_is_deleted(connection: &mut Connection) -> Result<(), Error> {
    if connection.dialect() == Dialect::Sqlite {
        query("PRAGMA secure_delete = ON").execute(connection).await?;
    }
    Ok(())
}

/// What callers see of an account.
pub async fn public(connection: &mut Connection, record: &Record) -> Result<Account, Error> {
    let rows: Vec<AddressRow> = query(
        "SELECT address_id, name, line1, line2, city, region, postcode, country FROM addresses
         WHERE customer_id = $1 ORDER BY created_at_ms, address_id",
    )
    .bind(&record.customer_id)
    .fetch_all(connection)
    .await?;
    Ok(Account {
        customer_id: record.customer_id.clone(),
        email: record.email.clone(),
        name: record.name.clone(),
        admin: record.admin != 0,
        addresses: rows.into_iter().map(SavedAddress::from).collect(),
        ..Default::default()
    })
}

/// Adds an address under a key, or finds the one that was added under it; its id.
pub async fn add_address(
    connection: &mut Connection,
    customer_id: &str,
    key: &str,
    address: &Address,
    now_ms: i64,
) -> Result<String, Error> {
    let added: Option<(String,)> =
        query("SELECT address_id FROM addresses WHERE customer_id = $1 AND added_under = $2")
            .bind(customer_id)
            .bind(key)
            .fetch_optional(connection)
            .await?;
    if let Some((address_id,)) = added {
        return Ok(address_id);
    }
    let (count,): (i64,) =
        query("SELECT COUNT(*) FROM addresses WHERE customer_id = $1").bind(customer_id).fetch_one(connection).await?;
    if usize::try_from(count).is_ok_and(|count| count >= ADDRESSES_MAX) {
        return Err(Error::resource_exhausted(format!(
            "an account keeps at most {ADDRESSES_MAX} addresses: remove one first"
        )));
    }
    let address_id = uuid::Uuid::now_v7().to_string();
    query(
        "INSERT INTO addresses (address_id, customer_id, added_under, name, line1, line2, city, region, postcode, country, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&address_id)
    .bind(customer_id)
    .bind(key)
    .bind(&address.name)
    .bind(&address.line1)
    .bind(&address.line2)
    .bind(&address.city)
    .bind(&address.region)
    .bind(&address.postcode)
    .bind(&address.country)
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(address_id)
}

/// Replaces an address; `not_found` when the account has none of this id.
pub async fn replace_address(
    connection: &mut Connection,
    customer_id: &str,
    address_id: &str,
    address: &Address,
) -> Result<(), Error> {
    let changed = query(
        "UPDATE addresses SET name = $3, line1 = $4, line2 = $5, city = $6, region = $7, postcode = $8, country = $9
         WHERE customer_id = $1 AND address_id = $2",
    )
    .bind(customer_id)
    .bind(address_id)
    .bind(&address.name)
    .bind(&address.line1)
    .bind(&address.line2)
    .bind(&address.city)
    .bind(&address.region)
    .bind(&address.postcode)
    .bind(&address.country)
    .execute(connection)
    .await?;
    if changed == 0 {
        return Err(Error::not_found("the account has no such address"));
    }
    Ok(())
}

/// Removes an address; removing one that is gone changes nothing.
pub async fn remove_address(connection: &mut Connection, customer_id: &str, address_id: &str) -> Result<(), Error> {
    overwrite_what_is_deleted(connection).await?;
    query("DELETE FROM addresses WHERE customer_id = $1 AND address_id = $2")
        .bind(customer_id)
        .bind(address_id)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct AddressRow {
    address_id: String,
    name: String,
    line1: String,
    line2: String,
    city: String,
    region: String,
    postcode: String,
    country: String,
}

impl From<AddressRow> for SavedAddress {
    fn from(row: AddressRow) -> Self {
        let address = Address {
            name: row.name,
            line1: row.line1,
            line2: row.line2,
            city: row.city,
            region: row.region,
            postcode: row.postcode,
            country: row.country,
            ..Default::default()
        };
        Self { address_id: row.address_id, address: address.into(), ..Default::default() }
    }
}

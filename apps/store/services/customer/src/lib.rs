//! The store's customer service: accounts, sessions and addresses. It hands out sessions and says whose they are; what an account may do
//! elsewhere, others decide.

mod accounts;
mod attempts;
mod checks;
mod ended;
mod password;
mod session;
#[cfg(test)]
mod tests;

use accounts::Record;
use serde::{Deserialize, Serialize};
use session::{Sessions, signed_out};
use shoal_sdk::{Call, Database, Environment, Error, Migrations, Service, StartError, query};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store_contracts::store::customer::v1::{
    Account, Customer, CustomerServer, EraseRequest, EraseResponse, PutAddressRequest, PutAddressResponse,
    RegisterRequest, RegisterResponse, Session, SignInRequest, SignInResponse, SignOutRequest, SignOutResponse,
    VerifyRequest, VerifyResponse,
};

/// What `[services.customer.settings]` may say. Without both settings there is no administrator.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The administrator's e-mail address.
    pub admin_email: Option<String>,
    /// The administrator's password: 8 to 200 characters. Changing it ends the administrator's sessions.
    pub admin_password: Option<String>,
}

/// The schema of the accounts' database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// The service, ready to run.
///
/// # Errors
/// When its database cannot be opened or a setting is wrong.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let customers = Customers::open(&environment).await?;
    Ok(Service::new().rpc(CustomerServer::new(Arc::new(customers))))
}

/// All accounts.
pub struct Customers {
    database: Database,
    sessions: Sessions,
    // Looked at when an address has no account, so that both take the same time.
    nobodys_hash: String,
}

impl Customers {
    /// Opens the service's database and appoints the administrator.
    ///
    /// # Errors
    /// When the database cannot be opened or migrated, or a setting is wrong.
    pub async fn open(environment: &Environment) -> Result<Self, StartError> {
        let settings: Settings = environment.settings()?;
        let customers = Self {
            database: environment.database(migrations()).await?,
            sessions: Sessions::new(environment.key("sessions")?)?,
            nobodys_hash: password::hash(uuid::Uuid::new_v4().to_string()).await?,
        };
        match (&settings.admin_email, &settings.admin_password) {
            (Some(email), Some(password)) => customers.appoint(email, password).await?,
            (None, None) => {}
            _ => {
                return Err(StartError::new(
                    "[services.customer.settings] in shoal.toml has only one of `admin-email` and `admin-password`: give both or neither",
                ));
            }
        }
        Ok(customers)
    }

    async fn appoint(&self, email: &str, password: &str) -> Result<(), StartError> {
        let wrong = |setting: &str, error: Error| {
            StartError::new(format!(
                "`{setting}` in [services.customer.settings] of shoal.toml is wrong: {}",
                error.message
            ))
        };
        let email = checks::email(email).map_err(|error| wrong("admin-email", error))?;
        checks::new_password(password).map_err(|error| wrong("admin-password", error))?;
        let present = self.by_email(&email).await?;
        let unchanged = match &present {
            Some(record) => password::matches(password.to_owned(), record.password_hash.clone()).await?,
            None => false,
        };
        if unchanged && present.as_ref().is_some_and(|record| record.admin != 0) {
            return Ok(());
        }
        let new_hash = if unchanged { None } else { Some(password::hash(password.to_owned()).await?) };
        let mut transaction = self.database.write().await?;
        // Another replica may have been faster: read again under the lock.
        let customer_id = match accounts::by_email(&mut transaction, &email).await? {
            Some(record) => record.customer_id,
            None => {
                let record = Record {
                    customer_id: uuid::Uuid::now_v7().to_string(),
                    email,
                    name: "Shopkeeper".to_owned(),
                    password_hash: new_hash.clone().unwrap_or_default(),
                    admin: 1,
                    session_epoch: 1,
                    registered_under: None,
                };
                accounts::insert(&mut transaction, &record, now_ms()).await?;
                record.customer_id
            }
        };
        accounts::appoint(&mut transaction, &customer_id, new_hash.as_deref()).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn by_email(&self, email: &str) -> Result<Option<Record>, Error> {
        let mut connection = self.database.read().await?;
        accounts::by_email(&mut connection, email).await
    }

    /// The account and the end of a good session.
    async fn signed_in(&self, token: &str) -> Result<(Record, i64), Error> {
        let session = self.sessions.read(token, now_ms())?;
        let mut connection = self.database.read().await?;
        if ended::is_ended(&mut connection, token).await? {
            return Err(signed_out());
        }
        let record = accounts::by_id(&mut connection, &session.customer_id).await?;
        match record {
            Some(record) if record.session_epoch == session.epoch => Ok((record, session.expires_at_ms)),
            _ => Err(signed_out()),
        }
    }

    async fn public(&self, record: &Record) -> Result<Account, Error> {
        let mut connection = self.database.read().await?;
        accounts::public(&mut connection, record).await
    }

    async fn begin_session(&self, record: &Record) -> Result<(Account, Session), Error> {
        let session = self.sessions.begin(&record.customer_id, record.session_epoch, now_ms())?;
        Ok((self.public(record).await?, session))
    }

    /// The account, if the password is its own; within the limit on failures. Takes as long for an address without an account.
    async fn authenticate(&self, email: &str, password: String) -> Result<Record, Error> {
        let attempt = attempts::begin(&self.database, email, now_ms()).await?;
        let record = self.by_email(email).await?;
        let hash = record.as_ref().map_or(&self.nobodys_hash, |record| &record.password_hash);
        let matches = password::matches(password, hash.clone()).await?;
        match record {
            Some(record) if matches => {
                attempts::succeeded(&self.database, attempt).await?;
                Ok(record)
            }
            _ => {
                attempts::failed(&self.database, attempt).await?;
                Err(Error::unauthenticated("the e-mail address or the password is wrong"))
            }
        }
    }

    async fn already_registered(&self, record: Record, key: &str, password: String) -> Result<Record, Error> {
        if record.registered_under.as_deref() == Some(key) {
            return self.authenticate(&record.email, password).await;
        }
        Err(Error::already_exists("this e-mail address has an account: sign in instead"))
    }

    async fn register_new(&self, key: &str, email: String, name: &str, password: String) -> Result<Record, Error> {
        let password_hash = password::hash(password.clone()).await?;
        let mut transaction = self.database.write().await?;
        if let Some(record) = accounts::by_email(&mut transaction, &email).await? {
            drop(transaction);
            return self.already_registered(record, key, password).await;
        }
        let used: Option<(i32,)> = query("SELECT 1 FROM accounts WHERE registered_under = $1")
            .bind(key)
            .fetch_optional(&mut transaction)
            .await?;
        if used.is_some() {
            return Err(Error::already_exists("this `idempotency_key` opened another account: choose a new one"));
        }
        let record = Record {
            customer_id: uuid::Uuid::now_v7().to_string(),
            email,
            name: name.to_owned(),
            password_hash,
            admin: 0,
            session_epoch: 1,
            registered_under: Some(key.to_owned()),
        };
        accounts::insert(&mut transaction, &record, now_ms()).await?;
        transaction.commit().await?;
        Ok(record)
    }
}

#[shoal_sdk::async_trait]
impl Customer for Customers {
    async fn register(&self, _call: &Call, request: RegisterRequest) -> Result<RegisterResponse, Error> {
        let key = checks::key(&request.idempotency_key)?;
        let email = checks::email(&request.email)?;
        let name = checks::text("name", &request.name, 1, 100)?;
        checks::new_password(&request.password)?;
        let record = match self.by_email(&email).await? {
            Some(record) => self.already_registered(record, key, request.password).await?,
            None => self.register_new(key, email, name, request.password).await?,
        };
        let (account, session) = self.begin_session(&record).await?;
        Ok(RegisterResponse { account: account.into(), session: session.into(), ..Default::default() })
    }

    async fn sign_in(&self, _call: &Call, request: SignInRequest) -> Result<SignInResponse, Error> {
        let email = checks::email(&request.email)?;
        checks::claimed_password(&request.password)?;
        let record = self.authenticate(&email, request.password).await?;
        let (account, session) = self.begin_session(&record).await?;
        Ok(SignInResponse { account: account.into(), session: session.into(), ..Default::default() })
    }

    async fn sign_out(&self, _call: &Call, request: SignOutRequest) -> Result<SignOutResponse, Error> {
        // Nothing that was not made here is kept, so that nobody else can fill the table.
        let Ok(session) = self.sessions.read(&request.token, now_ms()) else {
            return Ok(SignOutResponse::default());
        };
        let mut transaction = self.database.write_for(&session.customer_id).await?;
        ended::end(&mut transaction, &request.token, session.expires_at_ms, now_ms()).await?;
        transaction.commit().await?;
        Ok(SignOutResponse::default())
    }

    async fn verify(&self, _call: &Call, request: VerifyRequest) -> Result<VerifyResponse, Error> {
        let (record, expires_at_ms) = self.signed_in(&request.token).await?;
        let account = self.public(&record).await?;
        Ok(VerifyResponse { account: account.into(), expires_at_ms, ..Default::default() })
    }

    async fn put_address(&self, _call: &Call, request: PutAddressRequest) -> Result<PutAddressResponse, Error> {
        let (record, _) = self.signed_in(&request.token).await?;
        let address_id = checks::text("address_id", &request.address_id, 0, 64)?;
        if request.remove && address_id.is_empty() {
            return Err(Error::invalid_argument("`address_id` must say which address to remove"));
        }
        let address = if request.remove { None } else { Some(checks::address(&request.address)?) };
        let mut transaction = self.database.write_for(&record.customer_id).await?;
        // The account may have been erased since the session was looked at.
        if accounts::by_id(&mut transaction, &record.customer_id).await?.is_none() {
            return Err(signed_out());
        }
        let put = match address {
            None => {
                accounts::remove_address(&mut transaction, &record.customer_id, address_id).await?;
                String::new()
            }
            Some(address) if address_id.is_empty() => {
                let key = checks::key(&request.idempotency_key)?;
                accounts::add_address(&mut transaction, &record.customer_id, key, &address, now_ms()).await?
            }
            Some(address) => {
                accounts::replace_address(&mut transaction, &record.customer_id, address_id, &address).await?;
                address_id.to_owned()
            }
        };
        let account = accounts::public(&mut transaction, &record).await?;
        transaction.commit().await?;
        Ok(PutAddressResponse { account: account.into(), address_id: put, ..Default::default() })
    }

    async fn erase(&self, _call: &Call, request: EraseRequest) -> Result<EraseResponse, Error> {
        let (record, _) = self.signed_in(&request.token).await?;
        checks::claimed_password(&request.password)?;
        match self.authenticate(&record.email, request.password).await {
            Ok(_) => {}
            Err(error) if error.code == shoal_sdk::Code::Unauthenticated => {
                return Err(Error::permission_denied("the password is wrong"));
            }
            Err(error) => return Err(error),
        }
        let mut transaction = self.database.write().await?;
        accounts::delete(&mut transaction, &record).await?;
        transaction.commit().await?;
        Ok(EraseResponse::default())
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

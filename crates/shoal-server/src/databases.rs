//! Which database each service is given: its address, from the manifest and the environment of `shoal up`. Pure.
//! Never: shows an address it was given, for a password may be in it.

use crate::folders::Folders;
use sha2::{Digest, Sha256};
use shoal_manifest::{Code, Diagnostic, Diagnostics, Manifest, Place, ServicePart};
use shoal_model::{Application, Database, ServiceName};
use std::collections::BTreeMap;

/// PostgreSQL cuts longer names off.
const NAME_MAX: usize = 63;

/// The address of each service's database; services without one are not among them.
///
/// # Errors
/// All that the environment does not say, each at its place in the manifest.
pub fn addresses(
    manifest: &Manifest,
    folders: &Folders,
    variables: &BTreeMap<String, String>,
) -> Result<BTreeMap<ServiceName, String>, Diagnostics> {
    let mut problems = Vec::new();
    let mut addresses: BTreeMap<ServiceName, String> = BTreeMap::new();
    for (name, service) in &manifest.application.services {
        let Some(database) = &service.database else { continue };
        let address = match address(&manifest.application, name, database, folders, variables) {
            Ok(address) => address,
            Err((sentence, mend)) => {
                problems.push(problem(name, sentence, mend));
                continue;
            }
        };
        if let Some((other, _)) = addresses.iter().find(|(_, taken)| **taken == address) {
            let sentence =
                format!("`{name}` and `{other}` would share one database, and each would find the other's tables");
            let mend = "leave the database's name out of the address: each service then gets one of its own";
            problems.push(problem(name, sentence, mend));
        }
        addresses.insert(name.clone(), address);
    }
    if problems.is_empty() { Ok(addresses) } else { Err(manifest.spans.report(problems)) }
}

fn problem(name: &ServiceName, sentence: String, mend: &str) -> Diagnostic {
    Diagnostic::at(Place::of(name, ServicePart::Database), Code::BadDatabase, sentence, mend)
}

fn address(
    application: &Application,
    name: &ServiceName,
    database: &Database,
    folders: &Folders,
    variables: &BTreeMap<String, String>,
) -> Result<String, (String, &'static str)> {
    let set = |variable: &str| variables.get(variable).map(String::as_str).filter(|value| !value.is_empty());
    let on_server = |server: &str| with_name(server, application, name);
    match database {
        Database::Sqlite => {
            Ok(format!("sqlite://{}", folders.data(name.as_str()).join(format!("{name}.db")).display()))
        }
        Database::Postgres => {
            let server = set(Database::SERVER_VARIABLE).filter(|value| is_server(value));
            server.map(on_server).ok_or_else(|| {
                let sentence = format!(
                    "`{name}` is to have a PostgreSQL database, and `{}` holds no address of a server",
                    Database::SERVER_VARIABLE
                );
                (sentence, "run `POSTGRES_URL=postgres://user@host shoal up`")
            })
        }
        Database::Named { variable, otherwise } => match set(variable) {
            None => self::address(application, name, otherwise, folders, variables),
            Some("sqlite") => self::address(application, name, &Database::Sqlite, folders, variables),
            Some("postgres") => self::address(application, name, &Database::Postgres, folders, variables),
            Some(server) if is_server(server) => Ok(on_server(server)),
            Some(_) => Err((
                format!("`{variable}` says which database `{name}` has, and holds none of the answers"),
                "set it to `sqlite`, `postgres` or an address such as `postgres://user@host`",
            )),
        },
    }
}

fn is_server(value: &str) -> bool {
    value.starts_with("postgres://") || value.starts_with("postgresql://")
}

/// The address, with the name of a database when it has none.
fn with_name(server: &str, application: &Application, name: &ServiceName) -> String {
    let (place, query) = server.split_once('?').map_or((server, None), |(place, query)| (place, Some(query)));
    let authority_and_path = place.split_once("://").map_or(place, |(_, rest)| rest);
    let has_path = authority_and_path.split_once('/').is_some_and(|(_, path)| !path.is_empty());
    if has_path || query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("dbname="))) {
        return server.to_owned();
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{}{query}", place.trim_end_matches('/'), database_name(application, name))
}

/// `<application>_<service>`; what would be cut off is replaced by what tells it from others.
fn database_name(application: &Application, name: &ServiceName) -> String {
    let full = format!("{}_{name}", application.name).replace('-', "_");
    if full.len() <= NAME_MAX {
        return full;
    }
    let digest = Sha256::digest(full.as_bytes());
    let suffix: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    // Names are ASCII.
    format!("{}_{suffix}", &full[..NAME_MAX - 9])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        [application]
        name = "my-shop"
        [services.pages]
        run = { command = ["true"] }
        [services.files]
        run = { command = ["true"] }
        database = "sqlite"
        [services.stock-room]
        run = { command = ["true"] }
        database = "postgres"
        [services.orders]
        run = { command = ["true"] }
        database = { env = "SHOP_DATABASE", default = "sqlite" }
    "#;

    fn found(manifest: &str, variables: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let manifest = shoal_manifest::parse(manifest, &folder.path().join("shoal.toml")).unwrap();
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = addresses(&manifest, &folders, &variables).map_err(|problems| problems.render(false))?;
        let root = folders.data("files").parent().unwrap().display().to_string();
        Ok(found.into_iter().map(|(name, url)| (name.to_string(), url.replace(&root, "DATA"))).collect())
    }

    #[test]
    fn files_are_in_the_services_own_folder_and_servers_get_a_database_each() {
        let found = found(MANIFEST, &[("POSTGRES_URL", "postgres://shop@db:5433")]).unwrap();
        assert_eq!(found["files"], "sqlite://DATA/files/files.db");
        assert_eq!(found["orders"], "sqlite://DATA/orders/orders.db");
        assert_eq!(found["stock-room"], "postgres://shop@db:5433/my_shop_stock_room");
        assert!(!found.contains_key("pages"));
    }

    #[test]
    fn a_variable_chooses() {
        let server = ("POSTGRES_URL", "postgres://db/?host=/run/pg");
        let of_orders = |value: &str| found(MANIFEST, &[server, ("SHOP_DATABASE", value)]).unwrap()["orders"].clone();
        assert_eq!(of_orders("sqlite"), "sqlite://DATA/orders/orders.db");
        assert_eq!(of_orders(""), "sqlite://DATA/orders/orders.db");
        assert_eq!(of_orders("postgres"), "postgres://db/my_shop_orders?host=/run/pg");
        assert_eq!(of_orders("postgresql://other"), "postgresql://other/my_shop_orders");
        assert_eq!(of_orders("postgres://a:b@other/mine?x=y"), "postgres://a:b@other/mine?x=y");
        assert_eq!(of_orders("postgres://other?dbname=mine"), "postgres://other?dbname=mine");
    }

    #[test]
    fn what_the_environment_does_not_say_is_told_without_its_secrets() {
        let problems = found(MANIFEST, &[("SHOP_DATABASE", "mysql://root:secret@db")]).unwrap_err();
        assert!(problems.contains("SH0107") && !problems.contains("secret"), "{problems}");
        assert!(problems.contains("`POSTGRES_URL` holds no address of a server"), "{problems}");
        assert!(problems.contains("`SHOP_DATABASE` says which database `orders` has"), "{problems}");
        let shared = ("POSTGRES_URL", "postgres://db/one");
        let problems = found(MANIFEST, &[shared, ("SHOP_DATABASE", "postgres")]).unwrap_err();
        assert!(problems.contains("`stock-room` and `orders` would share one database"), "{problems}");
    }

    #[test]
    fn long_names_stay_apart() {
        let long = |end: &str| format!("{}{end}", "x".repeat(39));
        let manifest = format!(
            "[application]\nname = \"{}\"\n[services.{}]\nrun = {{ command = [\"true\"] }}\ndatabase = \"postgres\"\n\
             [services.{}]\nrun = {{ command = [\"true\"] }}\ndatabase = \"postgres\"\n",
            long("a"),
            long("b"),
            long("c")
        );
        let found = found(&manifest, &[("POSTGRES_URL", "postgres://db")]).unwrap();
        assert!(found.values().all(|url| url.len() == "postgres://db/".len() + NAME_MAX), "{found:?}");
    }
}

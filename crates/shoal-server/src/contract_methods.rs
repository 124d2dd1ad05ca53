//! Lists the services and methods that a folder of `.proto` files declares. Reads names only; resolves no imports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most files of one contract, and the most bytes of one file.
const FILES_MAX: usize = 1_000;
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a contract could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// A file or the folder cannot be read.
    #[error("{path} cannot be read")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not Protobuf.
    #[error("{path} is not a Protobuf description: {why}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        why: String,
    },
    /// There is more than any contract needs.
    #[error("{0} holds too much for a contract; name the folder of one version of one service")]
    TooMuch(PathBuf),
}

/// The methods of each Protobuf service declared in `folder`, by the service's full name.
///
/// # Errors
/// When a file cannot be read, or is not Protobuf.
pub fn methods(folder: &Path) -> Result<BTreeMap<String, Vec<String>>, ContractError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ContractError::Io { path, source }
    };
    let mut found = BTreeMap::new();
    for (position, entry) in std::fs::read_dir(folder).map_err(failed(folder))?.enumerate() {
        if position >= FILES_MAX {
            return Err(ContractError::TooMuch(folder.to_path_buf()));
        }
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_none_or(|extension| extension != "proto") {
            continue;
        }
        if std::fs::metadata(&path).map_err(failed(&path))?.len() > FILE_BYTES_MAX {
            return Err(ContractError::TooMuch(path));
        }
        let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
        found.extend(methods_of(&path, &text)?);
    }
    Ok(found)
}

fn methods_of(path: &Path, text: &str) -> Result<Vec<(String, Vec<String>)>, ContractError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = protox_parse::parse(&name, text)
        .map_err(|error| ContractError::Parse { path: path.to_path_buf(), why: error.to_string() })?;
    let services = file.service.iter().map(|service| {
        let full_name = match file.package() {
            "" => service.name().to_owned(),
            package => format!("{package}.{}", service.name()),
        };
        (full_name, service.method.iter().map(|method| method.name().to_owned()).collect())
    });
    Ok(services.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_listed_without_their_imports() {
        let folder = tempfile::tempdir().unwrap();
        let text = "syntax = \"proto3\"; package shop.stock.v1; import \"elsewhere.proto\"; message M {}\n\
                    service Stock { rpc Take(M) returns (M); rpc Look(other.M) returns (M); }";
        std::fs::write(folder.path().join("stock.proto"), text).unwrap();
        let found = methods(folder.path()).unwrap();
        assert_eq!(found["shop.stock.v1.Stock"], ["Take", "Look"]);
        std::fs::write(folder.path().join("bare.proto"), "syntax = \"proto3\"; service Bare { rpc A(M) returns (M); }")
            .unwrap();
        std::fs::write(folder.path().join("notes.txt"), "service {").unwrap();
        assert_eq!(methods(folder.path()).unwrap()["Bare"], ["A"]);
        std::fs::write(folder.path().join("bad.proto"), "service {").unwrap();
        assert!(methods(folder.path()).unwrap_err().to_string().contains("bad.proto"));
        assert!(methods(&folder.path().join("nowhere")).unwrap_err().to_string().contains("nowhere"));
    }

    #[test]
    fn more_than_any_contract_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("big.proto")).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(methods(folder.path()).unwrap_err().to_string().contains("too much"));
    }
}

//! `shoal new`: an application with one service that runs at once.

use crate::failure::Failure;
use shoal_model::ServiceName;
use std::path::Path;

/// Every file of a new application, and what is in it; `NAME` stands for the application's name.
const FILES: [(&str, &str); 4] = [
    ("shoal.toml", include_str!("../../template/shoal.toml")),
    ("services/hello/Cargo.toml", include_str!("../../template/services/hello/Cargo.toml.txt")),
    ("services/hello/src/main.rs", include_str!("../../template/services/hello/src/main.rs.txt")),
    (".gitignore", "/.shoal/\ntarget/\n"),
];

/// Makes the application; never writes into a folder that has anything in it.
pub fn run(folder: &Path) -> Result<(), Failure> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: ServiceName = name
        .parse()
        .map_err(|error| Failure::because(format!("{} cannot be an application's folder", folder.display()), error))?;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(format!("{} is not empty; name a new folder", folder.display())));
    }
    for (path, text) in FILES {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text.replace("NAME", name.as_str())))
            .map_err(|error| Failure::because(format!("{} cannot be written", path.display()), error))?;
    }
    crate::say!("Made {0}. Run it with:\n\n    shoal up {0}\n", folder.display());
    Ok(())
}

//! From a folder of `.proto` files to checked descriptors. Never: generates code.

use crate::BuildError;
use buffa::Message;
use buffa_codegen::generated::descriptor::{FileDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most `.proto` files one folder may hold: more means that the wrong folder was named.
const FILES_MAX: usize = 2_000;

/// All files of one contracts folder, each after those it imports.
pub(crate) struct Descriptors {
    pub files: Vec<FileDescriptorProto>,
}

impl Descriptors {
    /// Compiles every `.proto` file under `root/within`; imports are relative to `root`.
    pub fn compile(root: &Path, within: &str) -> Result<Self, BuildError> {
        let folder = root.join(within);
        let mut found = Vec::new();
        find_files(&folder, &mut found)?;
        found.sort();
        if found.is_empty() {
            return Err(BuildError::Empty(folder));
        }
        let refused = |error: protox::Error| BuildError::Protobuf(format!("{error:?}"));
        let mut compiler = protox::Compiler::new([root]).map_err(refused)?;
        compiler.include_source_info(true).include_imports(true);
        compiler.open_files(&found).map_err(refused)?;
        let bytes = compiler.encode_file_descriptor_set();
        let set = FileDescriptorSet::decode_from_slice(&bytes)
            .map_err(|error| BuildError::Protobuf(format!("the descriptors do not decode: {error}")))?;
        for file in &set.file {
            check(file)?;
        }
        Ok(Self { files: set.file })
    }

    /// The names of all files, as importers write them.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().filter_map(|file| file.name.clone()).collect()
    }

    /// A serialised descriptor set of these files and all they import, without comments.
    pub fn closure<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
        let by_name: BTreeMap<&str, &FileDescriptorProto> =
            self.files.iter().filter_map(|file| Some((file.name.as_deref()?, file))).collect();
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = names.into_iter().collect();
        while let Some(name) = open.pop() {
            let Some((name, file)) = by_name.get_key_value(name) else {
                continue;
            };
            if wanted.insert(name) {
                open.extend(file.dependency.iter().map(String::as_str));
            }
        }
        let mut set = FileDescriptorSet::default();
        for file in &self.files {
            if file.name.as_deref().is_some_and(|name| wanted.contains(name)) {
                let mut file = file.clone();
                file.source_code_info = Default::default();
                set.file.push(file);
            }
        }
        set.encode_to_vec()
    }
}

fn find_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let failed = |why| BuildError::File { doing: "read the folder", path: folder.to_owned(), why };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // A contracts folder is a crate too; what it builds is none of its contracts.
        let skipped = hidden || entry.file_name() == "target";
        if entry.file_type().map_err(failed)?.is_dir() {
            if !skipped {
                find_files(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            return Err(BuildError::Protobuf(format!(
                "`{}` holds more than {FILES_MAX} `.proto` files: name a smaller folder",
                folder.display()
            )));
        }
    }
    Ok(())
}

fn check(file: &FileDescriptorProto) -> Result<(), BuildError> {
    let name = file.name.as_deref().unwrap_or("(a file without a name)");
    if name.starts_with("google/protobuf/") {
        return Err(BuildError::unsupported(
            name,
            "Google's well-known types are not supported: declare a message of your own, such as `int64 at_milliseconds = 1;`",
        ));
    }
    if file.syntax.as_deref() != Some("proto3") {
        return Err(BuildError::unsupported(
            name,
            "only proto3 is supported: start the file with `syntax = \"proto3\";`",
        ));
    }
    if file.package.as_deref().unwrap_or_default().is_empty() {
        return Err(BuildError::unsupported(name, "it has no package: add one such as `package store.catalogue.v1;`"));
    }
    for service in &file.service {
        let service_name = service.name.as_deref().unwrap_or_default();
        let streams = service
            .method
            .iter()
            .find(|method| method.client_streaming == Some(true) || method.server_streaming == Some(true));
        if let Some(method) = streams {
            return Err(BuildError::unsupported(
                name,
                format!(
                    "`{service_name}.{}` streams, which is not supported yet: page through a list with requests instead",
                    method.name.as_deref().unwrap_or_default()
                ),
            ));
        }
        // Protobuf itself keeps a service's own name from being taken twice.
        let server = format!("{service_name}Server");
        let taken = file.message_type.iter().any(|message| message.name.as_deref() == Some(&server))
            || file.enum_type.iter().any(|kind| kind.name.as_deref() == Some(&server));
        if taken {
            return Err(BuildError::unsupported(
                name,
                format!("`{server}` is the name of what serves `{service_name}`: give the message another name"),
            ));
        }
    }
    Ok(())
}

//! Generates the contracts crate: messages, full traits and servers. Never: a client; callers generate what they use.

use crate::BuildError;
use crate::descriptors::Descriptors;
use crate::method::{MethodPlan, ServicePlan, doc};
use crate::record::{json_list, write_record};
use buffa_codegen::context::CodeGenContext;
use buffa_codegen::idents::escape_mod_ident;
use buffa_codegen::{CodeGenConfig, GeneratedFileKind};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Generates the messages, traits and servers of every `.proto` file under `folder`, a folder of this crate.
///
/// For the `build.rs` of the one contracts crate of an application; its `lib.rs` says `shoal_sdk::include_contracts!();`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     shoal_build::contracts("store").generate()
/// }
/// ```
#[must_use]
pub fn contracts(folder: &str) -> Contracts {
    Contracts { folder: folder.to_owned() }
}

/// What [`contracts`] will generate.
#[derive(Clone, Debug)]
pub struct Contracts {
    folder: String,
}

impl Contracts {
    /// Generates into `OUT_DIR`; on an error prints it so that cargo shows it, and fails the build.
    pub fn generate(self) -> ExitCode {
        conclude(self.try_generate())
    }

    /// As [`generate`](Self::generate), for build scripts that do more.
    ///
    /// # Errors
    /// When a file does not compile, uses what is not supported, or cannot be read or written.
    pub fn try_generate(self) -> Result<(), BuildError> {
        let root = variable("CARGO_MANIFEST_DIR")?;
        let out = variable("OUT_DIR")?;
        rerun_if_changed(&root.join(&self.folder));
        generate_into(&root, &self.folder, &out)
    }
}

/// Writes `contracts.rs`, one file of Rust and one record per package into `out`.
pub(crate) fn generate_into(root: &Path, folder: &str, out: &Path) -> Result<(), BuildError> {
    let descriptors = Descriptors::compile(root, folder)?;
    let names = descriptors.names();
    let config = message_config();
    let messages = buffa_codegen::generate(&descriptors.files, &names, &config)
        .map_err(|error| BuildError::Protobuf(error.to_string()))?;
    let context = CodeGenContext::for_generate(&descriptors.files, &names, &config);

    let mut services: BTreeMap<String, Vec<ServicePlan>> = BTreeMap::new();
    for file in &descriptors.files {
        for plan in ServicePlan::of_file(file, &context)? {
            services.entry(plan.package.clone()).or_default().push(plan);
        }
    }

    let mut packages = Vec::new();
    for file in messages {
        if file.kind != GeneratedFileKind::PackageMod {
            continue;
        }
        let mut content = file.content;
        if let Some(plans) = services.get(&file.package) {
            content.push_str(&package_services(&file.package, plans, &descriptors, out)?);
        }
        let name = format!("{}.rs", file.package);
        write_file(&out.join(&name), content.as_bytes())?;
        packages.push((file.package, name));
    }
    write_file(&out.join("contracts.rs"), module_tree(&packages).as_bytes())
}

/// Owned messages with JSON, and nothing else: views would double what every caller compiles.
pub(crate) fn message_config() -> CodeGenConfig {
    let mut config = CodeGenConfig::default();
    config.generate_views = false;
    config.generate_json = true;
    config.emit_register_fn = false;
    config.file_per_package = true;
    config
}

/// The traits and servers of one package, and the record that says what it promises.
fn package_services(
    package: &str,
    plans: &[ServicePlan],
    descriptors: &Descriptors,
    out: &Path,
) -> Result<String, BuildError> {
    let header = format!(
        "{{\"package\":\"{package}\",\"services\":{}}}",
        json_list(plans.iter().map(|plan| plan.name.as_str()))
    );
    let set = descriptors.closure(plans.iter().map(|plan| plan.file.as_str()));
    let file = format!("{package}.record");
    let record = embed_record("__SHOAL_CONTRACT", ".shoal.contracts", &header, &set, &file, out)?;
    let services = plans.iter().map(service_code);
    render(package, quote! { #record #(#services)* })
}

/// Writes a record beside the generated code, and the static that puts it into a section of the executable.
pub(crate) fn embed_record(
    name: &str,
    section: &str,
    header: &str,
    descriptors: &[u8],
    file: &str,
    out: &Path,
) -> Result<TokenStream, BuildError> {
    let (bytes, start) = write_record(header, descriptors)
        .ok_or_else(|| BuildError::Protobuf(format!("the descriptors for `{file}` are larger than 4 GiB")))?;
    write_file(&out.join(file), &bytes)?;
    let name = format_ident!("{name}");
    let descriptors = format_ident!("{}_DESCRIPTORS", name);
    let length = Literal::usize_unsuffixed(bytes.len());
    let start = Literal::usize_unsuffixed(start);
    let path = format!("/{file}");
    Ok(quote! {
        // A section of its own, so that a tool can tell from the file what a program promises and uses.
        #[doc(hidden)]
        #[allow(unsafe_code)]
        #[unsafe(link_section = #section)]
        #[used]
        pub static #name: [u8; #length] = *::core::include_bytes!(::core::concat!(::core::env!("OUT_DIR"), #path));
        #[doc(hidden)]
        pub fn #descriptors() -> &'static [u8] {
            #name.get(#start..).unwrap_or_default()
        }
    })
}

/// Everything that is generated for one service.
fn service_code(plan: &ServicePlan) -> TokenStream {
    let full_trait = full_trait(plan);
    let server = server(plan);
    quote! { #full_trait #server }
}

fn full_trait(plan: &ServicePlan) -> TokenStream {
    let full_name = plan.full_name();
    let name = format_ident!("{}", plan.name);
    let service_doc = doc(&plan.comment, &format!("The Protobuf service `{full_name}`."));
    let functions = plan.methods.iter().map(|method| {
        let (function, request, response) = (&method.function, &method.request, &method.response);
        let method_doc = doc(&method.comment, &format!("`{full_name}/{}`.", method.name));
        quote! {
            #method_doc
            async fn #function(
                &self,
                call: &::shoal_sdk::Call,
                request: #request,
            ) -> ::core::result::Result<#response, ::shoal_sdk::Error>;
        }
    });
    quote! {
        #service_doc
        #[::shoal_sdk::async_trait]
        pub trait #name: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#functions)*
        }

        impl ::shoal_sdk::Contract for dyn #name {
            const SERVICE: &'static str = #full_name;
        }
    }
}

/// Adds one method to `routes`, which it replaces.
fn route(plan: &ServicePlan, method: &MethodPlan) -> TokenStream {
    let full_name = plan.full_name();
    let (function, method_name, no_side_effects) = (&method.function, &method.name, method.no_side_effects);
    let (request, response) = (&method.request, &method.response);
    quote! {
        let implementation = ::std::sync::Arc::clone(&self.implementation);
        let routes = routes.unary(
            #full_name,
            #method_name,
            #no_side_effects,
            move |call: ::shoal_sdk::Call, request: #request| {
                let implementation = ::std::sync::Arc::clone(&implementation);
                async move {
                    let response: ::core::result::Result<#response, ::shoal_sdk::Error> =
                        implementation.#function(&call, request).await;
                    response
                }
            },
        );
    }
}

fn server(plan: &ServicePlan) -> TokenStream {
    let full_name = plan.full_name();
    let name = format_ident!("{}", plan.name);
    let server = format_ident!("{}Server", plan.name);
    let server_doc = format!(" Serves a [`{}`] to callers over the wire.", plan.name);
    let routes = plan.methods.iter().map(|method| route(plan, method));
    quote! {
        #[doc = #server_doc]
        #[derive(Clone)]
        pub struct #server {
            implementation: ::std::sync::Arc<dyn #name>,
        }

        impl #server {
            /// Serves this implementation.
            #[must_use]
            pub fn new(implementation: ::std::sync::Arc<dyn #name>) -> Self {
                Self { implementation }
            }
        }

        impl ::shoal_sdk::Serve for #server {
            fn service(&self) -> &'static str {
                #full_name
            }

            fn descriptors(&self) -> &'static [u8] {
                __SHOAL_CONTRACT_DESCRIPTORS()
            }

            fn register(
                &self,
                routes: ::shoal_sdk::__private::Routes,
            ) -> ::shoal_sdk::__private::Routes {
                #(#routes)*
                routes
            }
        }
    }
}

/// Nested modules, one per segment of a package's name, that include each package's file.
fn module_tree(packages: &[(String, String)]) -> String {
    #[derive(Default)]
    struct Node {
        file: Option<String>,
        children: BTreeMap<String, Node>,
    }
    fn write(node: &Node, depth: usize, rust: &mut String) {
        let indent = "    ".repeat(depth);
        if let Some(file) = &node.file {
            let _ = writeln!(rust, "{indent}include!(concat!(env!(\"OUT_DIR\"), \"/{file}\"));");
        }
        for (name, child) in &node.children {
            let name = escape_mod_ident(name);
            let _ = writeln!(rust, "{indent}/// From the contract.");
            if depth == 0 {
                let _ = writeln!(rust, "{indent}#[allow({GENERATED_LINTS})]");
            }
            let _ = writeln!(rust, "{indent}pub mod {name} {{");
            write(child, depth + 1, rust);
            let _ = writeln!(rust, "{indent}}}");
        }
    }
    let mut root = Node::default();
    for (package, file) in packages {
        let mut node = &mut root;
        for segment in package.split('.') {
            node = node.children.entry(segment.to_owned()).or_default();
        }
        node.file = Some(file.clone());
    }
    let mut rust = String::new();
    write(&root, 0, &mut rust);
    rust
}

/// Lints that say something to the author of code, and generated code has none.
pub(crate) const GENERATED_LINTS: &str = "missing_docs, non_camel_case_types, non_snake_case, dead_code, unused_imports, \
     unused_qualifications, rustdoc::all, clippy::all, clippy::pedantic, clippy::unwrap_used";

pub(crate) fn render(what: &str, tokens: TokenStream) -> Result<String, BuildError> {
    let file =
        syn::parse2(tokens).map_err(|error| BuildError::Generated { what: what.to_owned(), why: error.to_string() })?;
    Ok(prettyplease::unparse(&file))
}

pub(crate) fn variable(name: &'static str) -> Result<PathBuf, BuildError> {
    std::env::var_os(name).map(PathBuf::from).ok_or(BuildError::NotABuildScript(name))
}

#[allow(clippy::print_stdout)] // How a build script speaks to cargo.
pub(crate) fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

#[allow(clippy::print_stdout)] // How a build script speaks to cargo.
pub(crate) fn conclude(result: Result<(), BuildError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    std::fs::write(path, content).map_err(|why| BuildError::File { doing: "write", path: path.to_owned(), why })
}

//! Generates a caller's side: a trait with only the methods it lists, over the wire and in process. Never: messages;
//! those are the contracts crate's, so that a call in the same process needs no conversion.

use crate::BuildError;
use crate::contract::{
    GENERATED_LINTS, conclude, embed_record, message_config, render, rerun_if_changed, variable, write_file,
};
use crate::descriptors::Descriptors;
use crate::method::{MethodPlan, ServicePlan, doc, snake_case};
use crate::record::json_list;
use buffa_codegen::context::CodeGenContext;
use buffa_codegen::idents::rust_path_to_tokens;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// Generates clients of services declared in `folder` (relative to this crate), whose messages and traits are in the
/// crate `contracts`, named as a path: `::store_contracts`.
///
/// For the `build.rs` of a service; its `lib.rs` says `pub mod calls { shoal_sdk::include_calls!(); }`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     shoal_build::calls("../../contracts", "::store_contracts")
///         .service("store.catalogue.v1.Catalogue", &["ListProducts", "BatchGetProducts"])
///         .generate()
/// }
/// ```
#[must_use]
pub fn calls(folder: &str, contracts: &str) -> Calls {
    Calls { folder: folder.to_owned(), contracts: contracts.to_owned(), services: Vec::new() }
}

/// What [`calls`] will generate.
#[derive(Clone, Debug)]
pub struct Calls {
    folder: String,
    contracts: String,
    services: Vec<CalledService>,
}

#[derive(Clone, Debug)]
struct CalledService {
    service: String,
    methods: Vec<String>,
    callee: Option<String>,
}

impl Calls {
    /// Calls these methods of this Protobuf service. The service of the application that answers is taken from the
    /// package: `store.catalogue.v1` → `catalogue`, `store.stock_room.v1` → `stock-room`.
    #[must_use]
    pub fn service(self, service: &str, methods: &[&str]) -> Self {
        self.add(service, methods, None)
    }

    /// As [`service`](Self::service), answered by the service that the manifest calls `callee`.
    #[must_use]
    pub fn service_at(self, callee: &str, service: &str, methods: &[&str]) -> Self {
        self.add(service, methods, Some(callee.to_owned()))
    }

    fn add(mut self, service: &str, methods: &[&str], callee: Option<String>) -> Self {
        self.services.push(CalledService {
            service: service.to_owned(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            callee,
        });
        self
    }

    /// Generates into `OUT_DIR`; on an error prints it so that cargo shows it, and fails the build.
    pub fn generate(self) -> ExitCode {
        conclude(self.try_generate())
    }

    /// As [`generate`](Self::generate), for build scripts that do more.
    ///
    /// # Errors
    /// When a service or method is not in the contracts, is listed twice, or a file cannot be read or written.
    pub fn try_generate(self) -> Result<(), BuildError> {
        let root = variable("CARGO_MANIFEST_DIR")?.join(&self.folder);
        let out = variable("OUT_DIR")?;
        // Only the contracts: the folder is a crate too, and what else changes in it is no reason.
        for top in contract_folders(&root)? {
            rerun_if_changed(&top);
        }
        self.generate_into(&root, &out)
    }

    /// Writes `calls.rs` and one record per called service into `out`.
    pub(crate) fn generate_into(&self, root: &Path, out: &Path) -> Result<(), BuildError> {
        let descriptors = Descriptors::compile(root, "")?;
        let names = descriptors.names();
        let mut config = message_config();
        config.extern_paths.push((".".to_owned(), self.contracts.clone()));
        // Nothing is generated here, so every type is looked up in the contracts crate.
        let context = CodeGenContext::for_generate(&descriptors.files, &names, &config);
        let mut plans = Vec::new();
        for file in &descriptors.files {
            plans.extend(ServicePlan::of_file(file, &context)?);
        }
        self.check_unique()?;
        let mut code = TokenStream::new();
        for called in &self.services {
            let plan = find_service(&plans, &called.service, root)?;
            let methods = find_methods(plan, &called.methods)?;
            let callee = match &called.callee {
                Some(callee) => callee.clone(),
                None => callee_of(&plan.package),
            };
            let header = format!(
                "{{\"service\":\"{}\",\"callee\":\"{callee}\",\"methods\":{}}}",
                plan.full_name(),
                json_list(methods.iter().map(|method| method.name.as_str()))
            );
            let set = descriptors.closure([plan.file.as_str()]);
            let record_name = format!("__SHOAL_CALLS_{}", snake_case(&plan.name).to_uppercase());
            let file = format!("{}.calls", plan.full_name());
            code.extend(embed_record(&record_name, ".shoal.calls", &header, &set, &file, out)?);
            code.extend(client_code(plan, &methods, &callee, &self.contracts, &record_name));
        }
        let rust = format!(
            "#[allow({GENERATED_LINTS})]\nmod generated {{\n{}\n}}\npub use generated::*;\n",
            render("calls", code)?
        );
        write_file(&out.join("calls.rs"), rust.as_bytes())
    }

    fn check_unique(&self) -> Result<(), BuildError> {
        let mut seen = BTreeSet::new();
        for called in &self.services {
            let name = called.service.rsplit('.').next().unwrap_or_default();
            if !seen.insert(name) {
                return Err(BuildError::BadList(format!(
                    "two called services are named `{name}`: list each once, with all its methods"
                )));
            }
        }
        Ok(())
    }
}

fn contract_folders(root: &Path) -> Result<Vec<std::path::PathBuf>, BuildError> {
    let failed = |why| BuildError::File { doing: "read the folder", path: root.to_owned(), why };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        let of_the_crate = name.starts_with('.') || ["src", "target", "tests"].contains(&name.as_ref());
        if (is_folder && !of_the_crate) || name.ends_with(".proto") {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn find_service<'a>(plans: &'a [ServicePlan], wanted: &str, root: &Path) -> Result<&'a ServicePlan, BuildError> {
    plans.iter().find(|plan| plan.full_name() == wanted).ok_or_else(|| BuildError::UnknownService {
        service: wanted.to_owned(),
        folder: root.to_owned(),
        known: plans.iter().map(ServicePlan::full_name).collect::<Vec<_>>().join(", "),
    })
}

fn find_methods<'a>(plan: &'a ServicePlan, wanted: &[String]) -> Result<Vec<&'a MethodPlan>, BuildError> {
    if wanted.is_empty() {
        return Err(BuildError::BadList(format!(
            "no method of `{}` is listed: name those that are called",
            plan.full_name()
        )));
    }
    let mut methods: Vec<&MethodPlan> = Vec::new();
    for name in wanted {
        let found = plan.methods.iter().find(|method| method.name == *name);
        let method = found.ok_or_else(|| BuildError::UnknownMethod {
            service: plan.full_name(),
            method: name.clone(),
            known: plan.methods.iter().map(|method| method.name.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        if methods.iter().any(|listed| listed.name == method.name) {
            return Err(BuildError::BadList(format!("`{}/{name}` is listed twice", plan.full_name())));
        }
        methods.push(method);
    }
    Ok(methods)
}

/// The service that answers for a package: its last segment that is not a version, as manifests write names.
fn callee_of(package: &str) -> String {
    let is_version = |segment: &str| {
        segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let named = package.split('.').rev().find(|segment| !is_version(segment));
    named.unwrap_or(package).to_ascii_lowercase().replace('_', "-")
}

/// Everything that is generated for one called service.
fn client_code(
    plan: &ServicePlan,
    methods: &[&MethodPlan],
    callee: &str,
    contracts: &str,
    record: &str,
) -> TokenStream {
    let modules: Vec<String> = plan.package.split('.').map(buffa_codegen::idents::escape_mod_ident).collect();
    let full_trait = rust_path_to_tokens(&format!("{contracts}::{}::{}", modules.join("::"), plan.name));
    let narrowed = narrowed_trait(plan, methods);
    let wire = over_wire(plan, methods);
    let within = in_process(plan, methods, &full_trait);
    let connect = connect_function(plan, callee, &full_trait, record);
    quote! { #narrowed #wire #within #connect }
}

fn signature(method: &MethodPlan) -> TokenStream {
    let (function, request, response) = (&method.function, &method.request, &method.response);
    quote! {
        async fn #function(
            &self,
            call: &::shoal_sdk::Call,
            request: #request,
        ) -> ::core::result::Result<#response, ::shoal_sdk::Error>
    }
}

fn narrowed_trait(plan: &ServicePlan, methods: &[&MethodPlan]) -> TokenStream {
    let full_name = plan.full_name();
    let name = format_ident!("{}", plan.name);
    let trait_doc = doc(&plan.comment, &format!("What this crate calls of `{full_name}`."));
    let declarations = methods.iter().map(|method| {
        let method_doc = doc(&method.comment, &format!("`{full_name}/{}`.", method.name));
        let signature = signature(method);
        quote! { #method_doc #signature; }
    });
    quote! {
        #trait_doc
        #[::shoal_sdk::async_trait]
        pub trait #name: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#declarations)*
        }

        impl ::shoal_sdk::Contract for dyn #name {
            const SERVICE: &'static str = #full_name;
        }
    }
}

fn over_wire(plan: &ServicePlan, methods: &[&MethodPlan]) -> TokenStream {
    let name = format_ident!("{}", plan.name);
    let wire = format_ident!("{}OverWire", plan.name);
    let bodies = methods.iter().map(|method| {
        let signature = signature(method);
        let path = format!("/{}/{}", plan.full_name(), method.name);
        let repeatable = method.repeatable;
        quote! { #signature { self.channel.unary(#path, #repeatable, call, request).await } }
    });
    quote! {
        struct #wire {
            channel: ::shoal_sdk::__private::Channel,
        }

        #[::shoal_sdk::async_trait]
        impl #name for #wire {
            #(#bodies)*
        }
    }
}

fn in_process(plan: &ServicePlan, methods: &[&MethodPlan], full_trait: &TokenStream) -> TokenStream {
    let name = format_ident!("{}", plan.name);
    let in_process = format_ident!("{}InProcess", plan.name);
    let bodies = methods.iter().map(|method| {
        let (signature, function) = (signature(method), &method.function);
        quote! {
            #signature {
                let implementation = &self.implementation;
                self.edge.call(call, move |call| async move { implementation.#function(&call, request).await }).await
            }
        }
    });
    quote! {
        struct #in_process {
            edge: ::shoal_sdk::__private::InProcess,
            implementation: ::std::sync::Arc<dyn #full_trait>,
        }

        #[::shoal_sdk::async_trait]
        impl #name for #in_process {
            #(#bodies)*
        }
    }
}

fn connect_function(plan: &ServicePlan, callee: &str, full_trait: &TokenStream, record: &str) -> TokenStream {
    let name = format_ident!("{}", plan.name);
    let wire = format_ident!("{}OverWire", plan.name);
    let in_process = format_ident!("{}InProcess", plan.name);
    let connect = buffa_codegen::idents::make_field_ident(&snake_case(&plan.name));
    let record = format_ident!("{record}");
    let connect_doc = format!(
        " The `{callee}` that this service calls: in process when the environment provides one, over the wire otherwise."
    );
    quote! {
        #[doc = #connect_doc]
        ///
        /// # Errors
        /// When nothing provides it and the manifest does not declare the call.
        pub fn #connect(
            environment: &::shoal_sdk::Environment,
        ) -> ::core::result::Result<::std::sync::Arc<dyn #name>, ::shoal_sdk::StartError> {
            let link = ::shoal_sdk::__private::link(environment, #callee, &#record)?;
            if let ::core::option::Option::Some(stand_in) = link.provided::<dyn #name>() {
                return ::core::result::Result::Ok(stand_in);
            }
            if let ::core::option::Option::Some(implementation) = link.provided::<dyn #full_trait>() {
                let edge = link.in_process();
                return ::core::result::Result::Ok(::std::sync::Arc::new(#in_process { edge, implementation }));
            }
            let channel = link.channel()?;
            ::core::result::Result::Ok(::std::sync::Arc::new(#wire { channel }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callees_are_named_as_in_manifests() {
        assert_eq!(callee_of("store.catalogue.v1"), "catalogue");
        assert_eq!(callee_of("store.stock_room.v1beta2"), "stock-room");
        assert_eq!(callee_of("plain"), "plain");
        assert_eq!(callee_of("app.video"), "video");
    }
}

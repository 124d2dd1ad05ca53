//! What the generators know of a Protobuf service: its methods with Rust names and types. Never: reads a file.

use crate::BuildError;
use buffa_codegen::context::CodeGenContext;
use buffa_codegen::generated::descriptor::{FileDescriptorProto, method_options::IdempotencyLevel};
use buffa_codegen::idents::{make_field_ident, rust_path_to_tokens};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// A Protobuf service.
pub(crate) struct ServicePlan {
    pub file: String,
    pub package: String,
    pub name: String,
    pub comment: String,
    pub methods: Vec<MethodPlan>,
}

/// One of its methods.
pub(crate) struct MethodPlan {
    pub name: String,
    /// As a Rust function: `ListProducts` → `list_products`.
    pub function: Ident,
    pub request: TokenStream,
    pub response: TokenStream,
    /// Declared `NO_SIDE_EFFECTS`: may be asked for with an HTTP GET.
    pub no_side_effects: bool,
    /// Declared `NO_SIDE_EFFECTS` or `IDEMPOTENT`: may be sent again where the first answer was lost.
    pub repeatable: bool,
    pub comment: String,
}

impl ServicePlan {
    /// As on the wire: `store.catalogue.v1.Catalogue`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }

    /// All services of a file; types are named relative to the file's package, or absolutely when `context` says so.
    pub fn of_file(file: &FileDescriptorProto, context: &CodeGenContext<'_>) -> Result<Vec<Self>, BuildError> {
        let file_name = file.name.clone().unwrap_or_default();
        let package = file.package.clone().unwrap_or_default();
        let mut plans = Vec::new();
        for (service_index, service) in file.service.iter().enumerate() {
            let mut methods = Vec::new();
            for (method_index, method) in service.method.iter().enumerate() {
                let name = method.name.clone().unwrap_or_default();
                let level = method.options.idempotency_level;
                let rust_type = |protobuf: &Option<String>| {
                    let protobuf = protobuf.as_deref().unwrap_or_default();
                    context
                        .rust_type_relative(protobuf, &package, 0)
                        .map(|path| rust_path_to_tokens(&path))
                        .ok_or_else(|| BuildError::unsupported(&file_name, format!("`{protobuf}` is not declared")))
                };
                methods.push(MethodPlan {
                    function: make_field_ident(&snake_case(&name)),
                    request: rust_type(&method.input_type)?,
                    response: rust_type(&method.output_type)?,
                    no_side_effects: level == Some(IdempotencyLevel::NO_SIDE_EFFECTS),
                    repeatable: level.is_some_and(|level| level != IdempotencyLevel::IDEMPOTENCY_UNKNOWN),
                    comment: comment(file, &[6, index(service_index), 2, index(method_index)]),
                    name,
                });
            }
            plans.push(Self {
                file: file_name.clone(),
                package: package.clone(),
                name: service.name.clone().unwrap_or_default(),
                comment: comment(file, &[6, index(service_index)]),
                methods,
            });
        }
        Ok(plans)
    }
}

fn index(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// The comment before the declaration at this path of the descriptor; empty when there is none.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let location = file.source_code_info.location.iter().find(|location| location.path == path);
    location.and_then(|location| location.leading_comments.clone()).unwrap_or_default()
}

/// A comment as `#[doc]` attributes, or `otherwise` when it is empty.
pub(crate) fn doc(comment: &str, otherwise: &str) -> TokenStream {
    let text = if comment.trim().is_empty() { otherwise } else { comment.trim_end() };
    let lines = text.lines().map(|line| format!(" {}", line.trim()));
    quote! { #(#[doc = #lines])* }
}

/// `ListProducts` → `list_products`, `GetURLOf` → `get_url_of`.
pub(crate) fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| characters.get(before));
        let after = characters.get(index + 1);
        let starts_word = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if starts_word {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_functions() {
        for (name, function) in [
            ("Get", "get"),
            ("ListProducts", "list_products"),
            ("BatchGetV2Products", "batch_get_v2_products"),
            ("GetURLOf", "get_url_of"),
            ("already_snake", "already_snake"),
        ] {
            assert_eq!(snake_case(name), function);
        }
    }
}

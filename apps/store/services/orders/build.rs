//! Orders calls no other service, so there is no client to generate: only a changed migration needs a rebuild.

#[allow(clippy::print_stdout)] // How a build script speaks to cargo.
fn main() {
    println!("cargo::rerun-if-changed=migrations");
}

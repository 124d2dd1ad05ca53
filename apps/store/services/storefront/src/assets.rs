//! The files every page needs: the stylesheet and the icon, under addresses that change when they do.
//! They are part of the program; nothing is read from a folder.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// The stylesheet's text.
pub const STYLESHEET: &str = include_str!("../assets/store.css");
/// The icon's text.
pub const ICON: &str = include_str!("../assets/icon.svg");

static STYLESHEET_PATH: LazyLock<String> = LazyLock::new(|| path("store", STYLESHEET, "css"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path("icon", ICON, "svg"));

/// Where the stylesheet is: the address holds a hash of its content, so that browsers may keep it for ever.
pub fn stylesheet_path() -> &'static str {
    &STYLESHEET_PATH
}

/// Where the icon is, likewise.
pub fn icon_path() -> &'static str {
    &ICON_PATH
}

fn path(stem: &str, content: &str, extension: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    let hash: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{stem}-{hash}.{extension}")
}

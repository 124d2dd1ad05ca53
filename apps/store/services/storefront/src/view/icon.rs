//! The few signs the pages use, drawn as outlines in the colour of the text beside them.
//! They are ornaments: hidden from screen readers, never the only carrier of a meaning.

use maud::{Markup, PreEscaped, html};

fn outline(path: &'static str) -> Markup {
    html! {
        svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"
            stroke-linejoin="round" aria-hidden="true" focusable="false" {
            (PreEscaped(path))
        }
    }
}

/// The store's mark: reeds over water.
pub fn mark() -> Markup {
    outline(
        r#"<path d="M12 15V3M12 9c2.6 0 4.2-1.6 4.2-4.2C13.600 4.800 12 6.400 12 9zM12 12.500c-2.600 0-4.200-1.600-4.200-4.200 2.600 0 4.200 1.600 4.200 4.200z"/><path d="M2.500 17c1.600 1.300 3.200 1.300 4.750 0s3.150-1.300 4.750 0 3.150 1.300 4.750 0 3.150-1.300 4.750 0M5.500 20.800c1.100.7 2.200.7 3.250 0s2.150-.7 3.250 0 2.150.7 3.250 0 2.150-.7 3.250 0"/>"#,
    )
}

/// A shopping bag.
pub fn bag() -> Markup {
    outline(r#"<path d="M5 8h14l1 12.500H4zM8.500 10.500V7a3.500 3.500 0 0 1 7 0v3.500"/>"#)
}

/// A person.
pub fn person() -> Markup {
    outline(r#"<circle cx="12" cy="8" r="4"/><path d="M4 20.500c1-4 4-6 8-6s7 2 8 6"/>"#)
}

/// A magnifying glass.
pub fn glass() -> Markup {
    outline(r#"<circle cx="10.500" cy="10.500" r="6.500"/><path d="m20 20-4.700-4.700"/>"#)
}

/// A tick in a circle.
pub fn tick() -> Markup {
    outline(r#"<circle cx="12" cy="12" r="9"/><path d="m8 12.300 2.800 2.800L16 9.500"/>"#)
}

/// An exclamation mark in a circle.
pub fn alert() -> Markup {
    outline(r#"<circle cx="12" cy="12" r="9"/><path d="M12 7.500v5.500M12 16.300v.1"/>"#)
}

/// An hourglass.
pub fn hourglass() -> Markup {
    outline(
        r#"<path d="M7 3h10M7 21h10M8 3v3.500c0 2.500 4 3.500 4 5.500s-4 3-4 5.500V21M16 3v3.500c0 2.500-4 3.500-4 5.500s4 3 4 5.500V21"/>"#,
    )
}

/// An arrow to the right.
pub fn arrow() -> Markup {
    outline(r#"<path d="M4 12h16M14 6l6 6-6 6"/>"#)
}

/// An envelope.
pub fn envelope() -> Markup {
    outline(r#"<path d="M3.500 6h17v12.500h-17zM3.500 6.500l8.500 7 8.500-7"/>"#)
}

/// A parcel.
pub fn parcel() -> Markup {
    outline(r#"<path d="M4 7.500 12 3.500l8 4v9l-8 4-8-4zM4 7.500l8 4 8-4M12 11.500v9M8 5.500l8 4"/>"#)
}

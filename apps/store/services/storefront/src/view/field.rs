//! Form fields: each with a label, an optional hint and an optional error, tied together for screen readers.
//! They show what was typed; they never check it.

use maud::{Markup, html};

/// The hidden token that proves a form came from one of our pages.
pub fn csrf(token: &str) -> Markup {
    html! { input type="hidden" name="csrf" value=(token); }
}

/// A hidden value.
pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// One line of text to type. Build it with [`Text::new`] and struct update.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Its name in the form and its id on the page.
    pub name: &'a str,
    /// What the label says.
    pub label: &'a str,
    /// What it holds.
    pub value: &'a str,
    /// The `type` of the input.
    pub kind: &'a str,
    /// Most characters that can be typed.
    pub length_max: u32,
    /// The browser's name for what belongs here; empty for none.
    pub autocomplete: &'a str,
    /// May not be left empty.
    pub required: bool,
    /// Said under the field; empty for nothing.
    pub hint: &'a str,
    /// What is wrong with the value; empty for nothing.
    pub error: &'a str,
    /// `half`, `third`, `two-thirds`, or empty for the whole row.
    pub width: &'a str,
    /// The on-screen keyboard; empty for the usual one.
    pub keyboard: &'a str,
}

impl<'a> Text<'a> {
    /// A required text of the whole row.
    pub fn new(name: &'a str, label: &'a str, value: &'a str, length_max: u32) -> Text<'a> {
        Text {
            name,
            label,
            value,
            kind: "text",
            length_max,
            autocomplete: "",
            required: true,
            hint: "",
            error: "",
            width: "",
            keyboard: "",
        }
    }

    /// The label, the input and what is said about it.
    pub fn render(self) -> Markup {
        let told = |text: &str, suffix: &str| (!text.is_empty()).then(|| format!("{}-{suffix}", self.name));
        let hint = told(self.hint, "hint");
        let error = told(self.error, "error");
        let described: Vec<&str> = [error.as_deref(), hint.as_deref()].into_iter().flatten().collect();
        let described = (!described.is_empty()).then(|| described.join(" "));
        html! {
            div class={ "field " (self.width) } {
                label for=(self.name) {
                    (self.label)
                    @if !self.required { span class="muted" { " (optional)" } }
                }
                input id=(self.name) name=(self.name) type=(self.kind) value=(self.value) maxlength=(self.length_max)
                    autocomplete=[some(self.autocomplete)] inputmode=[some(self.keyboard)] required[self.required]
                    aria-invalid=[error.as_ref().map(|_| "true")] aria-describedby=[described] data-test=(self.name);
                @if let Some(id) = error { p class="error" id=(id) { (self.error) } }
                @if let Some(id) = hint { p class="hint" id=(id) { (self.hint) } }
            }
        }
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A choice among `options`, each a value and what is shown for it.
pub fn choice(
    name: &str,
    label: &str,
    chosen: &str,
    options: &[(&str, &str)],
    width: &str,
    autocomplete: &str,
) -> Markup {
    html! {
        div class={ "field " (width) } {
            label for=(name) { (label) }
            select id=(name) name=(name) autocomplete=[some(autocomplete)] data-test=(name) {
                @for (value, shown) in options {
                    option value=(value) selected[*value == chosen] { (shown) }
                }
            }
        }
    }
}

/// Several lines of text to type.
pub fn area(name: &str, label: &str, value: &str, length_max: u32, hint: &str) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            // A browser drops one line break right after the tag: this one is there to be dropped instead of the text's own.
            textarea id=(name) name=(name) rows="7" maxlength=(length_max) data-test=(name) { "\n" (value) }
            @if !hint.is_empty() { p class="hint" { (hint) } }
        }
    }
}

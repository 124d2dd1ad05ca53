//! Sums: what lines cost, what shipping costs, what is to be paid; and a page with little but one sentence and a way on.
//! Amounts arrive formatted; nothing is added up here.

use maud::{Markup, html};

/// A line of a basket or an order in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlimLine {
    /// The product's name.
    pub name: String,
    /// How many pieces.
    pub quantity: i32,
    /// What they cost together, formatted.
    pub total: String,
}

/// Lines in few words.
pub fn slim_lines(lines: &[SlimLine]) -> Markup {
    html! {
        ul class="slim-lines" {
            @for line in lines {
                li {
                    span { (line.quantity) " × " (line.name) }
                    span class="number" { (line.total) }
                }
            }
        }
    }
}

/// A row of sums: its name and its amount; the last one is the one to be paid when `grand`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// What it is.
    pub name: &'static str,
    /// How much, formatted.
    pub amount: String,
    /// The one that counts.
    pub grand: bool,
    /// Its stable name.
    pub test: &'static str,
}

/// Rows of sums.
pub fn sums(rows: &[Sum]) -> Markup {
    html! {
        dl class="sums" {
            @for row in rows {
                div class=(if row.grand { "grand" } else { "" }) {
                    dt { (row.name) }
                    dd data-test=(row.test) { (row.amount) }
                }
            }
        }
    }
}

/// A page with one thing to say.
pub fn blank(sign: Markup, title: &str, text: &str, ways: &[(&str, &str)]) -> Markup {
    html! {
        div class="inside blank" data-test="blank" {
            (sign)
            h1 { (title) }
            p { (text) }
            @if !ways.is_empty() {
                div class="actions" {
                    @for (place, (href, label)) in ways.iter().enumerate() {
                        a class=(if place == 0 { "button" } else { "button quiet" }) href=(href) { (label) }
                    }
                }
            }
        }
    }
}

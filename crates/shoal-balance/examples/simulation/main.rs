//! Prints the table of `docs/guide/balancing.md`: how requests fare with one odd replica of five, by three ways to balance.
//! Never: measures this machine; the time is virtual, and each run says the same.

#![allow(clippy::print_stdout)] // printing is all it is for

mod random;
mod scenarios;
mod strategy;
mod world;

fn main() {
    print!("{}", scenarios::table());
}

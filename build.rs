//! Migrations are embedded at compile time: a new one has to rebuild what embeds it.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}

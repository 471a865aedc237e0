//! The program carries the browser's files: it is built anew when they change.

fn main() {
    println!("cargo:rerun-if-changed=../target/site/pkg");
}

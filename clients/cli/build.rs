//! Asks the linker to put functions with the same machine code in one place: generic code is often the same for several
//! types, and resident memory is mostly the program's own pages.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Only the linker that comes with the compiler for this target is known to understand it.
    if target_is("linux", "x86_64") && variable("PROFILE") == "release" {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

fn target_is(os: &str, arch: &str) -> bool {
    variable("CARGO_CFG_TARGET_OS") == os
        && variable("CARGO_CFG_TARGET_ARCH") == arch
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
}

#[allow(
    clippy::disallowed_methods,
    reason = "cargo tells build scripts about the target by variables"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

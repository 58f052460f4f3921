//! Lays the program out for little resident memory, most of which is its own pages: functions with the same machine code
//! share one place (generic code is often the same for several types), and those that run in common use lie side by side
//! (`layout/functions.txt`, made by `layout/measure.py`). A function that the list does not know, as with another compiler,
//! lies where it would without it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout/functions.txt");
    println!("cargo::rerun-if-env-changed=KILO_SYMBOLS");
    // Only the linker that comes with the compiler for this target is known to understand it.
    if !target_is("linux", "x86_64") || variable("PROFILE") != "release" {
        return;
    }
    let here = variable("CARGO_MANIFEST_DIR");
    let order = format!("--symbol-ordering-file={here}/layout/functions.txt");
    for word in ["--icf=all", &order, "--no-warn-symbol-ordering"] {
        println!("cargo::rustc-link-arg-bins=-Wl,{word}");
    }
    // The addresses that the loader has to set take a sixteenth of their room so, and loaders since glibc 2.36 know it.
    if has_glibc_since((2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // Cargo's own `strip` would be part of the functions' names, which have to be those that were measured.
    if variable("KILO_SYMBOLS").is_empty() {
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    }
}

/// Whether this machine, which is taken for the one that the program will run on, has at least this version.
#[allow(
    clippy::disallowed_methods,
    reason = "a build script has no sandbox, and asks the system for its version"
)]
fn has_glibc_since(least: (u32, u32)) -> bool {
    let asked = std::process::Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = said
        .unwrap_or_default()
        .trim()
        .strip_prefix("glibc ")
        .map(str::to_owned);
    let version = version.unwrap_or_default();
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= least)
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

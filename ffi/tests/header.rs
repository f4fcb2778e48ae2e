//! `include/libnicfw.h` is what the crate says, and compiles alone as C and as C++.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn committed() -> PathBuf {
    root().join("include/libnicfw.h")
}

fn generated() -> String {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).unwrap();
    let mut out = Vec::new();
    cbindgen::Builder::new().with_crate(crate_dir).with_config(config).generate().unwrap().write(&mut out);
    String::from_utf8(out).unwrap()
}

/// With `NICFW_BLESS=1` the header is written anew.
#[test]
fn the_header_is_the_crates() {
    let generated = generated();
    if std::env::var_os("NICFW_BLESS").is_some() {
        fs::write(committed(), &generated).unwrap();
    }
    let committed = fs::read_to_string(committed()).unwrap();
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(committed == generated, "line {differs:?} differs: NICFW_BLESS=1 cargo test -p nicfw-ffi writes it anew");
}

/// Twice in one unit, and in two units of one program.
#[test]
fn the_header_compiles_alone_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c"];
    for (compiler, standard, name) in [("cc", "-std=c99", "t.c"), ("c++", "-std=c++17", "t.cpp")] {
        let strict: &[&str] = if compiler == "cc" { &["-Wstrict-prototypes", "-Wmissing-prototypes"] } else { &[] };
        let unit = dir.path().join(name);
        let text = "#include <libnicfw.h>\n#include <libnicfw.h>\n\
                    int use(void);\nint use(void) { nicfw_error err = NICFW_INIT(nicfw_error); return err.size == sizeof err; }\n";
        fs::write(&unit, text).unwrap();
        let out = Command::new(compiler)
            .arg(standard)
            .args(warnings)
            .args(strict)
            .arg("-I")
            .arg(root().join("include"))
            .arg(&unit)
            .arg("-o")
            .arg(dir.path().join("t.o"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{compiler}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

/// The macro of the header, the constant, the installed library's version and so the soname, and the version of its symbols
/// are one number.
#[test]
fn the_abi_version_is_one_number() {
    let header = fs::read_to_string(committed()).unwrap();
    let version = nicfw_capi::version::nicfw_abi_version();
    assert!(header.contains(&format!("#define NICFW_ABI_VERSION {version}\n")), "{version}");
    let manifest = fs::read_to_string(root().join("ffi/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("\nversion = \"0.{version}.0\"\n")), "package.metadata.capi.library");
    let linker = fs::read_to_string(root().join("ffi/versions-cc")).unwrap();
    assert!(linker.contains(&format!("\nversion=NICFW_0.{version}\n")), "ffi/versions-cc");
    assert!(manifest.contains("\nrustflags = \"-Clinker=ffi/versions-cc\"\n"), "it links the installed library");
}

/// The README shows the middle of the example, as it stands there.
#[test]
fn the_readme_shows_the_example() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join("ffi/examples/first.c")).unwrap();
    let (_, shown) = readme.split_once("```c\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let indented: String = shown.lines().map(|line| format!("    {line}\n")).collect();
    assert!(example.contains(&indented), "the README shows something else than ffi/examples/first.c");
}

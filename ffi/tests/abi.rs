//! The binary interface as it is written down in `abi.txt`: functions, sizes and offsets of structures, numbers.
//!
//! What a C compiler makes of the header is compared, so that neither this crate nor cbindgen is believed. A change needs
//! another `NICFW_ABI_VERSION`, and with it another soname; numbers and functions may be added without. `NICFW_BLESS=1`
//! writes the file anew in these cases alone.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The header without comments and preprocessor lines, one declaration a line.
fn declarations(header: &str) -> Vec<String> {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let lines =
        code.lines().filter(|line| !line.starts_with('#') && !line.contains("extern \"C\"")).collect::<Vec<_>>();
    let mut out = vec![String::new()];
    let mut depth = 0;
    for c in lines.join("\n").chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ';' if depth == 0 => out.push(String::new()),
            _ => out.last_mut().unwrap().push(if c == '\n' { ' ' } else { c }),
        }
    }
    let squeeze = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
    out.iter().map(squeeze).filter(|text| text.contains("nicfw")).collect()
}

/// The fields of `typedef struct { ... } name`.
fn fields(body: &str) -> impl Iterator<Item = &str> {
    let name = |field: &str| {
        field.trim().split('[').next().and_then(|field| field.split([' ', '*']).next_back()).map(str::len)
    };
    body.split(';').filter(|field| !field.trim().is_empty()).filter_map(move |field| {
        let field = field.trim().split('[').next()?;
        name(field).map(|len| &field[field.len() - len..])
    })
}

/// A C program that prints what the header comes to.
fn program(declarations: &[String]) -> String {
    let mut out = String::from("#include <libnicfw.h>\n#include <stdio.h>\nint main(void) {\n");
    for declaration in declarations {
        let Some((head, body)) = declaration.strip_prefix("typedef ").and_then(|text| text.split_once('{')) else {
            continue;
        };
        let (body, name) = body.rsplit_once('}').unwrap();
        let name = name.trim();
        if head.trim() == "enum" {
            for number in
                body.split(',').filter_map(|entry| entry.split('=').next()).map(str::trim).filter(|n| !n.is_empty())
            {
                writeln!(out, "printf(\"number {name} {number} = %d\\n\", (int){number});").unwrap();
            }
        } else {
            writeln!(out, "printf(\"size {name} = %zu\\n\", sizeof({name}));").unwrap();
            for field in fields(body) {
                writeln!(
                    out,
                    "printf(\"field {name}.{field} at %zu, %zu bytes\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"
                )
                .unwrap();
            }
        }
    }
    out + "return 0;\n}\n"
}

fn abi() -> String {
    let header = fs::read_to_string(root().join("include/libnicfw.h")).unwrap();
    let declarations = declarations(&header);
    let dir = tempfile::tempdir().unwrap();
    let (source, binary) = (dir.path().join("abi.c"), dir.path().join("abi"));
    fs::write(&source, program(&declarations)).unwrap();
    let include = root().join("include");
    let compiled = Command::new("cc").arg("-I").arg(include).arg(&source).arg("-o").arg(&binary).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = String::from_utf8(Command::new(&binary).output().unwrap().stdout).unwrap();
    let functions = declarations.iter().filter(|text| !text.contains('{') && text.contains('('));
    let functions = functions.map(|text| format!("{text}\n")).collect::<String>();
    format!("abi {}\n{printed}{functions}", nicfw_capi::version::NICFW_ABI_VERSION)
}

#[test]
fn the_abi_changes_only_with_its_version() {
    let file = root().join("ffi/abi.txt");
    let (is, was) = (abi(), fs::read_to_string(&file).unwrap_or_default());
    assert!(is.lines().count() > 200, "the header is read: {} lines", is.lines().count());
    let version = |text: &str| text.lines().next().map(str::to_owned);
    let lacks = |text: &str, line: &str| !text.lines().any(|other| other == line);
    let gone: Vec<_> = was.lines().filter(|line| lacks(&is, line)).collect();
    let come: Vec<_> = is.lines().filter(|line| lacks(&was, line)).collect();
    let only_added = gone.is_empty() && come.iter().all(|line| line.starts_with("number ") || line.contains('('));
    if std::env::var_os("NICFW_BLESS").is_some() && (version(&is) != version(&was) || only_added) {
        fs::write(&file, &is).unwrap();
        return;
    }
    let gone = gone.iter().map(|line| format!("- {line}\n"));
    let differs: String = gone.chain(come.iter().map(|line| format!("+ {line}\n"))).collect();
    assert!(
        is == was,
        "the binary interface changed:\n{differs}Unless functions or numbers were added alone, raise NICFW_ABI_VERSION and the \
         library's version in ffi/Cargo.toml; then NICFW_BLESS=1 cargo test -p nicfw-ffi"
    );
}

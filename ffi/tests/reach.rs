//! Nothing of the library's public face is forgotten in C: every public operation is named in `reach.txt`, with the function
//! of the header that reaches it, or with the reason why none does. And every function of the header is tested in C.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{ImplItem, Item, UseTree, Visibility};

/// The modules of which the public operations are looked for, below `src`.
const FACE: &[&str] = &["terms", "policy", "policy/import", "tables", "tables/plan", "firewall", "adapter", "device"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn parse(path: &Path) -> syn::File {
    syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn names_of_use(tree: &UseTree, into: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => names_of_use(&path.tree, into),
        UseTree::Name(name) => drop(into.insert(name.ident.to_string())),
        UseTree::Rename(rename) => drop(into.insert(rename.rename.to_string())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| names_of_use(tree, into)),
        UseTree::Glob(_) => panic!("the public face names what it shows"),
    }
}

/// What a module shows: re-exported or defined names, and its functions.
fn shown(module: &Path, types: &mut BTreeSet<String>, operations: &mut BTreeSet<String>) {
    for item in parse(&module.join("mod.rs")).items {
        match item {
            Item::Use(item) if is_public(&item.vis) => names_of_use(&item.tree, types),
            Item::Struct(item) if is_public(&item.vis) => drop(types.insert(item.ident.to_string())),
            Item::Enum(item) if is_public(&item.vis) => drop(types.insert(item.ident.to_string())),
            Item::Fn(item) if is_public(&item.vis) => drop(operations.insert(item.sig.ident.to_string())),
            _ => {}
        }
    }
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

/// `Type::method` of every public method of a type that the face shows, and its functions.
fn operations() -> BTreeSet<String> {
    let src = root().join("src");
    let mut found = BTreeSet::new();
    for room in ["terms", "policy", "tables", "firewall", "adapter", "device"] {
        let mut types = BTreeSet::new();
        let modules = FACE.iter().filter(|module| module.split('/').next() == Some(room));
        modules.for_each(|module| shown(&src.join(module), &mut types, &mut found));
        let mut files = Vec::new();
        rust_files(&src.join(room), &mut files);
        for item in files.iter().flat_map(|file| parse(file).items) {
            let Item::Impl(item) = item else { continue };
            let (None, syn::Type::Path(path)) = (&item.trait_, &*item.self_ty) else { continue };
            let name = path.path.segments.last().unwrap().ident.to_string();
            let methods = item.items.iter().filter_map(|item| match item {
                ImplItem::Fn(method) if is_public(&method.vis) => Some(&method.sig.ident),
                _ => None,
            });
            found.extend(methods.filter(|_| types.contains(&name)).map(|method| format!("{name}::{method}")));
        }
    }
    found
}

fn header() -> String {
    fs::read_to_string(root().join("include/libnicfw.h")).unwrap()
}

/// The functions of the header.
fn functions() -> BTreeSet<String> {
    let text = header();
    let called = text.match_indices("nicfw_").filter_map(|(at, _)| {
        let name: String = text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        text[at + name.len()..].starts_with('(').then_some(name)
    });
    called.collect()
}

#[test]
fn every_public_operation_is_reached_or_left_out_with_a_reason() {
    let (operations, functions) = (operations(), functions());
    assert!(operations.len() > 80 && functions.len() > 50, "{} and {} found", operations.len(), functions.len());
    let text = fs::read_to_string(root().join("ffi/tests/reach.txt")).unwrap();
    let mut listed = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (operation, how) =
            line.split_once(' ').unwrap_or_else(|| panic!("{line}: expected OPERATION = FUNCTION or : REASON"));
        listed.insert(operation, how);
        match how.split_once(' ') {
            Some(("=", names)) => {
                let missing = names.split(' ').filter(|name| !functions.contains(*name));
                wrong.extend(missing.map(|name| format!("{operation}: the header has no {name}")));
            }
            Some((":", reason)) if reason.len() > 10 => {}
            _ => wrong.push(format!("{line}: neither a function nor a reason")),
        }
    }
    let whole_type = |operation: &str| operation.split("::").next().map(|name| format!("{name}::*"));
    let is_listed = |operation: &str| {
        listed.contains_key(operation) || whole_type(operation).is_some_and(|all| listed.contains_key(&*all))
    };
    wrong.extend(
        operations.iter().filter(|op| !is_listed(op)).map(|op| format!("{op} is public in Rust and not in reach.txt")),
    );
    let is_there = |listed: &&&str| match listed.strip_suffix('*') {
        Some(name) => operations.iter().any(|operation| operation.starts_with(name)),
        None => operations.contains(**listed),
    };
    wrong.extend(
        listed.keys().filter(|op| !is_there(op)).map(|op| format!("{op} is in reach.txt and not public in Rust")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_is_called_in_a_c_test() {
    let read = |name: &str| fs::read_to_string(root().join("ffi/tests").join(name)).unwrap();
    let tests = ["arguments.c", "handles.c", "structures.c", "whole.c", "threads.c", "check.h"].map(read).join("\n");
    let handles = read("handles.c");
    let text = header();
    let takes_handle = |name: &str| {
        let prototype = text.split(&format!("{name}(")).nth(1).and_then(|rest| rest.split(");").next()).unwrap_or("");
        let first = prototype.split(',').next().unwrap_or("").trim_start_matches("const ");
        ["adapter", "policy", "builder", "compiled", "plan", "list"]
            .iter()
            .any(|kind| first.starts_with(&format!("nicfw_{kind} *")) && !first.contains("**"))
    };
    let mut missing = Vec::new();
    for name in functions() {
        let call = format!("{name}(");
        if !tests.contains(&call) {
            missing.push(format!("{name} is called in no C test"));
        }
        if takes_handle(&name) && !handles.contains(&call) {
            missing.push(format!("{name} takes a handle, and handles.c gives it no bad one"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

//! What may grow can grow: of every room of the public face.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Fields, Item, Visibility};

/// Structures with public fields that stay what they are, each with the reason.
const FIXED: &[(&str, &str)] = &[
    ("Head", "a number and a hash name a record, and nothing else does"),
    ("Hash", "32 bytes"),
    ("Observed", "an engine and its observer; a private field keeps others from making one"),
    ("MacAddr", "six bytes"),
    ("Interval", "two ends"),
    ("AddrSet", "addresses have two families"),
    ("Packet", PARSER),
    ("IpHeader", PARSER),
    ("Flow", PARSER),
    ("IpFlow", PARSER),
    ("Ports", "two ports"),
    ("Document", MAKER),
    ("Policy", MAKER),
    ("Rule", MAKER),
    ("Remote", MAKER),
    ("PortPair", "two sets of ports"),
    ("Origin", MAKER),
    ("Management", MAKER),
    ("Binding", MAKER),
    (
        "Settings",
        "what a file of rules does not say: whoever imports answers every question; the firewall's is not of this kind",
    ),
    ("Values", "a list, and whether it is meant or all else"),
    ("CounterId", "a number"),
    ("CounterValue", "frames of two directions"),
    ("OriginId", "a number"),
    ("SubnetId", "a number"),
    ("PortRangeId", "a number"),
    ("EngineProfile", SIZES),
    ("Target", SIZES),
    ("Sizes", SIZES),
    ("Tables", CONTENT),
    ("Entry", CONTENT),
    ("ImageEntry", CONTENT),
    ("Side", CONTENT),
    ("Image", CONTENT),
    ("SubnetNode", CONTENT),
    ("SubnetMap", CONTENT),
    ("PortTreeEntry", CONTENT),
    ("PortMap", CONTENT),
    ("PciAddress", "domain, bus, device and function"),
    ("PciId", "vendor and device"),
    ("Encoded", "a command's number and bytes, behind `raw`"),
];

const PARSER: &str = "whoever reads frames names every field, so that a new one is thought of where frames come in";
const MAKER: &str =
    "whoever makes a document in a program names every field, so that a new word of the language is thought of";
const SIZES: &str = "whoever describes tables names every size, so that a new one is thought of";
const CONTENT: &str = "what the adapter's tables hold: whoever writes another engine needs all of it";

/// Files of `device::vfio_user` that `cargo doc` does not show: the model serves by them.
const HIDDEN: &[&str] = &["capabilities.rs", "socket.rs", "wire.rs"];

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if name == "tests" || HIDDEN.contains(&name) => {}
            _ if path.is_dir() => found.extend(rust_files(&path)),
            _ if path.extension().is_some_and(|ext| ext == "rs") => found.push(path),
            _ => {}
        }
    }
    found
}

fn may_grow(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"))
}

#[test]
fn public_structures_and_errors_may_grow() {
    let (mut seen, mut fixed) = (0, Vec::new());
    for room in ["terms", "policy", "tables", "device", "adapter", "firewall", "journal"] {
        for file in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)) {
            let parsed = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
            for item in parsed.items {
                let (name, visibility, attributes, open) = match &item {
                    Item::Struct(item) => {
                        let public =
                            |fields: &Fields| fields.iter().any(|field| matches!(field.vis, Visibility::Public(_)));
                        (item.ident.to_string(), &item.vis, &item.attrs, public(&item.fields))
                    }
                    Item::Enum(item) => {
                        let name = item.ident.to_string();
                        let open = name.ends_with("Error") || name.ends_with("Cause");
                        (name, &item.vis, &item.attrs, open)
                    }
                    _ => continue,
                };
                if !matches!(visibility, Visibility::Public(_)) || !open {
                    continue;
                }
                seen += 1;
                if !may_grow(attributes) && !FIXED.iter().any(|(known, _)| *known == name) {
                    fixed.push(format!("{}: {name}", file.display()));
                }
            }
        }
    }
    assert!(seen > 90, "the scan finds {seen} structures and errors");
    assert!(fixed.is_empty(), "add #[non_exhaustive] and a constructor, or a line with the reason: {fixed:#?}");
}

//! The files that a package is made of, without its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of the module tree below `root`, as `mod name;` names them, in that order; what stands under `#[cfg(test)]` is left
/// out. Paths begin as `root` does.
///
/// # Errors
/// A sentence that names the file that cannot be read or parsed.
pub fn files_of(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while next < found.len() {
        let file = found[next].clone();
        next += 1;
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        below(&parsed.items, &folder_of(&file), &mut found)?;
    }
    Ok(found)
}

/// Where the modules of a file lie.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => folder,
        Some(stem) => folder.join(stem),
    }
}

fn below(items: &[syn::Item], folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    for item in items {
        let syn::Item::Mod(module) = item else { continue };
        if is_test(&module.attrs) {
            continue;
        }
        let name = module.ident.to_string();
        if let Some((_, items)) = &module.content {
            below(items, &folder.join(&name), found)?;
            continue;
        }
        let file = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")]
            .into_iter()
            .find(|file| file.is_file())
            .ok_or_else(|| format!("{}: there is no file of module {name}", folder.display()))?;
        // A twin for another feature names the same file.
        if !found.contains(&file) {
            found.push(file);
        }
    }
    Ok(())
}

/// True for what only tests compile: `#[test]`, and `#[cfg(..)]` that needs `test`.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        if path.is_ident("test") {
            return true;
        }
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string();
        path.is_ident("cfg") && (condition == "test" || condition.starts_with("all (test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_library_is_found_but_its_tests() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let files = files_of(&root.join("src/lib.rs")).unwrap();
        assert!(files.iter().any(|file| file.ends_with("src/policy/decide/evaluate.rs")));
        assert!(files.iter().any(|file| file.ends_with("src/firewall/change.rs")));
        for file in &files {
            let inside = file.strip_prefix(&root).unwrap();
            assert!(!inside.components().any(|part| part.as_os_str() == "tests"), "{}", inside.display());
        }
        let mut sorted = files.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), files.len());
    }

    #[test]
    fn attributes_of_tests_are_known() {
        let attributes = |text: &str| syn::parse_str::<syn::ItemFn>(&format!("{text} fn f() {{}}")).unwrap().attrs;
        assert!(is_test(&attributes("#[cfg(test)]")));
        assert!(is_test(&attributes("#[test]")));
        assert!(is_test(&attributes("#[cfg(all(test, unix))]")));
        assert!(!is_test(&attributes("#[cfg(not(test))]")));
        assert!(!is_test(&attributes("#[cfg(feature = \"raw\")]")));
    }
}

//! A copy of the repository with mutants in it, and its test programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::rooms::Package;
use crate::weave::Woven;

/// What the woven code asks; goes into the library as a module.
const SWITCH: &str = include_str!("../switch.txt");

/// The copy, and where its programs are built.
pub struct Tree {
    root: PathBuf,
    target: PathBuf,
}

/// A test program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Name of the target.
    pub name: String,
    pub path: PathBuf,
    /// Where cargo would run it.
    pub folder: PathBuf,
}

/// Why a build ended without programs.
pub enum BuildError {
    /// Places of the copy that the compiler refuses.
    Refused(Vec<(PathBuf, Range<usize>)>),
    /// Anything else, as a sentence.
    Other(String),
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    spans: Vec<Place>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Place {
    file_name: PathBuf,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}

impl Tree {
    /// Copies what git knows of the repository below `out`; files that are the same already are left alone, so that a second
    /// build is short.
    ///
    /// # Errors
    /// A sentence that names what cannot be read or written.
    pub fn copy(repository: &Path, out: &Path) -> Result<Tree, String> {
        let tree = Tree { root: out.join("tree"), target: out.join("target") };
        let list = Command::new("git")
            .args(["ls-files", "-co", "--exclude-standard", "-z"])
            .current_dir(repository)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let list = String::from_utf8_lossy(&list.stdout);
        let files: BTreeSet<&str> = list.split('\0').filter(|file| !file.is_empty()).collect();
        if files.is_empty() {
            return Err(format!("git lists no file in {}", repository.display()));
        }
        forget(&tree.root, &tree.root, &files).map_err(|error| format!("{}: {error}", tree.root.display()))?;
        for file in files {
            let from = repository.join(file);
            if !from.is_file() {
                continue;
            }
            let to = tree.root.join(file);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            }
            let content = fs::read(&from).map_err(|error| format!("{}: {error}", from.display()))?;
            if fs::read(&to).ok().as_ref() != Some(&content) {
                fs::copy(&from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
            }
        }
        Ok(tree)
    }

    /// Writes woven files in place of the ones of the repository, and the others as they are there.
    ///
    /// # Errors
    /// A sentence that names what cannot be written.
    pub fn weave(&self, repository: &Path, all: &[PathBuf], woven: &BTreeMap<PathBuf, Woven>) -> Result<(), String> {
        for file in all {
            let plain =
                || fs::read_to_string(repository.join(file)).map_err(|error| format!("{}: {error}", file.display()));
            let text = match woven.get(file) {
                Some(woven) => woven.text.clone(),
                None => plain()?,
            };
            self.write(file, &text)?;
        }
        let library = Path::new(Package::Library.root());
        let text =
            fs::read_to_string(repository.join(library)).map_err(|error| format!("{}: {error}", library.display()))?;
        self.write(library, &format!("{text}\n#[doc(hidden)]\npub mod chosen_mutant;\n"))?;
        self.write(Path::new("src/chosen_mutant.rs"), SWITCH)
    }

    fn write(&self, file: &Path, text: &str) -> Result<(), String> {
        let to = self.root.join(file);
        if fs::read_to_string(&to).is_ok_and(|held| held == text) {
            return Ok(());
        }
        fs::write(&to, text).map_err(|error| format!("{}: {error}", to.display()))
    }

    /// Builds the test targets `names`, or only checks the packages.
    ///
    /// # Errors
    /// The places that do not compile, or what else went wrong.
    pub fn build(&self, names: &BTreeSet<&str>, check: bool) -> Result<Vec<Program>, BuildError> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        if check {
            cargo.args(["check", "--lib"]);
        } else {
            cargo.args(["test", "--no-run", "--lib"]);
            for name in names.iter().filter(|name| !matches!(**name, "nicfw" | "nicfw_model")) {
                cargo.args(["--test", name]);
            }
        }
        cargo.args(["--locked", "--message-format=json", "-p", "nicfw", "-p", "nicfw-model"]);
        // What a mutant makes unused, unreachable or overflowing is its own affair.
        cargo.env("RUSTFLAGS", "--cap-lints=allow").env("CARGO_TARGET_DIR", &self.target).current_dir(&self.root);
        cargo.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = cargo.output().map_err(|error| BuildError::Other(format!("cargo: {error}")))?;
        let mut programs = Vec::new();
        let mut refused = Vec::new();
        let mut other = String::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(message) = serde_json::from_str::<Message>(line) else { continue };
            if let (Some(path), Some(target), Some(manifest)) =
                (message.executable, message.target, message.manifest_path)
            {
                let folder = manifest.parent().map(Path::to_owned).unwrap_or_default();
                programs.push(Program { name: target.name, path, folder });
            }
            let Some(said) =
                message.message.filter(|said| message.reason == "compiler-message" && said.level == "error")
            else {
                continue;
            };
            let places = said.spans.iter().filter(|place| place.is_primary).chain(&said.spans);
            match places.into_iter().next() {
                Some(place) => refused.push((place.file_name.clone(), place.byte_start..place.byte_end)),
                None => other.push_str(said.rendered.as_deref().unwrap_or(&said.message)),
            }
        }
        if output.status.success() {
            return Ok(programs);
        }
        if refused.is_empty() {
            return Err(BuildError::Other(format!("{other}{}", String::from_utf8_lossy(&output.stderr))));
        }
        Err(BuildError::Refused(refused))
    }
}

/// Takes away what an earlier copy had and the repository no longer lists.
fn forget(root: &Path, folder: &Path, files: &BTreeSet<&str>) -> std::io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(root, &path, files)?;
            continue;
        }
        let listed = path.strip_prefix(root).ok().and_then(Path::to_str).is_some_and(|file| files.contains(file));
        if !listed {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

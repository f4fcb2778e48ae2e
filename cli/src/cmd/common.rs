//! Documents, and what is made of them.

use std::path::Path;

use nicfw::Target;
use nicfw::policy::{Document, LONGEST_DOCUMENT};
use nicfw::tables::{CompileError, Compiled};
use nicfw::terms::MacAddr;

use crate::emulated::{Emulated, Loaded};
use crate::failure::Failure;
use crate::input;
use crate::output::Progress;

/// MAC of the host's own function: a locally administered one.
pub(super) const HOST: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0xfe]);

/// Reads a policy file. It is named in errors and origins as it was on the command line.
pub(super) fn document(path: &Path) -> Result<Document, Failure> {
    let name = input::name(path);
    let text = input::read(path, LONGEST_DOCUMENT, "a policy file")?;
    let text = String::from_utf8(text).map_err(|error| {
        let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = valid.filter(|byte| **byte == b'\n').count() + 1;
        Failure::usage(format!("{name}:{line}: not UTF-8; expected a policy in UTF-8; save the file as UTF-8")).at(
            &name,
            u32::try_from(line).ok(),
            "not UTF-8",
        )
    })?;
    Document::parse(&text, &name).map_err(|errors| Failure::wrong_document(&errors, &name))
}

/// Compiles for the emulated adapter.
pub(super) fn compile(document: &Document) -> Result<Compiled, Failure> {
    let adapter = Emulated::new(&[HOST])?;
    compiled(document, adapter.target(), None, &mut Progress::new())
        .map_err(|error| Failure::refused(&error, document, adapter.target()))
}

/// Compiles, and says how far it is.
pub(super) fn compiled(
    document: &Document,
    target: &Target,
    before: Option<&Compiled>,
    progress: &mut Progress,
) -> Result<Compiled, CompileError> {
    let name = &document.name;
    Compiled::watched(document, target, before, &mut |step| progress.say(&format!("compiling {name}: {step}")))
}

/// A fresh emulated adapter, with a function for each binding, that holds the policy.
pub(super) fn load(document: &Document) -> Result<(Emulated, Loaded), Failure> {
    let macs = document.bindings.iter().map(|binding| binding.mac);
    let mut progress = Progress::new();
    progress.say(&format!("loading {}", document.name));
    let mut adapter = Emulated::new(&[HOST].into_iter().chain(macs).collect::<Vec<_>>())?;
    let loaded = adapter.load(document)?;
    Ok((adapter, loaded))
}

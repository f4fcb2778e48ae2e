//! Writes what a package ships beside the programs, below the directory that it is told: manual pages, and completions for
//! bash, zsh and fish. All of it comes from the programs' own command lines, so it cannot say anything else than they do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

/// Shell, and where a distribution keeps completions for it.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions"),
    (Shell::Zsh, "usr/share/zsh/vendor-completions"),
    (Shell::Fish, "usr/share/fish/vendor_completions.d"),
];

fn folder(root: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = root.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn main() -> io::Result<()> {
    let Some(root) = std::env::args_os().nth(1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: manuals DIRECTORY"));
    };
    let root = Path::new(&root);
    for mut program in nicfw_cli::programs() {
        let name = program.get_name().to_owned();
        for (shell, place) in COMPLETIONS {
            let file = clap_complete::generate_to(shell, &mut program, &name, folder(root, place)?)?;
            // bash-completion looks for a file that is called as the program is.
            if shell == Shell::Bash {
                fs::rename(&file, file.with_file_name(&name))?;
            }
        }
        clap_mangen::generate_to(program, folder(root, "usr/share/man/man1")?)?;
    }
    Ok(())
}

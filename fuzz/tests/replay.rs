//! Every file of the corpus and every past finding, through its target.

use std::fs;
use std::path::{Path, PathBuf};

use nicfw_fuzz::TARGETS;

fn files(dir: &str, target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir).join(target);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn corpus_and_findings_are_survived() {
    std::thread::scope(|scope| {
        for target in TARGETS {
            let files = [files("corpus", target.name), files("regressions", target.name)].concat();
            assert!(!files.is_empty(), "corpus/{} is empty", target.name);
            scope.spawn(move || {
                (target.run)(&[]);
                for file in files {
                    eprintln!("{} {}", target.name, file.display());
                    (target.run)(&fs::read(&file).unwrap());
                }
            });
        }
    });
}

#[test]
fn every_directory_is_a_target_s() {
    for dir in ["corpus", "regressions"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let known = nicfw_fuzz::target(&name).is_some() || entry.file_type().unwrap().is_file();
            assert!(known, "{dir}/{name} belongs to no target");
        }
    }
}

#[test]
fn every_finding_is_described() {
    let described = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions/README.md")).unwrap();
    for target in TARGETS {
        for file in files("regressions", target.name) {
            let name = format!("`{}/{}`", target.name, file.file_name().unwrap().to_str().unwrap());
            assert!(described.contains(&name), "regressions/README.md does not say what {name} found");
        }
    }
}

//! The examples, as they stand: each is run, and says what it is to say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use nicfw::MacAddr;
use nicfw_model::serve::Listener;
use nicfw_model::{FunctionConfig, Model, ModelConfig, serve};

/// What an example prints; it must end with success.
fn example(name: &str, arguments: &[&str]) -> String {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(program.exists(), "cargo test --workspace builds {}", program.display());
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A folder for one test, away again at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nicfw-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_example_is_tried_here() {
    let tried = ["apply.rs", "check.rs", "embed.rs", "watch.rs"];
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    let mut there: Vec<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    assert_eq!(there, tried);
}

#[test]
fn check_says_what_the_demo_s_policy_costs_and_opens() {
    let text = example("check", &["cli/demo/shop.yaml"]);
    assert!(text.contains(": 22 of 8192\n"), "{text}");
    assert!(text.contains("\nopen: "), "{text}");
    assert!(text.ends_with("allow: policy web, rule 1 (cli/demo/shop.yaml:12)\n"), "{text}");
}

#[test]
fn apply_adopts_then_changes_and_watch_finds_it_sound() {
    let folder = Folder::new("examples");
    let (socket, journal) = (folder.file("nic.sock"), folder.file("nic.journal"));
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let listener = Listener::bind(Path::new(&socket)).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve::serve(&model, 0, &listener, &stop));
        // Also when an assertion fails, so that it is told.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        let place = format!("vfio-user:{socket}");
        let adopted = example("apply", &["ffi/examples/web.yaml", &place, &journal]);
        assert!(adopted.contains("1924:0a03 PF 0") && adopted.contains("\nadopted: "), "{adopted}");
        let web = model.snapshot();
        assert!(!web.rules.is_empty());
        let changed = example("apply", &["cli/demo/shop.yaml", &place, &journal]);
        assert!(changed.contains("\nfound: Same\nchanged: "), "{changed}");
        assert_ne!(model.snapshot().rules, web.rules);
        let same = example("apply", &["cli/demo/shop.yaml", &place, &journal]);
        assert!(same.ends_with("\nchanged: 0 commands\n"), "{same}");
        let watched = example("watch", &[&place, &journal, "2"]);
        assert_eq!(watched, "found: Same\nsound: true, 0 frames counted\nsound: true, 0 frames counted\n");
    });
}

#[test]
fn embed_lives_a_firewall_s_life() {
    let text = example("embed", &[]);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].ends_with(" commands, and a minute to say that it works"), "{text}");
    assert_eq!(lines[1], "allow: policy web, rule 1 (shop.yaml:7)");
    assert!(lines[2].starts_with("found: Same, "), "{text}");
    assert_eq!(lines[3..], ["sound: true"]);
}

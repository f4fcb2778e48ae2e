//! Under `cargo fuzz`: libFuzzer's entry to the target that the environment variable `NICFW_FUZZ_TARGET` names; one binary
//! for all targets, so that they are linked once. Otherwise: runs a target on files, to look at a finding.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static RUN: std::sync::LazyLock<fn(&[u8])> = std::sync::LazyLock::new(|| {
        let name = std::env::var("NICFW_FUZZ_TARGET").expect("NICFW_FUZZ_TARGET names a target");
        nicfw_fuzz::target(&name).expect("NICFW_FUZZ_TARGET names a target").run
    });
    RUN(data);
});

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = arguments.first().and_then(|name| nicfw_fuzz::target(name));
    let (Some(target), Some(files)) = (target, arguments.get(1..).filter(|files| !files.is_empty())) else {
        let names: Vec<_> = nicfw_fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: nicfw-fuzz TARGET FILE...\ntargets: {}", names.join(" "));
        return std::process::ExitCode::FAILURE;
    };
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => (target.run)(&bytes),
            Err(error) => {
                eprintln!("{file}: {error}");
                return std::process::ExitCode::FAILURE;
            }
        }
        println!("{file}: survived");
    }
    std::process::ExitCode::SUCCESS
}

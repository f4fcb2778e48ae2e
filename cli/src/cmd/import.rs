//! `nicfw import`: rules of another firewall as a policy file.

use std::io::{self, Write};
use std::path::Path;

use nicfw::policy::import::{Format, Import, ImportError, LARGEST_FILE, NotCarried, Settings, View, import};
use nicfw::policy::{Attach, MacvlanMode};
use nicfw::terms::Verdict;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{Progress, Report, shown};
use crate::{args, input};

#[derive(Serialize)]
struct ImportReport {
    /// The policy file.
    policy: String,
    rules: usize,
    not_carried: Vec<NotCarriedReport>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct NotCarriedReport {
    line: u32,
    /// What nft calls the rule by.
    handle: Option<u64>,
    comment: Option<String>,
    effect: String,
    reason: String,
    text: String,
}

pub fn run(args: &args::Import) -> Result<Report, Failure> {
    let (Some(file), Some(container), Some(mac)) = (&args.file, &args.container, args.mac) else {
        return Err(Failure::usage("a file, --container, --ip and --mac are needed; see: nicfw import --help"));
    };
    let name = input::name(file);
    let settings = Settings {
        attach: match args.attach {
            args::ImportAttach::MacvlanVepa => Attach::Macvlan(MacvlanMode::Vepa),
            args::ImportAttach::MacvlanPrivate => Attach::Macvlan(MacvlanMode::Private),
            args::ImportAttach::Sriov => Attach::Sriov,
            args::ImportAttach::None => Attach::None,
        },
        open_nd: args.open_nd,
        unbound: verdict(args.unbound),
        multicast: verdict(args.multicast),
        vlan: args.vlan,
        ..settings(args, Settings::new(container, args.ip.clone(), mac))
    };
    let imported = read(args, file, &settings)?;
    let exit = if imported.not_carried.is_empty() { Exit::Done } else { Exit::DoesNotFit };
    if args.output.json {
        return Report::json(&report(imported), exit);
    }
    tell(&name, &imported)?;
    Ok(Report { text: imported.yaml, exit })
}

/// Reads and imports a file.
pub(super) fn read(args: &args::Import, file: &Path, settings: &Settings) -> Result<Import, Failure> {
    let name = input::name(file);
    let bytes = input::read(file, LARGEST_FILE, "a file with rules")?;
    let mut progress = Progress::new();
    progress.say(&format!("importing {name}"));
    import(format(args.format), &bytes, &name, settings).map_err(|error| refused(&name, &error))
}

/// The list goes to stderr, so that stdout is the policy file and nothing else.
fn tell(name: &str, imported: &Import) -> Result<(), Failure> {
    let mut err = io::stderr().lock();
    for line in &imported.not_carried {
        writeln!(err, "{}", shown(&format!("{name}:{line}")))?;
    }
    for note in &imported.notes {
        writeln!(err, "{}", shown(&format!("note: {note}")))?;
    }
    Ok(())
}

fn refused(name: &str, error: &ImportError) -> Failure {
    let exit = match error {
        ImportError::State { .. }
        | ImportError::TooMany { .. }
        | ImportError::Cycle { .. }
        | ImportError::Rule { .. } => Exit::DoesNotFit,
        _ => Exit::Usage,
    };
    // Errors about a line begin with its number.
    let text = error.to_string();
    let colon = if text.starts_with(|c: char| c.is_ascii_digit()) { ":" } else { ": " };
    let failure = Failure::new(exit, format!("{name}{colon}{text}"));
    match error {
        ImportError::Binary { line }
        | ImportError::Syntax { line, .. }
        | ImportError::Cycle { line, .. }
        | ImportError::TooMany { line, .. }
        | ImportError::State { line, .. } => failure.at(name, Some(*line), &text),
        ImportError::Rule { line, .. } => failure.at(name, Some(*line).filter(|line| *line > 0), &text),
        _ => failure.at(name, None, &text),
    }
}

fn report(imported: Import) -> ImportReport {
    let one = |NotCarried { line, text, effect, reason, handle, comment, .. }| NotCarriedReport {
        line,
        handle,
        comment,
        effect: effect.to_string(),
        reason,
        text,
    };
    ImportReport {
        rules: imported.document.policies.iter().map(|policy| policy.rules.len()).sum(),
        policy: imported.yaml,
        not_carried: imported.not_carried.into_iter().map(one).collect(),
        notes: imported.notes,
    }
}

fn format(format: args::ImportFormat) -> Format {
    match format {
        args::ImportFormat::Classbench => Format::Classbench,
        args::ImportFormat::Iptables => Format::Iptables,
        args::ImportFormat::Nft => Format::Nft,
        args::ImportFormat::DpdkAcl => Format::DpdkAcl,
    }
}

/// What no policy file says, beside what it says.
pub(super) fn settings(args: &args::Import, said: Settings) -> Settings {
    Settings {
        view: match args.view {
            args::ImportView::Host => View::Host,
            args::ImportView::Router => View::Router,
        },
        uplinks: args.uplink.clone(),
        inside: args.inside.clone(),
        domain: args.domain,
        accept_stateless: args.accept_stateless,
        ..said
    }
}

fn verdict(verdict: args::ImportVerdict) -> Verdict {
    match verdict {
        args::ImportVerdict::Allow => Verdict::Allow,
        args::ImportVerdict::Deny => Verdict::Deny,
    }
}

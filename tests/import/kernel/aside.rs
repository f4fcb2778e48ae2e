//! What is no fault of an import: what does not come again, and what the tool itself has lost.

use crate::frames::Frame;
use crate::judge::{Finding, Imported, Outcome, Patience, Source, Spelling, Tool};

/// How often a file is judged again before a finding of it is put aside.
const AGAIN: usize = 2;

/// Takes the faults out that do not come again, and tells them: the same frames are sent one by one through new namespaces.
/// A frame may come late while the machine has much to do; a fault of an import comes each time.
pub fn once(source: &Source, frames: &[Frame], imports: &[Imported], findings: &mut [Vec<Finding>]) -> Vec<String> {
    let faults = |(at, (import, findings)): (usize, (&Imported, &Vec<Finding>))| {
        findings.iter().filter(|finding| import.is_fault(finding)).map(|finding| (at, *finding)).collect::<Vec<_>>()
    };
    let mut open: Vec<_> = imports.iter().zip(&*findings).enumerate().flat_map(faults).collect();
    for _ in 0..AGAIN {
        if open.is_empty() {
            return Vec::new();
        }
        match source.judge(frames, Patience::EachFrame) {
            Outcome::Judged { findings, .. } => {
                open.retain(|(at, finding)| findings.get(*at).is_some_and(|again| !again.contains(finding)));
            }
            Outcome::NotLoaded(_) => return Vec::new(),
        }
    }
    for (findings, at) in findings.iter_mut().zip(0..) {
        findings.retain(|finding| !open.contains(&(at, *finding)));
    }
    let told = |(at, finding): (usize, Finding)| format!("{}: {finding:?}\n{}", imports[at].spelling, source.text);
    open.into_iter().map(told).collect()
}

/// Takes the faults out that are the tool's, and tells them: it does not list what it has loaded.
pub fn were_listed_otherwise(
    source: &Source,
    frames: &[Frame],
    imports: &[Imported],
    findings: &mut [Vec<Finding>],
) -> Vec<String> {
    let mut told = Vec::new();
    for (import, findings) in imports.iter().zip(findings) {
        let Some(fault) = findings.iter().find(|finding| import.is_fault(finding)) else { continue };
        let text = format!("{}: {fault:?}\n{}", import.spelling, source.text);
        let (Some(judged), len) = (as_listed(source, frames, import), findings.len()) else { continue };
        findings.retain(|finding| !import.is_fault(finding) || judged.contains(finding));
        told.extend((findings.len() < len).then_some(text));
    }
    told
}

/// Whether the kernel agrees with an import as soon as it has loaded what was imported.
pub fn listed_otherwise(source: &Source, frames: &[Frame], import: &Imported, finding: &Finding) -> bool {
    as_listed(source, frames, import).is_some_and(|findings| !findings.contains(finding))
}

/// What is found about an import once its listing is loaded in place of the file that was listed.
fn as_listed(source: &Source, frames: &[Frame], import: &Imported) -> Option<Vec<Finding>> {
    let (tool, spelling) = match import.spelling {
        Spelling::IptablesSave => (Tool::Iptables, Spelling::IptablesFile),
        Spelling::Ip6tablesSave => (Tool::Ip6tables, Spelling::Ip6tablesFile),
        Spelling::NftList => (Tool::Nft, Spelling::NftList),
        Spelling::IptablesFile | Spelling::Ip6tablesFile | Spelling::NftListOfIptables => return None,
    };
    // The listing of all rules has what other programs had loaded in it.
    let before = if tool == Tool::Nft { String::new() } else { source.before.clone() };
    let given = (tool == Tool::Nft).then(|| import.input.clone());
    let listed = Source { tool, text: import.loads.clone(), before, given, ..source.clone() };
    let Outcome::Judged { imports, findings, .. } = listed.judge(frames, Patience::None) else { return None };
    imports.iter().zip(findings).find(|(import, _)| import.spelling == spelling).map(|(_, findings)| findings)
}

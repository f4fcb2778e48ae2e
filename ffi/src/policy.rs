//! Policies from text.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use nicfw::policy::{Document, FlowText};

use crate::call::{free, run};
use crate::failure::{Failure, Result};
use crate::handle;
use crate::items::{self, Item};
use crate::memory::Memory;
use crate::nicfw_code::NICFW_E_IO;
use crate::types::nicfw_error;
use crate::{nicfw_list, nicfw_policy};

/// One byte more than a policy may have: what is longer is refused by its length.
const MOST_READ: u64 = (1 << 20) + 1;

/// Reads a policy from text. `name` stands in errors and origins, where a file's name would.
///
/// Returns `NICFW_E_POLICY` if anything is wrong with it: `err` has the first place, and as many errors as fit, one a line.
/// `nicfw_policy_list_problems` has them all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_parse(
    text: *const c_char,
    name: *const c_char,
    policy: *mut *mut nicfw_policy,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let policy = memory.out(policy, "policy")?;
        let (text, name) = (memory.text(text, "text")?, memory.text(name, "name")?);
        policy.give(Arc::new(parse(text, name)?))
    })
}

/// Reads a policy from a file.
///
/// Returns `NICFW_E_IO` if the file cannot be read, and otherwise what `nicfw_policy_parse` returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_load(
    path: *const c_char,
    policy: *mut *mut nicfw_policy,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let policy = memory.out(policy, "policy")?;
        let path = memory.text(path, "path")?;
        let text = read(path).map_err(|e| Failure::new(NICFW_E_IO, format!("{path} cannot be read: {e}")).at(path))?;
        policy.give(Arc::new(parse(&text, path)?))
    })
}

/// Lists everything that is wrong with the text of a policy; nothing if it is sound. Fields: TEXT, FILE, LINE, COLUMN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_list_problems(
    text: *const c_char,
    name: *const c_char,
    problems: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let problems = memory.out(problems, "problems")?;
        let (text, name) = (memory.text(text, "text")?, memory.text(name, "name")?);
        let found = Document::parse(text, name).err();
        let found = found.iter().flat_map(|errors| errors.errors());
        problems.give(found.map(|problem| items::problem(problem, name)).collect())
    })
}

/// Lists what may surprise the reader of a policy, one sentence each. Fields: TEXT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_list_warnings(
    policy: *const nicfw_policy,
    warnings: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let warnings = memory.out(warnings, "warnings")?;
        let policy = handle::get(policy)?;
        warnings.give(policy.warnings().iter().map(|warning| Item::new(warning.to_string())).collect())
    })
}

/// Decides a flow from the policy alone, with no table in between: one item, or two (sent, then received) if it goes from
/// one container to another. `flow` is a text such as "tcp 10.20.3.4:51000 > 10.30.1.17:443".
///
/// Fields: TEXT, VERDICT, DIRECTION, and of the rule or container that decides FILE, LINE and, where they were said, OWNER,
/// REASON, TICKET, WHEN, UNTIL.
///
/// Returns `NICFW_E_FLOW` if the text is wrong, or says of neither end that it is here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_decide(
    policy: *const nicfw_policy,
    flow: *const c_char,
    decisions: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let decisions = memory.out(decisions, "decisions")?;
        let flow: FlowText = memory.text(flow, "flow")?.parse()?;
        let document = handle::get(policy)?;
        let flows = flow.judgements(&document)?;
        decisions.give(flows.iter().map(|flow| items::decision(&document, flow)).collect())
    })
}

/// Ends a policy. NULL does nothing. What was compiled from it stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_free(policy: *mut nicfw_policy, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    free(memory, policy, err)
}

fn parse(text: &str, name: &str) -> Result<Document> {
    Document::parse(text, name).map_err(|errors| Failure::from(errors).at(name))
}

fn read(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_READ).read_to_string(&mut text)?;
    Ok(text)
}

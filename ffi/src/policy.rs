//! Policies from text.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use nicfw::file;
use nicfw::policy::{Date, Document, FlowText, LONGEST_DOCUMENT};
use nicfw::text::escaped;

use crate::call::{free, run};
use crate::failure::{Failure, Result};
use crate::handle::{self, Handle};
use crate::items::{self, Item};
use crate::memory::Memory;
use crate::nicfw_code::NICFW_E_IO;
use crate::types::nicfw_error;
use crate::{nicfw_list, nicfw_policy};

impl Handle for nicfw_policy {
    type Shared = Arc<Document>;
}

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
        policy.give(Arc::new(parse(&read(path)?, &escaped(path))?))
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

/// Lists what somebody should look at: rules that can never match and what hides them, duplicates, neighbours that could be
/// one, replies that leave much open, missing reasons, what has expired, policies that nothing uses or that break path-MTU
/// discovery. `today` is a date such as "2026-11-23", in UTC: what ended before it has expired.
///
/// Fields: TEXT, LINT, and of the rule or container that it is about FILE, LINE, OWNER, REASON, TICKET, WHEN, UNTIL.
///
/// Returns `NICFW_E_ARGUMENT` if `today` is no date.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_lint(
    policy: *const nicfw_policy,
    today: *const c_char,
    findings: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let findings = memory.out(findings, "findings")?;
        let today: Date = memory.text(today, "today")?.parse()?;
        let found = handle::get(policy)?.lint(&today);
        findings.give(found.iter().map(items::finding).collect())
    })
}

/// Names, for each judgement of a flow that is denied, the rule that comes nearest to letting it through, and what is in the
/// way; nothing for one that passes, or where no rule is about the address. `flow` is a text as for `nicfw_policy_decide`.
///
/// Fields: TEXT, DIRECTION, OBSTACLES, and of the rule FILE, LINE, OWNER, REASON, TICKET, WHEN, UNTIL.
///
/// Returns `NICFW_E_FLOW` if the text is wrong, or says of neither end that it is here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_find_nearest(
    policy: *const nicfw_policy,
    flow: *const c_char,
    rules: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let rules = memory.out(rules, "rules")?;
        let flow: FlowText = memory.text(flow, "flow")?.parse()?;
        let document = handle::get(policy)?;
        let flows = flow.judgements(&document)?;
        let nearest = |flow| document.nearest(flow).map(|nearest| items::nearest(&nearest, flow));
        rules.give(flows.iter().filter_map(nearest).collect())
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

fn read(path: &str) -> Result<String> {
    let bad = |reason: &dyn Display| Failure::new(NICFW_E_IO, format!("{path} {reason}")).at(path);
    let text = file::read(Path::new(path), LONGEST_DOCUMENT as u64).map_err(|error| bad(&error))?;
    String::from_utf8(text).map_err(|error| bad(&format!("is not UTF-8: {}", error.utf8_error())))
}

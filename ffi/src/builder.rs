//! Policies built call by call.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex};

use nicfw::MacAddr;
use nicfw::policy::{Document, DocumentBuilder, RuleBuilder};

use crate::call::{free, run};
use crate::failure::{Failure, Result};
use crate::handle::{self, Handle, lock};
use crate::memory::Memory;
use crate::nicfw_code::NICFW_E_ORDER;
use crate::spec::{addresses, binding_of_c, ranges, rule_of_c, verdict_of_c};
use crate::types::{nicfw_binding, nicfw_error, nicfw_ports, nicfw_rule, nicfw_term};
use crate::{nicfw_builder, nicfw_policy};

/// A document that is being built. Rules come one by one, the library takes a policy as a whole: so policies wait here.
#[derive(Clone)]
pub struct Builder {
    document: DocumentBuilder,
    policies: Vec<(String, Vec<RuleBuilder>)>,
}

impl Handle for nicfw_builder {
    type Shared = Arc<Mutex<Builder>>;
}

impl Builder {
    /// Changes the document; its builder goes from hand to hand.
    fn document(&mut self, change: impl FnOnce(DocumentBuilder) -> DocumentBuilder) {
        self.document = change(std::mem::replace(&mut self.document, Document::builder("")));
    }

    fn policy(&mut self, name: &str) -> Option<&mut Vec<RuleBuilder>> {
        self.policies.iter_mut().find(|(known, _)| known == name).map(|(_, rules)| rules)
    }

    fn build(&self) -> Result<Document> {
        let add = |document: DocumentBuilder, (name, rules): (String, Vec<RuleBuilder>)| document.policy(&name, rules);
        let document = self.policies.iter().cloned().fold(self.document.clone(), add);
        Ok(document.build()?)
    }
}

/// Begins a policy document. `name` stands in errors and origins, where a file's name would.
///
/// What is wrong with what is added is said when it is built; the calls before refuse only what cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_new(
    name: *const c_char,
    builder: *mut *mut nicfw_builder,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let builder = memory.out(builder, "builder")?;
        let document = Document::builder(memory.text(name, "name")?);
        builder.give(Arc::new(Mutex::new(Builder { document, policies: Vec::new() })))
    })
}

/// Says what becomes of frames of IPs that nobody bound: a `nicfw_verdict`. Has no default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_set_unbound(
    builder: *mut nicfw_builder,
    verdict: c_int,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let verdict = verdict_of_c(verdict, "verdict")?;
        lock(&*handle::get(builder)?)?.document(|document| document.unbound(verdict));
        Ok(())
    })
}

/// Says whether bound containers may send to groups where a rule allows it: a `nicfw_verdict`. Has no default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_set_multicast(
    builder: *mut nicfw_builder,
    verdict: c_int,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let verdict = verdict_of_c(verdict, "verdict")?;
        lock(&*handle::get(builder)?)?.document(|document| document.multicast(verdict));
        Ok(())
    })
}

/// Says who asks for what names no owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_set_owner(
    builder: *mut nicfw_builder,
    owner: *const c_char,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let owner = memory.text(owner, "owner")?;
        lock(&*handle::get(builder)?)?.document(|document| document.owner(owner));
        Ok(())
    })
}

/// Says where replies to an allow out without local ports may go; 32768-60999 unless said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_set_ephemeral(
    builder: *mut nicfw_builder,
    ports: *const nicfw_ports,
    ports_count: usize,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let ports = ranges(&memory.array(ports, ports_count, "ports")?, "ports")?;
        lock(&*handle::get(builder)?)?.document(|document| document.ephemeral(ports));
        Ok(())
    })
}

/// Names addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_add_group(
    builder: *mut nicfw_builder,
    name: *const c_char,
    terms: *const nicfw_term,
    terms_count: usize,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let name = memory.text(name, "name")?;
        let addrs = addresses(memory, terms, terms_count, "terms")?;
        lock(&*handle::get(builder)?)?.document(|document| document.group(name, addrs));
        Ok(())
    })
}

/// Adds a policy without rules, which denies everything. Returns `NICFW_E_ORDER` if it is there already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_add_policy(
    builder: *mut nicfw_builder,
    name: *const c_char,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let name = memory.text(name, "name")?;
        let builder = handle::get(builder)?;
        let mut builder = lock(&builder)?;
        if builder.policy(name).is_some() {
            return Err(Failure::new(NICFW_E_ORDER, format!("policy {name} is there already")).at("name"));
        }
        builder.policies.push((name.to_owned(), Vec::new()));
        Ok(())
    })
}

/// Adds a rule to a policy, behind those that it has: the first that matches decides. Returns `NICFW_E_ORDER` before
/// `nicfw_builder_add_policy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_add_rule(
    builder: *mut nicfw_builder,
    policy: *const c_char,
    rule: *const nicfw_rule,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let policy = memory.text(policy, "policy")?;
        let rule = rule_of_c(memory, &memory.structure(rule, "rule")?)?;
        let builder = handle::get(builder)?;
        let mut builder = lock(&builder)?;
        let missing = || Failure::new(NICFW_E_ORDER, format!("there is no policy {policy}: add it first")).at("policy");
        builder.policy(policy).ok_or_else(missing)?.push(rule);
        Ok(())
    })
}

/// Adds a flow that no policy may close. `host_mac` is a MAC of 6 bytes for a local address of the host itself, NULL for
/// addresses of containers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_add_management(
    builder: *mut nicfw_builder,
    rule: *const nicfw_rule,
    host_mac: *const u8,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let rule = rule_of_c(memory, &memory.structure(rule, "rule")?)?;
        let mac = memory.maybe_value(host_mac.cast::<[u8; 6]>()).map(MacAddr);
        lock(&*handle::get(builder)?)?.document(|document| match mac {
            Some(mac) => document.host_management(rule, mac),
            None => document.management(rule),
        });
        Ok(())
    })
}

/// Adds a container with its addresses and its policy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_add_binding(
    builder: *mut nicfw_builder,
    binding: *const nicfw_binding,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let binding = binding_of_c(memory, &memory.structure(binding, "binding")?)?;
        lock(&*handle::get(builder)?)?.document(|document| document.binding(binding));
        Ok(())
    })
}

/// Checks what was added and hands out the policy. The builder stays, and can be added to.
///
/// Returns `NICFW_E_POLICY` if anything is wrong: `err` has as many errors as fit, one a line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_build(
    builder: *const nicfw_builder,
    policy: *mut *mut nicfw_policy,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let policy = memory.out(policy, "policy")?;
        let document = lock(&*handle::get(builder)?)?.build()?;
        policy.give(Arc::new(document))
    })
}

/// Ends a builder. NULL does nothing. What was built stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_builder_free(builder: *mut nicfw_builder, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    free(memory, builder, err)
}

//! The kernel judges the importers: files that the real tools load into a network namespace, real frames through it, and
//! what `nicfw` imports compared with what the kernel let through. No evaluator of ours takes part on the kernel's side.
//!
//! What is imported may never open more than the kernel passes. What it closes more is counted and must be listed.

mod aside;
mod frames;
mod iptables;
mod judge;
mod namespace;
mod nft;
mod probes;
mod run;

#[test]
fn files_written_by_hand_open_no_more_than_the_kernel() {
    namespace::inside("files_written_by_hand_open_no_more_than_the_kernel", run::corpus);
}

#[test]
fn what_is_seen_once_is_told_and_does_not_count() {
    namespace::inside("what_is_seen_once_is_told_and_does_not_count", run::only_what_comes_again);
}

#[test]
fn random_files_open_no_more_than_the_kernel() {
    namespace::inside("random_files_open_no_more_than_the_kernel", || run::random(300));
}

#[test]
#[ignore = "an hour: tests/long/import-kernel"]
fn many_random_files_open_no_more_than_the_kernel() {
    namespace::inside("many_random_files_open_no_more_than_the_kernel", || run::random(20_000));
}

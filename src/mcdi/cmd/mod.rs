//! The commands that the driver uses, each a function over a [`Channel`](super::Channel) with typed arguments and result.
//!
//! What writes the tables themselves is encoded in `tables`, one operation a command.

pub mod counters;
pub mod function;
pub mod queues;
pub mod ruleset;

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeNic, respond};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sound headers around arbitrary payloads: every command takes or refuses them, none panics.
        #[test]
        fn no_payload_makes_a_command_panic(payload in prop::collection::vec(any::<u8>(), 0..252)) {
            let nic = FakeNic::new(move |request| respond(request, &payload));
            let channel = &mut nic.channel();
            let mut entries = Vec::new();
            let _ = function::get_version(channel);
            let _ = function::attach(channel, 5);
            let _ = function::get_capabilities(channel);
            let _ = function::get_function_info(channel);
            let _ = function::get_privileges(channel, function::FunctionId { pf: 0, vf: None });
            let _ = function::get_port_assignment(channel);
            let _ = function::get_mac_address(channel);
            let _ = ruleset::get_security_rule_info(channel);
            let _ = ruleset::reset_rules(channel);
            let _ = ruleset::get_version(channel);
            let _ = ruleset::set_override(channel, ruleset::Override::Block);
            let _ = ruleset::manage_cache(channel, ruleset::CacheOp::Commit);
            let _ = counters::get_config(channel);
            let _ = counters::alloc(channel, 3, &mut entries);
            let _ = counters::free(channel, &[1]);
            let _ = counters::read(channel, &[1, 2], |_, _| ());
        }
    }
}

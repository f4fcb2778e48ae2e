//! From a request to its answer, by way of the table of commands.

use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};

use super::command::{Command, Reply};
use super::commands::{OF_EVERY_VARIANT, OF_THE_RULES_ENGINE};
use super::config::FirmwareVariant;
use super::controller::Mc;

fn find(tables: &[&'static [Command]], cmd: Cmd) -> Option<&'static Command> {
    tables.iter().flat_map(|table| table.iter()).find(|command| command.cmd == cmd)
}

impl Mc {
    /// Runs a command, if its function may and its length is right.
    pub(super) fn run(&mut self, function: usize, cmd: Cmd, payload: &[u8]) -> Reply {
        let rules = find(&OF_THE_RULES_ENGINE, cmd);
        let command = rules.or_else(|| find(&OF_EVERY_VARIANT, cmd)).ok_or(McErrno::ENOSYS)?;
        let own = self.functions.get(function).ok_or(McErrno::ENOENT)?;
        let unbound = Privileges::ADMIN_TSA_UNBOUND;
        if !own.config.privileges.contains(command.privilege) || (self.bound && command.privilege == unbound) {
            return Err(McErrno::EPERM);
        }
        // The rule commands belong to one firmware variant; another one does not know them (an inference).
        if rules.is_some() && self.variant != FirmwareVariant::RulesEngine {
            return Err(McErrno::ENOSYS);
        }
        let (shortest, longest) = command.request;
        if !(shortest..=longest).contains(&payload.len()) {
            return Err(McErrno::EINVAL);
        }
        self.executed += 1;
        (command.run)(self, function, payload)
    }

    /// Runs a command, with a line in the log for whoever wants to see what a driver does.
    pub(super) fn run_logged(&mut self, function: usize, cmd: Cmd, payload: &[u8]) -> Reply {
        let reply = self.run(function, cmd, payload);
        match &reply {
            Ok(answer) => log::debug!("function {function}: {cmd}, {} bytes: {} bytes", payload.len(), answer.len()),
            Err(code) => log::debug!("function {function}: {cmd}, {} bytes: {code}", payload.len()),
        }
        reply
    }
}

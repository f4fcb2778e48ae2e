//! The commands that are answered, a file for each part of the adapter.

mod adapter;
mod board;
mod evb;
mod health;
mod port;
mod queues;
mod rules;
mod vadaptor;

use super::command::Command;

/// Commands that every firmware variant has.
pub(super) const OF_EVERY_VARIANT: [&[Command]; 7] = [
    board::COMMANDS,
    evb::COMMANDS,
    adapter::COMMANDS,
    health::COMMANDS,
    port::COMMANDS,
    queues::COMMANDS,
    vadaptor::COMMANDS,
];

/// Commands of the variant with the rules engine.
pub(super) const OF_THE_RULES_ENGINE: [&[Command]; 1] = [rules::COMMANDS];

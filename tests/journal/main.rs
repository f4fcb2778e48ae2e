//! The journal from outside: what is written comes back, a crash at any moment leaves what was acknowledged, and whatever
//! else happened to the bytes is found.

mod crash;
mod damage;
mod files;
mod migration;
mod order;
mod questions;
mod story;
mod texts;

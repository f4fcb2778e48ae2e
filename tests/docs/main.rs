//! The documents are true: links lead somewhere, what the code cites is there, every policy in them is one, and the README says
//! what nicfw does not protect against.

mod citations;
mod links;
mod named;
mod pages;
mod policies;
mod promises;

//! The documents are true: links lead somewhere, what the code cites is there, and every policy in them is one.

mod citations;
mod links;
mod named;
mod pages;
mod policies;

//! Reference evaluator, compiled image and firmware model agree: three readings that share no code beyond types.
//!
//! The way of the data: policy text -> document -> image -> MCDI commands -> the model's tables; and a packet -> frame bytes
//! -> the model's parser and engine. The expectation comes from the evaluator, which knows nothing of tables.

mod assumptions;
mod bench;
mod damage;
mod shuffled;
mod tables;
mod written;

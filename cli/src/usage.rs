//! How full the tables get, as commands print it.

use nicfw::tables::{Compiled, Table, Usage};
use serde::Serialize;

use crate::output::{table, text};

/// Use of one table.
#[derive(Debug, Clone, Serialize)]
pub struct UsageReport {
    /// Table.
    pub table: String,
    /// Used.
    pub used: u64,
    /// There are this many.
    pub size: u64,
    /// Who uses most of it.
    pub largest_user: Option<String>,
}

/// How full the tables get.
pub fn usage(compiled: &Compiled) -> Vec<UsageReport> {
    let one = |usage: &Usage| UsageReport {
        table: usage.table.to_string(),
        used: usage.used(),
        size: usage.available,
        largest_user: usage
            .by_policy
            .first()
            .filter(|(_, used)| *used > 0)
            .map(|(policy, used)| format!("policy {policy}, {}", share(usage.table, *used))),
    };
    compiled.usage().iter().map(one).collect()
}

/// A share of a table, with its unit where it has one of its own.
fn share(table: Table, used: u64) -> String {
    table.share_unit().map_or_else(|| used.to_string(), |unit| format!("{used} {unit}"))
}

/// Use of the tables for people.
pub fn usage_table(usage: &[UsageReport]) -> String {
    let mut table = table(["table", "used", "of", "largest user"]);
    for line in usage {
        let largest = line.largest_user.clone().unwrap_or_default();
        table.add_row([line.table.clone(), line.used.to_string(), line.size.to_string(), largest]);
    }
    text(&table)
}

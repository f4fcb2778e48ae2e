//! `nicfw doctor`: which adapters this machine has, and whether nicfw can use them. Reads; opens, unbinds and sends nothing.

use std::fmt::Write as _;

use nicfw::device::{Machine, Suitability, Usability};
use serde::Serialize;

use crate::args::Doctor;
use crate::failure::{Exit, Failure};
use crate::output::{Report, table, text};

#[derive(Serialize)]
struct FunctionReport {
    address: String,
    model: &'static str,
    driver: Option<String>,
    interfaces: Vec<String>,
    iommu_group: Option<u32>,
    usable: String,
    obstacles: Vec<ObstacleReport>,
}

#[derive(Serialize)]
struct ObstacleReport {
    what: String,
    /// Commands for a root shell that remove it; none where nothing helps.
    commands: Vec<String>,
}

#[derive(Serialize)]
struct DoctorReport {
    functions: Vec<FunctionReport>,
}

pub fn run(args: &Doctor) -> Result<Report, Failure> {
    let address = args.address.as_deref().map(str::parse).transpose().map_err(Failure::usage)?;
    let machine = args.root.as_deref().map_or_else(Machine::this, |root| Machine::at(root, None));
    let found = machine.probe(address).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => Failure::usage(format!("{error}: {source}")),
        None => Failure::usage(&error),
    })?;
    let report = DoctorReport { functions: found.iter().map(function).collect() };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    Ok(Report::done(screen(&report)))
}

fn function(found: &Suitability) -> FunctionReport {
    let obstacles = found.obstacles.iter();
    FunctionReport {
        address: found.address.to_string(),
        model: found.model.name,
        driver: found.driver.clone(),
        interfaces: found.interfaces.clone(),
        iommu_group: found.group.as_ref().map(|group| group.number),
        usable: found.verdict().to_string(),
        obstacles: obstacles
            .map(|obstacle| ObstacleReport { what: obstacle.to_string(), commands: obstacle.commands(found.address) })
            .collect(),
    }
}

fn screen(report: &DoctorReport) -> String {
    if report.functions.is_empty() {
        return "no adapter that nicfw knows is in this machine\n".to_owned();
    }
    let mut functions = table(["function", "adapter", "driver", "interfaces", "iommu group", "can nicfw use it"]);
    for function in &report.functions {
        let group = function.iommu_group.map_or_else(|| "none".to_owned(), |group| group.to_string());
        let driver = function.driver.as_deref().unwrap_or("none");
        let interfaces = function.interfaces.join(", ");
        functions.add_row([&function.address, function.model, driver, &interfaces, &group, &function.usable]);
    }
    let mut out = format!("{}\n", text(&functions));
    // Writing to a string cannot fail.
    for function in &report.functions {
        for (number, obstacle) in function.obstacles.iter().enumerate() {
            let head = if number == 0 { format!("\n{}:\n", function.address) } else { String::new() };
            let _ = writeln!(out, "{head}  {}", obstacle.what);
            for command in &obstacle.commands {
                let _ = writeln!(out, "      {command}");
            }
        }
    }
    let unknown = Usability::UnknownUntilAttach.to_string();
    if report.functions.iter().any(|function| function.usable == unknown) {
        let _ = writeln!(out, "\nWhich firmware runs is known once somebody attaches: nicfw info --device ADDRESS");
    }
    out
}

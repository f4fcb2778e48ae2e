//! The `nicfw-model` program: an emulated adapter whose functions other processes, or QEMU, reach by vfio-user sockets.
#![forbid(unsafe_code)]

mod wire;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use nicfw_cli::model_args::Arguments;
use nicfw_model::serve::Listener;
use nicfw_model::serve::serve;
use nicfw_model::{FunctionConfig, Model, ModelConfig, factory_mac};
use wire::Cable;

/// How often the adapter is told that time has passed.
const TICK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Nobody is left to be told when the terminal is closed.
            let _ = e.print();
            return if e.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let Arguments::Serve { socket, container, shared, tap } = arguments;
    let kinds = [vec![(Kind::Privileged, socket)], with(Kind::Container, container), with(Kind::Shared, shared)];
    match run(&kinds.concat(), tap.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "nicfw-model: {}", chain(&*e));
            ExitCode::FAILURE
        }
    }
}

/// What a function is for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Privileged,
    Container,
    Shared,
}

impl Kind {
    /// Function `number`, at physical port 0.
    fn function(self, number: u16) -> FunctionConfig {
        match self {
            Self::Privileged => FunctionConfig::admin(0, factory_mac(number)),
            Self::Container => FunctionConfig::container(0, number, factory_mac(number)),
            Self::Shared => FunctionConfig::shared(0, number, factory_mac(number)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Container => "container's",
            Self::Shared => "shared",
        })
    }
}

fn with(kind: Kind, paths: Vec<PathBuf>) -> Vec<(Kind, PathBuf)> {
    paths.into_iter().map(|path| (kind, path)).collect()
}

/// Listens at every path, says so, and serves function n at path n.
fn run(sockets: &[(Kind, PathBuf)], tap: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
    let functions = (0..).zip(sockets).map(|(number, (kind, _))| kind.function(number)).collect();
    let model = Model::new(ModelConfig::new(functions));
    let cable = tap.map(|name| Cable::open(name).map_err(|e| format!("TAP device {name}: {e}"))).transpose()?;
    if let Some(cable) = &cable {
        cable.plug_into(&model, 0);
    }
    let listeners = sockets.iter().map(|(_, path)| Listener::bind(path)).collect::<Result<Vec<_>, _>>()?;
    let mut out = io::stdout().lock();
    writeln!(out, "EMULATED adapter")?;
    for (function, (kind, path)) in sockets.iter().enumerate() {
        writeln!(out, "function {function} ({kind}): vfio-user:{}", path.display())?;
    }
    out.flush()?;
    drop(out);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (model, stop) = (&model, &stop);
        let serve_one = |(function, listener)| {
            scope.spawn(move || {
                let served = serve(model, function, listener, stop);
                // One socket that is lost ends the program: half an adapter is none.
                stop.store(true, Ordering::Relaxed);
                served
            })
        };
        scope.spawn(move || tick(model, stop));
        let carrier = cable.as_ref().map(|cable| {
            scope.spawn(move || {
                let carried = cable.carry(model, 0, stop);
                stop.store(true, Ordering::Relaxed);
                carried
            })
        });
        let threads: Vec<_> = listeners.iter().enumerate().map(serve_one).collect();
        for thread in threads.into_iter().chain(carrier) {
            thread.join().map_err(|_| "a serving thread panicked")??;
        }
        Ok(())
    })
}

/// Lets the adapter know that time passes.
fn tick(model: &Model, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        model.elapse(u32::try_from(TICK.as_millis()).unwrap_or(u32::MAX));
    }
}

/// An error with what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

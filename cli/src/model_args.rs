//! The command line of `nicfw-model`.

use std::path::PathBuf;

use clap::Parser;

/// An emulated adapter behind vfio-user sockets.
#[derive(Debug, Parser)]
#[command(name = "nicfw-model", version)]
pub enum Arguments {
    /// Serves one adapter until the process is ended; each socket is one of its functions.
    Serve {
        /// Socket of the privileged function, the one that nicfw drives.
        #[arg(long, value_name = "PATH")]
        socket: PathBuf,
        /// Socket of an unprivileged virtual function, as a container has it; may be repeated.
        #[arg(long, value_name = "PATH")]
        container: Vec<PathBuf>,
        /// Socket of an unprivileged virtual function that a host shares among containers by MACVLAN; may be repeated.
        #[arg(long, value_name = "PATH")]
        shared: Vec<PathBuf>,
        /// TAP device in the place of the cable at physical port 0; made if it is not there. Without it, what leaves the
        /// adapter is lost.
        #[arg(long, value_name = "INTERFACE")]
        tap: Option<String>,
    },
}

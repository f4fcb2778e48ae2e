//! Who sends: iperf3 in the machines' namespaces, and sockets that send datagrams whether anybody wants them or not.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nicfw_cli::machines::{Endpoint, Party};
use serde_json::Value;

/// How long one iperf3 session lasts, in seconds. A flow has one after the other.
const SESSION: &str = "4";
/// Time between two bursts of datagrams, and the datagrams of a burst.
const PAUSE: Duration = Duration::from_millis(1);
const BURST: usize = 2;

/// A program in a machine's namespace. It is killed when dropped.
pub struct Program(Child);

impl Program {
    pub fn start(machine: &Endpoint, arguments: &[&str]) -> io::Result<Self> {
        let mut command = Command::new("iperf3");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        machine.within(move || command.spawn()).map(Self).map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, "missing: apt-get install iperf3"),
            _ => error,
        })
    }

    /// An iperf3 server, which listens.
    pub fn serve(machine: &Endpoint, port: u16) -> io::Result<Self> {
        let mut server = Self::start(machine, &["-s", "-p", &port.to_string(), "--forceflush"])?;
        let said = server.0.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(said).lines();
        if !lines.by_ref().map_while(io::Result::ok).any(|line| line.starts_with("Server listening")) {
            return Err(io::Error::other("the iperf3 server does not listen"));
        }
        // What else it says fills no pipe.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// Waits until it ends by itself. What it printed; what it complained about if it failed.
    pub fn ends(mut self) -> Result<String, String> {
        let (mut out, mut errors) = (String::new(), String::new());
        let read = |from: Option<&mut dyn Read>, into: &mut String| from.map(|from| from.read_to_string(into));
        read(self.0.stdout.as_mut().map(|out| out as _), &mut out).transpose().map_err(|e| e.to_string())?;
        read(self.0.stderr.as_mut().map(|errors| errors as _), &mut errors).transpose().map_err(|e| e.to_string())?;
        let status = self.0.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(out) } else { Err(format!("{status}: {out}{errors}")) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, or nobody wants more of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the sessions of a flow moved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved {
    pub sessions: u64,
    /// Those whose report lacks its end: nothing is known of what they moved.
    pub untold: u64,
    /// Bytes that arrived, with the flow and against it.
    pub bytes: [u64; 2],
    pub seconds: f64,
}

impl Moved {
    pub fn mbits(&self) -> [f64; 2] {
        self.bytes.map(|bytes| bytes as f64 * 8.0 / 1e6 / self.seconds)
    }

    fn add(&mut self, report: &str) -> Result<(), String> {
        let report: Value = serde_json::from_str(report).map_err(|e| format!("{e}: {report}"))?;
        let of = |name: &str| report["end"][name].clone();
        let received = [of("sum_received"), of("sum_received_bidir_reverse")];
        let bytes = received.each_ref().map(|sum| sum["bytes"].as_u64());
        self.sessions += 1;
        // On a busy machine iperf3 sometimes ends well and leaves its sums out.
        let (Some(seconds), [Some(there), Some(back)]) = (received[0]["seconds"].as_f64(), bytes) else {
            self.untold += 1;
            return Ok(());
        };
        self.seconds += seconds;
        self.bytes = [self.bytes[0] + there, self.bytes[1] + back];
        Ok(())
    }
}

/// Sessions one after the other, each both ways, until `stop` is set; the last one comes to its end.
pub fn sessions(
    machine: Arc<Endpoint>,
    server: Ipv4Addr,
    port: u16,
    more: &'static [&'static str],
    stop: Arc<AtomicBool>,
) -> JoinHandle<Result<Moved, String>> {
    thread::spawn(move || {
        let mut moved = Moved::default();
        while !stop.load(Ordering::Relaxed) {
            let (server, port) = (server.to_string(), port.to_string());
            let arguments = ["-c", &server, "-p", &port, "-t", SESSION, "-J", "--bidir", "--connect-timeout", "5000"];
            let program = Program::start(&machine, &[&arguments[..], more].concat()).map_err(|e| e.to_string())?;
            moved.add(&program.ends()?)?;
        }
        if moved.untold == moved.sessions {
            Err(format!("no report of {} sessions has an end", moved.sessions))
        } else {
            Ok(moved)
        }
    })
}

/// A socket that sends datagrams without end. It stops when dropped.
pub struct Steady {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Steady {
    pub fn start(from: (&Endpoint, Party), to: Party, port: u16) -> io::Result<Self> {
        let addr = from.1.v4();
        let socket = from.0.within(move || UdpSocket::bind((addr, 0)))?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..BURST {
                    match socket.send_to(&[0x5a; 64], (to.v4(), port)) {
                        Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                        // Nobody listens there, and the stack at the far end says so.
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => 0,
                        Err(error) => return Err(error),
                    };
                }
                thread::sleep(PAUSE);
            }
            Ok(())
        });
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(())))) || thread::panicking(), "the sender failed: {ended:?}");
    }
}

/// A socket that waits for what should not come.
pub struct Listener(UdpSocket);

impl Listener {
    pub fn start(machine: (&Endpoint, Party), port: u16) -> io::Result<Self> {
        let addr = machine.1.v4();
        let socket = machine.0.within(move || UdpSocket::bind((addr, port)))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Datagrams that have come.
    pub fn came(&self) -> u64 {
        let mut count = 0;
        while self.0.recv(&mut [0; 64]).is_ok() {
            count += 1;
        }
        count
    }
}

//! Who sends: iperf3 in the machines' namespaces, and sockets that send datagrams whether anybody wants them or not.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nicfw_cli::machines::{Endpoint, Party};
use serde_json::Value;

/// How long one iperf3 session lasts, in seconds. A flow has one after the other.
const SESSION: &str = "4";
/// How long a session may take, and how many more may be given up than come to their end.
const PATIENCE: Duration = Duration::from_secs(12);
const MOST_GIVEN_UP: u64 = 4;
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

    /// Waits until it ends by itself, but not for long. What it printed; what it complained about if it failed.
    pub fn ends(mut self) -> Result<String, String> {
        let said = [self.0.stdout.take().map(gather), self.0.stderr.take().map(gather)];
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.0.try_wait().map_err(|e| e.to_string())? {
                Some(status) => break status.to_string(),
                None if Instant::now() > deadline => break "it does not end".to_owned(),
                None => thread::sleep(PAUSE * 10),
            }
        };
        let good = self.0.try_wait().ok().flatten().is_some_and(|status| status.success());
        drop(self);
        let [out, errors] = said.map(|said| said.and_then(|said| said.join().ok()).unwrap_or_default());
        if good { Ok(out) } else { Err(format!("{status}: {out}{errors}")) }
    }
}

/// Reads to the end.
fn gather(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What comes before an error is what there is.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
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
    /// Those that iperf3 gave up.
    pub given_up: u64,
    /// Bytes that arrived, with the flow and against it.
    pub bytes: [u64; 2],
    pub seconds: f64,
}

impl Moved {
    pub fn mbits(&self) -> [f64; 2] {
        self.bytes.map(|bytes| bytes as f64 * 8.0 / 1e6 / self.seconds)
    }

    /// Adds a session's report. iperf3 ends well when its server is busy, too.
    fn add(&mut self, report: &str) -> Result<(), String> {
        let report: Value = serde_json::from_str(report).map_err(|e| format!("{e}: {report}"))?;
        let received = ["sum_received", "sum_received_bidir_reverse"].map(|name| &report["end"][name]);
        let [there, back] = received.map(|sum| sum["bytes"].as_u64());
        let (Some(seconds), Some(there), Some(back)) = (received[0]["seconds"].as_f64(), there, back) else {
            return Err(report["error"].to_string());
        };
        self.sessions += 1;
        self.seconds += seconds;
        self.bytes = [self.bytes[0] + there, self.bytes[1] + back];
        Ok(())
    }
}

/// Sessions one after the other, each both ways, until `stop` is set; the last one comes to its end.
///
/// iperf3 gives a session up when a TAP device's queue was full at the wrong moment: the one datagram by which UDP begins is
/// not sent again. Then a new server and a new session take its place; what the firewall dropped is counted elsewhere.
pub fn sessions(
    machine: Arc<Endpoint>,
    (server, addr): (Arc<Endpoint>, Ipv4Addr),
    port: u16,
    more: &'static [&'static str],
    stop: Arc<AtomicBool>,
) -> JoinHandle<Result<Moved, String>> {
    thread::spawn(move || {
        let serve = || Program::serve(&server, port).map_err(|e| e.to_string());
        let (mut moved, mut running) = (Moved::default(), serve()?);
        while !stop.load(Ordering::Relaxed) || moved.sessions == 0 {
            let (addr, port) = (addr.to_string(), port.to_string());
            let arguments = ["-c", &addr, "-p", &port, "-t", SESSION, "-J", "--bidir", "--connect-timeout", "5000"];
            let program = Program::start(&machine, &[&arguments[..], more].concat()).map_err(|e| e.to_string())?;
            if let Err(error) = program.ends().and_then(|report| moved.add(&report)) {
                moved.given_up += 1;
                if moved.given_up > moved.sessions + MOST_GIVEN_UP {
                    return Err(error);
                }
                drop(running);
                running = serve()?;
            }
        }
        Ok(moved)
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

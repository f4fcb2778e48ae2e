//! Accidents between driver and adapter, over a vfio-user socket: each is told by name, is over in bounded time, and leaves
//! an adapter that the next driver can attach to.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nicfw::Adapter;
use nicfw::adapter::{AttachError, AttachOptions, Override};
use nicfw::bar::Mmio;
use nicfw::clock::VirtualClock;
use nicfw::device::vfio_user::VfioUser;
use nicfw::device::{Device, PciId};
use nicfw::dma::{DmaBuf, Iova};
use nicfw::error::{AdapterState, Error};
use nicfw::firewall::{Adopt, AdoptError, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::regs::ef10;
use nicfw::tables::{Action, Compiled, RuleKey, TableOp, Target};
use nicfw::terms::MacAddr;
use nicfw_model::serve::over_socket;
use nicfw_model::serve::{Function, Host, MAX_FILES, Session, Shape};
use nicfw_model::{FunctionConfig, Model, ModelConfig};

const POLICY: &str = r#"nicfw: 1
unbound: allow
multicast: deny
policies:
  web: [{allow: in, proto: tcp, local_ports: 443, remote: [10.20.0.0/16, 10.22.0.0/16], replies: no}]
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
"#;

/// BAR of a physical function's registers.
const REGISTERS: u32 = 2;

/// What happens at a doorbell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accident {
    /// The server dies before the command reaches the adapter.
    DiesBefore,
    /// The server dies when the command has taken effect, and its answer lies in memory.
    DiesAfter,
    /// The function falls off the bus: its registers read as ones, and what is written to them is lost.
    Unplugged,
}

const ACCIDENTS: [Accident; 3] = [Accident::DiesBefore, Accident::DiesAfter, Accident::Unplugged];

/// A function with an accident before it.
struct Doomed<F> {
    function: F,
    accident: Accident,
    /// Commands that pass before it.
    left: usize,
    unplugged: bool,
    socket: UnixStream,
}

impl<F: Function> Function for Doomed<F> {
    fn shape(&self) -> Shape {
        self.function.shape()
    }

    fn attach(&mut self, host: Host) {
        self.function.attach(host);
    }

    fn detach(&mut self) {
        self.function.detach();
    }

    fn read(&mut self, region: u32, offset: u64, into: &mut [u8]) {
        self.function.read(region, offset, into);
        if region == REGISTERS && self.unplugged {
            into.fill(0xff);
        }
    }

    fn write(&mut self, region: u32, offset: u64, from: &[u8]) {
        let low_half = (region, offset) == (REGISTERS, ef10::MC_DB_HWRD.offset() as u64);
        let doorbell = low_half && from.first().is_some_and(|low| low & 1 == 0);
        let now = doorbell && self.left == 0;
        self.left = self.left.saturating_sub(usize::from(doorbell));
        self.unplugged |= now && self.accident == Accident::Unplugged;
        let lost = self.unplugged && region == REGISTERS || now && self.accident == Accident::DiesBefore;
        if !lost {
            self.function.write(region, offset, from);
        }
        if now && self.accident != Accident::Unplugged {
            self.socket.shutdown(Shutdown::Both).unwrap();
        }
    }

    fn reset(&mut self) {
        self.function.reset();
    }
}

fn model() -> Model {
    Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]))
}

/// The model's function, with an accident at its command number `left`, from 0; and the server's thread.
fn doomed(model: &Model, accident: Accident, left: usize) -> (VfioUser, JoinHandle<()>) {
    let (driver, server) = UnixStream::pair().unwrap();
    let socket = server.try_clone().unwrap();
    let mut function = Doomed { function: model.endpoint(0), accident, left, unplugged: false, socket };
    // How the session ends is the driver's to tell.
    let server = thread::spawn(move || drop(Session::start(server, &mut function).unwrap().serve(&mut function)));
    (VfioUser::over(driver).unwrap(), server)
}

fn attach(device: impl Device + 'static) -> Result<Adapter, AttachError> {
    let options = AttachOptions::default().with_timeout(Duration::from_millis(50));
    Adapter::from_device(Box::new(device), Arc::new(VirtualClock::new()), options)
}

fn told(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn deny() -> TableOp {
    let key = RuleKey { local_ip: Some([10, 30, 1, 1].into()), ..RuleKey::default() };
    let deny = Action::Deny { sample: false };
    TableOp::SetRule { key, rx: deny, tx: deny, counter: None }
}

/// Attaching, one command, and taking leave.
fn work(device: impl Device + 'static) -> Result<(), String> {
    let mut adapter = attach(device).map_err(|e| told(&e))?;
    adapter.execute(&deny()).map_err(|e| {
        assert_eq!(e.state(), AdapterState::Unknown, "{e}");
        told(&e)
    })?;
    adapter.detach().map_err(|e| told(&e))
}

#[test]
fn an_adapter_that_goes_away_in_any_command_is_told_and_the_next_driver_attaches() {
    let commands = {
        let model = model();
        work(over_socket(&model, 0).unwrap()).unwrap();
        usize::try_from(model.commands_executed()).unwrap()
    };
    assert!(commands > 8, "{commands}");
    for accident in ACCIDENTS {
        for left in 0..commands {
            let model = model();
            let (device, server) = doomed(&model, accident, left);
            match work(device) {
                Err(error) => {
                    assert!(error.contains("the adapter no longer answers"), "{accident:?} at {left}: {error}");
                }
                // The answer lay in memory before the server died, and nothing was to follow.
                Ok(()) => assert_eq!((accident, left + 1), (Accident::DiesAfter, commands)),
            }
            server.join().unwrap();
            let executed = left + usize::from(accident == Accident::DiesAfter);
            assert_eq!(model.commands_executed(), executed as u64, "{accident:?} at {left}: nothing is sent again");
            work(over_socket(&model, 0).unwrap()).unwrap();
            assert_eq!(model.snapshot().rules.len(), 1);
        }
    }
}

#[test]
fn an_adapter_that_goes_away_while_it_is_taken_over_opens_nothing() {
    let document = Document::parse(POLICY, "web.yaml").unwrap();
    let compiled = Compiled::new(&document, &Target { physical_ports: 1, ..Target::profile0() }, None).unwrap();
    let adopt =
        |adapter| Firewall::adopt(adapter, Adopt::of(&compiled), Arc::new(VirtualClock::new()), Settings::default());
    let whole = model();
    adopt(attach(over_socket(&whole, 0).unwrap()).unwrap()).unwrap();
    let commands = usize::try_from(whole.commands_executed()).unwrap();
    let attached = {
        let model = model();
        attach(over_socket(&model, 0).unwrap()).unwrap();
        usize::try_from(model.commands_executed()).unwrap()
    };
    let mut blocked = 0;
    for accident in ACCIDENTS {
        for left in attached..commands {
            let model = model();
            let (device, server) = doomed(&model, accident, left);
            match adopt(attach(device).unwrap()).map_err(|refused| refused.error) {
                Err(AdoptError::Command { blocked: certain, source }) => {
                    assert!(!certain, "{accident:?} at {left}: nobody can be asked");
                    assert_eq!(source.state(), AdapterState::Unknown);
                }
                // Version and cache: the rules decide already.
                Ok(_) => {
                    assert!(model.overridden() == Override::None && model.snapshot().rules == whole.snapshot().rules)
                }
                Err(other) => panic!("{accident:?} at {left}: {other}"),
            }
            server.join().unwrap();
            let open = model.overridden() == Override::None && model.snapshot().rules != whole.snapshot().rules;
            let begun = left > attached || accident == Accident::DiesAfter;
            assert!(!begun || !open, "{accident:?} at {left}: half of the rules decide");
            blocked += usize::from(model.overridden() == Override::Block);
            adopt(attach(over_socket(&model, 0).unwrap()).unwrap()).unwrap();
            assert_eq!(model.overridden(), Override::None);
            assert!(model.snapshot().rules.keys().eq(whole.snapshot().rules.keys()));
        }
    }
    assert!(blocked > 10, "{blocked}");
}

/// A device with something in its way.
#[derive(Debug)]
struct Hindered<D> {
    device: D,
    hindrance: Hindrance,
}

enum Hindrance {
    /// All that whoever stands between lets it share is shared already.
    Full(Vec<Arc<dyn DmaBuf>>),
    /// The device is told addresses that are not those of the memory.
    Astray,
}

impl std::fmt::Debug for Hindrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(kept) => write!(f, "Full({})", kept.len()),
            Self::Astray => f.write_str("Astray"),
        }
    }
}

impl<D: Device> Device for Hindered<D> {
    fn pci_id(&self) -> PciId {
        self.device.pci_id()
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        self.device.bar()
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        let buf = self.device.dma_alloc(len, align)?;
        Ok(if matches!(self.hindrance, Hindrance::Astray) { Arc::new(Astray(buf)) } else { buf })
    }

    fn reset(&self) -> Result<(), Error> {
        self.device.reset()
    }
}

/// Memory with an address that nobody has mapped.
struct Astray(Arc<dyn DmaBuf>);

impl DmaBuf for Astray {
    fn iova(&self) -> Iova {
        Iova(self.0.iova().0 + (1 << 30))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        self.0.read(off, into);
    }

    fn write(&self, off: usize, from: &[u8]) {
        self.0.write(off, from);
    }

    fn read32(&self, off: usize) -> u32 {
        self.0.read32(off)
    }

    fn write32(&self, off: usize, value: u32) {
        self.0.write32(off, value);
    }
}

#[test]
fn memory_that_may_not_be_shared_is_told_with_who_refused() {
    let model = model();
    let device = over_socket(&model, 0).unwrap();
    let kept: Vec<_> = (0..MAX_FILES).map(|_| device.dma_alloc(4096, 4096).unwrap()).collect();
    let refused = attach(Hindered { device, hindrance: Hindrance::Full(kept) }).unwrap_err();
    let expected = "could not be shared with the adapter: the vfio-user server refused DMA_MAP: \
                    No space left on device (os error 28)";
    assert!(told(&refused).ends_with(expected), "{}", told(&refused));
    assert_eq!(model.commands_executed(), 0);
    work(over_socket(&model, 0).unwrap()).unwrap();
}

#[test]
fn an_address_that_the_device_does_not_reach_is_a_command_without_an_answer() {
    let model = model();
    let device = over_socket(&model, 0).unwrap();
    let unanswered = attach(Hindered { device, hindrance: Hindrance::Astray }).unwrap_err();
    assert_eq!(told(&unanswered), "GET_VERSION was not answered within 50ms");
    assert_eq!(model.commands_executed(), 0);
    work(over_socket(&model, 0).unwrap()).unwrap();
}

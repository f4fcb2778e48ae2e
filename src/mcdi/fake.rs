//! A function for unit tests: it records register accesses and answers each request with scripted bytes.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::Channel;
use super::wire::BUFFER_LEN;
use crate::bar::Mmio;
use crate::clock::{Clock, Signal, Timestamp, VirtualClock};
use crate::device::{Device, Interrupt, PciId};
use crate::dma::{DmaBuf, Iova, SharedMem};
use crate::error::{Error, MCDI_TIMEOUT};

/// Address of the one buffer; both halves differ from zero and from each other.
pub const IOVA: u64 = 0x0000_0012_3456_7800;

/// What becomes of one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These bytes, header first, replace the request.
    Bytes(Vec<u8>),
    /// The same, after a time.
    After(Duration, Vec<u8>),
    /// Nothing happens.
    Silence,
    /// Every register reads all ones from here on, and the bytes arrive.
    Gone(Vec<u8>),
    /// MC_SFT_STATUS takes this value, and no reply comes.
    Status(u32),
}

/// Address of the page for an event queue.
pub const RING_IOVA: u64 = 0x0000_0012_4000_0000;
const RING_LEN: usize = 4096;

/// An event queue of the function, once it is asked to have interrupts.
struct Events {
    interrupt: OwnedFd,
    /// Interrupts get lost.
    deaf: bool,
    /// Next entry.
    next: usize,
    armed: bool,
}

/// Bytes typed as hexadecimal text.
pub fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// A reply of the request's form, sequence number and command.
pub fn respond(request: &[u8], payload: &[u8]) -> Reply {
    let mut bytes = request[..if request[0] == 0xff { 8 } else { 4 }].to_vec();
    let len = u16::try_from(payload.len()).unwrap().to_le_bytes();
    if request[0] == 0xff {
        bytes[6..8].copy_from_slice(&len);
    } else {
        bytes[1] = len[0];
    }
    bytes[2] |= 0x80;
    bytes.extend(payload);
    Reply::Bytes(bytes)
}

/// An error reply to the request.
pub fn refuse(request: &[u8], errno: u32) -> Reply {
    let Reply::Bytes(mut bytes) = respond(request, &errno.to_le_bytes()) else { unreachable!() };
    bytes[2] |= 0x40;
    Reply::Bytes(bytes)
}

/// Runs one command against a reply typed from the documents, and compares the request with one typed from there.
pub fn golden<T, E>(request: &str, reply: &str, run: impl FnOnce(&mut Channel) -> Result<T, E>) -> Result<T, E> {
    let reply = hex(reply);
    let nic = FakeNic::new(move |_| Reply::Bytes(reply.clone()));
    let outcome = run(&mut nic.channel());
    assert_eq!(nic.take_requests(), [hex(request)]);
    outcome
}

type Script = Box<dyn FnMut(&[u8]) -> Reply + Send>;

struct State {
    status: u32,
    gone: bool,
    bar_len: usize,
    writes: Vec<(usize, u32)>,
    requests: Vec<Vec<u8>>,
    resets: u32,
    due: VecDeque<(Duration, Vec<u8>)>,
    has_interrupts: bool,
    deaf: bool,
    events: Option<Events>,
}

/// The function. Clones share it; it is its own device, BAR, buffer and clock.
#[derive(Clone)]
pub struct FakeNic {
    state: Arc<Mutex<State>>,
    /// Apart from the state, which a script may look at and change.
    script: Arc<Mutex<Script>>,
    mem: SharedMem,
    ring: SharedMem,
    clock: Arc<VirtualClock>,
    id: PciId,
}

impl FakeNic {
    pub fn new(script: impl FnMut(&[u8]) -> Reply + Send + 'static) -> Self {
        let state = State {
            status: 0xb007_0003,
            gone: false,
            bar_len: 0x1000,
            writes: Vec::new(),
            requests: Vec::new(),
            resets: 0,
            due: VecDeque::new(),
            has_interrupts: false,
            deaf: false,
            events: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            script: Arc::new(Mutex::new(Box::new(script))),
            mem: SharedMem::zeroed(BUFFER_LEN),
            ring: SharedMem::zeroed(RING_LEN),
            clock: Arc::default(),
            id: PciId { vendor: 0x1924, device: 0x0a03 },
        }
    }

    pub fn with_id(mut self, vendor: u16, device: u16) -> Self {
        self.id = PciId { vendor, device };
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The function has an interrupt vector; with `deaf` nobody hears it.
    pub fn with_interrupts(self, deaf: bool) -> Self {
        let mut state = self.state();
        (state.has_interrupts, state.deaf) = (true, deaf);
        drop(state);
        self
    }

    /// Writes an event and interrupts, if that is armed.
    pub fn event(&self, event: u64) {
        let mut state = self.state();
        let Some(events) = &mut state.events else { return };
        self.ring.write(8 * events.next, &event.to_le_bytes()).unwrap();
        events.next = (events.next + 1) % (RING_LEN / 8);
        if std::mem::take(&mut events.armed) && !events.deaf {
            rustix::io::write(&events.interrupt, &1u64.to_ne_bytes()).unwrap();
        }
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    pub fn channel(&self) -> Channel {
        Channel::open(self, self.clock(), MCDI_TIMEOUT).unwrap()
    }

    pub fn set_status(&self, status: u32) {
        self.state().status = status;
    }

    pub fn set_bar_len(&self, len: usize) {
        self.state().bar_len = len;
    }

    pub fn set_gone(&self) {
        self.state().gone = true;
    }

    /// Register writes so far, and forgets them.
    pub fn take_writes(&self) -> Vec<(usize, u32)> {
        std::mem::take(&mut self.state().writes)
    }

    /// Requests so far, header first, and forgets them.
    pub fn take_requests(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().requests)
    }

    pub fn resets(&self) -> u32 {
        self.state().resets
    }

    fn request(&self) -> Vec<u8> {
        let mut bytes = vec![0; BUFFER_LEN];
        self.mem.read(0, &mut bytes).unwrap();
        let len = if bytes[0] == 0xff {
            8 + usize::from(u16::from_le_bytes([bytes[6], bytes[7]]) & 0x3ff)
        } else {
            4 + usize::from(bytes[1])
        };
        bytes.truncate(len);
        bytes
    }

    fn deliver(&self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(BUFFER_LEN)];
        self.mem.write(0, bytes).unwrap();
        // XFLAGS.EVREQ, which a reply made of the request still has: CMDDONE, as far as anybody looks at it.
        if bytes.get(3).is_some_and(|xflags| xflags & 1 != 0) {
            self.event(0xc000_3000_0000_0000);
        }
    }

    fn due_now(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let due = state.due.front().is_some_and(|(at, _)| *at <= self.clock.now());
        if due { state.due.pop_front().map(|(_, bytes)| bytes) } else { None }
    }

    fn doorbell(&self) {
        let request = self.request();
        self.mem.write(request.len(), &vec![0xa5; BUFFER_LEN - request.len()]).unwrap();
        let reply = (self.script.lock().unwrap())(&request);
        let mut state = self.state();
        state.requests.push(request);
        match reply {
            Reply::Bytes(bytes) => {
                drop(state);
                self.deliver(&bytes);
            }
            Reply::After(delay, bytes) => state.due.push_back((self.clock.now() + delay, bytes)),
            Reply::Silence => {}
            Reply::Gone(bytes) => {
                state.gone = true;
                drop(state);
                self.deliver(&bytes);
            }
            Reply::Status(status) => state.status = status,
        }
    }
}

impl Mmio for FakeNic {
    fn len(&self) -> usize {
        self.state().bar_len
    }

    fn read32(&self, off: usize) -> u32 {
        let state = self.state();
        match off {
            _ if state.gone => u32::MAX,
            0x000 => 0xeb14_face,
            0x010 => state.status,
            _ => panic!("read of {off:#x}"),
        }
    }

    fn write32(&self, off: usize, value: u32) {
        self.state().writes.push((off, value));
        if off == 0x400 {
            let mut state = self.state();
            let Some(events) = &mut state.events else { return };
            events.armed = usize::try_from(value).unwrap() == events.next;
            assert!(events.armed, "events are left in the ring");
        }
        if off == 0x204 && value != 1 {
            self.doorbell();
        }
    }

    fn write64(&self, off: usize, _: u64) {
        panic!("wide write to {off:#x}");
    }
}

impl DmaBuf for FakeNic {
    fn iova(&self) -> Iova {
        Iova(IOVA)
    }

    fn len(&self) -> usize {
        self.mem.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        self.mem.read(off, into).unwrap();
    }

    fn write(&self, off: usize, from: &[u8]) {
        self.mem.write(off, from).unwrap();
    }

    fn read32(&self, off: usize) -> u32 {
        self.mem.read32(off).unwrap()
    }

    fn write32(&self, off: usize, value: u32) {
        self.mem.write32(off, value).unwrap();
    }
}

impl Clock for FakeNic {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
        while let Some(bytes) = self.due_now() {
            self.deliver(&bytes);
        }
    }

    fn wait(&self, signal: &dyn Signal, duration: Duration) -> bool {
        let end = self.now() + duration;
        while !signal.wait(Duration::ZERO) {
            if self.now() >= end {
                return false;
            }
            let due = self.state().due.front().map_or(end, |(at, _)| *at);
            self.sleep(due.min(end) - self.now());
        }
        true
    }
}

impl Device for FakeNic {
    fn pci_id(&self) -> PciId {
        self.id
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        Arc::new(self.clone())
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        match (len, align) {
            (1032, 256) => Ok(Arc::new(self.clone())),
            (RING_LEN, RING_LEN) => Ok(Arc::new(Page(self.ring.clone()))),
            other => panic!("DMA memory of {other:?}"),
        }
    }

    fn interrupts(&self, count: usize) -> Result<Vec<Interrupt>, Error> {
        let mut state = self.state();
        if !state.has_interrupts || count == 0 {
            return Ok(Vec::new());
        }
        let vector = Interrupt::new().unwrap();
        let interrupt = vector.as_fd().try_clone_to_owned().unwrap();
        state.events = Some(Events { interrupt, deaf: state.deaf, next: 0, armed: false });
        Ok(vec![vector])
    }

    fn reset(&self) -> Result<(), Error> {
        self.state().resets += 1;
        Ok(())
    }
}

/// The page of the event queue.
struct Page(SharedMem);

impl DmaBuf for Page {
    fn iova(&self) -> Iova {
        Iova(RING_IOVA)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        self.0.read(off, into).unwrap();
    }

    fn write(&self, off: usize, from: &[u8]) {
        self.0.write(off, from).unwrap();
    }

    fn read32(&self, off: usize) -> u32 {
        self.0.read32(off).unwrap()
    }

    fn write32(&self, off: usize, value: u32) {
        self.0.write32(off, value).unwrap();
    }
}

impl fmt::Debug for FakeNic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeNic")
    }
}

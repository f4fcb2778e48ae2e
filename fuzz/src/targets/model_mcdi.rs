//! MCDI requests into the model, from the function that drives the adapter and from a container's.

use std::sync::{Arc, LazyLock};

use arbitrary::Unstructured;
use nicfw::bar::Mmio;
use nicfw::device::Device;
use nicfw::dma::DmaBuf;
use nicfw::mcdi::wire::{BUFFER_LEN, Cmd, Header, HeaderForm, MAX_PAYLOAD, Status, XFlags};
use nicfw::regs::ef10;
use nicfw::terms::MacAddr;
use nicfw_model::{FunctionConfig, Model, ModelConfig, Place};

/// Requests of one input, so that it stays quick.
const MOST: usize = 64;

/// The commands that have a name.
static COMMANDS: LazyLock<Vec<Cmd>> =
    LazyLock::new(|| (0..0x200).map(Cmd).filter(|cmd| cmd.name().is_some()).collect());

/// A function as a driver has it: registers, and a buffer for requests.
pub(super) struct Host {
    bar: Arc<dyn Mmio>,
    buffer: Arc<dyn DmaBuf>,
    /// Nobody else configures the function: every request is answered.
    alone: bool,
}

impl Host {
    /// The function `index` of `model`; whether nobody else configures it.
    pub fn new(model: &Model, index: usize, alone: bool) -> Self {
        let device = model.function(index);
        let buffer = device.dma_alloc(64 * 1024, 4096).expect("there is memory");
        Self { bar: device.bar(), buffer, alone }
    }

    fn ring(&self) {
        let [low, high] = [self.buffer.iova().0, self.buffer.iova().0 >> 32]
            .map(|half| u32::try_from(half & 0xffff_ffff).expect("a half of 64 bits"));
        self.bar.write32(ef10::MC_DB_LWRD.offset(), high);
        self.bar.write32(ef10::MC_DB_HWRD.offset(), low);
    }

    /// One command with a sound header; the answer's is checked.
    fn command(&self, cmd: Cmd, form: HeaderForm, seq: u8, payload: &[u8]) {
        let request = Header {
            form,
            cmd,
            len: payload.len(),
            seq: seq % 16,
            new_epoch: seq >= 128,
            status: Status::Request,
            xflags: XFlags::empty(),
        };
        let [first, second] = request.encode();
        self.buffer.write32(4, second);
        self.buffer.write(form.header_len(), payload);
        self.buffer.write32(0, first);
        self.ring();
        if !self.alone {
            return;
        }
        let answer = Header::decode([self.buffer.read32(0), self.buffer.read32(4)]);
        assert_ne!(answer.status, Status::Request, "{cmd} is answered");
        assert_eq!((answer.form, answer.cmd, answer.seq), (form, cmd, seq % 16));
        assert!(answer.len <= MAX_PAYLOAD, "{cmd}: {} bytes", answer.len);
    }

    /// A command of the input, or any bytes in its place.
    pub fn step(&self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let (how, seq): (u8, u8) = u.arbitrary()?;
        let length = usize::from(u.arbitrary::<u16>()?) % (MAX_PAYLOAD + 1);
        if how == 0xff {
            let bytes = u.bytes(length.min(u.len()).min(BUFFER_LEN))?;
            self.buffer.write(0, bytes);
            self.ring();
            return Ok(());
        }
        let cmd = *u.choose(&COMMANDS)?;
        let form = HeaderForm::for_request(cmd, length);
        let form = if how & 1 == 0 { form } else { HeaderForm::V2 };
        let payload = u.bytes(length.min(u.len()))?;
        self.command(cmd, form, seq, payload);
        Ok(())
    }

    /// Writes the doorbell of a queue: event queue, receive, transmit.
    pub fn queue_doorbell(&self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let off = *u.choose(&[0x400usize, 0x420, 0x830, 0xa10, 0xa18])?;
        let at = usize::from(u.arbitrary::<u8>()? % 4) * 8192 + off;
        if u.arbitrary()? {
            self.bar.write32(at, u.arbitrary()?);
        } else {
            self.bar.write64(at & !7, u.arbitrary()?);
        }
        Ok(())
    }

    /// Puts bytes into the function's memory.
    pub fn write_memory(&self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let at = usize::from(u.arbitrary::<u16>()?);
        let length = usize::from(u.arbitrary::<u8>()?).min(u.len()).min(self.buffer.len() - at);
        self.buffer.write(at, u.bytes(length)?);
        Ok(())
    }
}

/// The input is a list of steps: who, and what.
pub fn run(data: &[u8]) {
    let shop = MacAddr([2, 0, 0x0a, 0x1e, 1, 0x11]);
    let functions = vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1])), FunctionConfig::container(0, 1, shop)];
    let model = Model::new(ModelConfig::new(functions));
    let hosts = [0, 1].map(|index| Host::new(&model, index, true));
    let mut u = Unstructured::new(data);
    for _ in 0..MOST {
        if step(&model, &hosts, &mut u).is_err() || u.is_empty() {
            break;
        }
    }
    assert_eq!(hosts[0].bar.read32(ef10::HW_REV_ID.offset()), ef10::HW_REV_ID_RESET);
}

fn step(model: &Model, [admin, container]: &[Host; 2], u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let what: u8 = u.arbitrary()?;
    match what % 8 {
        0..=2 => admin.step(u),
        3 => admin.queue_doorbell(u),
        4 => admin.write_memory(u),
        5 => {
            let length = usize::from(u.arbitrary::<u8>()?).min(u.len());
            let frame = u.bytes(length)?;
            let from = *u.choose(&[Place::Wire(0), Place::Host(0), Place::Host(1)])?;
            assert_eq!(model.carry(from, frame).is_err(), frame.len() < 14);
            model.elapse(what.into());
            Ok(())
        }
        _ => {
            let before = model.snapshot();
            container.step(u)?;
            container.queue_doorbell(u)?;
            assert_eq!(model.snapshot(), before, "a container's function has no privilege to change the tables");
            Ok(())
        }
    }
}

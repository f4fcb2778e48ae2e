//! The way of one command: request into DMA memory, barrier, doorbell, wait, checks, reply.
//!
//! One command is outstanding at a time. Whatever leaves in doubt which response belongs to which request poisons the
//! channel: further commands fail at once until [`Channel::restart`]. Nothing is retried.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::McdiError;
use super::event_ring::Completions;
use super::wire::{
    BUFFER_ALIGN, BUFFER_LEN, Cmd, Header, HeaderForm, MAX_PAYLOAD, MAX_PAYLOAD_V1, McErrno, Status, XFlags,
};
use crate::bar::write_barrier;
use crate::clock::Clock;
use crate::device::Device;
use crate::dma::{DmaBuf, Iova};
use crate::error::Error;
use crate::regs::Block;
use crate::regs::ef10::{self, FunctionRegs};

/// Pause after the first look at the reply; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(1);
/// From here on each look at the reply comes with a look at the registers, whose cost no longer counts; so does each look
/// that no interrupt asked for.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// How often, and how far apart, a restart looks for a running MC (ef10.md 4.7).
const BOOT_TRIES: u32 = 5;
const BOOT_PAUSE: Duration = Duration::from_secs(1);

/// The command channel of one function. Commands take no memory: requests and replies live in buffers of the channel.
pub struct Channel {
    regs: Block<FunctionRegs>,
    buffer: Arc<dyn DmaBuf>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    reply: Box<[u8; MAX_PAYLOAD]>,
    seq: u8,
    new_epoch: bool,
    boot_count: u32,
    poisoned: bool,
    /// `None`: the reply is polled.
    completions: Option<Completions>,
}

impl Channel {
    /// Opens the channel: waits for the MC to run, and cancels what an earlier driver left outstanding.
    ///
    /// # Errors
    /// No DMA memory, no registers, no running MC, or no answer at all. The adapter is unchanged.
    pub fn open(device: &dyn Device, clock: Arc<dyn Clock>, timeout: Duration) -> Result<Self, McdiError> {
        let bar = device.bar();
        let len = bar.len();
        let regs = Block::new(bar, 0).ok_or(McdiError::SmallBar { len, need: size_of::<FunctionRegs>() })?;
        let buffer = device.dma_alloc(BUFFER_LEN, BUFFER_ALIGN)?;
        let Iova(iova) = buffer.iova();
        if buffer.len() < BUFFER_LEN || !iova.is_multiple_of(BUFFER_ALIGN as u64) {
            return Err(Error::Dma { len: BUFFER_LEN, align: BUFFER_ALIGN }.into());
        }
        let mut channel = Self {
            regs,
            buffer,
            clock,
            timeout,
            reply: Box::new([0; MAX_PAYLOAD]),
            seq: 0,
            new_epoch: true,
            boot_count: 0,
            poisoned: true,
            completions: None,
        };
        channel.restart()?;
        Ok(channel)
    }

    /// Makes the channel usable again after a reboot of the MC or a lost command. Replies are polled then.
    ///
    /// The next command tells the MC to discard what this function sent before.
    ///
    /// # Errors
    /// The MC does not run within five seconds, or the function is gone. The channel stays unusable.
    pub fn restart(&mut self) -> Result<(), McdiError> {
        self.poisoned = true;
        self.completions = None;
        self.boot_count = self.await_boot()?;
        self.regs.write(&ef10::MC_DB_HWRD, ef10::MC_DB_CANCEL);
        self.new_epoch = true;
        self.poisoned = false;
        Ok(())
    }

    /// Waits for replies by the events of a queue.
    pub(super) fn complete_by(&mut self, completions: Completions) {
        self.completions = Some(completions);
    }

    /// Waits for replies by looking at them again and again.
    pub(super) fn poll(&mut self) {
        self.completions = None;
    }

    /// True if replies are announced by interrupts.
    #[must_use]
    pub fn has_interrupts(&self) -> bool {
        self.completions.is_some()
    }

    /// True if no command can be sent until [`Channel::restart`].
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// How often the MC had booted when the channel was opened or restarted.
    #[must_use]
    pub fn boot_count(&self) -> u32 {
        self.boot_count
    }

    /// Sends a command and waits for the reply's payload, which has at least `min_reply` bytes.
    ///
    /// # Errors
    /// See [`McdiError`]; [`McdiError::had_no_effect`] tells whether the adapter is certainly unchanged.
    pub fn call(&mut self, cmd: Cmd, request: &[u8], min_reply: usize) -> Result<&[u8], McdiError> {
        if self.poisoned {
            return Err(McdiError::Poisoned { cmd });
        }
        if request.len() > MAX_PAYLOAD {
            return Err(McdiError::RequestTooLong { cmd, len: request.len(), max: MAX_PAYLOAD });
        }
        let outcome = self.exchange(cmd, request, min_reply);
        match &outcome {
            Ok(len) => log::debug!("{cmd}: {} bytes out, {len} in", request.len()),
            Err(error) => log::debug!("{error}"),
        }
        let len = outcome.inspect_err(|error| self.poisoned |= error.poisons())?;
        let reply = self.reply.get(..len).unwrap_or_default();
        log::trace!("{cmd}: {request:02x?} -> {reply:02x?}");
        Ok(reply)
    }

    /// One command from doorbell to checked reply; the number of payload bytes in `self.reply`.
    fn exchange(&mut self, cmd: Cmd, request: &[u8], min_reply: usize) -> Result<usize, McdiError> {
        self.check_alive(cmd)?;
        let form = HeaderForm::for_request(cmd, request.len());
        let seq = self.seq;
        self.seq = (seq + 1) % 16;
        let header = Header {
            form,
            cmd,
            len: request.len(),
            seq,
            new_epoch: self.new_epoch,
            status: Status::Request,
            xflags: if self.completions.is_some() { XFlags::EVREQ } else { XFlags::empty() },
        };
        self.post(&header, request);
        let response = self.await_response(cmd)?;
        if response.seq != seq {
            return Err(McdiError::WrongSequence { cmd, sent: seq, got: response.seq });
        }
        if response.form != form || response.cmd != cmd {
            return Err(McdiError::WrongCommand { cmd, got: response.cmd });
        }
        let max = if form == HeaderForm::V1 { MAX_PAYLOAD_V1 } else { MAX_PAYLOAD };
        let len = response.len;
        let room = self.reply.get_mut(..len).filter(|_| len <= max);
        let payload = room.ok_or(McdiError::LongReply { cmd, len, max })?;
        self.new_epoch = false;
        if let Some(completions) = &mut self.completions {
            completions.answered();
        }
        self.buffer.read(form.header_len(), payload);
        if response.status == Status::Failed {
            return Err(refusal(cmd, payload));
        }
        if len < min_reply {
            return Err(McdiError::ShortReply { cmd, len, min: min_reply });
        }
        Ok(len)
    }

    /// Puts the request into DMA memory and rings the doorbell, high half of the address first.
    fn post(&self, header: &Header, request: &[u8]) {
        let [first, second] = header.encode();
        if header.form == HeaderForm::V2 {
            self.buffer.write32(4, second);
        }
        self.buffer.write(header.form.header_len(), request);
        self.buffer.write32(0, first);
        write_barrier();
        let Iova(iova) = self.buffer.iova();
        let (high, low) = halves(iova);
        self.regs.write(&ef10::MC_DB_LWRD, high);
        self.regs.write(&ef10::MC_DB_HWRD, low);
    }

    /// Looks until the header in DMA memory is a response.
    fn await_response(&mut self, cmd: Cmd) -> Result<Header, McdiError> {
        let deadline = self.clock.now().saturating_add(self.timeout);
        let mut pause = FIRST_PAUSE;
        let mut is_long = false;
        loop {
            let first = self.buffer.read32(0);
            if first == ef10::ALL_ONES {
                self.check_alive(cmd)?;
                return Err(McdiError::AllOnes { cmd });
            }
            if Header::is_response(first) {
                // The MC writes the first dword last: what follows it is complete once it is seen.
                fence(Ordering::Acquire);
                return Ok(Header::decode([first, self.buffer.read32(4)]));
            }
            if is_long {
                self.check_alive(cmd)?;
            }
            if self.clock.now() >= deadline {
                return Err(McdiError::Timeout { cmd, after: self.timeout });
            }
            match &mut self.completions {
                Some(completions) => is_long = !completions.wait(&*self.clock),
                None => {
                    self.clock.sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    is_long = pause >= LONGEST_PAUSE;
                }
            }
        }
    }

    /// Fails if the function is gone or the MC is not the one that the channel was opened to.
    fn check_alive(&self, cmd: Cmd) -> Result<(), McdiError> {
        let status = self.read_status().map_err(|source| McdiError::Gone { cmd, source })?;
        let same =
            ef10::MC_STATUS.get(status) == ef10::MC_RUNNING && ef10::MC_BOOT_COUNT.get(status) == self.boot_count;
        if same { Ok(()) } else { Err(McdiError::Rebooted { cmd }) }
    }

    /// MC_SFT_STATUS. All ones there are confirmed on HW_REV_ID, which is never all ones on a live function.
    fn read_status(&self) -> Result<u32, Error> {
        let status = self.regs.read(&ef10::MC_SFT_STATUS);
        if status == ef10::ALL_ONES && self.regs.read(&ef10::HW_REV_ID) == ef10::ALL_ONES {
            return Err(Error::DeviceGone);
        }
        Ok(status)
    }

    /// The boot count, once the MC runs.
    fn await_boot(&self) -> Result<u32, McdiError> {
        let mut status = self.read_status()?;
        for _ in 1..BOOT_TRIES {
            if ef10::MC_STATUS.get(status) == ef10::MC_RUNNING {
                break;
            }
            self.clock.sleep(BOOT_PAUSE);
            status = self.read_status()?;
        }
        if ef10::MC_STATUS.get(status) != ef10::MC_RUNNING {
            return Err(McdiError::NotRunning { status });
        }
        Ok(ef10::MC_BOOT_COUNT.get(status))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("regs", &self.regs)
            .field("boot_count", &self.boot_count)
            .field("poisoned", &self.poisoned)
            .field("interrupts", &self.has_interrupts())
            .finish_non_exhaustive()
    }
}

/// What an error response means: its first dword is the code, the second the argument (ef10.md 4.5).
fn refusal(cmd: Cmd, payload: &[u8]) -> McdiError {
    let dword = |i: usize| Some(u32::from_le_bytes(*payload.get(4 * i..)?.first_chunk()?));
    match dword(0) {
        _ if payload.is_empty() => McdiError::Rebooted { cmd },
        None => McdiError::ShortReply { cmd, len: payload.len(), min: 4 },
        Some(errno) => McdiError::Refused { cmd, errno: McErrno(errno), arg: dword(1) },
    }
}

/// The high and the low half of an address.
fn halves(iova: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = iova.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

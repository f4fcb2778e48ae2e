//! Accesses to the model's configuration space, registers and MSI-X table, with memory for its queues.

use std::os::unix::net::UnixStream;

use arbitrary::Unstructured;
use nicfw::regs::ef10;
use nicfw::terms::MacAddr;
use nicfw_model::serve::{Function, Session};
use nicfw_model::{FunctionConfig, Model, ModelConfig};

use super::model_mcdi::Host;

/// Accesses of one input.
const MOST: usize = 128;

/// The input is a list of accesses, as a session lets them through: aligned and inside of a region.
pub fn run(data: &[u8]) {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let mut function = model.endpoint(0);
    let (_client, server) = UnixStream::pair().expect("a socket pair");
    let session = Session::start(server, &mut function).expect("a session");
    // The driver in process gives the function memory that the registers below reach as well.
    let host = Host::new(&model, 0, false);
    let sizes = function.shape().regions.map(|region| region.map_or(0, |region| region.size));
    let mut u = Unstructured::new(data);
    for _ in 0..MOST {
        if u.is_empty() || access(&mut function, &sizes, &host, &mut u).is_err() {
            break;
        }
    }
    session.finish(&mut function);
}

fn access(function: &mut dyn Function, sizes: &[u64], host: &Host, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let what: u8 = u.arbitrary()?;
    match what {
        0..0x20 => return host.step(u),
        0x20..0x40 => return host.queue_doorbell(u),
        0x40..0x50 => return host.write_memory(u),
        0x50 => {
            function.reset();
            return Ok(());
        }
        _ => {}
    }
    let region = u32::from(what % 8);
    let size = usize::try_from(region).ok().and_then(|region| sizes.get(region)).copied().unwrap_or(0);
    if size == 0 {
        return Ok(());
    }
    let width = 1usize << (u.arbitrary::<u8>()? % 4);
    let offset = match u.arbitrary::<u8>()? {
        0 => ef10::MC_DB_LWRD.offset() as u64,
        1 => ef10::MC_DB_HWRD.offset() as u64,
        _ => u64::from(u.arbitrary::<u32>()?),
    };
    let offset = offset % size / width as u64 * width as u64;
    let mut bytes = u.arbitrary::<[u8; 8]>()?;
    let bytes = &mut bytes[..width];
    if u.arbitrary()? {
        function.write(region, offset, bytes);
    }
    function.read(region, offset, bytes);
    Ok(())
}

//! Both sides of a vfio-user socket: against each other, by their bytes, and what a driver sees when the adapter on the other
//! end goes wrong: named errors, nothing believed.

mod client;
mod server;
mod toy;

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::device::vfio_user::VfioUser;
use nicfw::tables::{Action, RuleKey, TableOp};
use nicfw::terms::MacAddr;
use nicfw_model::mc::Holdings;
use nicfw_model::serve::Session;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

/// A model with one privileged function, a driver attached to it over a socket, and a handle that cuts the connection.
fn attached() -> (Model, Adapter, UnixStream) {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let (driver, server) = UnixStream::pair().unwrap();
    let cut = driver.try_clone().unwrap();
    let mut endpoint = model.endpoint(0);
    thread::spawn(move || Session::start(server, &mut endpoint)?.serve(&mut endpoint));
    let device = Box::new(VfioUser::over(driver).unwrap());
    let adapter = Adapter::from_device(device, Arc::new(VirtualClock::new()), AttachOptions::default()).unwrap();
    (model, adapter, cut)
}

fn deny(last: u8) -> TableOp {
    let key = RuleKey { local_ip: Some([10, 30, 1, last].into()), ..RuleKey::default() };
    let deny = Action::Deny { sample: false };
    TableOp::SetRule { key, rx: deny, tx: deny, counter: None }
}

#[test]
fn a_server_that_dies_is_an_adapter_that_is_gone() {
    let (model, mut adapter, cut) = attached();
    adapter.execute(&deny(1)).unwrap();
    let before = model.snapshot();
    cut.shutdown(Shutdown::Both).unwrap();
    let error = adapter.execute(&deny(2)).unwrap_err();
    let text = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    assert!(text.contains("the adapter no longer answers"), "{text}");
    assert_eq!(model.snapshot(), before, "the rules stay in the adapter");
    adapter.execute(&deny(3)).unwrap_err();
}

#[test]
fn a_driver_that_comes_back_finds_its_rules() {
    let (model, mut adapter, _cut) = attached();
    adapter.execute(&deny(1)).unwrap();
    let rules = model.snapshot();
    drop(adapter);
    let device = nicfw_model::serve::over_socket(&model, 0).unwrap();
    let again = Adapter::from_device(Box::new(device), Arc::new(VirtualClock::new()), AttachOptions::default());
    again.unwrap();
    assert_eq!(model.snapshot(), rules);
}

#[test]
fn replies_come_by_interrupt_and_nothing_is_left_behind() {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let attach = || {
        let device = nicfw_model::serve::over_socket(&model, 0).unwrap();
        Adapter::from_device(Box::new(device), Arc::new(VirtualClock::new()), AttachOptions::default()).unwrap()
    };
    let mut adapter = attach();
    assert!(adapter.has_interrupts());
    let held = model.held(0);
    assert_eq!((held.vis, held.event_queues), (1, 1));
    for last in 0..=255 {
        adapter.execute(&deny(last)).unwrap();
    }
    model.reboot();
    assert!(adapter.execute(&deny(1)).is_err());
    assert!(adapter.recover().unwrap().rebooted);
    assert!(adapter.has_interrupts(), "the queue went with the reboot, and is made again");
    adapter.execute(&deny(1)).unwrap();
    // A driver that is gone without a word: the next one takes its queue away.
    drop(adapter);
    let mut adapter = attach();
    adapter.execute(&deny(2)).unwrap();
    assert!(adapter.has_interrupts());
    adapter.detach().unwrap();
    assert_eq!(model.held(0), Holdings::default());
}

//! How the tests reach a function of the model: in process, or over a vfio-user socket when `NICFW_TEST_BACKEND` says so.

use nicfw::device::Device;
use nicfw_model::Model;

/// True if the functions are reached over a socket.
pub fn over_socket() -> bool {
    match std::env::var("NICFW_TEST_BACKEND").as_deref() {
        Err(_) | Ok("process") => false,
        Ok("vfio-user") => true,
        Ok(other) => panic!("NICFW_TEST_BACKEND is {other:?}; process or vfio-user is possible"),
    }
}

/// The function `index` of `model`, as a driver has it.
pub fn function(model: &Model, index: usize) -> Box<dyn Device> {
    if over_socket() {
        Box::new(nicfw_model::serve::over_socket(model, index).expect("a socket in this process"))
    } else {
        Box::new(model.function(index))
    }
}

//! The `nicfw-model` program from outside: a driver in this process, the adapter in another.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::{AttachError, AttachOptions};
use nicfw::clock::SystemClock;
use nicfw::device::{Device, Locator};

/// A running server. Ended on drop.
struct Server(Child);

impl Server {
    fn start(socket: &Path, container: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nicfw-model"))
            .args(["serve", "--socket"])
            .arg(socket)
            .arg("--container")
            .arg(container)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(3);
        let said: Vec<String> = lines.map(Result::unwrap).collect();
        assert_eq!(said[0], "EMULATED adapter");
        assert_eq!(said[1], format!("function 0 (privileged): vfio-user:{}", socket.display()));
        assert_eq!(said[2], format!("function 1 (container's): vfio-user:{}", container.display()));
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn open(socket: &Path) -> Box<dyn Device> {
    Locator::VfioUser(socket.to_owned()).open().unwrap()
}

fn attach(device: Box<dyn Device>) -> Result<Adapter, AttachError> {
    Adapter::from_device(device, Arc::new(SystemClock::new()), AttachOptions::default())
}

#[test]
fn a_driver_attaches_to_the_adapter_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, container) = (dir.path().join("nic.sock"), dir.path().join("vf.sock"));
    let server = Server::start(&socket, &container);

    let adapter = attach(open(&socket)).unwrap();
    assert_eq!(adapter.info().rules_version, 0);
    let busy = Locator::VfioUser(socket.clone()).open().unwrap_err().to_string();
    assert_eq!(busy, "the vfio-user server hung up at once: it serves another driver");
    let refused = attach(open(&container)).unwrap_err();
    assert!(matches!(refused, AttachError::NoPrivilege { .. }), "{refused}");

    drop(adapter);
    attach(open(&socket)).expect("a driver that comes back finds the function");

    let bar = open(&socket).bar();
    drop(server);
    assert_eq!(bar.read32(0), u32::MAX, "a server that dies is a device that is gone");
    Server::start(&socket, &container);
}

#[test]
fn a_socket_in_use_and_a_bad_path_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, container) = (dir.path().join("nic.sock"), dir.path().join("vf.sock"));
    let _server = Server::start(&socket, &container);
    let fails = |path: &Path| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nicfw-model"))
            .args(["serve", "--socket"])
            .arg(path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        text
    };
    let in_use = format!("nicfw-model: {} is in use: another server answers there\n", socket.display());
    assert_eq!(fails(&socket), in_use);
    let nowhere = dir.path().join("none/nic.sock");
    let text = format!("nicfw-model: no socket at {}: No such file or directory (os error 2)\n", nowhere.display());
    assert_eq!(fails(&nowhere), text);
}

#[test]
fn the_program_describes_the_adapter_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, container) = (dir.path().join("nic.sock"), dir.path().join("vf.sock"));
    let _server = Server::start(&socket, &container);
    let info = |path: &Path| {
        let device = format!("vfio-user:{}", path.display());
        let out = Command::new(env!("CARGO_BIN_EXE_nicfw")).args(["info", "--device", &device]).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, text, _) = info(&socket);
    assert_eq!((code, text.lines().next()), (Some(0), Some(&*format!("adapter vfio-user:{}", socket.display()))));
    assert!(!text.contains("EMULATED"), "another process says what it is: {text}");
    assert_eq!(info(&socket).0, Some(0), "it was let go of");
    let (code, _, error) = info(&container);
    assert!(code == Some(1) && error.contains("lacks ADMIN and ADMIN_TSA_UNBOUND"), "{error}");
}

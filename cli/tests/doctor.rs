//! `nicfw doctor` on made-up machines, and `nicfw info` on an adapter that is not emulated in the same process.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{golden, nicfw};
use serde_json::Value;

/// A function in a tree that stands for a machine.
fn function(root: &Path, address: &str, device: &str, driver: &str, group: u32) {
    let folder = root.join("sys/bus/pci/devices").join(address);
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in [("vendor", "0x1924"), ("device", device), ("class", "0x020000")] {
        fs::write(folder.join(name), text).unwrap();
    }
    let (drivers, groups) = (root.join("sys/bus/pci/drivers"), root.join("sys/kernel/iommu_groups"));
    fs::create_dir_all(drivers.join(driver)).unwrap();
    symlink(drivers.join(driver), folder.join("driver")).unwrap();
    let group = groups.join(group.to_string());
    fs::create_dir_all(group.join("devices")).unwrap();
    symlink(&folder, group.join("devices").join(address)).unwrap();
    symlink(&group, folder.join("iommu_group")).unwrap();
}

fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    function(root.path(), "0000:65:00.0", "0x0a03", "sfc", 12);
    function(root.path(), "0000:66:00.0", "0x0b03", "vfio-pci", 13);
    let vfio = root.path().join("dev/vfio");
    fs::create_dir_all(&vfio).unwrap();
    fs::write(vfio.join("13"), "").unwrap();
    root
}

#[test]
fn each_function_with_what_stands_in_the_way_and_what_helps() {
    let root = machine();
    let root = root.path().to_str().unwrap();
    let ran = nicfw(&["doctor", "--root", root]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    golden("doctor", &ran.stdout);
    let ran = nicfw(&["doctor", "66:00.0", "--root", root, "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["functions"][0]["usable"], "unknown until attach");
}

#[test]
fn a_machine_without_an_adapter_and_bad_addresses() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("sys/bus/pci/devices")).unwrap();
    let root = root.path().to_str().unwrap();
    let ran = nicfw(&["doctor", "--root", root]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "no adapter that nicfw knows is in this machine\n"));
    let ran = nicfw(&["doctor", "65:00.0", "--root", root]);
    let expected = "there is no PCI function 0000:65:00.0: list what is there with `nicfw doctor`\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (1, expected));
    let ran = nicfw(&["doctor", "65.0", "--root", root]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("expected domain:bus:device.function"), "{}", ran.stderr);
}

#[test]
fn info_of_a_socket_that_nobody_serves() {
    let ran = nicfw(&["info", "--device", "vfio-user:/nowhere"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("start one with `nicfw-model serve --socket PATH`"), "{}", ran.stderr);
}

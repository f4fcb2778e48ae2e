//! The walk over made-up machines.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A tree that looks like a machine. Removed on drop.
struct Tree(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Tree {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("nicfw-probe-{}-{number}", std::process::id()));
        fs::create_dir_all(root.join("sys/bus/pci/devices")).unwrap();
        Self(root)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, from: &str, to: &str) {
        let from = self.0.join(from);
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        symlink(self.0.join(to), from).unwrap();
    }

    /// A function with its ids, class, driver and group.
    fn function(&self, address: &str, ids: (&str, &str), class: &str, driver: Option<&str>, group: Option<u32>) {
        let device = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{device}/vendor"), &format!("{}\n", ids.0));
        self.write(&format!("{device}/device"), &format!("{}\n", ids.1));
        self.write(&format!("{device}/class"), &format!("{class}\n"));
        if let Some(driver) = driver {
            fs::create_dir_all(self.0.join(format!("sys/bus/pci/drivers/{driver}"))).unwrap();
            self.link(&format!("{device}/driver"), &format!("sys/bus/pci/drivers/{driver}"));
        }
        if let Some(group) = group {
            self.link(&format!("{device}/iommu_group"), &format!("sys/kernel/iommu_groups/{group}"));
            self.link(&format!("sys/kernel/iommu_groups/{group}/devices/{address}"), &device);
        }
    }

    fn medford(&self, address: &str, driver: Option<&str>, group: Option<u32>) {
        self.function(address, ("0x1924", "0x0a03"), "0x020000", driver, group);
    }

    fn one(&self, address: &str) -> Suitability {
        Machine::at(&self.0, None).probe(Some(address.parse().unwrap())).unwrap().remove(0)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn texts(function: &Suitability) -> Vec<String> {
    function.obstacles.iter().map(ToString::to_string).collect()
}

fn commands(function: &Suitability) -> Vec<String> {
    function.obstacles.iter().flat_map(|obstacle| obstacle.commands(function.address)).collect()
}

#[test]
fn a_function_that_is_ready_is_unknown_until_attach() {
    let tree = Tree::new();
    tree.medford("0000:65:00.0", Some("vfio-pci"), Some(12));
    tree.function("0000:64:00.0", ("0x8086", "0x2030"), "0x060400", Some("pcieport"), Some(12));
    tree.write("dev/vfio/12", "");
    let function = tree.one("65:00.0");
    assert_eq!(texts(&function), [""; 0]);
    assert_eq!(function.verdict(), Usability::UnknownUntilAttach);
    assert_eq!(function.model.name, "SFC9220 (SFN8000)");
    assert_eq!(function.group.as_ref().unwrap().members.len(), 2, "a bridge in the group is not an obstacle");
    assert_eq!(function.clone().with_firmware(Firmware::RulesEngine).verdict(), Usability::Yes);
    let without = function.with_firmware(Firmware::NoRulesEngine);
    assert_eq!(without.verdict(), Usability::No);
    assert_eq!(texts(&without), ["the running firmware has no rules engine that this function may use"]);
}

#[test]
fn a_function_of_the_network_driver_names_the_interface_and_the_commands() {
    let tree = Tree::new();
    tree.medford("0000:65:00.0", Some("sfc"), Some(12));
    tree.write("sys/bus/pci/devices/0000:65:00.0/net/enp101s0f0/mtu", "1500");
    let function = tree.one("0000:65:00.0");
    assert_eq!(function.verdict(), Usability::No);
    assert_eq!(
        texts(&function),
        ["the kernel module vfio-pci is not loaded", "driver sfc holds the function; enp101s0f0 would go away"]
    );
    assert_eq!(
        commands(&function),
        [
            "modprobe vfio-pci",
            "echo vfio-pci > /sys/bus/pci/devices/0000:65:00.0/driver_override",
            "echo 0000:65:00.0 > /sys/bus/pci/devices/0000:65:00.0/driver/unbind",
            "echo 0000:65:00.0 > /sys/bus/pci/drivers_probe",
        ]
    );
}

#[test]
fn a_group_with_a_member_in_use_is_not_viable() {
    let tree = Tree::new();
    tree.medford("0000:65:00.0", Some("vfio-pci"), Some(12));
    tree.medford("0000:65:00.1", Some("sfc"), Some(12));
    tree.medford("0000:65:00.2", None, Some(12));
    let function = tree.one("0000:65:00.0");
    assert_eq!(texts(&function), ["the IOMMU group 12 is not viable: 1 of its other members in use by the kernel"]);
    assert_eq!(commands(&function), ["echo 0000:65:00.1 > /sys/bus/pci/devices/0000:65:00.1/driver/unbind"]);
}

#[test]
fn without_an_iommu_the_kernel_parameter_is_named() {
    let tree = Tree::new();
    tree.medford("0000:65:00.0", Some("vfio-pci"), None);
    tree.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
    let function = tree.one("0000:65:00.0");
    assert_eq!(function.obstacles, [Obstacle::NoIommu { parameter: "amd_iommu=on" }]);
    assert!(commands(&function)[0].contains("amd_iommu=on"));
    let later = Tree::new();
    later.medford("0000:65:00.0", None, None);
    later.write("sys/class/iommu/virtio0/type", "");
    later.write("sys/bus/pci/drivers/vfio-pci/bind", "");
    assert_eq!(later.one("0000:65:00.0").obstacles, [Obstacle::NotBound], "the group comes with the driver");
    let unguarded = Tree::new();
    unguarded.medford("0000:65:00.0", Some("vfio-pci"), Some(0));
    unguarded.write("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
    assert_eq!(unguarded.one("0000:65:00.0").obstacles, [Obstacle::NoIommu { parameter: "intel_iommu=on" }]);
}

#[test]
fn an_unbound_function_a_closed_file_and_a_low_limit_are_named() {
    let tree = Tree::new();
    tree.medford("0000:65:00.0", None, Some(12));
    tree.medford("0000:65:00.1", Some("vfio-pci"), Some(13));
    let unbound = tree.one("0000:65:00.0");
    assert_eq!(unbound.obstacles, [Obstacle::NotBound]);
    assert_eq!(commands(&unbound).len(), 2, "nothing to unbind");
    let limited = Machine::at(&tree.0, Some(65_536)).probe(Some("65:00.1".parse().unwrap())).unwrap().remove(0);
    assert_eq!(texts(&limited), ["this process may pin 65536 bytes of memory (RLIMIT_MEMLOCK); 4194304 are needed"]);
    tree.write("dev/vfio/13", "");
    let file = tree.0.join("dev/vfio/13");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may open what nobody may: the case is told apart by what the kernel says, not by the mode.
    let refused = rustix::fs::access(&file, Access::READ_OK).is_err();
    let path = PathBuf::from("/dev/vfio/13");
    let expected = if refused { vec![Obstacle::NoPermission { path }] } else { vec![] };
    assert_eq!(tree.one("0000:65:00.1").obstacles, expected);
}

#[test]
fn what_nicfw_cannot_drive_says_why() {
    let tree = Tree::new();
    tree.function("0000:65:00.0", ("0x1924", "0x0903"), "0x020000", Some("sfc"), Some(1));
    tree.function("0000:66:00.0", ("0x1924", "0x0913"), "0x020000", None, Some(2));
    tree.function("0000:67:00.2", ("0x1924", "0x1a03"), "0x020000", Some("vfio-pci"), Some(3));
    tree.link("sys/bus/pci/devices/0000:67:00.2/physfn", "sys/bus/pci/devices/0000:67:00.0");
    tree.function("0000:00:1f.0", ("0x8086", "0xa143"), "0x060100", None, Some(4));
    let all = Machine::at(&tree.0, None).probe(None).unwrap();
    let all: Vec<_> = all.iter().map(|f| (f.address.to_string(), texts(f).join("; "))).collect();
    let expected = [
        ("0000:65:00.0", "nicfw does not drive this chip: it has no rules engine that is known"),
        ("0000:66:00.0", "the adapter's flash is uninitialised: there is no firmware to talk to"),
        ("0000:67:00.2", "a virtual function has no say over the adapter's rules: use 0000:67:00.0"),
    ];
    assert_eq!(all, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn what_is_not_there_is_an_error_with_a_way_out() {
    let tree = Tree::new();
    tree.function("0000:00:1f.0", ("0x8086", "0xa143"), "0x060100", None, None);
    let machine = Machine::at(&tree.0, None);
    let error = |address: &str| machine.probe(Some(address.parse().unwrap())).unwrap_err().to_string();
    assert_eq!(error("65:00.0"), "there is no PCI function 0000:65:00.0: list what is there with `nicfw doctor`");
    assert_eq!(error("00:1f.0"), "0000:00:1f.0 is 8086:a143, no adapter that nicfw knows");
    assert!(machine.probe(None).unwrap().is_empty());
    let nowhere = Machine::at(Path::new("/nonexistent"), None).probe(None).unwrap_err();
    assert_eq!(nowhere.to_string(), "/nonexistent/sys/bus/pci/devices cannot be read");
}

#[test]
fn attributes_that_make_no_sense_are_skipped() {
    let tree = Tree::new();
    tree.function("0000:65:00.0", ("0x1924", "banana"), "", Some("sfc"), None);
    tree.function("0000:66:00.0", ("0x19240000", "0x0a03"), "0x020000", None, None);
    tree.write("sys/bus/pci/devices/not-an-address/vendor", "0x1924");
    assert!(Machine::at(&tree.0, None).probe(None).unwrap().is_empty());
}

//! What all importers have in common: bytes in, a policy file or a reason out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nicfw::policy::Document;
use nicfw::policy::import::{Format, Settings, View, import};
use nicfw::terms::MacAddr;

/// Imports `data` as plainly as can be, and with everything said that can be said. The text of a policy that comes out is
/// the policy that comes out.
pub fn run(format: Format, data: &[u8]) {
    let v4 = IpAddr::V4(Ipv4Addr::new(10, 30, 1, 17));
    let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x17));
    let mac = MacAddr([2, 0, 0x0a, 0x1e, 1, 0x11]);
    let plain = Settings::new("shop-1", vec![v4], mac);
    let full = Settings {
        open_nd: true,
        view: View::Router,
        uplinks: vec!["eth0".to_owned(), "bond+".to_owned()],
        vlan: Some(7),
        domain: Some(0),
        accept_stateless: true,
        ..Settings::new("shop-1", vec![v4, v6], mac)
    };
    for settings in [plain, full] {
        match import(format, data, "old", &settings) {
            Ok(import) => {
                let again = Document::parse(&import.yaml, &import.document.name);
                assert_eq!(again.as_ref(), Ok(&import.document), "{}", import.yaml);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

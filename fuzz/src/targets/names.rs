//! The names of things: MACs, PCI addresses, locators; dates and moments.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use nicfw::clock::Timestamp;
use nicfw::device::{Locator, PciAddress};
use nicfw::policy::Date;
use nicfw::terms::MacAddr;

/// Reads the input as each. What is read is read again as it is written.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    check::<MacAddr>(text);
    check::<PciAddress>(text);
    check::<Locator>(text);
    check::<Date>(text);
    check::<Timestamp>(text);
}

fn check<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse().ok(), Some(value)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

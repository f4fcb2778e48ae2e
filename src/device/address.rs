//! Where a PCI function stands: domain, bus, device, function.

use std::fmt;
use std::str::FromStr;

/// The address of a PCI function, as `lspci -D` and sysfs write it: `0000:65:00.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain (segment); 0 on most machines.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device (slot), 0 to 31.
    pub device: u8,
    /// Function, 0 to 7.
    pub function: u8,
}

/// A text that is no PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a PCI address: expected domain:bus:device.function in hexadecimal, such as 0000:65:00.0")]
#[non_exhaustive]
pub struct AddressError {
    /// The text.
    pub text: String,
}

impl FromStr for PciAddress {
    type Err = AddressError;

    /// Reads `0000:65:00.1`, or `65:00.1` in domain 0.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text).ok_or_else(|| AddressError { text: text.chars().take(64).collect() })
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.split_once(':').unwrap_or(("0", rest));
    let function = u8::try_from(hex(function, 1)?).ok().filter(|function| *function < 8)?;
    let device = u8::try_from(hex(device, 2)?).ok().filter(|device| *device < 32)?;
    Some(PciAddress { domain: hex(domain, 8)?, bus: u8::try_from(hex(bus, 2)?).ok()?, device, function })
}

/// A number of one to `most` hexadecimal digits, and nothing else.
fn hex(digits: &str, most: usize) -> Option<u32> {
    let plain = (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_read() {
        let expected = PciAddress { domain: 0, bus: 0x65, device: 0x1f, function: 7 };
        assert_eq!("0000:65:1f.7".parse(), Ok(expected));
        assert_eq!("65:1F.7".parse(), Ok(expected));
        assert_eq!(expected.to_string(), "0000:65:1f.7");
        assert_eq!("10000:01:00.0".parse::<PciAddress>().unwrap().to_string(), "10000:01:00.0");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "65:00",
            "0000:65:00",
            "65:00.8",
            "65:20.0",
            "165:00.0",
            "65:00.0 ",
            "+5:00.0",
            "0:0:65:00.0",
            "eth0",
            "65:00.",
            ":65:00.0",
        ] {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?}");
        }
        let text = "65:0.8".parse::<PciAddress>().unwrap_err().to_string();
        assert_eq!(
            text,
            "\"65:0.8\" is not a PCI address: expected domain:bus:device.function in hexadecimal, such as 0000:65:00.0"
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(domain in any::<u32>(), bus in any::<u8>(), device in 0u8..32, function in 0u8..8) {
            let address = PciAddress { domain, bus, device, function };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = text.parse::<PciAddress>();
        }
    }
}

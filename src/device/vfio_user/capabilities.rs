//! What the two sides of a connection tell each other about themselves: the JSON text of the version message.

use serde_json::{Map, Value, json};

/// Longest JSON text that is looked at, in bytes.
pub const MAX_TEXT: usize = 4096;

/// The sender's limits. Unknown names are skipped, as the protocol may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `max_msg_fds`: most descriptors that the sender takes in one message.
    pub max_msg_fds: u64,
    /// `max_data_xfer_size`: most bytes of data that the sender takes in one message.
    pub max_data_xfer_size: u64,
    /// `max_dma_maps`: most windows at one time.
    pub max_dma_maps: u64,
}

impl Default for Capabilities {
    /// What the specification lets a receiver assume of a sender that names nothing.
    fn default() -> Self {
        Self { max_msg_fds: 1, max_data_xfer_size: 1 << 20, max_dma_maps: 65_535 }
    }
}

/// A text that is no capability text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapabilityError {
    /// Longer than [`MAX_TEXT`].
    #[error("the capability text has {0} bytes, more than {MAX_TEXT}")]
    Long(usize),
    /// Does not end with NUL.
    #[error("the capability text does not end with NUL")]
    NoNul,
    /// Not JSON, or no object.
    #[error("the capability text is not a JSON object")]
    Json,
    /// A known name with a value that it cannot have.
    #[error("the capability {0} is not a positive number")]
    Value(&'static str),
}

impl Capabilities {
    /// Reads the bytes behind [`Version`](super::wire::Version): nothing at all, or JSON with a final NUL.
    ///
    /// # Errors
    /// [`CapabilityError`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, CapabilityError> {
        let mut found = Self::default();
        if bytes.is_empty() {
            return Ok(found);
        }
        if bytes.len() > MAX_TEXT {
            return Err(CapabilityError::Long(bytes.len()));
        }
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        if text.len() == bytes.len() {
            return Err(CapabilityError::NoNul);
        }
        let json: Value = serde_json::from_slice(text).map_err(|_| CapabilityError::Json)?;
        let object = json.as_object().ok_or(CapabilityError::Json)?;
        let Some(listed) = object.get("capabilities") else { return Ok(found) };
        let listed = listed.as_object().ok_or(CapabilityError::Json)?;
        number(listed, "max_msg_fds", &mut found.max_msg_fds)?;
        number(listed, "max_data_xfer_size", &mut found.max_data_xfer_size)?;
        number(listed, "max_dma_maps", &mut found.max_dma_maps)?;
        Ok(found)
    }

    /// The JSON text, with its final NUL.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let text = json!({"capabilities": {
            "max_msg_fds": self.max_msg_fds,
            "max_data_xfer_size": self.max_data_xfer_size,
            "max_dma_maps": self.max_dma_maps,
        }});
        let mut bytes = text.to_string().into_bytes();
        bytes.push(0);
        bytes
    }
}

fn number(listed: &Map<String, Value>, name: &'static str, into: &mut u64) -> Result<(), CapabilityError> {
    if let Some(value) = listed.get(name) {
        *into = value.as_u64().filter(|number| *number > 0).ok_or(CapabilityError::Value(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qemu_sends_is_understood() {
        // The names that QEMU's client sends; `pgsizes` and `write_multiple` are not looked at.
        let text =
            b"{\"capabilities\": {\"max_data_xfer_size\": 1048576, \"max_dma_maps\": 65535, \"max_msg_fds\": 8, \
                     \"pgsizes\": 4096, \"write_multiple\": true}}\0";
        let expected = Capabilities { max_msg_fds: 8, max_data_xfer_size: 1 << 20, max_dma_maps: 65_535 };
        assert_eq!(Capabilities::parse(text), Ok(expected));
    }

    #[test]
    fn missing_names_have_the_protocols_defaults() {
        assert_eq!(Capabilities::parse(b""), Ok(Capabilities::default()));
        assert_eq!(Capabilities::parse(b"{}\0"), Ok(Capabilities::default()));
        assert_eq!(Capabilities::parse(b"{\"capabilities\":{}}\0 after"), Ok(Capabilities::default()));
        let own = Capabilities { max_msg_fds: 16, max_data_xfer_size: 4096, max_dma_maps: 7 };
        assert_eq!(Capabilities::parse(&own.to_bytes()), Ok(own));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let cases: [(&[u8], CapabilityError); 7] = [
            (b"{}", CapabilityError::NoNul),
            (b"\0", CapabilityError::Json),
            (b"[]\0", CapabilityError::Json),
            (b"{\"capabilities\":3}\0", CapabilityError::Json),
            (b"{\"capabilities\":{\"max_msg_fds\":-1}}\0", CapabilityError::Value("max_msg_fds")),
            (b"{\"capabilities\":{\"max_dma_maps\":0}}\0", CapabilityError::Value("max_dma_maps")),
            (b"{\"capabilities\":{\"max_data_xfer_size\":\"big\"}}\0", CapabilityError::Value("max_data_xfer_size")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Capabilities::parse(bytes), Err(expected), "{}", String::from_utf8_lossy(bytes));
        }
        let deep = [vec![b'['; MAX_TEXT - 1], vec![0]].concat();
        assert_eq!(Capabilities::parse(&deep), Err(CapabilityError::Json));
        assert_eq!(Capabilities::parse(&[b' '; MAX_TEXT + 1]), Err(CapabilityError::Long(MAX_TEXT + 1)));
    }
}

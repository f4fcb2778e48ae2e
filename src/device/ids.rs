//! The adapters that are known by their PCI ids, and where their registers are (ef10.md 1.1 and 1.2).

use super::PciId;

/// What a PCI id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// The id.
    pub id: PciId,
    /// The chip, as its maker and the drivers call it.
    pub name: &'static str,
    /// What nicfw can do with it.
    pub support: Support,
    /// The BAR that holds the registers.
    pub register_bar: u32,
}

/// What nicfw can do with a kind of function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// A physical function of an adapter whose firmware can have the rules engine.
    Drives,
    /// A virtual function: the firmware gives it no say over the adapter's rules.
    Virtual,
    /// The chip has no rules engine, or nicfw does not know it yet.
    Unsupported,
    /// The flash was never initialised: there is no firmware to talk to.
    NoFirmware,
}

impl PciId {
    /// Physical function of an SFC9220, the chip of the SFN8000 series (Medford).
    pub const SFC9220: Self = solarflare(0x0a03);
    /// Virtual function of an SFC9220.
    pub const SFC9220_VF: Self = solarflare(0x1a03);
}

const fn solarflare(device: u16) -> PciId {
    PciId { vendor: 0x1924, device }
}

const fn xilinx(device: u16) -> PciId {
    PciId { vendor: 0x10ee, device }
}

/// Every id that is known.
pub const MODELS: &[Model] = &[
    model(solarflare(0x0901), "SFC9100 family, uninitialised flash", Support::NoFirmware, 2),
    model(solarflare(0x0903), "SFC9120 (SFN7000)", Support::Unsupported, 2),
    model(solarflare(0x1903), "SFC9120 (SFN7000) virtual function", Support::Unsupported, 0),
    model(solarflare(0x0923), "SFC9140 (SFN7000)", Support::Unsupported, 2),
    model(solarflare(0x1923), "SFC9140 (SFN7000) virtual function", Support::Unsupported, 0),
    model(solarflare(0x0913), "SFC9200 family, uninitialised flash", Support::NoFirmware, 2),
    model(PciId::SFC9220, "SFC9220 (SFN8000)", Support::Drives, 2),
    model(PciId::SFC9220_VF, "SFC9220 (SFN8000) virtual function", Support::Virtual, 0),
    model(solarflare(0x0b13), "SFC9250 family, uninitialised flash", Support::NoFirmware, 0),
    model(solarflare(0x0b03), "SFC9250 (X2)", Support::Drives, 0),
    model(solarflare(0x1b03), "SFC9250 (X2) virtual function", Support::Virtual, 0),
    model(solarflare(0x0c13), "X4 family, uninitialised flash", Support::NoFirmware, 2),
    model(solarflare(0x0c03), "X4", Support::Unsupported, 2),
    model(solarflare(0x1c03), "X4 virtual function", Support::Unsupported, 0),
    model(solarflare(0x2c03), "X4", Support::Unsupported, 2),
    model(solarflare(0x3c03), "X4 virtual function", Support::Unsupported, 0),
    model(xilinx(0x0100), "EF100 (Alveo)", Support::Unsupported, 2),
    model(xilinx(0x1100), "EF100 (Alveo) virtual function", Support::Unsupported, 2),
];

const fn model(id: PciId, name: &'static str, support: Support, register_bar: u32) -> Model {
    Model { id, name, support, register_bar }
}

impl Model {
    /// What is known about `id`.
    #[must_use]
    pub fn of(id: PciId) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.id == id)
    }

    /// Whether a function of this kind can be attached to: a virtual one for what its firmware tells, and no more.
    #[must_use]
    pub fn attaches(&self) -> bool {
        matches!(self.support, Support::Drives | Support::Virtual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_listed_once_and_found() {
        for model in MODELS {
            assert_eq!(Model::of(model.id), Some(model), "{} is listed once", model.id);
        }
        assert_eq!(Model::of(PciId { vendor: 0x1924, device: 0x0a03 }).unwrap().register_bar, 2);
        assert_eq!(Model::of(PciId { vendor: 0x1924, device: 0x0b03 }).unwrap().register_bar, 0);
        assert_eq!(Model::of(PciId { vendor: 0x8086, device: 0x0b03 }), None);
    }

    /// SFN8000 (Medford) and X2 (Medford2), physical and virtual functions: ef10.md 1.1.
    #[test]
    fn four_kinds_of_function_are_attached_to() {
        let attached = MODELS.iter().filter(|model| model.attaches()).map(|model| model.id.to_string());
        assert_eq!(attached.collect::<Vec<_>>(), ["1924:0a03", "1924:1a03", "1924:0b03", "1924:1b03"]);
    }
}

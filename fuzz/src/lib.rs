//! Fuzz targets: one function for every way in to nicfw and its model.
//!
//! A target takes any bytes and returns; what must hold whatever they are is asserted inside. `cargo fuzz` calls it with
//! inputs that libFuzzer makes up, `cargo test` with the small files of `corpus/` (named, one for each thing that is worth
//! getting at) and `regressions/` (inputs that once found an error; `regressions/README.md` says which):
//!
//! ```text
//! corpus/TARGET/NAME, regressions/TARGET/NAME -> tests/replay.rs -> TARGETS -> targets::TARGET
//! libFuzzer -> main.rs, NICFW_FUZZ_TARGET=TARGET                 -> TARGETS -> targets::TARGET
//! ```
//!
//! Which public functions take foreign bytes, and that each is reached by a target, is checked by `tests/ways_in.rs`.
//! `tests/long/fuzz` runs all targets for hours. There is no clock and no random number inside: the same bytes do the same.

mod documents;
mod puppet;
mod tamper;
pub mod targets;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name, and name of its directories.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// The public functions that foreign bytes enter by and that this target reaches: file and name.
    pub ways_in: &'static [&'static str],
}

macro_rules! targets {
    ($($name:ident: $($way:literal)*;)*) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), run: targets::$name::run, ways_in: &[$($way),*] },)*
        ];
    };
}

targets! {
    c_calls: ;
    compiler: ;
    driver: "src/adapter/mod.rs from_device";
    flow_text: "src/policy/text/flow_text.rs FlowText";
    frame: "firmware-model/src/packet.rs parse" "firmware-model/src/packet.rs parse_captured" "firmware-model/src/model.rs carry" "firmware-model/src/model.rs judge";
    import_classbench: "src/policy/import/mod.rs import";
    import_dpdk_acl: "src/policy/import/mod.rs import";
    import_iptables: "src/policy/import/mod.rs import";
    import_nft: "src/policy/import/mod.rs import";
    journal: "src/journal/hash.rs Head" "src/journal/hash.rs new" "src/journal/header.rs decode";
    mcdi_reply: "src/mcdi/channel.rs open" "src/mcdi/wire/mod.rs zero_extended";
    model_mcdi: "firmware-model/src/mc/requests.rs take" "firmware-model/src/mc/requests.rs answered"
        "firmware-model/src/vnic/mod.rs receive" "firmware-model/src/vnic/rx.rs receive";
    model_pci: "firmware-model/src/pci/config_space.rs write" "firmware-model/src/pci/msix.rs write";
    names: "src/terms/mac.rs MacAddr" "src/device/address.rs PciAddress" "src/device/locator.rs Locator" "src/policy/questions/lint/finding.rs Date"
        "src/clock.rs Timestamp";
    pcap: "cli/src/capture.rs read_from" "cli/src/capture.rs bytes";
    policy_text: "src/policy/text/parse/mod.rs parse";
    table_op: "src/adapter/rules/decode.rs decode";
    vfio_user_client: "src/device/vfio_user/client.rs over";
    vfio_user_server: "firmware-model/src/serve/session.rs start";
    vfio_user_version: "src/device/vfio_user/capabilities.rs parse";
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

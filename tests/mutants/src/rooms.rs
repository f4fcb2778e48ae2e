//! The rooms that are broken, and the suites that should notice.

/// Part of the tree whose mutants are judged by its own suites.
pub struct Room {
    /// As printed, and as `--room` takes it.
    pub name: &'static str,
    /// Package whose sources these are.
    pub package: Package,
    /// Files and folders, from the root of the repository.
    pub paths: &'static [&'static str],
    /// Test targets that judge this room.
    pub suites: &'static [Suite],
}

/// A package with mutants in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    Library,
    Model,
}

impl Package {
    /// Root file of its modules.
    pub fn root(self) -> &'static str {
        match self {
            Package::Library => "src/lib.rs",
            Package::Model => "firmware-model/src/lib.rs",
        }
    }

    /// Path of the question "is this mutant the chosen one" from inside the package.
    pub fn switch(self) -> &'static str {
        match self {
            Package::Library => "crate::chosen_mutant::is",
            Package::Model => "nicfw::chosen_mutant::is",
        }
    }
}

/// A test target, or those of its tests whose names begin so.
pub struct Suite {
    /// Name of the target as cargo tells it: `nicfw` and `nicfw_model` are the unit tests.
    pub target: &'static str,
    /// Beginning of the names of its tests; empty for all.
    pub tests: &'static str,
}

const fn all(target: &'static str) -> Suite {
    Suite { target, tests: "" }
}

const fn unit(tests: &'static str) -> Suite {
    Suite { target: "nicfw", tests }
}

pub const ROOMS: &[Room] = &[
    Room {
        name: "compile",
        package: Package::Library,
        paths: &[
            "src/tables/arrange",
            "src/tables/base.rs",
            "src/tables/compile",
            "src/tables/naming",
            "src/tables/units",
            "src/policy/regions",
        ],
        suites: &[unit("tables::"), unit("policy::"), all("compiler"), all("agreement"), all("changes")],
    },
    Room {
        name: "plan",
        package: Package::Library,
        paths: &["src/tables/plan"],
        suites: &[unit("tables::"), all("changes"), all("firewall_model"), all("compiler")],
    },
    Room {
        name: "evaluate",
        package: Package::Library,
        paths: &["src/policy/decide/evaluate.rs"],
        suites: &[unit("policy::"), all("policy_verdicts"), all("policy_properties"), all("agreement")],
    },
    Room {
        name: "import",
        package: Package::Library,
        paths: &["src/policy/import"],
        suites: &[
            unit("policy::import"),
            all("import"),
            Suite { target: "import-kernel", tests: "files_written_by_hand" },
        ],
    },
    Room {
        name: "firewall",
        package: Package::Library,
        paths: &["src/firewall"],
        suites: &[unit("firewall::"), all("firewall_model"), all("changes"), all("matrix"), all("sequences")],
    },
    Room {
        name: "journal",
        package: Package::Library,
        paths: &["src/journal"],
        suites: &[unit("journal::"), unit("firewall::"), all("journal"), all("matrix")],
    },
    Room {
        name: "tables",
        package: Package::Library,
        paths: &[
            "src/tables/classes.rs",
            "src/tables/key.rs",
            "src/tables/op.rs",
            "src/tables/port_map.rs",
            "src/tables/profile.rs",
            "src/tables/subnet_map",
            "src/tables/subnet_map.rs",
            "src/tables/takes.rs",
            "src/adapter/rules",
        ],
        suites: &[unit("tables::"), unit("adapter::"), unit("policy::"), all("adapter"), all("agreement")],
    },
    Room {
        name: "engine",
        package: Package::Model,
        paths: &["firmware-model/src/engines"],
        suites: &[all("nicfw_model"), all("adapter"), all("agreement"), all("firewall_model")],
    },
];

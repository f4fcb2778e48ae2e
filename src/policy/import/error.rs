//! Why a file is not imported.

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is larger than any that is read.
    #[error("the file has {bytes} bytes, and at most {max} are read; split it by address")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not a text.
    #[error("{line}: this is not text: expected UTF-8 without control characters; export the rules again")]
    Binary {
        /// Line, from 1.
        line: u32,
    },
    /// A line is not of the format, or the file ends too early.
    #[error("{line}: {what}; expected {expected}; export the rules again, or choose another format: {text}")]
    Syntax {
        /// Line, from 1.
        line: u32,
        /// What is wrong.
        what: String,
        /// What should stand there.
        expected: &'static str,
        /// The line, cut and escaped.
        text: String,
    },
    /// A chain is reached from itself.
    #[error("{line}: chain {chain} is reached from itself; remove the jump: {text}")]
    Cycle {
        /// Line of the jump, from 1.
        line: u32,
        /// The chain.
        chain: String,
        /// The line, cut and escaped.
        text: String,
    },
    /// More of something than is read or made.
    #[error("{line}: more than {max} {what}; split the file, or import fewer addresses at a time")]
    TooMany {
        /// Line at which it became too much, from 1.
        line: u32,
        /// What.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A deny that depends on the connection's state.
    #[error(
        "{line}: the adapter judges single frames and cannot deny by connection state, and to deny all instead would \
         close everything; accept that such rules are left out (--accept-stateless): {text}"
    )]
    State {
        /// Line, from 1.
        line: u32,
        /// The line, cut and escaped.
        text: String,
    },
    /// No policy can say a rule.
    #[error("{line}: no policy can say this rule: {what}: {text}")]
    Rule {
        /// Line, from 1; 0 if no line says it.
        line: u32,
        /// What is wrong.
        what: String,
        /// The line, cut and escaped.
        text: String,
    },
    /// The settings make no document.
    #[error("the settings make no policy: {what}")]
    Settings {
        /// What is wrong, one a line.
        what: String,
    },
}

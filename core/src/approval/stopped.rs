//! Why a call that needs approval does not run now.
//!
//! Invariant: each reason has one code, which stands in records.

use super::request::State;

/// Why a call does not run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// People have not decided yet.
    Pending {
        /// The request's id.
        id: String,
        /// When the request ends undecided, in Unix seconds.
        expires_at_s: u64,
    },
    /// Somebody said no.
    Denied {
        /// The request's id.
        id: String,
        /// Their reason; may be empty.
        reason: String,
        /// When it may be asked anew, in seconds.
        retry_after_s: u64,
    },
    /// The request ended without the call.
    Over {
        /// The request's id.
        id: String,
        /// How.
        state: State,
    },
    /// The same call runs already.
    Running {
        /// The request's id.
        id: String,
    },
    /// The caller has too many requests pending.
    TooMany,
    /// Approvals cannot be asked for now.
    Unavailable,
}

impl Stopped {
    /// The request's id, where there is one.
    pub fn id(&self) -> &str {
        match self {
            Stopped::Pending { id, .. } | Stopped::Denied { id, .. } | Stopped::Over { id, .. } | Stopped::Running { id } => id,
            Stopped::TooMany | Stopped::Unavailable => "",
        }
    }

    /// The code in records.
    pub fn reason(&self) -> &'static str {
        match self {
            Stopped::Pending { .. } => "approval-pending",
            Stopped::Denied { .. } => "approval-denied",
            Stopped::Over { .. } => "approval-over",
            Stopped::Running { .. } => "approval-in-use",
            Stopped::TooMany => "approval-too-many",
            Stopped::Unavailable => "approval-unavailable",
        }
    }
}

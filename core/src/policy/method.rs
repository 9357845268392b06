//! What each JSON-RPC method of MCP is to a rule.
//!
//! Invariant: a method that is not in the tables below is neither housekeeping nor known to name a tool; only a rule that covers it
//! by name, or covers everything, permits it.

/// Methods that only run the protocol: whoever may call anything of an upstream may use them there, or no client could connect.
/// Notifications of the client belong to them too.
const HOUSEKEEPING: [&str; 9] = [
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
];

/// Methods that act, and so need a rule of their own.
const ACTING: [&str; 11] = [
    "completion/complete",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
];

/// Whether a method belongs to the protocol itself.
pub fn is_housekeeping(method: &str) -> bool {
    method.starts_with("notifications/") || HOUSEKEEPING.contains(&method)
}

/// Whether a method names what it calls in `params.name` and hands it `params.arguments`.
pub fn is_named_call(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get")
}

/// All methods a client may send, but for notifications.
pub fn known() -> impl Iterator<Item = &'static str> {
    HOUSEKEEPING.into_iter().chain(ACTING)
}

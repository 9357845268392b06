//! HTTP/1.1 (RFC 9112), strict: a message that two readers could frame differently is refused, never repaired.

pub mod chunked;
pub mod encode;
pub mod field;
pub mod framing;
pub mod head;
pub mod refuse;
pub mod sse;

//! The runtime under the data path: the only room that names monoio, so that another runtime could take its place.
//!
//! Invariant: a read that is in flight is never dropped while its connection goes on (monoio would lose the bytes it had
//! received); what must end a read early shuts the socket down instead, and the read then completes.

mod clock;
mod cpu;
mod join;
mod listener;
mod runtime;
mod socket;
mod stream;

pub use clock::{BUILT_YEAR_S, Stopwatch, now_unix_s, now_unix_us, steady_ms};
pub use cpu::{available as available_cpus, pin};
pub use join::join;
pub use listener::Listener;
pub use runtime::{Driver, Runtime, sleep, spawn, timeout};
pub use socket::{Fd, Peeked, has_hung_up, listening_sockets, peek, shut_down, shut_down_reading};
pub use stream::{RawStream, Stream};

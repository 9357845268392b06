//! One event loop a thread: io_uring with the set-up flags that make it cheap, or epoll where the kernel forbids io_uring.

use std::future::Future;
use std::io;
use std::time::Duration;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// Submission queue entries of a ring. monoio 0.2.4 has no answer to a full queue, so this is far above what one turn submits.
const RING_ENTRIES: u32 = 4096;

/// Which kernel interface carries the I/O of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1 and newer).
    UringDeferred,
    /// io_uring as older kernels have it.
    Uring,
    /// epoll: slower by about a sixth, for kernels and containers that forbid io_uring.
    Epoll,
}

impl Driver {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Driver::UringDeferred => "io_uring+defer_taskrun",
            Driver::Uring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

enum Loop {
    Uring(monoio::Runtime<TimeDriver<IoUringDriver>>),
    Epoll(monoio::Runtime<TimeDriver<LegacyDriver>>),
}

/// An event loop; it must run on the thread that built it.
pub struct Runtime {
    inner: Loop,
    driver: Driver,
}

impl Runtime {
    /// Builds the best loop this kernel offers. `MONOIO_FORCE_LEGACY_DRIVER=1` in the environment asks for epoll.
    ///
    /// # Errors
    /// The system's, when not even epoll can be set up (descriptors exhausted).
    pub fn new() -> io::Result<Runtime> {
        if std::env::var_os("MONOIO_FORCE_LEGACY_DRIVER").is_none_or(|v| v != "1") {
            if let Ok(inner) = ring(true) {
                return Ok(Runtime { inner: Loop::Uring(inner), driver: Driver::UringDeferred });
            }
            if let Ok(inner) = ring(false) {
                return Ok(Runtime { inner: Loop::Uring(inner), driver: Driver::Uring });
            }
        }
        let inner = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
        Ok(Runtime { inner: Loop::Epoll(inner), driver: Driver::Epoll })
    }

    /// The kernel interface in use.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// Runs `future` and everything it spawns until `future` is done.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match &mut self.inner {
            Loop::Uring(runtime) => runtime.block_on(future),
            Loop::Epoll(runtime) => runtime.block_on(future),
        }
    }
}

fn ring(deferred: bool) -> io::Result<monoio::Runtime<TimeDriver<IoUringDriver>>> {
    let mut builder = io_uring::IoUring::builder();
    if deferred {
        builder.setup_single_issuer().setup_defer_taskrun();
    }
    RuntimeBuilder::<IoUringDriver>::new().with_entries(RING_ENTRIES).uring_builder(builder).enable_timer().build()
}

/// Starts a task on this thread's loop; it runs until its end whether or not anybody waits for it.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(future));
}

/// Waits without holding the thread.
pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// Waits for `future` for at most `duration`, then drops it. Only for operations that own no received bytes, such as a connect.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    monoio::time::timeout(duration, future).await.ok()
}

//! Names a call: a UUID of version 8 (RFC 9562) that sorts by time and is unique without randomness.
//!
//! Invariant: `(gateway boot, core, seq)` is in it, so no two calls share one.

use std::fmt;

/// The id of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId([u8; 16]);

impl CallId {
    /// 48 bits of milliseconds, 12 of the core, 24 of the boot, 38 of the sequence.
    pub(crate) fn new(ts_us: i64, boot: u64, core: u16, seq: u64) -> Self {
        let ms = u64::try_from(ts_us / 1000).unwrap_or(0) & 0xffff_ffff_ffff;
        let high = (ms << 16) | 0x8000 | u64::from(core & 0xfff);
        let low = (0b10 << 62) | ((boot & 0xff_ffff) << 38) | (seq & 0x3f_ffff_ffff);
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        CallId(bytes)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let earlier = CallId::new(1_000_000, 7, 1, 5).to_string();
        let later = CallId::new(2_000_000, 7, 0, 1).to_string();
        assert!(earlier < later);
        assert_ne!(CallId::new(0, 7, 1, 5), CallId::new(0, 7, 1, 6));
        assert_eq!((earlier.len(), &earlier[14..15]), (36, "8"));
    }
}

//! CRC-32 (ISO-HDLC), bit by bit: it is computed over thirty bytes of a rare candidate only.

/// The checksum of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carries = crc & 1 == 1;
            crc >>= 1;
            if carries {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_value() {
        assert_eq!(super::of(b"123456789"), 0xcbf4_3926);
    }
}

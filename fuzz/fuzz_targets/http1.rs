//! Heads, chunks and events from the network: nothing panics, and how chunks were cut changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_core::http1::chunked::{ChunkBounds, Decoder};
use sluicegate_core::http1::head::{HeadBounds, parse_request, parse_response};
use sluicegate_core::http1::{framing, sse};

const BOUNDS: ChunkBounds = ChunkBounds { extension_bytes_max: 64, trailer_bytes_max: 256 };

fn whole(input: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut decoder, mut bytes) = (Decoder::new(BOUNDS), input.to_vec());
    let (_, end) = decoder.decode(&mut bytes, 0, 0).ok()?;
    bytes.truncate(end);
    Some((bytes, decoder.is_done()))
}

fn by_bytes(input: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut decoder, mut out) = (Decoder::new(BOUNDS), Vec::new());
    for &byte in input {
        let mut one = [byte];
        let (_, end) = decoder.decode(&mut one, 0, 0).ok()?;
        out.extend_from_slice(&one[..end]);
    }
    Some((out, decoder.is_done()))
}

fuzz_target!(|input: &[u8]| {
    let bounds = HeadBounds { bytes_max: 16 * 1024, headers_max: 100 };
    if let Ok(Some(head)) = parse_request(input, bounds) {
        let _ = framing::of_request(&head, input);
    }
    if let Ok(Some(head)) = parse_response(input, bounds) {
        let _ = framing::of_response(&head, input);
    }
    assert_eq!(whole(input), by_bytes(input));
    let mut at = 0;
    while let Some(event) = sse::next_event(&input[at..], true) {
        at += event.length;
    }
});

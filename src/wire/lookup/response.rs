//! A response of V1: an `i32` size and that many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Appends a response. What is too long for a size is cut there; no response of a server is near that.
pub fn write_response(out: &mut Vec<u8>, data: &[u8]) {
    let size = i32::try_from(data.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&data[..size as usize]);
}

/// The size of a response is negative or more than the reader allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a response of {size} bytes")]
pub struct InvalidResponse {
    /// What it said.
    pub size: i32,
}

/// Takes the data of the response at the start of `input` out of it; `None` while it is not complete.
///
/// # Errors
/// It is, or will be, longer than `bytes_max`.
pub fn take_response(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, InvalidResponse> {
    let Some(size) = input.first_chunk().copied().map(i32::from_be_bytes) else { return Ok(None) };
    let length = usize::try_from(size).ok().filter(|length| *length <= bytes_max);
    let length = length.ok_or(InvalidResponse { size })?;
    if input.len() < SIZE_BYTES + length {
        return Ok(None);
    }
    input.advance(SIZE_BYTES);
    Ok(Some(input.split_to(length).freeze()))
}

const SIZE_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ok_is_six_bytes() {
        let mut wire = Vec::new();
        write_response(&mut wire, super::super::OK);
        assert_eq!(wire, b"\0\0\0\x02OK");
    }

    #[test]
    fn sizes_out_of_bounds_are_refused_before_their_bytes_come() {
        for (wire, size) in [(b"\0\0\0\x03", 3), (b"\xff\xff\xff\xff", -1)] {
            assert_eq!(take_response(&mut BytesMut::from(&wire[..]), 2), Err(InvalidResponse { size }));
        }
    }

    proptest! {
        #[test]
        fn responses_are_read_back_however_they_are_cut(data: Vec<u8>, rest: Vec<u8>, cut: prop::sample::Index) {
            let mut wire = Vec::new();
            write_response(&mut wire, &data);
            let mut part = BytesMut::from(&wire[..cut.index(wire.len())]);
            prop_assert_eq!(take_response(&mut part, data.len()), Ok(None));
            wire.extend_from_slice(&rest);
            let mut input = BytesMut::from(&wire[..]);
            prop_assert_eq!(take_response(&mut input, data.len()), Ok(Some(data.into())));
            prop_assert_eq!(&input[..], &rest[..]);
        }
    }
}

//! Reading numbers off a payload.

use super::WireError;

/// A payload and how far it was read. Nothing is read past its end.
pub(super) struct Reader<'a> {
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, offset: 0 }
    }

    pub(super) fn bytes(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], WireError> {
        let end = self.offset.checked_add(length);
        match end.and_then(|end| self.payload.get(self.offset..end)) {
            Some(bytes) => {
                self.offset += length;
                Ok(bytes)
            }
            None => Err(self.malformed(what)),
        }
    }

    fn array<const LENGTH: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; LENGTH], WireError> {
        let mut array = [0; LENGTH];
        array.copy_from_slice(self.bytes(LENGTH, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// The length of a list whose entries take at least `entry` bytes each; a length that the rest of
    /// the payload cannot hold is none, so nothing is allocated for it.
    pub(super) fn length(&mut self, entry: usize, what: &'static str) -> Result<usize, WireError> {
        let at = self.offset;
        let length = self.u32(what)? as usize;
        let needed = length.checked_mul(entry);
        if needed.is_some_and(|needed| needed <= self.payload.len() - self.offset) {
            return Ok(length);
        }
        Err(WireError::Malformed { what, offset: at })
    }

    /// The error for what was read last or cannot be read next.
    pub(super) fn malformed(&self, what: &'static str) -> WireError {
        WireError::Malformed { what, offset: self.offset }
    }

    /// Everything must have been read.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.offset == self.payload.len() {
            return Ok(());
        }
        Err(self.malformed("what follows the last field"))
    }
}

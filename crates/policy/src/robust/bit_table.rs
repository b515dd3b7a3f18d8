//! A table of bits.

/// Rows × columns of bits, all clear to begin with.
#[derive(Clone, Debug)]
pub(super) struct BitTable {
    words: Vec<u64>,
    words_a_row: usize,
}

impl BitTable {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let words_a_row = columns.div_ceil(64);
        Self { words: vec![0; rows * words_a_row], words_a_row }
    }

    pub(super) fn has(&self, row: usize, column: usize) -> bool {
        self.words[row * self.words_a_row + column / 64] >> (column % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, row: usize, column: usize) {
        self.words[row * self.words_a_row + column / 64] |= 1 << (column % 64);
    }

    pub(super) fn clear(&mut self, row: usize, column: usize) {
        self.words[row * self.words_a_row + column / 64] &= !(1 << (column % 64));
    }
}

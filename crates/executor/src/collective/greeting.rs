//! What ranks say to each other first: how they are configured, and what each has chosen for its pairs.

use eplb_core::{LayerId, RankId};
use xxhash_rust::xxh3::xxh3_64;

use super::TransportChoice;
use super::entry::{Entry, Standing};
use super::group::Group;
use super::transports::{Reach, Transports};

/// What has to be the same on all ranks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) choice: TransportChoice,
    pub(crate) round_slots: usize,
    pub(crate) layers: usize,
}

impl Settings {
    fn digest(&self) -> u64 {
        let Self { choice, round_slots, layers } = self;
        xxh3_64(format!("{choice} {round_slots} {layers}").as_bytes())
    }

    /// This rank's words: an entry, and for each rank of the group how it is reached.
    pub(crate) fn greeting(&self, transports: &Transports, group: &Group) -> Vec<u8> {
        let (layer, digest) = (LayerId(0), self.digest());
        let entry = Entry { token: 0, layer, digest, standing: Standing::Ready };
        let row = transports.own_row();
        let reaches = group.members().iter().map(|member| Reach::code(row[member.index()]));
        entry.encode().into_iter().chain(reaches).collect()
    }

    /// Takes in what all ranks of the group have said.
    ///
    /// # Errors
    /// A rank that is configured otherwise, or whose words can't be read.
    pub(crate) fn take(
        &self,
        said: &[Vec<u8>],
        transports: &mut Transports,
        group: &Group,
        ranks: usize,
    ) -> Result<(), String> {
        for (&member, words) in group.members().iter().zip(said) {
            let row = Self::row_of(words, group, ranks);
            let (Some(entry), Some(row)) = (Entry::decode(words), row) else {
                return Err(format!("what {member} said first cannot be read"));
            };
            if entry.token != 0 || entry.digest != self.digest() {
                return Err(format!(
                    "{member} has other settings than this rank; executor.transport and \
                     executor.round_slots have to be the same on all ranks"
                ));
            }
            transports.set_row(member, row);
        }
        Ok(())
    }

    fn row_of(words: &[u8], group: &Group, ranks: usize) -> Option<Vec<Option<Reach>>> {
        let codes = words.get(Entry::BYTES..)?;
        let mut row = vec![None; ranks];
        for (member, &code) in group.members().iter().zip(codes) {
            let member: &RankId = member;
            row[member.index()] = Reach::of_code(code)?;
        }
        Some(row)
    }
}

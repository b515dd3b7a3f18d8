//! What follows from a roll call.

use eplb_core::RankId;

use super::entry::{Entry, Standing};
use crate::RollCallRefusal;

/// What a rank does after a roll call. Ranks that were there for the same token all do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All are about to make the same rounds.
    Carry,
    /// Others were there for an older change, which is over with this; the newest calls again.
    CallAgain,
    /// No rounds for this change, because of that rank.
    Refused { rank: RankId, refusal: RollCallRefusal },
}

impl Verdict {
    /// The verdict for the rank that said `own`; `said` holds every rank's words.
    pub(crate) fn of(own: &Entry, said: &[(RankId, Entry)]) -> Self {
        let newest = said.iter().max_by_key(|(_, entry)| entry.token);
        if let Some(&(rank, Entry { token, .. })) = newest
            && token > own.token
        {
            return Self::Refused { rank, refusal: RollCallRefusal::WentOn { token } };
        }
        if said.iter().any(|(_, entry)| entry.token < own.token) {
            return Self::CallAgain;
        }
        let refusal = |entry: &Entry| match entry.standing {
            Standing::GivenUp => Some(RollCallRefusal::GivenUp),
            Standing::Failed => Some(RollCallRefusal::Failed),
            Standing::Ready if (entry.layer, entry.digest) != (own.layer, own.digest) => {
                Some(RollCallRefusal::OtherPlan)
            }
            Standing::Ready => None,
        };
        let refused = said.iter().find_map(|&(rank, entry)| Some((rank, refusal(&entry)?)));
        match refused {
            Some((rank, refusal)) => Self::Refused { rank, refusal },
            None => Self::Carry,
        }
    }
}

#[cfg(test)]
mod tests {
    use eplb_core::LayerId;

    use super::*;

    fn entry(token: u64, digest: u64, standing: Standing) -> Entry {
        Entry { token, layer: LayerId(1), digest, standing }
    }

    fn verdicts(entries: &[Entry]) -> Vec<Verdict> {
        let said: Vec<_> = (0..).map(RankId).zip(entries.iter().copied()).collect();
        entries.iter().map(|own| Verdict::of(own, &said)).collect()
    }

    fn refused(rank: u32, refusal: RollCallRefusal) -> Verdict {
        Verdict::Refused { rank: RankId(rank), refusal }
    }

    #[test]
    fn rounds_follow_only_if_all_say_the_same() {
        let ready = entry(5, 77, Standing::Ready);
        assert_eq!(verdicts(&[ready; 3]), [Verdict::Carry; 3]);
        for (standing, refusal) in [
            (Standing::GivenUp, RollCallRefusal::GivenUp),
            (Standing::Failed, RollCallRefusal::Failed),
        ] {
            let said = verdicts(&[ready, entry(5, 77, standing), ready]);
            assert_eq!(said, [refused(1, refusal); 3]);
        }
        // Each names a rank whose plan is not its own.
        let said = verdicts(&[ready, ready, entry(5, 78, Standing::Ready)]);
        let other = RollCallRefusal::OtherPlan;
        assert_eq!(said, [refused(2, other), refused(2, other), refused(0, other)]);
        let elsewhere = Entry { layer: LayerId(2), ..ready };
        assert_eq!(verdicts(&[ready, elsewhere])[0], refused(1, other));
    }

    #[test]
    fn ranks_that_meet_with_different_tokens_go_on_with_the_newest() {
        let (old, new) = (entry(5, 1, Standing::Ready), entry(8, 2, Standing::GivenUp));
        let middle = entry(7, 3, Standing::Ready);
        let over = refused(2, RollCallRefusal::WentOn { token: 8 });
        assert_eq!(verdicts(&[old, middle, new, old]), [over, over, Verdict::CallAgain, over]);
    }
}

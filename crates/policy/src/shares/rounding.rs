//! From amounts to shares.

use eplb_core::SHARE_ONE;

use super::Replicas;

/// Writes the shares of one divided expert: of each of its edges `amounts` in proportion to their
/// sum, by largest remainder, the earlier edge first among equal ones. An edge's share divides evenly
/// over its slots. Amounts that are all 0 leave the shares as they are.
pub(super) fn write_shares(
    replicas: &Replicas,
    divided: usize,
    amounts: &[u64],
    scratch: &mut Vec<(u64, u32)>,
    shares: &mut [u16],
) {
    let total: u64 = amounts.iter().sum();
    if total == 0 {
        return;
    }
    let edges = replicas.edges(divided);
    let one = u64::from(SHARE_ONE);
    let mut left = one;
    scratch.clear();
    for (index, &amount) in amounts.iter().enumerate() {
        let (share, rest) = match amount.checked_mul(one) {
            Some(scaled) => (scaled / total, scaled % total),
            None => {
                let (scaled, total) = (u128::from(amount) * u128::from(one), u128::from(total));
                ((scaled / total) as u64, (scaled % total) as u64)
            }
        };
        left -= share;
        scratch.push((rest, index as u32));
        spread(replicas, edges.start + index, share, shares);
    }
    // As a rule 0 or 1 are left over; never as many as there are edges.
    if left > 1 {
        scratch.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    } else if left == 1 {
        let best = (1..scratch.len())
            .fold(0, |best, index| if scratch[index].0 > scratch[best].0 { index } else { best });
        scratch.swap(0, best);
    }
    for &(_, index) in scratch.iter().take(left as usize) {
        let edge = edges.start + index as usize;
        let share: u64 =
            replicas.slots_of(edge).iter().map(|&slot| u64::from(shares[slot as usize])).sum();
        spread(replicas, edge, share + 1, shares);
    }
}

/// Divides an edge's share evenly over its slots; what does not divide goes to the first.
fn spread(replicas: &Replicas, edge: usize, share: u64, shares: &mut [u16]) {
    let slots = replicas.slots_of(edge);
    let count = slots.len() as u64;
    for (index, &slot) in slots.iter().enumerate() {
        let extra = u64::from((index as u64) < share % count);
        shares[slot as usize] = (share / count + extra) as u16;
    }
}

//! Headers and reports as bytes: what goes in comes out, and nothing else ever does.

use eplb_core::{Epoch, ExpertId, LayerId, RankId, Step};
use eplb_manager::{
    CountForm, Directive, LoadReport, Phase, PlanDigest, RankReport, Reason, RoundId, Status,
    StepHeader, Timestamp, Token, TokenStatus, WIRE_VERSION, WireError,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn directive() -> impl Strategy<Value = Directive> {
    let numbers = (0..3u8, any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>());
    let tables = (vec(any::<u32>(), 0..20), option::of(vec(any::<u16>(), 0..20)));
    (numbers, tables).prop_map(|((kind, token, layer, first, second), (table, shares))| {
        let (token, layer) = (Token(token), LayerId(layer));
        match kind {
            0 => Directive::Prepare {
                token,
                layer,
                from_epoch: Epoch(first),
                epoch: Epoch(second),
                experts: table.into_iter().map(ExpertId).collect(),
                shares,
            },
            1 => Directive::Commit { token, layer, epoch: Epoch(first), at_step: Step(second) },
            _ => Directive::Revert { token, layer, epoch: Epoch(first), at_step: Step(second) },
        }
    })
}

fn header() -> impl Strategy<Value = StepHeader> {
    (any::<u64>(), vec(directive(), 0..5), any::<u64>()).prop_map(|(step, directives, digest)| {
        StepHeader { step: Step(step), directives, epochs_digest: digest }
    })
}

fn status() -> impl Strategy<Value = Status> {
    (0..6u8, any::<u64>(), ".{0,300}").prop_map(|(kind, step, text)| {
        let reason = Reason::new(text);
        match kind {
            0 => Status::Prepared,
            1 => Status::Refused { reason },
            2 => Status::Committed { step: Step(step) },
            3 => Status::CommitFailed { reason },
            4 => Status::Reverted,
            _ => Status::RevertFailed { reason },
        }
    })
}

fn load() -> impl Strategy<Value = LoadReport> {
    let phase = prop::sample::select(vec![Phase::Mixed, Phase::Prefill, Phase::Decode]);
    (any::<u64>(), any::<u64>(), vec(any::<u64>(), 0..40), any::<bool>(), phase).prop_map(
        |(first, last, counts, plain, phase)| LoadReport {
            first_step: Step(first),
            last_step: Step(last),
            counts,
            form: if plain { CountForm::Plain } else { CountForm::PrefixSums },
            phase,
        },
    )
}

fn report() -> impl Strategy<Value = RankReport> {
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>());
    let statuses = vec((any::<u64>(), status()), 0..4);
    let digest = option::of((any::<u64>(), any::<u64>()));
    (numbers, vec(load(), 0..4), statuses, digest).prop_map(
        |((rank, step, clock), loads, statuses, digest)| {
            let status = |(token, status)| TokenStatus { token: Token(token), status };
            let of_round = |(round, digest)| PlanDigest { round: RoundId(round), digest };
            RankReport {
                rank: RankId(rank),
                step: Step(step),
                clock: Timestamp(clock),
                loads,
                statuses: statuses.into_iter().map(status).collect(),
                plan_digest: digest.map(of_round),
            }
        },
    )
}

proptest! {
    #[test]
    fn headers_come_back(header in header()) {
        prop_assert_eq!(StepHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn reports_come_back(report in report()) {
        prop_assert_eq!(RankReport::decode(&report.encode()), Ok(report));
    }

    #[test]
    fn any_bytes_are_an_error(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(StepHeader::decode(&bytes).is_err());
        prop_assert!(RankReport::decode(&bytes).is_err());
    }

    #[test]
    fn any_payload_with_a_right_checksum_is_read_or_refused(payload in vec(any::<u8>(), 0..200)) {
        for kind in [1, 2] {
            let bytes = framed(kind, &payload);
            // What can be read is written as the very same bytes: nothing was guessed.
            if let Ok(header) = StepHeader::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes.clone());
            }
            if let Ok(report) = RankReport::decode(&bytes) {
                prop_assert_eq!(report.encode(), bytes);
            }
        }
    }

    #[test]
    fn damaged_payloads_with_a_right_checksum_are_read_as_they_stand_or_refused(
        report in report(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let bytes = report.encode();
        let mut payload = bytes[12..bytes.len() - 4].to_vec();
        let at = at.index(payload.len());
        payload[at] = value;
        let bytes = framed(2, &payload);
        if let Ok(report) = RankReport::decode(&bytes) {
            prop_assert_eq!(report.encode(), bytes);
        }
    }

    #[test]
    fn damaged_messages_are_never_something_else(
        header in header(),
        report in report(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let mut bytes = header.encode();
        let index = at.index(bytes.len());
        bytes[index] ^= flip;
        prop_assert!(StepHeader::decode(&bytes).is_err());
        let mut bytes = report.encode();
        let index = at.index(bytes.len());
        bytes[index] ^= flip;
        prop_assert!(RankReport::decode(&bytes).is_err());
    }

    #[test]
    fn cut_and_lengthened_messages_are_errors(
        report in report(),
        at in any::<prop::sample::Index>(),
        more in vec(any::<u8>(), 1..9),
    ) {
        let bytes = report.encode();
        let cut = &bytes[..at.index(bytes.len())];
        let is_short = matches!(RankReport::decode(cut), Err(WireError::TooShort { .. }));
        prop_assert!(is_short);
        let long = [&bytes[..], &more].concat();
        let needed = bytes.len();
        let error = WireError::TooLong { found: long.len(), needed };
        prop_assert_eq!(RankReport::decode(&long), Err(error));
    }
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"EPLB\x03\x00".to_vec();
    bytes.extend([kind, 0]);
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    let checksum = crc32(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// CRC-32 (IEEE), bit by bit: a second opinion on the checksum.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_layout_is_what_the_documentation_says() {
    let header = StepHeader { step: Step(258), directives: vec![], epochs_digest: 7 };
    let mut payload = 258u64.to_le_bytes().to_vec();
    payload.extend(7u64.to_le_bytes());
    payload.extend(0u32.to_le_bytes());
    assert_eq!(header.encode(), framed(1, &payload));
    assert_eq!(StepHeader::decode(&framed(1, &payload)), Ok(header));
}

#[test]
fn the_layout_of_shares_and_phases() {
    let prepare = |shares| StepHeader {
        step: Step(1),
        directives: vec![Directive::Prepare {
            token: Token(2),
            layer: LayerId(3),
            from_epoch: Epoch(4),
            epoch: Epoch(5),
            experts: vec![ExpertId(6)],
            shares,
        }],
        epochs_digest: 7,
    };
    let bytes = prepare(Some(vec![65_535])).encode();
    let payload = &bytes[12..bytes.len() - 4];
    // After the experts: that there are shares, how many, and each in two bytes.
    let (front, shares) = payload.split_at(payload.len() - 7);
    assert_eq!(shares, [1, 1, 0, 0, 0, 0xFF, 0xFF]);
    let without = framed(1, &[front, &[0]].concat());
    assert_eq!(StepHeader::decode(&without), Ok(prepare(None)));
    for (shares, what, at) in [
        (&[2][..], "whether shares follow", 1),
        (&[1, 2, 0, 0, 0, 0xFF, 0xFF], "number of shares", 1),
        (&[1, 255, 255, 255, 255], "number of shares", 1),
        (&[], "whether shares follow", 0),
        (&[0, 0], "what follows the last field", 1),
    ] {
        let error = StepHeader::decode(&framed(1, &[front, shares].concat())).unwrap_err();
        assert_eq!(error, WireError::Malformed { what, offset: front.len() + at });
    }
    let load = LoadReport::of_step(Step(8), vec![]);
    for (number, phase) in [(0, Phase::Mixed), (1, Phase::Prefill), (2, Phase::Decode)] {
        let report = RankReport {
            rank: RankId(0),
            step: Step(8),
            clock: Timestamp(0),
            loads: vec![load.clone().in_phase(phase)],
            statuses: vec![],
            plan_digest: None,
        };
        let bytes = report.encode();
        let mut payload = bytes[12..bytes.len() - 4].to_vec();
        // Behind rank, step and clock: one load, its form, then its phase.
        assert_eq!(payload[20..26], [1, 0, 0, 0, 1, number]);
        assert_eq!(RankReport::decode(&bytes), Ok(report));
        payload[25] = 3;
        let error = RankReport::decode(&framed(2, &payload)).unwrap_err();
        assert_eq!(error, WireError::Malformed { what: "phase of the load", offset: 26 });
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let header = StepHeader { step: Step(1), directives: vec![], epochs_digest: 7 };
    let bytes = header.encode();
    assert_eq!(StepHeader::decode(&[]), Err(WireError::TooShort { found: 0, needed: 16 }));
    assert_eq!(StepHeader::decode(&[b'x'; 20]), Err(WireError::Magic));
    let mut other = bytes.clone();
    other[4] = 9;
    let error = StepHeader::decode(&other).unwrap_err();
    assert_eq!(error, WireError::Version { found: 9, supported: WIRE_VERSION });
    let text =
        "the message has layout version 9, this library reads 3; use the same release on all ranks";
    assert_eq!(error.to_string(), text);
    assert_eq!(RankReport::decode(&bytes), Err(WireError::Kind { found: 1, expected: 2 }));
    // A count that the payload cannot hold is found before anything is allocated for it.
    let mut payload = [0; 16].to_vec();
    payload.extend(u32::MAX.to_le_bytes());
    let error = StepHeader::decode(&framed(1, &payload)).unwrap_err();
    assert_eq!(error, WireError::Malformed { what: "number of directives", offset: 16 });
}

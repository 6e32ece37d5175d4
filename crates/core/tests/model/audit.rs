//! An export is proved as it was written, and refuted wherever it was tampered with: at the right record, and for the right reason.

use std::collections::BTreeSet;

use qd_core::audit::{
    Chain, Checkpoint, Finding, FindingKind, Hash, Header, Outcome, Pruning, PublicKey, Record, RecordLine,
    RecordObject, Signed, SigningKey, genesis, line_text, link, make_exact, record_hash, verify,
};
use qd_core::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

const RECORDS: i64 = 240;
/// A checkpoint after each so many records.
const EVERY: i64 = 37;
const PLACES: usize = 200;

/// SplitMix64: the same places for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn chain() -> Chain {
    Chain { installation: Uuid::from_u128(0xa), tenant: Some(Uuid::from_u128(0xb).into()) }
}

fn at(seq: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seq * 1_000_000)
}

fn record(seq: i64) -> Record {
    Record {
        id: Uuid::from_u128(0x1000 + seq as u128).into(),
        at: at(seq),
        tenant_id: chain().tenant,
        project_id: Some(Uuid::from_u128(0xc).into()),
        actor: format!("user-{}", seq % 7),
        principal_id: Some(Uuid::from_u128(0xd).into()),
        on_behalf_of: None,
        source: "10.0.0.1".into(),
        action: "pipelines.publish".into(),
        object: RecordObject {
            kind: "Pipeline".into(),
            id: Some(Uuid::from_u128(seq as u128)),
            name: format!("curate-{seq} “ü”"),
        },
        outcome: Outcome::Success,
        reason: "because\nof it".into(),
        changes: json!([{ "pointer": "/n", "op": "replace", "before": seq, "after": seq + 1, "x": 1.5e300 }]),
        job_id: None,
        plan_hash: None,
        request_id: format!("r-{seq}"),
        correlation_id: format!("c-{seq}"),
        trace_id: None,
    }
}

/// An export in its parts.
#[derive(Clone)]
struct Export {
    header: Header,
    lines: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    Record(RecordLine),
    Checkpoint(Signed<Checkpoint>),
}

impl Export {
    fn new(from: i64, to: i64) -> Self {
        let mut hash = genesis(&chain());
        let (mut prev_hash, mut lines, mut checkpoints) = (hash, vec![], 0);
        for seq in 1..=to {
            let value = record(seq).value().unwrap();
            let own = record_hash(&value).unwrap();
            let next = link(hash, own, seq);
            if seq >= from {
                lines.push(Piece::Record(RecordLine::new(seq, hash, own, next, value)));
                if seq % EVERY == 0 && seq < to {
                    lines.push(checkpoint(seq, next, &key(1)));
                    checkpoints += 1;
                }
            } else {
                prev_hash = next;
            }
            hash = next;
        }
        lines.push(checkpoint(to, hash, &key(1)));
        let header = Header {
            version: Header::VERSION,
            chain: chain(),
            from,
            to,
            prev_hash,
            pruned: None,
            checkpoints,
            keys: vec![key(1).public()],
            at: at(to),
        };
        Self { header, lines }
    }

    fn texts(&self) -> Vec<String> {
        let first = line_text(&Signed::sign(self.header.clone(), &key(1)).unwrap()).unwrap();
        let rest = self.lines.iter().map(|piece| match piece {
            Piece::Record(record) => line_text(record).unwrap(),
            Piece::Checkpoint(checkpoint) => line_text(checkpoint).unwrap(),
        });
        std::iter::once(first).chain(rest).collect()
    }

    /// The export as it was when record `to` was the last one.
    fn cut(&self, to: i64) -> Self {
        let mut older = self.clone();
        older.lines.truncate(self.line_of(to));
        older.lines.push(checkpoint(to, self.hash_at(to), &key(1)));
        (older.header.to, older.header.checkpoints) = (to, (to - 1) / EVERY);
        older
    }

    /// Where record `seq` stands among the lines of the file, the header being 0.
    fn line_of(&self, seq: i64) -> usize {
        1 + self.lines.iter().position(|piece| matches!(piece, Piece::Record(r) if r.seq == seq)).unwrap()
    }

    fn record_mut(&mut self, seq: i64) -> &mut RecordLine {
        let at = self.line_of(seq) - 1;
        match &mut self.lines[at] {
            Piece::Record(record) => record,
            Piece::Checkpoint(_) => unreachable!("a record stands there"),
        }
    }

    /// Hashes record `seq` and, if `all`, whatever follows it anew.
    fn rehash(&mut self, seq: i64, all: bool) {
        let mut hash = self.record_mut(seq).prev_hash;
        for now in seq..=if all { self.header.to } else { seq } {
            let line = self.record_mut(now);
            line.prev_hash = hash;
            line.record_hash = record_hash(&line.record).unwrap();
            line.chain_hash = link(hash, line.record_hash, now);
            hash = line.chain_hash;
        }
    }

    fn hash_at(&self, seq: i64) -> Hash {
        match self.lines.iter().find(|piece| matches!(piece, Piece::Record(r) if r.seq == seq)).unwrap() {
            Piece::Record(record) => record.chain_hash,
            Piece::Checkpoint(_) => unreachable!("a record stands there"),
        }
    }
}

fn checkpoint(seq: i64, hash: Hash, key: &SigningKey) -> Piece {
    Piece::Checkpoint(outside(seq, hash, key))
}

fn outside(seq: i64, chain_hash: Hash, key: &SigningKey) -> Signed<Checkpoint> {
    Signed::sign(Checkpoint { chain: chain(), seq, chain_hash, at: at(seq) }, key).unwrap()
}

fn check(lines: &[String], kept: Vec<Signed<Checkpoint>>) -> Result<qd_core::audit::Proof, Finding> {
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    verify(text.as_bytes(), vec![key(1).public()], kept)
}

fn refuted(lines: &[String]) -> Finding {
    check(lines, vec![]).unwrap_err()
}

#[test]
fn what_was_sealed_is_proved() {
    let export = Export::new(1, RECORDS);
    let proof = check(&export.texts(), vec![outside(100, export.hash_at(100), &key(1))]).unwrap();
    assert_eq!((proof.from, proof.to, proof.chain_hash), (1, RECORDS, export.hash_at(RECORDS)));
    assert_eq!((proof.checkpoints, proof.outside, proof.untrusted), (RECORDS / EVERY + 1, 1, 0));
    let part = Export::new(100, 150);
    let kept = vec![outside(50, export.hash_at(50), &key(1)), outside(99, export.hash_at(99), &key(1))];
    let proof = check(&part.texts(), kept).unwrap();
    assert_eq!((proof.from, proof.to, proof.outside, proof.outside_before), (100, 150, 1, vec![50]));
    let none = check(&Export::new(1, 0).texts(), vec![]).unwrap();
    assert_eq!((none.from, none.to), (1, 0));
}

/// Every byte of an export counts: one that is flipped is found in its line.
#[test]
fn a_flipped_byte_is_found_at_its_line() {
    let (export, mut dice) = (Export::new(1, RECORDS), Dice(1));
    let texts = export.texts();
    let whole: Vec<u8> = texts.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    for _ in 0..PLACES {
        let mut bytes = whole.clone();
        let (place, bit) = (dice.below(bytes.len()), dice.below(8));
        let line = 1 + bytes[..place].iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes[place] ^= 1 << bit;
        let finding = verify(&bytes, vec![key(1).public()], vec![]).unwrap_err();
        assert_eq!(finding.line, Some(line), "bit {bit} of byte {place}: {finding:?}");
        let seq = match export.lines.get(line as usize - 2) {
            Some(Piece::Record(record)) if line > 1 => Some(record.seq),
            _ => continue,
        };
        assert_eq!(finding.seq, seq, "bit {bit} of byte {place}: {finding:?}");
    }
}

#[test]
fn a_dropped_record_is_missed() {
    let (export, mut dice) = (Export::new(1, RECORDS), Dice(2));
    let whole = export.texts();
    for _ in 0..PLACES {
        let seq = 1 + dice.below(RECORDS as usize) as i64;
        let (mut texts, line) = (whole.clone(), export.line_of(seq));
        texts.remove(line);
        let finding = refuted(&texts);
        assert_eq!((finding.kind, finding.seq), (FindingKind::Missing, Some(seq)), "{finding:?}");
        assert_eq!(finding.line, Some(line as u64 + 1));
    }
    // A checkpoint that was taken out is counted, though nobody can say where it stood.
    let mut texts = whole;
    texts.remove(export.line_of(EVERY) + 1);
    assert_eq!(refuted(&texts).kind, FindingKind::Missing);
}

#[test]
fn an_inserted_record_is_found() {
    let (export, mut dice) = (Export::new(1, RECORDS), Dice(3));
    let whole = export.texts();
    for round in 0..PLACES {
        let place = 1 + dice.below(RECORDS as usize) as i64;
        let mut texts = whole.clone();
        let line = export.line_of(place);
        let (forged, expected) = match round % 3 {
            // A copy of any other record.
            0 => (texts[export.line_of(1 + dice.below(RECORDS as usize) as i64)].clone(), None),
            // One that was made up, hashed as if it stood there.
            _ => {
                let mut other = export.clone();
                other.record_mut(place).record["actor"] = json!("mallory");
                other.rehash(place, false);
                (line_text(other.record_mut(place)).unwrap(), Some(place))
            }
        };
        // Before the real one, or behind it.
        let at = if round % 3 == 2 { line + 1 } else { line };
        texts.insert(at, forged.clone());
        let finding = refuted(&texts);
        if texts[line] == texts[line + 1] {
            assert_eq!((finding.kind, finding.line), (FindingKind::Inserted, Some(line as u64 + 2)));
            continue;
        }
        // The last one has nobody behind it who says which of the two is real, but for the checkpoint.
        assert_eq!((finding.kind, finding.line), (FindingKind::Inserted, Some(at as u64 + 1)), "{finding:?}");
        assert_eq!(finding.seq, expected.or(Some(place)), "{finding:?}");
    }
}

#[test]
fn records_out_of_their_order_are_found() {
    let (export, mut dice) = (Export::new(1, RECORDS), Dice(4));
    let whole = export.texts();
    for _ in 0..PLACES {
        let (a, b) = (1 + dice.below(RECORDS as usize) as i64, 1 + dice.below(RECORDS as usize) as i64);
        let (first, second) = (a.min(b), a.max(b));
        if first == second {
            continue;
        }
        let mut texts = whole.clone();
        texts.swap(export.line_of(first), export.line_of(second));
        let finding = refuted(&texts);
        assert_eq!((finding.kind, finding.seq), (FindingKind::Reordered, Some(first)), "{finding:?}");
        assert_eq!(finding.line, Some(export.line_of(first) as u64 + 1));
    }
}

/// Changed, and hashed again so that it fits in itself.
#[test]
fn a_record_that_was_hashed_again_is_found() {
    let (export, mut dice) = (Export::new(1, RECORDS), Dice(5));
    for round in 0..PLACES {
        let seq = 1 + dice.below(RECORDS as usize) as i64;
        let mut forged = export.clone();
        let members = ["actor", "action", "reason", "outcome", "source", "request_id"];
        forged.record_mut(seq).record[members[round % members.len()]] = json!("mallory");
        let all = round % 2 == 0;
        forged.rehash(seq, all);
        let finding = refuted(&forged.texts());
        assert_eq!(finding.kind, FindingKind::Rehashed, "{finding:?}");
        let last_checked = (seq - 1) / EVERY * EVERY;
        let next_checked = ((seq - 1) / EVERY * EVERY + EVERY).min(RECORDS);
        if all || seq == next_checked {
            // The chain fits as far as the next signature, and from the last one on nothing more is proved.
            assert_eq!(
                (finding.seq, finding.until),
                (Some(last_checked + 1), Some(next_checked)),
                "{finding:?}"
            );
            assert!((last_checked + 1..=next_checked).contains(&seq));
        } else {
            assert_eq!(
                (finding.seq, finding.line),
                (Some(seq), Some(export.line_of(seq) as u64 + 1)),
                "{finding:?}"
            );
        }
    }
}

/// An older export is whole in itself; only what was kept elsewhere tells.
#[test]
fn a_cut_tail_is_found_by_what_was_kept_outside() {
    let (whole, mut dice) = (Export::new(1, RECORDS), Dice(6));
    let texts = whole.texts();
    for _ in 0..PLACES {
        let kept = 2 + dice.below(RECORDS as usize - 1) as i64;
        let cut = 1 + dice.below(kept as usize - 1) as i64;
        // Without its last lines alone, the signed header tells.
        let finding = refuted(&texts[..=whole.line_of(cut)]);
        assert_eq!(finding.kind, FindingKind::Cut, "{finding:?}");
        assert_eq!(finding.seq, Some(cut + 1));
        // An older export is proved by itself, and refuted by a checkpoint of what came later.
        let older = whole.cut(cut).texts();
        assert!(check(&older, vec![]).is_ok());
        let finding = check(&older, vec![outside(kept, whole.hash_at(kept), &key(1))]).unwrap_err();
        assert_eq!((finding.kind, finding.seq), (FindingKind::Cut, Some(cut + 1)), "{finding:?}");
    }
}

/// Somebody with the key, who changed a record and signed all of it anew, is found by what was kept outside.
#[test]
fn what_was_signed_anew_is_found_by_what_was_kept_outside() {
    let (whole, mut dice) = (Export::new(1, RECORDS), Dice(7));
    for _ in 0..20 {
        let seq = 1 + dice.below(RECORDS as usize - 1) as i64;
        let mut forged = whole.clone();
        forged.record_mut(seq).record["actor"] = json!("mallory");
        forged.rehash(seq, true);
        let hashes: Vec<Hash> = (1..=RECORDS).map(|seq| forged.hash_at(seq)).collect();
        for piece in &mut forged.lines {
            if let Piece::Checkpoint(old) = piece {
                let seq = old.statement.seq;
                *piece = checkpoint(seq, hashes[seq as usize - 1], &key(1));
            }
        }
        assert!(check(&forged.texts(), vec![]).is_ok(), "nothing inside tells");
        let before =
            outside(seq - 1, if seq == 1 { genesis(&chain()) } else { whole.hash_at(seq - 1) }, &key(1));
        let after = outside(seq + 1, whole.hash_at(seq + 1), &key(1));
        let finding = check(&forged.texts(), vec![before, after]).unwrap_err();
        assert_eq!(finding.kind, FindingKind::Rehashed, "{finding:?}");
        assert_eq!((finding.seq, finding.until), (Some(seq), Some(seq + 1)), "{finding:?}");
    }
}

/// What ends a line is no part of what was signed.
#[test]
fn an_export_is_whole_without_its_last_line_feed_and_with_a_byte_less_is_not() {
    let text = Export::new(1, 12).texts().join("\n");
    let check = |text: &str| verify(text.as_bytes(), vec![key(1).public()], vec![]);
    assert_eq!(check(&format!("{text}\n")), check(&text));
    assert_eq!(check(&text).unwrap().to, 12);
    assert_eq!(check(&text[..text.len() - 1]).unwrap_err().kind, FindingKind::Changed);
}

#[test]
fn another_key_and_a_forged_signature_are_told_apart() {
    let export = Export::new(1, RECORDS);
    let text = export.texts().join("\n");
    let stranger = verify(text.as_bytes(), vec![key(2).public()], vec![]).unwrap_err();
    assert_eq!((stranger.kind, stranger.line), (FindingKind::WrongKey, Some(1)));
    // Signed by another key under the name of the trusted one.
    let mut forged = export.clone();
    let place = forged.line_of(EVERY);
    let mut by_other = outside(EVERY, forged.hash_at(EVERY), &key(2));
    by_other.key_id = key(1).public().key_id;
    forged.lines[place] = Piece::Checkpoint(by_other.clone());
    let finding = refuted(&forged.texts());
    assert_eq!((finding.kind, finding.line), (FindingKind::Forged, Some(place as u64 + 2)), "{finding:?}");
    let finding = check(&export.texts(), vec![by_other]).unwrap_err();
    assert_eq!((finding.kind, finding.line), (FindingKind::Forged, None), "{finding:?}");
    let finding = check(&export.texts(), vec![outside(5, export.hash_at(5), &key(2))]).unwrap_err();
    assert_eq!(finding.kind, FindingKind::WrongKey, "{finding:?}");
    // A header that its key did not sign.
    let mut texts = export.texts();
    texts[0] = texts[0].replace(&format!("\"to\":{RECORDS}"), &format!("\"to\":{}", RECORDS - 1));
    assert_eq!(refuted(&texts).kind, FindingKind::Forged);
}

#[test]
fn a_checkpoint_of_another_chain_is_told_from_a_refutation() {
    let export = Export::new(1, RECORDS);
    let another = Chain { tenant: Some(Uuid::from_u128(0xe).into()), ..chain() };
    let of_another = |seq| {
        let statement = Checkpoint { chain: another, seq, chain_hash: genesis(&another), at: at(seq) };
        Signed::sign(statement, &key(1)).unwrap()
    };
    let own = outside(5, export.hash_at(5), &key(1));
    for kept in [vec![of_another(5)], vec![own.clone(), of_another(5)], vec![own, of_another(9)]] {
        let finding = check(&export.texts(), kept).unwrap_err();
        assert_eq!((finding.kind, finding.line), (FindingKind::OtherChain, None), "{finding:?}");
        assert!(finding.detail.contains(&another.to_string()), "{finding:?}");
        assert!(finding.detail.contains(&chain().to_string()), "{finding:?}");
    }
}

#[test]
fn after_a_rotation_old_checkpoints_prove_as_far_as_their_key_is_trusted() {
    let mut export = Export::new(1, RECORDS);
    export.header.keys.push(key(3).public());
    for piece in &mut export.lines {
        if let Piece::Checkpoint(old) = piece
            && old.statement.seq < 100
        {
            *piece = checkpoint(old.statement.seq, old.statement.chain_hash, &key(3));
        }
    }
    let proof = check(&export.texts(), vec![]).unwrap();
    assert_eq!((proof.untrusted, proof.checkpoints), (2, RECORDS / EVERY - 1));
    let text = export.texts().join("\n");
    let both = verify(text.as_bytes(), vec![key(1).public(), key(3).public()], vec![]).unwrap();
    assert_eq!(both.untrusted, 0);
    // A key that the header does not list cannot have signed anything in it.
    export.header.keys.pop();
    assert_eq!(refuted(&export.texts()).kind, FindingKind::Forged);
}

#[test]
fn a_pruned_chain_is_proved_from_its_pruning_on() {
    let whole = Export::new(1, RECORDS);
    let mut rest = Export::new(51, RECORDS);
    let pruning = |seq, chain_hash| Pruning {
        chain: chain(),
        seq,
        chain_hash,
        count: 50,
        why: "old".into(),
        at: at(RECORDS),
    };
    rest.header.pruned = Some(Signed::sign(pruning(50, whole.hash_at(50)), &key(1)).unwrap());
    let proof = check(&rest.texts(), vec![]).unwrap();
    assert_eq!((proof.from, proof.pruned), (51, Some((50, "old".to_owned()))));
    let mut forged = rest.clone();
    forged.header.pruned = Some(Signed::sign(pruning(50, whole.hash_at(49)), &key(1)).unwrap());
    assert_eq!(refuted(&forged.texts()).kind, FindingKind::Changed);
    forged.header.pruned = Some(Signed::sign(pruning(50, whole.hash_at(50)), &key(2)).unwrap());
    assert_eq!(refuted(&forged.texts()).kind, FindingKind::WrongKey);
}

/// Whatever it is given, it answers.
#[test]
fn no_bytes_make_it_panic() {
    let texts = Export::new(1, 12).texts();
    let whole: Vec<u8> = texts.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    let mut dice = Dice(8);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..1 + dice.below(4) {
            let (a, b) = (dice.below(bytes.len()), dice.below(bytes.len()));
            match dice.below(4) {
                0 => drop(bytes.drain(a.min(b)..a.max(b))),
                1 => bytes.rotate_left(a),
                2 => bytes[a] = b as u8,
                _ => bytes.insert(a, b as u8),
            }
            if bytes.is_empty() {
                break;
            }
        }
        if bytes != whole {
            assert!(verify(&bytes, vec![key(1).public()], vec![]).is_err());
        }
    }
    for odd in [&b""[..], b"\n", b"{}", b"{\"type\":\"export\"}", &[0xff; 9]] {
        assert!(verify(odd, vec![key(1).public()], vec![]).is_err());
    }
}

/// What `docs/audit.md` promises a verifier of somebody else's: this very text and these very hashes.
#[test]
fn the_forms_are_those_that_the_docs_state() {
    let chain = Chain { installation: Uuid::nil(), tenant: None };
    assert_eq!(chain.to_string(), "00000000-0000-0000-0000-000000000000/platform");
    let value = record(1).value().unwrap();
    let members: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let stated = "action actor at changes correlation_id id job_id object on_behalf_of outcome plan_hash principal_id project_id \
                  reason request_id source tenant_id trace_id";
    assert_eq!(members, stated.split_whitespace().collect());
    assert!(value["trace_id"].is_null(), "absent members are null");
    let own = record_hash(&value).unwrap();
    let mut bytes = genesis(&chain).0.to_vec();
    bytes.extend(own.0);
    bytes.extend(1u64.to_be_bytes());
    assert_eq!(link(genesis(&chain), own, 1).to_string(), qd_core::Digest::of(bytes).to_string());
    let begin = format!("quarterdeck-audit/1\n{chain}");
    assert_eq!(genesis(&chain).to_string(), qd_core::Digest::of(begin).to_string());
    let key: PublicKey = key(1).public();
    let digits = qd_core::canonical::sha256_hex(hex::decode(&key.public_key).unwrap());
    assert_eq!(key.key_id, format!("ed25519:{}", &digits[..32]));
}

#[test]
fn numbers_that_json_cannot_carry_become_text_before_they_are_hashed() {
    let mut changes: Value = json!([{ "after": 9_007_199_254_740_993_i64 }]);
    make_exact(&mut changes);
    assert_eq!(changes, json!([{ "after": "9007199254740993" }]));
    assert!(record_hash(&changes).is_ok());
}

//! Whether an export is what was sealed: line by line, in bounded memory, and where it is not, where first and why.
//!
//! What a signature covers is proved to be what was signed; so an export must end with a checkpoint of its last record by a key that
//! the reader trusts. What this cannot see: records that were cut off together with the header and the last checkpoint being those of
//! an *older* export (a checkpoint that was kept outside shows it), what the holder of the key himself wrote and signed anew, and
//! what was changed in the database before the signer first vouched for it.
//!
//! Behind the first finding the rest is only looked at to tell what happened there (missing, inserted or reordered).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::{
    Chain, Checkpoint, Hash, Header, Line, PublicKey, RecordLine, Signed, genesis, link, record_hash,
};
use crate::time::Timestamp;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// The line is not what was hashed.
    Changed,
    Missing,
    Inserted,
    Reordered,
    /// Fits in itself and not to what was sealed or signed.
    Rehashed,
    /// The end is missing.
    Cut,
    /// Signed by a key that was not named.
    WrongKey,
    /// A signature that its key did not make.
    Forged,
    /// A checkpoint that was kept outside is of another chain: nothing is said about the export.
    OtherChain,
}

impl FindingKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Rehashed => "re-hashed",
            Self::Cut => "cut",
            Self::WrongKey => "wrong key",
            Self::Forged => "forged",
            Self::OtherChain => "other chain",
        }
    }
}

/// The first thing that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Finding {
    pub kind: FindingKind,
    /// Counted from 1; none where it is not a line of the export that is wrong.
    pub line: Option<u64>,
    /// The first record that is bad, or that is not there.
    pub seq: Option<i64>,
    /// The last one that may be bad as well, where it cannot be told which of several it is.
    pub until: Option<i64>,
    pub detail: String,
}

/// What was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub chain: Chain,
    /// The first and the last record.
    pub from: i64,
    pub to: i64,
    /// The chain hash of the last record.
    pub chain_hash: Hash,
    /// When the export was signed, and by which key.
    pub at: Timestamp,
    pub key_id: String,
    /// Checkpoints of the export that were verified, the last line among them.
    pub checkpoints: i64,
    /// Checkpoints by keys that the reader did not name; they are as the export says, and prove nothing to him.
    pub untrusted: i64,
    /// How many of those that were kept outside agree.
    pub outside: usize,
    /// Of those that were kept outside, the ones that lie before the export and could not be held against it.
    pub outside_before: Vec<i64>,
    /// Up to which record the chain was pruned, and why.
    pub pruned: Option<(i64, String)>,
}

/// Reads an export line by line.
pub struct Verifier {
    trusted: Vec<PublicKey>,
    outside: BTreeMap<i64, Signed<Checkpoint>>,
    line: u64,
    state: State,
}

enum State {
    /// Nothing was read yet.
    Start,
    Reading(Box<Reading>),
    /// What stands here is wrong; what comes may still tell how.
    Unsure(Box<Unsure>),
    Found(Finding),
}

struct Reading {
    header: Signed<Header>,
    proof: Proof,
    /// The chain hash so far, and the number of the record that must come.
    hash: Hash,
    next: i64,
    last: Option<Last>,
    /// The last record that a trusted signature covers.
    proved: i64,
    /// The last record of which a checkpoint was read.
    checked: i64,
    checkpoints: i64,
    ended: bool,
}

/// What stands where a record is missing.
enum Found {
    Record(i64),
    Checkpoint(i64),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(seq) => write!(f, "record {seq}"),
            Self::Checkpoint(seq) => write!(f, "a checkpoint of record {seq}"),
        }
    }
}

/// The record that was read last.
struct Last {
    line: u64,
    record: RecordLine,
}

enum Unsure {
    /// A record that is not due yet stands where another is due: one is missing, or out of its place, or this one is a copy.
    Gap { line: u64, due: i64, found: Found, seen_due: bool },
    /// Two records that both fit stand at one place; the next one follows one of them.
    Twins { first: Box<Last>, second: Box<Last> },
}

impl Verifier {
    /// `trusted`: the keys whose signatures prove something to the reader. `outside`: checkpoints that were kept elsewhere.
    pub fn new(trusted: Vec<PublicKey>, outside: Vec<Signed<Checkpoint>>) -> Self {
        let mut verifier = Self { trusted, outside: BTreeMap::new(), line: 0, state: State::Start };
        for checkpoint in outside {
            let seq = checkpoint.statement.seq;
            if let Err(finding) = verifier.signed_by(&checkpoint.key_id, None, Some(seq)).and_then(|key| {
                match checkpoint.is_by(&key) {
                    true => Ok(()),
                    false => Err(Finding {
                        kind: FindingKind::Forged,
                        line: None,
                        seq: Some(seq),
                        until: None,
                        detail: format!(
                            "the checkpoint of record {seq} that was kept outside has a forged signature"
                        ),
                    }),
                }
            }) {
                verifier.state = State::Found(finding);
                break;
            }
            if let Some(other) = verifier.outside.values().next()
                && other.statement.chain != checkpoint.statement.chain
            {
                verifier.state = State::Found(Finding {
                    kind: FindingKind::OtherChain,
                    line: None,
                    seq: None,
                    until: None,
                    detail: format!(
                        "the checkpoints that were kept outside are of several chains, {} and {}",
                        other.statement.chain, checkpoint.statement.chain
                    ),
                });
                break;
            }
            if let Some(other) = verifier.outside.get(&seq)
                && other.statement.chain_hash != checkpoint.statement.chain_hash
            {
                verifier.state = State::Found(Finding {
                    kind: FindingKind::Rehashed,
                    line: None,
                    seq: Some(seq),
                    until: None,
                    detail: format!(
                        "two checkpoints of record {seq} that were kept outside contradict each other, and both are signed"
                    ),
                });
                break;
            }
            verifier.outside.insert(seq, checkpoint);
        }
        verifier
    }

    /// Whether more lines can still change what [`Self::finish`] says.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Found(_))
    }

    /// The next line, without its line break.
    pub fn line(&mut self, line: &[u8]) {
        self.line += 1;
        let state = std::mem::replace(&mut self.state, State::Start);
        self.state = match state {
            State::Start => {
                self.first(line).map_or_else(State::Found, |reading| State::Reading(Box::new(reading)))
            }
            State::Reading(reading) => self.next(*reading, line),
            State::Unsure(unsure) => settle(*unsure, line, self.line),
            found @ State::Found(_) => found,
        };
    }

    /// What it came to, once every line was read.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn finish(mut self) -> Result<Proof, Finding> {
        let reading = match std::mem::replace(&mut self.state, State::Start) {
            State::Start => return Err(self.at(FindingKind::Cut, None, "the export is empty".into())),
            State::Found(finding) => return Err(finding),
            State::Unsure(unsure) => return Err(judge(&unsure)),
            State::Reading(reading) => reading,
        };
        let header = &reading.header.statement;
        if reading.next <= header.to {
            let detail = format!(
                "the export ends before record {}: its first line, which is signed, says that it goes to record {}",
                reading.next, header.to
            );
            return Err(self.at(FindingKind::Cut, Some(reading.next), detail));
        }
        if !reading.ended {
            let detail = format!("the checkpoint of record {} that ends an export is missing", header.to);
            return Err(Finding {
                until: Some(header.to),
                ..self.at(FindingKind::Cut, Some(reading.proved + 1), detail)
            });
        }
        if reading.checkpoints != header.checkpoints {
            let detail = format!(
                "{} checkpoints stand between the records, and the first line says {}: some were taken out",
                reading.checkpoints, header.checkpoints
            );
            return Err(Finding { line: Some(1), ..self.at(FindingKind::Missing, None, detail) });
        }
        if let Some((seq, checkpoint)) = self.outside.range(header.to + 1..).next_back() {
            let detail = format!(
                "the export ends at record {}, and the checkpoint that was kept outside is of record {seq} (at {}): its tail was \
                 cut off, or it is an older export or one of a part",
                header.to, checkpoint.statement.at
            );
            return Err(self.at(FindingKind::Cut, Some(header.to + 1), detail));
        }
        Ok(Proof { chain_hash: reading.hash, ..reading.proof })
    }

    /// The header: signed by a trusted key, and consistent in itself.
    fn first(&self, line: &[u8]) -> Result<Reading, Finding> {
        let read = match Line::read(line) {
            Ok(Line::Header(header)) => Ok(*header),
            Ok(_) => Err("the first line is not the header of an export".to_owned()),
            Err(why) => Err(format!("the first line cannot be read: {why}")),
        };
        let signed = read.map_err(|detail| self.at_line(FindingKind::Changed, None, detail))?;
        let header = &signed.statement;
        let key = self.signed_by(&signed.key_id, Some(self.line), None)?;
        if !signed.is_by(&key) {
            return Err(self.at_line(
                FindingKind::Forged,
                None,
                "the first line is not what its key signed".into(),
            ));
        }
        let wrong =
            |what: &str| Err(self.at_line(FindingKind::Changed, None, format!("the first line: {what}")));
        if header.version != Header::VERSION {
            return wrong("it is an export of another version than this program reads");
        }
        if header.from < 1 || header.to < header.from - 1 || header.to >= 1 << 53 {
            return wrong("it begins or ends at no record");
        }
        if header.keys.iter().any(|key| key.clone().checked().is_err()) {
            return wrong("one of its keys is none");
        }
        let pruned = header.pruned.as_ref();
        if let Some(pruned) = pruned {
            let by = self.signed_by(&pruned.key_id, Some(self.line), Some(header.from))?;
            if !pruned.is_by(&by) {
                let detail = "the pruning record in the first line is not what its key signed".into();
                return Err(self.at_line(FindingKind::Forged, Some(header.from), detail));
            }
            let pruned = &pruned.statement;
            if pruned.chain != header.chain || pruned.seq >= header.from {
                return wrong("its pruning record is not of this chain or not of what is before it");
            }
            if pruned.seq == header.from - 1 && pruned.chain_hash != header.prev_hash {
                return wrong("it does not begin with the chain hash at which the chain was pruned");
            }
        }
        if header.from == 1 && header.prev_hash != genesis(&header.chain) {
            return wrong("it does not begin where its chain begins");
        }
        let before: Vec<i64> = self.outside.range(..header.from - 1).map(|(seq, _)| *seq).collect();
        if let Some(other) = self.outside.values().find(|kept| kept.statement.chain != header.chain) {
            let detail = format!(
                "the checkpoint that was kept outside is of the chain {}, and the export of {}",
                other.statement.chain, header.chain
            );
            return Err(Finding { line: None, ..self.at_line(FindingKind::OtherChain, None, detail) });
        }
        let proof = Proof {
            chain: header.chain,
            from: header.from,
            to: header.to,
            chain_hash: header.prev_hash,
            at: header.at,
            key_id: signed.key_id.clone(),
            checkpoints: 0,
            untrusted: 0,
            outside: 0,
            outside_before: before,
            pruned: pruned.map(|pruned| (pruned.statement.seq, pruned.statement.why.clone())),
        };
        let mut reading = Reading {
            proof,
            hash: header.prev_hash,
            next: header.from,
            last: None,
            proved: header.from - 1,
            checked: header.from - 2,
            checkpoints: 0,
            ended: false,
            header: signed,
        };
        self.held_against_outside(&mut reading)?;
        Ok(reading)
    }

    fn next(&self, reading: Reading, line: &[u8]) -> State {
        if reading.ended {
            let detail = "something stands behind the last line of the export".into();
            return State::Found(self.at_line(FindingKind::Inserted, Some(reading.next), detail));
        }
        match Line::read(line) {
            Ok(Line::Record(record)) => self.record(reading, *record),
            Ok(Line::Checkpoint(checkpoint)) if checkpoint.statement.seq >= reading.next => {
                let found = Found::Checkpoint(checkpoint.statement.seq);
                let gap = Unsure::Gap { line: self.line, due: reading.next, found, seen_due: false };
                State::Unsure(Box::new(gap))
            }
            Ok(Line::Checkpoint(checkpoint)) => self
                .checkpoint(reading, &checkpoint)
                .map_or_else(State::Found, |r| State::Reading(Box::new(r))),
            Ok(Line::Header(_)) => {
                let detail = "a second header stands between the lines".into();
                State::Found(self.at_line(FindingKind::Inserted, Some(reading.next), detail))
            }
            Err(why) => {
                let detail =
                    format!("line {} cannot be read: {why}; record {} was expected", self.line, reading.next);
                State::Found(self.at_line(FindingKind::Changed, Some(reading.next), detail))
            }
        }
    }

    fn record(&self, mut reading: Reading, record: RecordLine) -> State {
        let due = reading.next;
        if let Err(why) = fits_itself(&record, &reading.header.statement.chain) {
            let detail = format!("record {due} on line {}: {why}", self.line);
            return State::Found(self.at_line(FindingKind::Changed, Some(due), detail));
        }
        let this = Last { line: self.line, record };
        let seq = this.record.seq;
        if seq > due {
            let gap = Unsure::Gap { line: self.line, due, found: Found::Record(seq), seen_due: false };
            return State::Unsure(Box::new(gap));
        }
        if seq > reading.header.statement.to {
            let detail =
                format!("record {seq} on line {} lies beyond the end that the first line states", self.line);
            return State::Found(self.at_line(FindingKind::Inserted, Some(seq), detail));
        }
        if seq < due {
            return match reading.last {
                Some(first)
                    if first.record.seq == seq
                        && first.record != this.record
                        && first.record.prev_hash == this.record.prev_hash =>
                {
                    State::Unsure(Box::new(Unsure::Twins { first: Box::new(first), second: Box::new(this) }))
                }
                _ => {
                    let detail =
                        format!("line {} is record {seq} once more; record {due} was expected", self.line);
                    State::Found(self.at_line(FindingKind::Inserted, Some(due), detail))
                }
            };
        }
        if this.record.prev_hash != reading.hash {
            // It fits in itself and names another one before it: that one is not the one that was sealed.
            let finding = match &reading.last {
                Some(last) => Finding {
                    kind: FindingKind::Rehashed,
                    line: Some(last.line),
                    seq: Some(due - 1),
                    until: None,
                    detail: format!(
                        "record {} on line {} was changed or replaced and hashed again: record {due} was sealed upon another one",
                        due - 1,
                        last.line
                    ),
                },
                None => {
                    let detail = format!(
                        "record {due} on line {} does not follow what the first line says is before it",
                        self.line
                    );
                    self.at_line(FindingKind::Rehashed, Some(due), detail)
                }
            };
            return State::Found(finding);
        }
        reading.hash = this.record.chain_hash;
        reading.next += 1;
        reading.last = Some(this);
        match self.held_against_outside(&mut reading) {
            Ok(()) => State::Reading(Box::new(reading)),
            Err(finding) => State::Found(finding),
        }
    }

    fn checkpoint(&self, mut reading: Reading, checkpoint: &Signed<Checkpoint>) -> Result<Reading, Finding> {
        let (header, said) = (&reading.header.statement, &checkpoint.statement);
        let read = reading.next - 1;
        let unproved = reading.proved + 1;
        let known =
            header.keys.iter().chain(&self.trusted).find(|key| key.key_id == checkpoint.key_id).cloned();
        if !known.is_some_and(|key| checkpoint.is_by(&key)) {
            let detail = format!("the checkpoint on line {} is not what its key signed", self.line);
            return Err(Finding {
                until: Some(read.max(unproved)),
                ..self.at_line(FindingKind::Forged, Some(unproved), detail)
            });
        }
        if said.chain != header.chain {
            let detail = format!("the checkpoint on line {} is of another chain, {}", self.line, said.chain);
            return Err(self.at_line(FindingKind::Inserted, Some(reading.next), detail));
        }
        if said.seq < read || said.seq <= reading.checked {
            let (kind, how) = match said.seq <= reading.checked {
                true => (FindingKind::Inserted, "stands once more"),
                false => (FindingKind::Reordered, "stands at another place"),
            };
            let detail = format!("the checkpoint of record {} {how}, on line {}", said.seq, self.line);
            return Err(self.at_line(kind, Some(reading.next), detail));
        }
        if said.chain_hash != reading.hash {
            let detail = format!(
                "the checkpoint on line {} was signed for other records than {unproved} to {read}: one of them was changed, and all \
                 from it on were hashed again",
                self.line
            );
            return Err(Finding {
                line: None,
                until: Some(read),
                ..self.at_line(FindingKind::Rehashed, Some(unproved), detail)
            });
        }
        let trusted = self.trusted.iter().any(|key| key.key_id == checkpoint.key_id);
        reading.checked = read;
        if read == header.to {
            // The last line is by whoever signed the first, whom the reader trusts.
            if !trusted || checkpoint.key_id != reading.header.key_id {
                let detail = format!(
                    "the last checkpoint, on line {}, is by another key than the first line",
                    self.line
                );
                return Err(self.at_line(FindingKind::WrongKey, Some(unproved), detail));
            }
            reading.ended = true;
        } else {
            reading.checkpoints += 1;
        }
        reading.proof.checkpoints += i64::from(trusted);
        reading.proof.untrusted += i64::from(!trusted);
        if trusted {
            reading.proved = read;
        }
        Ok(reading)
    }

    /// The record that was read last, against a checkpoint of it that was kept outside.
    fn held_against_outside(&self, reading: &mut Reading) -> Result<(), Finding> {
        let seq = reading.next - 1;
        let Some(kept) = self.outside.get(&seq) else { return Ok(()) };
        if kept.statement.chain_hash == reading.hash {
            reading.proof.outside += 1;
            return Ok(());
        }
        let proved = self.outside.range(..seq).next_back().map_or(0, |(seq, _)| *seq);
        // A signature inside does not narrow it: what is kept outside contradicts whoever made it.
        let first = proved.max(reading.header.statement.from - 1) + 1;
        let detail = format!(
            "the checkpoint of record {seq} that was kept outside says otherwise: of the records up to it, one was changed and all \
             from it on were hashed again"
        );
        Err(Finding {
            line: None,
            until: Some(seq),
            ..self.at_line(FindingKind::Rehashed, Some(first.min(seq)), detail)
        })
    }

    fn signed_by(&self, key_id: &str, line: Option<u64>, seq: Option<i64>) -> Result<PublicKey, Finding> {
        self.trusted.iter().find(|key| key.key_id == key_id).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.trusted.iter().map(|key| key.key_id.as_str()).collect();
            let key_id = crate::error::clip(key_id, 80);
            let detail = format!("it is signed by the key {key_id}, and you trust {}", known.join(", "));
            Finding { kind: FindingKind::WrongKey, line, seq, until: None, detail }
        })
    }

    fn at_line(&self, kind: FindingKind, seq: Option<i64>, detail: String) -> Finding {
        Finding { kind, line: Some(self.line), seq, until: None, detail }
    }

    /// Of what should stand behind the last line.
    fn at(&self, kind: FindingKind, seq: Option<i64>, detail: String) -> Finding {
        Finding { line: Some(self.line + 1), ..self.at_line(kind, seq, detail) }
    }
}

/// Whether its hashes are those of what stands in it.
fn fits_itself(line: &RecordLine, chain: &Chain) -> Result<(), String> {
    let hash = record_hash(&line.record).map_err(|error| error.detail)?;
    if hash != line.record_hash {
        return Err("it is not what its hash was made of".into());
    }
    if link(line.prev_hash, hash, line.seq) != line.chain_hash {
        return Err("its chain hash was not made of its hash, its number and the hash before it".into());
    }
    let tenant = line.record.get("tenant_id").and_then(Value::as_str);
    if tenant != chain.tenant.map(|tenant| tenant.to_string()).as_deref() {
        return Err("it belongs to another chain".into());
    }
    Ok(())
}

/// Behind a finding whose sort is not known yet.
fn settle(unsure: Unsure, line: &[u8], number: u64) -> State {
    let read = Line::read(line).ok();
    let unsure = match (unsure, read) {
        (Unsure::Twins { first, second }, read) => {
            let followed = match read {
                Some(Line::Record(record)) => record.prev_hash,
                Some(Line::Checkpoint(checkpoint)) => checkpoint.statement.chain_hash,
                _ => first.record.chain_hash,
            };
            return State::Found(twin(&first, &second, followed));
        }
        (Unsure::Gap { line, due, found, seen_due: false }, Some(Line::Record(record)))
            if record.seq == due =>
        {
            Unsure::Gap { line, due, found, seen_due: true }
        }
        (
            Unsure::Gap { line, due, found: Found::Record(found), seen_due: true },
            Some(Line::Record(record)),
        ) if record.seq == found => {
            let detail = format!(
                "line {line} is record {found}, which stands once more on line {number}; record {due} was expected"
            );
            let kind = FindingKind::Inserted;
            return State::Found(Finding { kind, line: Some(line), seq: Some(due), until: None, detail });
        }
        (gap, _) => gap,
    };
    State::Unsure(Box::new(unsure))
}

fn judge(unsure: &Unsure) -> Finding {
    match unsure {
        Unsure::Gap { line, due, found, seen_due } => {
            let (kind, detail) = match seen_due {
                true => (
                    FindingKind::Reordered,
                    format!(
                        "line {line} is {found}, and record {due}, which belongs there, stands further down"
                    ),
                ),
                false => (FindingKind::Missing, format!("record {due} is missing: line {line} is {found}")),
            };
            Finding { kind, line: Some(*line), seq: Some(*due), until: None, detail }
        }
        Unsure::Twins { first, second } => twin(first, second, first.record.chain_hash),
    }
}

/// Of two records at one place, the one that the next one does not follow.
fn twin(first: &Last, second: &Last, followed: Hash) -> Finding {
    let (bad, good) = match followed == second.record.chain_hash {
        true => (first, second),
        false => (second, first),
    };
    let detail = format!(
        "line {} claims to be record {}, which is on line {}: the record after it follows that one",
        bad.line, bad.record.seq, good.line
    );
    Finding {
        kind: FindingKind::Inserted,
        line: Some(bad.line),
        seq: Some(bad.record.seq),
        until: None,
        detail,
    }
}

/// A whole export at once.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    export: &[u8],
    trusted: Vec<PublicKey>,
    outside: Vec<Signed<Checkpoint>>,
) -> Result<Proof, Finding> {
    let mut verifier = Verifier::new(trusted, outside);
    let export = export.strip_suffix(b"\n").unwrap_or(export);
    if !export.is_empty() {
        export.split(|byte| *byte == b'\n').for_each(|line| verifier.line(line));
    }
    verifier.finish()
}

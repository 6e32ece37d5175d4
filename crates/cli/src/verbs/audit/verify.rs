//! `qd audit verify`: holds an export against the keys and checkpoints that the reader has. No server is asked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use qd_core::audit::{Checkpoint, Finding, FindingKind, Proof, PublicKey, Signed, Verifier};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;

/// A line that is longer is none of an export.
const LINE_MOST: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 proved · 1 refuted · 64 wrong usage: also a file that cannot be read, or a checkpoint of another chain.\n\nWhat cannot be seen: records cut off the end by somebody who hands out an older export (give a --checkpoint that was kept elsewhere), and what the holder of the key wrote and signed anew."
)]
pub struct Args {
    /// The export; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public keys that are trusted, as PEM, from a place that the server's operator cannot change; may be repeated
    #[arg(long, required = true, value_name = "PUBKEYFILE")]
    key: Vec<PathBuf>,
    /// Checkpoints that were kept elsewhere, one JSON object a line; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut trusted = vec![];
    for path in &args.key {
        trusted
            .extend(PublicKey::all_from_pem(&text(path)?).map_err(|error| unfit(path, &error.to_string()))?);
    }
    let mut outside = vec![];
    for path in &args.checkpoint {
        outside.extend(checkpoints(path)?);
    }
    let kept = outside.len();
    let out = &invocation.out;
    match read(&args.file, Verifier::new(trusted, outside))? {
        Ok(proof) => {
            out.line(&proved(&proof))?;
            for note in notes(&proof, kept) {
                out.note(&note);
            }
            Ok(Exit::OK)
        }
        // Of the export nothing was found: what it was held against is not of it.
        Err(finding) if finding.kind == FindingKind::OtherChain => {
            Err(Failure::usage(format!("--checkpoint: {}", clean(&finding.detail))))
        }
        Err(finding) => {
            out.line(&refuted(&finding))?;
            Ok(Exit::FAILED)
        }
    }
}

fn read(path: &Path, mut verifier: Verifier) -> Result<Result<Proof, Finding>, Failure> {
    let mut reader: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::with_capacity(1 << 20, File::open(path).map_err(|e| unfit(path, &e))?)),
    };
    let mut line = vec![];
    while !verifier.is_settled() {
        line.clear();
        let count =
            reader.by_ref().take(LINE_MOST).read_until(b'\n', &mut line).map_err(|e| unfit(path, &e))?;
        if count == 0 {
            break;
        }
        verifier.line(line.strip_suffix(b"\n").unwrap_or(&line));
    }
    Ok(verifier.finish())
}

/// One statement, however it is broken into lines, or one a line.
fn checkpoints(path: &Path) -> Result<Vec<Signed<Checkpoint>>, Failure> {
    let text = text(path)?;
    if let Ok(one) = Signed::<Checkpoint>::read(text.as_bytes()) {
        return Ok(vec![one]);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read: Vec<_> = lines
        .map(|line| Signed::<Checkpoint>::read(line.as_bytes()).map_err(|why| unfit(path, &why)))
        .collect::<Result<_, _>>()?;
    if read.is_empty() {
        return Err(unfit(path, &"there is no checkpoint in it"));
    }
    Ok(read)
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unfit(path, &error))
}

fn unfit(path: &Path, why: &(impl std::fmt::Display + ?Sized)) -> Failure {
    Failure::usage(format!("{}: {why}", path.display()))
}

fn proved(proof: &Proof) -> String {
    let what = match proof.to >= proof.from {
        true => format!("records {} to {}", proof.from, proof.to),
        false => "no record".to_owned(),
    };
    format!(
        "proved: {what} of {} are as they were sealed, signed by {} at {}",
        proof.chain, proof.key_id, proof.at
    )
}

/// What this does and does not say.
fn notes(proof: &Proof, kept: usize) -> Vec<String> {
    let mut notes = vec![];
    if let Some((seq, why)) = &proof.pruned {
        notes.push(format!("records up to {seq} were removed, which is signed: {}", clean(why)));
    } else if proof.from > 1 {
        notes.push(format!("the export begins at record {}: what is before it is not in it", proof.from));
    }
    match kept {
        0 => notes.push(format!(
            "not proved: that record {} is the last one; a --checkpoint that was kept elsewhere would show a tail that was cut off",
            proof.to
        )),
        _ => {
            notes.push(format!("{} of {kept} checkpoints that were kept elsewhere agree", proof.outside));
            if !proof.outside_before.is_empty() {
                notes.push(
                    "the others are of records before the export and could not be held against it".to_owned(),
                );
            }
        }
    }
    if proof.untrusted > 0 {
        notes.push(format!(
            "{} checkpoints are by keys that you did not name; they were held against the export and prove nothing by themselves",
            proof.untrusted
        ));
    }
    notes.push("not proved: that whoever holds the key did not write and sign all of it anew".to_owned());
    notes
}

fn refuted(finding: &Finding) -> String {
    let mut place = String::new();
    if let Some(seq) = finding.seq {
        place = match finding.until.filter(|until| *until > seq) {
            Some(until) => format!(" at record {seq} (up to {until})"),
            None => format!(" at record {seq}"),
        };
    }
    if let Some(line) = finding.line {
        place.push_str(&format!(", line {line}"));
    }
    format!("refuted{place}: {}: {}", finding.kind.as_str(), clean(&finding.detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::context::Overrides;
    use crate::output::Out;
    use qd_core::audit::{Chain, Header, SigningKey, genesis, line_text};
    use qd_core::time::Timestamp;
    use uuid::Uuid;

    #[test]
    fn a_checkpoint_of_another_chain_refutes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (key, at) = (SigningKey::from_seed(&[1; 32]), Timestamp::from_micros(0));
        let chain = |tenant: u128| Chain {
            installation: Uuid::from_u128(1),
            tenant: Some(Uuid::from_u128(tenant).into()),
        };
        let checkpoint = |chain: Chain| {
            let statement = Checkpoint { chain, seq: 0, chain_hash: genesis(&chain), at };
            line_text(&Signed::sign(statement, &key).unwrap()).unwrap()
        };
        // An export of no record.
        let header = Header {
            version: Header::VERSION,
            chain: chain(1),
            from: 1,
            to: 0,
            prev_hash: genesis(&chain(1)),
            pruned: None,
            checkpoints: 0,
            keys: vec![key.public()],
            at,
        };
        let header = line_text(&Signed::sign(header, &key).unwrap()).unwrap();
        let verified = |kept: u128| {
            let args = Args {
                file: write("audit.jsonl", &format!("{header}\n{}\n", checkpoint(chain(1)))),
                key: vec![write("audit.pub", &key.public().to_pem().unwrap())],
                checkpoint: vec![write("kept.json", &checkpoint(chain(kept)))],
            };
            let (out, clock) = (Out::new(true), Clock::system());
            run(&args, &Invocation { out, clock, place: None, overrides: Overrides::default() })
        };
        assert_eq!(verified(1).unwrap(), Exit::OK);
        let failure = verified(2).unwrap_err();
        assert_eq!(failure.exit(), Exit::USAGE);
        for chain in [chain(1), chain(2)] {
            assert!(failure.to_string().contains(&chain.to_string()), "{failure}");
        }
    }
}

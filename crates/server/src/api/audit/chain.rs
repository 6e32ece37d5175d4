//! A chain as it stands, and what this server finds when it verifies its newest part.

use axum::{Json, extract::State};
use qd_core::audit::{Finding, Hash};
use qd_core::error::Error;
use qd_kernel::audit::status::AuditChain;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::whose;
use crate::{
    http::{caller::Caller, problem::Problem, query::Params},
    state::App,
};

/// Records that are verified unless more are asked for, and at most.
const RECORDS: i64 = 10_000;
const RECORDS_MOST: i64 = 1_000_000;

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ChainQuery {
    /// `tenant`, which it is without, `platform`, or `tenant:ID` for one that is gone.
    pub reach: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct VerifyQuery {
    /// `tenant`, which it is without, `platform`, or `tenant:ID` for one that is gone.
    pub reach: Option<String>,
    /// The newest so many records, 1 to 1000000; 10000 without.
    pub records: Option<i64>,
}

/// What the server found in its own chain. It is the server's word: whoever does not trust it verifies an export with
/// `qd audit verify`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Verification {
    pub proved: bool,
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub chain_hash: Option<Hash>,
    /// What is wrong where nothing is proved: `changed`, `missing`, `inserted`, `reordered`, `re-hashed`, `cut`, `wrong key`
    /// or `forged`.
    pub finding: Option<&'static str>,
    /// The first record that is bad, and the last one that may be.
    pub seq: Option<i64>,
    pub until: Option<i64>,
    /// One sentence for a person.
    pub detail: String,
}

pub async fn chain(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<ChainQuery>,
) -> Result<Json<AuditChain>, Problem> {
    let tenant = whose(&caller, query.reach.as_deref())?;
    Ok(Json(app.kernel.audit_chain_get(tenant).await?))
}

pub async fn verify(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<VerifyQuery>,
) -> Result<Json<Verification>, Problem> {
    let tenant = whose(&caller, query.reach.as_deref())?;
    let records = query.records.unwrap_or(RECORDS);
    if !(1..=RECORDS_MOST).contains(&records) {
        return Err(Problem(Error::malformed(
            "bad_limit",
            format!("records is {records}; it must be between 1 and {RECORDS_MOST}"),
        )));
    }
    Ok(Json(match app.kernel.audit_verify(tenant, records).await? {
        Ok(proof) => Verification {
            proved: true,
            from: Some(proof.from),
            to: Some(proof.to),
            chain_hash: Some(proof.chain_hash),
            finding: None,
            seq: None,
            until: None,
            detail: format!("records {} to {} are as they were sealed", proof.from, proof.to),
        },
        Err(finding) => refuted(finding),
    }))
}

fn refuted(finding: Finding) -> Verification {
    Verification {
        proved: false,
        from: None,
        to: None,
        chain_hash: None,
        finding: Some(finding.kind.as_str()),
        seq: finding.seq,
        until: finding.until,
        detail: finding.detail,
    }
}

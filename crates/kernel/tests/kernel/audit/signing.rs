//! The key that signs: one for a database, whoever starts; and checkpoints that do not vouch for what was changed.

use std::os::unix::fs::PermissionsExt as _;

use qd_core::audit::{Hash, genesis, link};
use qd_core::id::TenantId;
use qd_kernel::KernelOptions;
use qd_kernel::audit::{KeySource, NewRecord, object};
use qd_kernel::registry::Registry;
use qd_kernel::store::Store;
use qd_testkit::{TestDatabase, TestKernel, both_stores};
use tempfile::TempDir;

use super::*;

async fn start(store: &Store, key: KeySource, rotate: bool) -> Result<Kernel> {
    let mut options = KernelOptions::default();
    (options.audit.key, options.audit.rotate) = (Some(key), rotate);
    Kernel::new(store.clone(), Registry::default(), qd_kernel::clock::system(), options).await
}

fn seed(seed: u8) -> KeySource {
    KeySource::Key(SigningKey::from_seed(&[seed; 32]))
}

/// Why this process signs nothing.
async fn silent(kernel: &Kernel) -> Option<String> {
    kernel.audit_reading().await.unwrap().silent
}

both_stores! {
    async fn of_two_keys_that_were_named_the_second_is_refused(db: TestDatabase) {
        let store = db.migrated().await;
        let first = start(&store, seed(1), false).await.unwrap();
        assert_eq!(silent(&first).await, None);
        let Err(refused) = start(&store, seed(2), false).await else { panic!("two keys sign") };
        assert_eq!(refused.code, "audit_key_mismatch");
        assert!(refused.detail.contains("--audit-key-rotate"), "{}", refused.detail);
        assert_eq!(first.audit_chain_get(None).await.unwrap().keys.len(), 1, "a key that never signed is not listed");
        assert_eq!(silent(&start(&store, seed(1), false).await.unwrap()).await, None);
    }

    async fn a_key_is_made_once_and_who_has_none_seals_without_signing(db: TestDatabase) {
        let store = db.migrated().await;
        let (mine, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let folder = |dir: &TempDir| KeySource::Folder(dir.path().to_owned());
        let first = start(&store, folder(&mine), false).await.unwrap();
        assert_eq!(silent(&first).await, None);
        let file = mine.path().join("audit.key");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let second = start(&store, folder(&other), false).await.unwrap();
        let why = silent(&second).await.unwrap();
        assert!(why.contains("the same --audit-key"), "{why}");
        assert!(!other.path().join("audit.key").exists());
        let Err(absent) = second.audit_export(None, None, None).await else { panic!("it signs") };
        assert_eq!(absent.code, "audit_key_absent");
        // The file that was made is the key: it can be handed to the other one.
        let given = start(&store, KeySource::File(file), false).await.unwrap();
        assert_eq!(silent(&given).await, None);
        let missing = start(&store, KeySource::File(other.path().join("none")), false).await.err().unwrap();
        assert_eq!(missing.code, "audit_key_missing");
    }

    async fn a_key_that_was_replaced_stops_signing_and_stays_listed(db: TestDatabase) {
        let t = TestKernel::build().audit_key(1).idle().on(&db).await;
        say(&t.kernel, &t.context(), "x", 1).await.unwrap();
        t.kernel.audit_seal().await.unwrap();
        assert_eq!(t.kernel.audit_checkpoint().await.unwrap(), 2, "the tenant's chain and the platform's");
        assert_eq!(t.kernel.audit_checkpoint().await.unwrap(), 0, "nothing was sealed since");
        let next = start(&t.kernel.store, seed(KEY), true).await.unwrap();
        say(&t.kernel, &t.context(), "x", 2).await.unwrap();
        t.kernel.audit_seal().await.unwrap();
        let refused = t.kernel.audit_checkpoint().await.unwrap_err();
        assert_eq!(refused.code, "audit_key_mismatch");
        assert!(silent(&t.kernel).await.unwrap().contains("another key"));
        assert_eq!(next.audit_checkpoint().await.unwrap(), 2);
        let chain = next.audit_chain_get(Some(t.scope.tenant_id)).await.unwrap();
        let keys: Vec<(bool, &str)> =
            chain.keys.iter().map(|key| (key.retired_at.is_some(), key.key_id.as_str())).collect();
        let id = |seed: u8| SigningKey::from_seed(&[seed; 32]).public().key_id;
        assert_eq!(keys, [(true, id(1).as_str()), (false, id(KEY).as_str())]);
        let mut export = next.audit_export(Some(t.scope.tenant_id), None, None).await.unwrap();
        let mut text = String::new();
        while let Some(lines) = export.next().await.unwrap() {
            text.push_str(&lines);
        }
        let proof = checked(&text).unwrap();
        assert_eq!((proof.to, proof.untrusted), (2, 1), "the first key's checkpoint is in it");
        let page = next.audit_list_of(AuditReach::Platform, AuditFilter::default(), PageRequest::first(9));
        assert_eq!(page.await.unwrap().items.iter().filter(|record| record.action == "audit.rotate").count(), 2);
    }

    async fn what_does_not_follow_from_what_was_signed_is_not_signed(db: TestDatabase) {
        let t = TestKernel::build().audit_key(KEY).idle().on(&db).await;
        for n in 0..3 {
            say(&t.kernel, &t.context(), "x", n).await.unwrap();
        }
        t.kernel.audit_seal().await.unwrap();
        t.kernel.audit_checkpoint().await.unwrap();
        for n in 3..6 {
            say(&t.kernel, &t.context(), "x", n).await.unwrap();
        }
        t.kernel.audit_seal().await.unwrap();
        let forge = |sql: &'static str| t.kernel.store.write(move |tx| -> Result<u64> { Ok(tx.exec(sql, &[])?) });
        forge("UPDATE audit_seal SET record_hash = chain_hash WHERE seq = 5").await.unwrap();
        let refused = t.kernel.audit_checkpoint().await.unwrap_err();
        assert_eq!(refused.code, "audit_chain_broken");
        assert!(silent(&t.kernel).await.unwrap().contains("does not follow"));
        let checkpoint = t.kernel.audit_chain_get(Some(t.scope.tenant_id)).await.unwrap().checkpoint.unwrap();
        assert_eq!(checkpoint.statement.seq, 3);
    }
}

both_stores! {
    /// Whoever owns the database and not the key rewrites a record, seals all anew, and removes what was signed.
    async fn a_history_that_was_written_anew_is_never_signed(db: TestDatabase) {
        let folder = TempDir::new().unwrap();
        let build = |store: &Store| {
            let mut build = TestKernel::build().audit_key(KEY).idle().store(store);
            build.options.audit.marks = Some(folder.path().to_owned());
            build
        };
        let store = db.migrated().await;
        let t = build(&store).on(&db).await;
        for n in 0..6 {
            say(&t.kernel, &t.context(), "x", n).await.unwrap();
        }
        t.kernel.audit_seal().await.unwrap();
        t.kernel.audit_checkpoint().await.unwrap();
        let tenant = t.scope.tenant_id;
        assert!(checked(&exported(&t, Some(tenant)).await).is_ok());
        forge(&t, 5).await;
        // In the process that signed, and in the one that comes after it.
        let later = build(&store).on(&db).await;
        for one in [&t, &later] {
            assert!(checked(&exported(one, Some(tenant)).await).is_err(), "its end is not signed");
            let refused = one.kernel.audit_checkpoint().await.unwrap_err();
            assert_eq!(refused.code, "audit_chain_broken");
            assert!(silent(&one.kernel).await.unwrap().contains("does not follow"));
        }
        say(&later.kernel, &later.context(), "x", 7).await.unwrap();
        later.kernel.audit_seal().await.unwrap();
        assert_eq!(later.kernel.audit_checkpoint().await.unwrap_err().code, "audit_chain_broken", "nor with more behind it");
        // Cut off before what was signed, it is not signed either.
        let cut = later.kernel.store.write(|tx| -> Result<u64> {
            tx.exec("DELETE FROM audit_seal WHERE seq > 2", &[])?;
            Ok(tx.exec(
                "UPDATE audit_chain SET seq = 2, checked_seq = 0,
                   chain_hash = (SELECT chain_hash FROM audit_seal s WHERE s.chain = audit_chain.chain AND s.seq = 2)
                 WHERE seq > 2",
                &[],
            )?)
        });
        assert_eq!(cut.await.unwrap(), 1);
        let refused = later.kernel.audit_checkpoint().await.unwrap_err();
        assert!(refused.detail.contains("record 6 was signed"), "{refused}");
    }

    async fn one_broken_chain_keeps_no_other_from_being_signed(db: TestDatabase) {
        let t = TestKernel::build().audit_key(KEY).idle().on(&db).await;
        say(&t.kernel, &t.context(), "x", 1).await.unwrap();
        t.kernel.audit_seal().await.unwrap();
        assert_eq!(t.kernel.audit_checkpoint().await.unwrap(), 2);
        // The platform's chain is the first in their order.
        say(&t.kernel, &t.context(), "x", 2).await.unwrap();
        let platform = NewRecord::platform("system", "test", t.context().ids, "tests.say", object("Test", None, "x"));
        t.kernel.audit_append(platform).await.unwrap();
        t.kernel.audit_seal().await.unwrap();
        let tampered = t.kernel.store.write(|tx| -> Result<u64> {
            let sql = "UPDATE audit_seal SET record_hash = chain_hash WHERE chain = $1 AND seq = 2";
            Ok(tx.exec(sql, qd_kernel::params![uuid::Uuid::nil()])?)
        });
        assert_eq!(tampered.await.unwrap(), 1);
        for _ in 0..2 {
            assert_eq!(t.kernel.audit_checkpoint().await.unwrap_err().code, "audit_chain_broken");
            let why = silent(&t.kernel).await.unwrap();
            assert!(why.contains("/platform does not follow"), "{why}");
        }
        let signed = async |tenant: Option<TenantId>| {
            t.kernel.audit_chain_get(tenant).await.unwrap().checkpoint.unwrap().statement.seq
        };
        assert_eq!((signed(None).await, signed(Some(t.scope.tenant_id)).await), (1, 2));
    }
}

/// Rewrites a record of the tenant's chain and seals it and all behind it anew, without a trace in the database.
async fn forge(t: &TestKernel, from: i64) {
    let chain = t.kernel.audit_chain_get(Some(t.scope.tenant_id)).await.unwrap().chain;
    let row = t.scope.tenant_id.uuid();
    let forged = t.kernel.store.write(move |tx| -> Result<()> {
        tx.exec(
            "UPDATE audit SET actor = 'nobody' WHERE id = (SELECT audit_id FROM audit_seal WHERE chain = $1 AND seq = $2)",
            qd_kernel::params![row, from],
        )?;
        let seals: Vec<(i64, Vec<u8>)> = tx.rows(
            "SELECT seq, record_hash FROM audit_seal WHERE chain = $1 ORDER BY seq",
            qd_kernel::params![row],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let mut hash = genesis(&chain);
        for (seq, record) in seals {
            let mut record = Hash(record.try_into().unwrap());
            if seq == from {
                // Any other: what it is of is for the forger to say.
                record.0[0] ^= 1;
            }
            hash = link(hash, record, seq);
            tx.exec(
                "UPDATE audit_seal SET record_hash = $3, chain_hash = $4 WHERE chain = $1 AND seq = $2",
                qd_kernel::params![row, seq, record.0.to_vec(), hash.0.to_vec()],
            )?;
        }
        tx.exec("DELETE FROM audit_checkpoint WHERE chain = $1", qd_kernel::params![row])?;
        tx.exec(
            "UPDATE audit_chain SET chain_hash = $2, checked_seq = 0, checked_at = NULL WHERE chain = $1",
            qd_kernel::params![row, hash.0.to_vec()],
        )?;
        Ok(())
    });
    forged.await.unwrap();
}

/// Several that start at once on one database agree on one key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_once_agree_on_one_key() {
    let db = TestDatabase::postgres().await;
    let store = db.migrated().await;
    let folders: Vec<TempDir> = (0..8).map(|_| TempDir::new().unwrap()).collect();
    let started = folders.iter().map(|dir| start(&store, KeySource::Folder(dir.path().to_owned()), false));
    let mut signing = 0;
    for kernel in futures::future::join_all(started).await {
        signing += usize::from(silent(&kernel.unwrap()).await.is_none());
    }
    assert_eq!(signing, 1);
    let files = folders.iter().filter(|dir| dir.path().join("audit.key").exists()).count();
    assert_eq!(files, 1, "who lost keeps no key");
}

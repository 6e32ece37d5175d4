//! What is removed by age leaves a chain that is proved from there on.

use std::time::Duration;

use qd_core::audit::FindingKind;
use qd_testkit::{ManualClock, TestKernel, both_stores};

use super::*;

const DAY: Duration = Duration::from_hours(24);

both_stores! {
    async fn what_is_removed_by_age_leaves_a_chain_that_is_proved(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let mut build = TestKernel::build().clock(&clock).audit_key(KEY).idle();
        build.options.audit.retention = Some(DAY * 30);
        let t = build.on(&db).await;
        let tenant = Some(t.scope.tenant_id);
        let many = async |from: u64| {
            for n in from..from + 40 {
                say(&t.kernel, &t.context(), "x", n).await.unwrap();
            }
            t.kernel.audit_seal().await.unwrap();
        };
        many(0).await;
        t.kernel.audit_checkpoint().await.unwrap();
        let early = exported(&t, tenant).await;
        clock.advance(DAY * 20);
        many(40).await;
        clock.advance(DAY * 20);
        many(80).await;
        t.kernel.audit_checkpoint().await.unwrap();
        let kept = t.kernel.audit_chain_get(tenant).await.unwrap().checkpoint.unwrap();
        let swept = t.kernel.retention_sweep().await.unwrap();
        // The first forty, and the key's own record on the platform's chain.
        assert_eq!(swept.audit, 41);
        assert_eq!(t.kernel.retention_sweep().await.unwrap().audit, 0);
        let text = exported(&t, tenant).await;
        let proof = verify(text.as_bytes(), trusted(), vec![kept]).unwrap();
        assert_eq!((proof.from, proof.to, proof.outside), (41, 120, 1));
        let (seq, why) = proof.pruned.unwrap();
        assert!(seq == 40 && why.contains("720 hours"), "{why}");
        // What was exported before stays proved; what is left does not pass for the whole.
        assert_eq!(checked(&early).unwrap().to, 40);
        assert_eq!(t.kernel.audit_export(tenant, Some(40), None).await.err().unwrap().code, "bad_audit_range");
        let without: String = text.lines().enumerate().filter(|(n, _)| *n != 1).map(|(_, l)| format!("{l}\n")).collect();
        let finding = checked(&without).unwrap_err();
        assert_eq!((finding.kind, finding.seq), (FindingKind::Missing, Some(41)));
        assert_eq!(t.kernel.audit_verify(tenant, 500).await.unwrap().unwrap().from, 41);
        // And on it goes: another sweep, further records, another checkpoint.
        clock.advance(DAY * 15);
        many(120).await;
        assert_eq!(t.kernel.retention_sweep().await.unwrap().audit, 40);
        t.kernel.audit_checkpoint().await.unwrap();
        let proof = checked(&exported(&t, tenant).await).unwrap();
        assert_eq!((proof.from, proof.to, proof.pruned.unwrap().0), (81, 160, 80));
        assert_eq!(t.number("SELECT count(*) FROM audit_pruning").await, 3);
        assert_eq!(t.number("SELECT count(*) FROM audit_seal WHERE seq <= 80 AND audit_id IN (SELECT id FROM audit WHERE tenant_id IS NOT NULL)").await, 0);
    }

    async fn what_no_checkpoint_covers_stays_however_old(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let mut build = TestKernel::build().clock(&clock).audit_key(KEY).idle();
        build.options.audit.retention = Some(DAY);
        let t = build.on(&db).await;
        say(&t.kernel, &t.context(), "x", 1).await.unwrap();
        t.kernel.audit_seal().await.unwrap();
        clock.advance(DAY * 10);
        assert_eq!(t.kernel.retention_sweep().await.unwrap().audit, 0);
        t.kernel.audit_checkpoint().await.unwrap();
        assert_eq!(t.kernel.retention_sweep().await.unwrap().audit, 2);
        let proof = checked(&exported(&t, Some(t.scope.tenant_id)).await).unwrap();
        assert_eq!((proof.from, proof.to), (2, 1), "an export of nothing, and still signed");
        // A chain that was pruned to its end goes on.
        say(&t.kernel, &t.context(), "x", 2).await.unwrap();
        t.kernel.audit_seal().await.unwrap();
        t.kernel.audit_checkpoint().await.unwrap();
        let proof = checked(&exported(&t, Some(t.scope.tenant_id)).await).unwrap();
        assert_eq!((proof.from, proof.to), (2, 2));
    }
}

//! After the storm: every job comes to its end, and none is silent for longer than a lease and two seconds.
//!
//! A job is silent while nothing of it changes (its state, its step, its worker) although nothing holds it up: it neither waits
//! for a lock that somebody has, nor for a time that it was told to wait for.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio_postgres::Client;

const LOOK: Duration = Duration::from_millis(100);
/// Far beyond what the work that is left needs.
const PATIENCE: Duration = Duration::from_secs(300);

const OPEN: &str = "SELECT j.id::text, j.state, q.step, q.token,
    EXISTS (SELECT 1 FROM job_lock_wait w JOIN job_lock l ON l.key = w.key WHERE w.job_id = j.id AND l.job_id IS NOT NULL AND l.job_id <> j.id),
    EXISTS (SELECT 1 FROM job_lock_wait w WHERE w.job_id = j.id),
    q.due_at > now()
  FROM job j JOIN job_queue q ON q.job_id = j.id";

#[derive(Debug, Default)]
pub struct Calm {
    pub took: Duration,
    /// Jobs that were not ended when it began.
    pub left: usize,
    /// The longest silence, and whose it was.
    pub silence: Duration,
    pub silent: String,
}

struct Seen {
    state: (String, i64, i64),
    since: Instant,
}

pub async fn watch(db: &Client) -> Calm {
    let (began, mut calm) = (Instant::now(), Calm::default());
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        let open = db.query(OPEN, &[]).await.expect("look at what is open");
        if calm.left == 0 {
            calm.left = open.len();
        }
        if open.is_empty() {
            calm.took = began.elapsed();
            return calm;
        }
        for row in &open {
            let (id, state): (String, String) = (row.get(0), row.get(1));
            let (held_up, waits_for_lock, later): (bool, bool, bool) = (row.get(4), row.get(5), row.get(6));
            let told_to_wait = state == "waiting" && later && !waits_for_lock;
            let now = (state.clone(), row.get::<_, i64>(2), row.get::<_, i64>(3));
            let before =
                seen.entry(id.clone()).or_insert_with(|| Seen { state: now.clone(), since: Instant::now() });
            if before.state != now || held_up || told_to_wait {
                *before = Seen { state: now, since: Instant::now() };
            }
            let silence = before.since.elapsed();
            if silence > calm.silence {
                (calm.silence, calm.silent) = (silence, format!("job {id}, {state}"));
            }
        }
        assert!(began.elapsed() < PATIENCE, "{} jobs do not end", open.len());
        tokio::time::sleep(LOOK).await;
    }
}

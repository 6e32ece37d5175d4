//! The blows: every second a server is killed or stands still for longer than a lease, NATS is away for a while and comes back without what it had, Postgres crashes.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use qd_testkit::{Nats, postgres::Postgres};

use super::plan::{Blow, Form};
use crate::process::Server;

const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct Counts {
    pub kills: usize,
    pub stood_still: usize,
    pub nats_away: Duration,
    pub postgres_away: Duration,
}

/// Blocks until the storm is over and everything runs again.
pub fn rage(
    form: &Form,
    blows: &[Blow],
    servers: &mut [Server],
    nats: &mut Nats,
    postgres: &Postgres,
) -> Counts {
    let runtime = tokio::runtime::Handle::current();
    let began = Instant::now();
    let mut counts = Counts::default();
    let mut back: Vec<Option<Instant>> = servers.iter().map(|_| None).collect();
    let mut blows = blows.iter().enumerate();
    let mut next = blows.next();
    let (nats_goes, postgres_goes) = (form.blows / 5, form.blows * 9 / 20);
    let (mut nats_went, mut nats_came, mut postgres_went) = (None, false, false);
    while began.elapsed() < form.blows || !nats_came {
        if let Some((second, blow)) = next
            && began.elapsed() >= Duration::from_secs(second as u64 + 1)
        {
            // One that is away already stays away.
            if back[blow.server].is_none() {
                back[blow.server] = Some(Instant::now() + blow.away);
                if blow.stands_still {
                    counts.stood_still += 1;
                    servers[blow.server].signal(Signal::SIGSTOP);
                } else {
                    counts.kills += 1;
                    servers[blow.server].kill();
                }
            }
            next = blows.next();
        }
        if nats_went.is_none() && began.elapsed() >= nats_goes {
            nats.kill();
            nats_went = Some(Instant::now());
        }
        if let Some(went) = nats_went
            && !nats_came
            && went.elapsed() >= form.nats_away
        {
            nats.wipe();
            runtime.block_on(nats.run());
            counts.nats_away = went.elapsed();
            nats_came = true;
        }
        if !postgres_went && began.elapsed() >= postgres_goes {
            let went = Instant::now();
            postgres.crash();
            std::thread::sleep(Duration::from_secs(1));
            runtime.block_on(postgres.run());
            counts.postgres_away = went.elapsed();
            postgres_went = true;
        }
        restart(servers, &mut back);
        std::thread::sleep(PAUSE);
    }
    // The last blow: what all of them have in hand waits for the end of its lease when the calm begins.
    for (server, back) in servers.iter_mut().zip(&mut back) {
        server.kill();
        *back = Some(Instant::now());
    }
    counts.kills += servers.len();
    while back.iter().any(Option::is_some) {
        restart(servers, &mut back);
    }
    counts
}

/// Brings back those whose time has come; one that cannot start (its database is away) is tried again.
fn restart(servers: &mut [Server], back: &mut [Option<Instant>]) {
    for (server, back) in servers.iter_mut().zip(back) {
        if back.is_none() && !server.runs() {
            *back = Some(Instant::now());
        }
        if back.is_some_and(|back| back <= Instant::now()) {
            if server.runs() {
                server.signal(Signal::SIGCONT);
                *back = None;
            } else {
                server.kill();
                *back = (!server.start()).then(Instant::now);
            }
        }
    }
}

//! The thread that moves weights, so that no step waits for a copy to be issued.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};
use eplb_core::{LayerId, LayerPlacement, RankId};
use eplb_executor::{Migrator, PreparedChange};

use crate::watchdog::{Limits, Watchdog};

/// How often running copies are looked at.
const POLL: Duration = Duration::from_micros(100);

/// Runs a rank's migrator on a thread of its own.
#[derive(Debug)]
pub(crate) struct Mover {
    /// `None` once it has been told to end.
    orders: Option<Sender<Order>>,
    ends: Receiver<Ended>,
    thread: Option<JoinHandle<()>>,
    under_way: usize,
    /// Dropped after the thread has ended, which may wait for it.
    #[expect(dead_code, reason = "owned, never read: its thread is its use")]
    watchdog: Option<Watchdog>,
}

/// What became of one order to move.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) token: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The weights of a change are here, or what failed.
    Moved(Result<Box<PreparedChange>, String>),
    /// The slots of a layer hold what they should, or what is wrong.
    Checked(Result<(), String>),
}

enum Order {
    Begin { token: u64, layer: LayerId, from: LayerPlacement, to: LayerPlacement },
    Check { token: u64, layer: LayerId, placement: LayerPlacement },
    Abort { token: u64 },
}

impl Mover {
    /// `cap` is in bytes per second, `rank` for the names of threads.
    pub(crate) fn start(
        migrator: Migrator,
        cap: Option<u64>,
        limits: Limits,
        rank: RankId,
    ) -> std::io::Result<Self> {
        let watch = migrator.collective_watch().cloned();
        let name = |part: &str| format!("eplb-{part}-{}", rank.0);
        let watchdog = watch.map(|watch| Watchdog::start(watch, limits, name("watch")));
        let watchdog = watchdog.transpose()?;
        // Unbounded, but never longer than the manager has changes in flight.
        let (orders, todo) = unbounded();
        let (done, ends) = unbounded();
        let thread = std::thread::Builder::new()
            .name(name("mover"))
            .spawn(move || Self::work(migrator, Pace::new(cap), &todo, &done))?;
        Ok(Self { orders: Some(orders), ends, thread: Some(thread), under_way: 0, watchdog })
    }

    /// Takes on a change. Returns false if the mover's thread has ended and nothing will come of it.
    pub(crate) fn begin(
        &mut self,
        token: u64,
        layer: LayerId,
        from: LayerPlacement,
        to: LayerPlacement,
    ) -> bool {
        let order = Order::Begin { token, layer, from, to };
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        self.under_way += usize::from(sent);
        sent
    }

    /// Takes on to compare a layer's slots with `placement`. Returns false as [`Mover::begin`] does.
    pub(crate) fn check(&mut self, token: u64, layer: LayerId, placement: LayerPlacement) -> bool {
        let order = Order::Check { token, layer, placement };
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        self.under_way += usize::from(sent);
        sent
    }

    /// Gives up a change that may still be moving, or its check. If it is, it ends as failed.
    pub(crate) fn abort(&mut self, token: u64) {
        if let Some(orders) = &self.orders {
            // A mover that has ended has nothing left to give up.
            let _ = orders.send(Order::Abort { token });
        }
    }

    /// A change that has ended.
    pub(crate) fn poll(&mut self) -> Option<Ended> {
        match self.ends.try_recv() {
            Ok(ended) => {
                self.under_way -= 1;
                Some(ended)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                // The thread has ended; the manager's deadline ends what it had taken on.
                self.under_way = 0;
                None
            }
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    fn work(mut migrator: Migrator, mut pace: Pace, todo: &Receiver<Order>, done: &Sender<Ended>) {
        loop {
            pace.grant(&mut migrator);
            let order = if migrator.is_idle() {
                todo.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                todo.recv_timeout(POLL)
            };
            // A panic below would be a defect of ours; it must not leave the manager without answer.
            let step = catch_unwind(AssertUnwindSafe(|| match order {
                Ok(order) => Self::follow(&mut migrator, order, done),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            }));
            if !matches!(step, Ok(true)) {
                return;
            }
            // Reading a pool and hashing are done in here, a little each time.
            let polled = catch_unwind(AssertUnwindSafe(|| Self::poll_all(&mut migrator)));
            let Ok(ended) = polled else { return };
            for ended in ended {
                if done.send(ended).is_err() {
                    return;
                }
            }
        }
    }

    fn poll_all(migrator: &mut Migrator) -> Vec<Ended> {
        let mut ended = Vec::new();
        for (token, moved) in migrator.poll() {
            let outcome = Outcome::Moved(moved.map(Box::new).map_err(|error| error.to_string()));
            ended.push(Ended { token, outcome });
        }
        for (token, checked) in migrator.poll_checks() {
            let outcome = Outcome::Checked(checked.map_err(|error| error.to_string()));
            ended.push(Ended { token, outcome });
        }
        ended
    }

    fn follow(migrator: &mut Migrator, order: Order, done: &Sender<Ended>) -> bool {
        let failed = match order {
            Order::Begin { token, layer, from, to } => {
                match migrator.begin(token, layer, &from, &to) {
                    Ok(()) => return true,
                    Err(error) => Ended { token, outcome: Outcome::Moved(Err(error.to_string())) },
                }
            }
            Order::Check { token, layer, placement } => {
                match migrator.begin_check(token, layer, &placement) {
                    Ok(()) => return true,
                    Err(error) => {
                        Ended { token, outcome: Outcome::Checked(Err(error.to_string())) }
                    }
                }
            }
            Order::Abort { token } => {
                let given_up = "given up".to_owned();
                if migrator.abort(token) {
                    Ended { token, outcome: Outcome::Moved(Err(given_up)) }
                } else if migrator.abort_check(token) {
                    Ended { token, outcome: Outcome::Checked(Err(given_up)) }
                } else {
                    return true;
                }
            }
        };
        done.send(failed).is_ok()
    }
}

/// How fast a capped migrator may go.
#[derive(Debug)]
struct Pace {
    /// Bytes per second.
    cap: Option<u64>,
    last: Instant,
}

impl Pace {
    /// What is not used within this time is not used later.
    const MEMORY: Duration = Duration::from_millis(2);

    fn new(cap: Option<u64>) -> Self {
        Self { cap, last: Instant::now() }
    }

    fn grant(&mut self, migrator: &mut Migrator) {
        let Some(cap) = self.cap else { return };
        let now = Instant::now();
        let bytes = |time: Duration| (cap as f64 * time.as_secs_f64()) as u64;
        let earned = bytes(now.duration_since(self.last));
        // What is less than a byte is earned next time.
        if earned > 0 {
            migrator.grant(earned, bytes(Self::MEMORY).max(1));
            self.last = now;
        }
    }
}

impl Drop for Mover {
    /// The thread only issues and polls, and reads one expert of a pool at most, so it ends at once, or when a
    /// call that waits for other ranks has come to its deadline; copies under way end by themselves.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! Where the ranks of a case leave bytes for each other: keys, ids, and that they have come.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Looked at again at least this often, so that a deadline is met nearly on time.
const LOOK: Duration = Duration::from_millis(20);

/// What ranks tell each other, as a line between processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Message {
    /// Bytes under a name.
    Post { rank: u32, name: String, bytes: Vec<u8> },
    /// The rank has failed, and nobody need wait for it.
    Failed { rank: u32, text: String },
    /// The rank has done all its steps.
    Done { rank: u32 },
}

/// Passes on what a rank tells, to ranks in other processes.
pub(crate) type Forward = Box<dyn Fn(&Message) + Send + Sync>;

/// The board of one case. Every post stays until the case is over.
#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    changed: Condvar,
    forward: Option<Forward>,
}

#[derive(Debug, Default)]
struct State {
    posts: BTreeMap<(u32, String), Vec<u8>>,
    /// Why nobody need wait any longer.
    failed: Option<String>,
}

impl Board {
    /// A board whose own rank's messages go out by `forward`.
    pub(crate) fn forwarding(forward: Forward) -> Self {
        Self { forward: Some(forward), ..Self::default() }
    }

    /// What this process's rank tells.
    pub(crate) fn tell(&self, message: Message) {
        if let Some(forward) = &self.forward {
            forward(&message);
        }
        self.take_in(message);
    }

    /// What another process's rank told.
    pub(crate) fn take_in(&self, message: Message) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            Message::Post { rank, name, bytes } => {
                state.posts.insert((rank, name), bytes);
            }
            Message::Failed { rank, text } => {
                state.failed.get_or_insert(format!("rank {rank} has failed: {text}"));
            }
            Message::Done { .. } => {}
        }
        self.changed.notify_all();
    }

    /// Lets everybody go who waits for another rank.
    pub(crate) fn give_up(&self, why: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.get_or_insert_with(|| why.to_owned());
        self.changed.notify_all();
    }

    /// Why nobody need wait any longer, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }

    /// Waits for what `rank` posts under `name`.
    pub(crate) fn hear(&self, rank: u32, name: &str, until: Instant) -> Result<Vec<u8>, String> {
        let key = (rank, name.to_owned());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(bytes) = state.posts.get(&key) {
                return Ok(bytes.clone());
            }
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("rank {rank} has not come to {name:?} in time"));
            }
            let waited = self.changed.wait_timeout(state, left.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all ranks have come to `name`.
    pub(crate) fn meet(
        &self,
        rank: u32,
        ranks: u32,
        name: &str,
        until: Instant,
    ) -> Result<(), String> {
        let name = format!("meeting {name}");
        self.tell(Message::Post { rank, name: name.clone(), bytes: Vec::new() });
        (0..ranks).try_for_each(|other| self.hear(other, &name, until).map(drop))
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Board").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn posts_are_heard_before_and_after_one_waits() {
        let board = Board::default();
        std::thread::scope(|scope| {
            let heard = scope.spawn(|| board.hear(1, "key", soon()));
            let bytes = vec![1, 2];
            board.tell(Message::Post { rank: 1, name: "key".to_owned(), bytes: bytes.clone() });
            assert_eq!(heard.join().unwrap(), Ok(bytes.clone()));
            assert_eq!(board.hear(1, "key", soon()), Ok(bytes));
        });
    }

    #[test]
    fn a_failure_and_a_deadline_end_waits() {
        let board = Board::default();
        let late = board.hear(2, "key", Instant::now()).unwrap_err();
        assert_eq!(late, "rank 2 has not come to \"key\" in time");
        board.take_in(Message::Failed { rank: 1, text: "no".to_owned() });
        assert_eq!(board.hear(2, "key", soon()).unwrap_err(), "rank 1 has failed: no");
    }

    #[test]
    fn messages_are_lines_and_survive_the_way() {
        let message = Message::Post { rank: 3, name: "a\nb".to_owned(), bytes: vec![0, 255] };
        let line = serde_json::to_string(&message).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), message);
    }
}

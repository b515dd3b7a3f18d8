//! Running one rank in a process of its own: the rank's side.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use eplb::device::{Backend, FaultyBackend};
use thiserror::Error;

use crate::Suite;
use crate::board::{Board, Message};
use crate::case::Case;
use crate::rank::{check_leaks, run_rank};
use crate::runner::{no_end, waits_until};
use crate::scope::Place;
use crate::subject::RankOrder;

/// Why a process is no rank.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RankError {
    /// The suite can't be read from or written to.
    #[error("the suite that started this rank cannot be reached: {0}")]
    Pipe(#[from] std::io::Error),
    /// The first line is no order.
    #[error("the first line is no order to be a rank: {0}")]
    Order(String),
}

/// Is one rank of a case, as the suite says in the first line of `input`: the body of the program
/// that [`Processes`](crate::Processes) starts. Gives whether the rank did what it should.
///
/// # Errors
/// The suite is gone, or did not start this process.
pub fn serve_rank(
    backend: Arc<dyn Backend>,
    mut input: impl BufRead + Send + 'static,
    output: &mut dyn Write,
) -> Result<bool, RankError> {
    let mut first = String::new();
    input.read_line(&mut first)?;
    let order: RankOrder =
        serde_json::from_str(&first).map_err(|error| RankError::Order(error.to_string()))?;
    let case = Suite::standard().case(&order.case);
    let case = case.ok_or_else(|| RankError::Order(format!("no case {:?}", order.case)))?;
    if order.devices.is_empty() || order.rank >= order.ranks {
        return Err(RankError::Order(format!("{order:?}")));
    }

    let (told, tell) = channel();
    let board = Arc::new(Board::forwarding({
        let told = told.clone();
        Box::new(move |message| {
            // Nobody listens any more once the rank is over.
            let _ = told.send(message.clone());
        })
    }));
    std::thread::spawn({
        let board = Arc::clone(&board);
        move || listen(input, &board)
    });
    std::thread::spawn({
        let order = order.clone();
        move || work(&case, &order, backend, board, &told)
    });

    let deadline = Instant::now() + Duration::from_secs(order.deadline_s);
    let rank = order.rank;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = match tell.recv_timeout(left) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                Message::Failed { rank, text: no_end(order.deadline_s) }
            }
            Err(RecvTimeoutError::Disconnected) => {
                Message::Failed { rank, text: "its thread ended without a result".to_owned() }
            }
        };
        let line = serde_json::to_string(&message).map_err(std::io::Error::from)?;
        writeln!(output, "{line}")?;
        output.flush()?;
        match message {
            Message::Post { .. } => {}
            Message::Done { .. } => return Ok(true),
            Message::Failed { .. } => return Ok(false),
        }
    }
}

fn listen(input: impl BufRead, board: &Board) {
    for line in input.lines() {
        let Ok(line) = line else { break };
        if let Ok(message) = serde_json::from_str(&line) {
            board.take_in(message);
        }
    }
    board.give_up("the suite has gone");
}

fn work(
    case: &Case,
    order: &RankOrder,
    backend: Arc<dyn Backend>,
    board: Arc<Board>,
    told: &Sender<Message>,
) {
    let faults = FaultyBackend::new(backend);
    let place = Place {
        faults: faults.clone(),
        devices: order.devices.clone().into(),
        rank: order.rank,
        ranks: order.ranks,
        board,
        until: waits_until(Instant::now(), order.deadline_s),
        run: String::new(),
        prefix: String::new(),
        names: [].into(),
    };
    let result = run_rank(case, &place).and_then(|()| check_leaks(&faults));
    let rank = order.rank;
    // A failure of the rank has been told already; then this one is not heard any more.
    let _ = told.send(match result {
        Ok(()) => Message::Done { rank },
        Err(text) => Message::Failed { rank, text },
    });
}

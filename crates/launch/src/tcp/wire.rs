//! Frames over TCP: threads that read, and one that says that this rank is there.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::leader::Door;
use crate::JoinError;
use crate::frame::{Frame, HEAD, Head};
use crate::mailbox::Mailbox;
use crate::wire::Wire;

/// So often is said that a rank is there, within the time that makes it gone.
const PULSES: u32 = 4;

/// What is said of a process whose connection is closed.
const ENDED: &str = "its connection ended: its process has ended";

/// How much of a frame is read, and memory taken for it, at a time.
const PIECE: usize = 1 << 16;

/// A member's connections.
#[derive(Debug)]
pub(super) struct TcpWire {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
    pulse: Option<JoinHandle<()>>,
    /// Dropped to end the pulse.
    end: Option<Sender<()>>,
}

/// What the threads of a member share.
#[derive(Debug)]
struct Shared {
    mailbox: Mailbox,
    silence: Duration,
    connections: BTreeMap<u32, Connection>,
}

#[derive(Debug)]
struct Connection {
    /// Held while a frame is written.
    writer: Mutex<TcpStream>,
    /// The same, to end it by.
    stream: TcpStream,
}

impl TcpWire {
    /// Serves connections that have had their handshake. With a door, late ranks are turned away.
    pub(super) fn start(
        rank: u32,
        streams: BTreeMap<u32, TcpStream>,
        silence: Duration,
        door: Option<Door>,
    ) -> Result<Self, JoinError> {
        let mut connections = BTreeMap::new();
        let mut reading = Vec::new();
        for (peer, stream) in streams {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(Some(silence.max(Duration::from_millis(1))))?;
            reading.push((peer, stream.try_clone()?));
            let writer = Mutex::new(stream.try_clone()?);
            connections.insert(peer, Connection { writer, stream });
        }
        let mailbox = Mailbox::new(connections.keys().copied());
        let shared = Arc::new(Shared { mailbox, silence, connections });
        let (end, ended) = channel();
        let mut wire =
            Self { shared: Arc::clone(&shared), readers: Vec::new(), pulse: None, end: Some(end) };
        // What fails below drops the wire, which ends the threads that run already.
        for (peer, stream) in reading {
            let shared = Arc::clone(&shared);
            let named = Builder::new().name(format!("eplb-group-{rank}-{peer}"));
            wire.readers.push(named.spawn(move || shared.read(peer, stream))?);
        }
        let mut door = door;
        let beat = move || {
            let period = (shared.silence / PULSES).max(Duration::from_millis(1));
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(period) {
                shared.beat();
                if let Some(door) = &mut door {
                    door.turn_away();
                }
            }
        };
        wire.pulse = Some(Builder::new().name(format!("eplb-pulse-{rank}")).spawn(beat)?);
        Ok(wire)
    }
}

impl Wire for TcpWire {
    fn mailbox(&self) -> &Mailbox {
        &self.shared.mailbox
    }

    fn silence(&self) -> Duration {
        self.shared.silence
    }

    fn send(&self, to: u32, frame: &Frame) {
        if let Some(connection) = self.shared.connections.get(&to) {
            let mut writer = connection.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = writer.write_all(&frame.encode()) {
                drop(writer);
                self.shared.end(to, &unsent(&error));
            }
        }
    }

    fn cut(&self, rank: u32, why: &str) {
        self.shared.end(rank, why);
    }
}

impl Shared {
    /// Reads frames until the connection ends.
    fn read(&self, from: u32, mut stream: TcpStream) {
        let why = loop {
            match read_frame(&mut stream) {
                Ok(Some(frame)) => self.mailbox.deliver(from, frame),
                Ok(None) => break "it sent what no rank sends".to_owned(),
                Err(error) if is_end(&error) => {
                    break ENDED.to_owned();
                }
                Err(error) => break format!("its connection broke: {error}"),
            }
        };
        self.end(from, &why);
    }

    /// Says to all that this rank is there, and notices who is not.
    fn beat(&self) {
        for rank in self.mailbox.silent_for(self.silence) {
            let seconds = self.silence.as_secs_f64();
            self.end(rank, &format!("nothing was heard of it for {seconds} s"));
        }
        // Who does not speak may not read either, and a full connection would hold up the pulse.
        let doubtful = self.mailbox.silent_for(self.silence / 2);
        for (rank, connection) in &self.connections {
            // A frame that is being written says as much.
            if doubtful.contains(rank) || self.mailbox.gone(*rank).is_some() {
                continue;
            }
            let Ok(mut writer) = connection.writer.try_lock() else { continue };
            if let Err(error) = writer.write_all(&Frame::Pulse.encode()) {
                drop(writer);
                self.end(*rank, &unsent(&error));
            }
        }
    }

    fn end(&self, rank: u32, why: &str) {
        self.mailbox.end(rank, why);
        if let Some(connection) = self.connections.get(&rank) {
            // It may have ended already.
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for TcpWire {
    fn drop(&mut self) {
        for connection in self.shared.connections.values() {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        self.end = None;
        // They end now, since nothing can be read or written any more; a panic was theirs alone.
        for thread in self.readers.drain(..).chain(self.pulse.take()) {
            let _ = thread.join();
        }
    }
}

/// Why a frame could not be sent.
fn unsent(error: &std::io::Error) -> String {
    if is_end(error) { ENDED.to_owned() } else { format!("nothing can be sent to it: {error}") }
}

/// Whether the other side has closed the connection, in whatever way the system says so.
fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// The next frame; nothing for bytes that are none.
fn read_frame(stream: &mut TcpStream) -> std::io::Result<Option<Frame>> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head)?;
    let Some(head) = Head::decode(head) else { return Ok(None) };
    let mut body = Vec::new();
    // Memory follows what has come, not what was announced.
    while body.len() < head.bytes {
        let begin = body.len();
        body.resize(head.bytes.min(begin + PIECE), 0);
        stream.read_exact(&mut body[begin..])?;
    }
    Ok(Frame::decode(head, body))
}

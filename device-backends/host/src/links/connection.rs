//! A TCP connection between two ranks, once both have shown that they know the communicator's key.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::message::{Envelope, HEAD_BYTES, bytes_after};
use super::way::Way;
use crate::hub::Hub;
use crate::peer::Nonce;

/// How often a reader looks whether its connection is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// How long a connection that nobody wants any more may take to send what is left.
const LEAVING: Duration = Duration::from_secs(2);

/// The sending end. Once the last clone is dropped, what was sent goes out and the connection ends.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    queue: Sender<Vec<u8>>,
    #[expect(dead_code, reason = "owned, never read: dropping the last one is its use")]
    wanted: Arc<()>,
}

/// Whose connection it is, here and elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) hub: Hub,
    pub(crate) key: Nonce,
    pub(crate) own: u32,
    pub(crate) peer: u32,
}

impl Connection {
    pub(crate) fn send(&self, message: Vec<u8>) {
        // The writer has gone with the connection; the reader has told why.
        let _ = self.queue.send(message);
    }
}

impl Ends {
    /// Puts the connection in its place as the link, and starts the threads that serve it: one writes
    /// what is queued, one takes in what comes.
    pub(crate) fn serve(self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(None)?;
        let writing = stream.try_clone()?;
        let (queue, queued) = unbounded();
        let wanted = Arc::new(());
        let reader =
            Reader { stream, wanted: Arc::downgrade(&wanted), ends: self, unwanted_since: None };
        let Self { hub, own, peer, .. } = reader.ends.clone();
        let name = |what: &str| format!("eplb-host-{own}-{what}-{peer}");
        // Before anything that comes can be taken in.
        let way = Way::Tcp(Connection { queue, wanted });
        hub.change(|state| state.mail.add_link(own, peer, way));
        Builder::new().name(name("to")).spawn(move || write_all(&writing, &queued))?;
        Builder::new().name(name("from")).spawn(move || reader.run())?;
        Ok(())
    }
}

/// Writes until nobody can send any more. Blocks where the other end does not read; the reader ends that.
fn write_all(mut stream: &TcpStream, queue: &Receiver<Vec<u8>>) {
    for message in queue {
        if stream.write_all(&message).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

struct Reader {
    stream: TcpStream,
    wanted: Weak<()>,
    ends: Ends,
    unwanted_since: Option<Instant>,
}

impl Reader {
    fn run(mut self) {
        let why = loop {
            match self.next() {
                Ok(Some(message)) => {
                    if let Err(why) = self.take_in(message) {
                        break why;
                    }
                }
                Ok(None) => {
                    break "its process has ended or closed the connection".to_owned();
                }
                Err(error) => break format!("the connection has failed: {error}"),
            }
        };
        // Also wakes the writer.
        let _ = self.stream.shutdown(Shutdown::Both);
        let Ends { hub, own, peer, .. } = &self.ends;
        hub.change(|state| state.mail.lose(*own, *peer, &why));
    }

    fn take_in(&self, message: Vec<u8>) -> Result<(), String> {
        let Ends { hub, key, own, peer } = &self.ends;
        let broken = |what: &str| format!("the connection has carried {what}, and was closed");
        let (envelope, payload) = Envelope::read(message).map_err(|_| broken("garbage"))?;
        if (envelope.key, envelope.from, envelope.to) != (*key, *peer, *own) {
            return Err(broken("a message for somebody else"));
        }
        let received =
            hub.change(|state| state.mail.receive(*own, *peer, envelope.message, payload));
        received.map_err(|_| broken("a message out of turn"))
    }

    /// The next message; none when the other end has closed.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = vec![0; HEAD_BYTES];
        if !self.fill(&mut message, 0)? {
            return Ok(None);
        }
        let after = message.first_chunk().and_then(|head| bytes_after(head).ok());
        let after = after.ok_or_else(|| io::Error::other("it carried garbage"))?;
        message.resize(HEAD_BYTES + after, 0);
        Ok(self.fill(&mut message, HEAD_BYTES)?.then_some(message))
    }

    /// Fills a message from `filled` on; false when the other end has closed.
    fn fill(&mut self, message: &mut [u8], mut filled: usize) -> io::Result<bool> {
        while filled < message.len() {
            match self.stream.read(&mut message[filled..]) {
                Ok(0) => return Ok(false),
                Ok(count) => filled += count,
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
            if self.wanted.strong_count() == 0 {
                let since = *self.unwanted_since.get_or_insert_with(Instant::now);
                if since.elapsed() > LEAVING {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Whether a read has ended without anything wrong.
pub(crate) fn is_pause(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Reads one message, as long as `goes_on`; looks at that every now and then.
pub(crate) fn read_message(
    stream: &mut TcpStream,
    mut goes_on: impl FnMut() -> bool,
) -> io::Result<Envelope> {
    stream.set_read_timeout(Some(LOOK))?;
    let mut message = vec![0; HEAD_BYTES];
    let mut filled = 0;
    loop {
        if !goes_on() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match stream.read(&mut message[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if is_pause(&error) => continue,
            Err(error) => return Err(error),
        }
        if filled < message.len() {
            continue;
        }
        if filled == HEAD_BYTES {
            let after = message.first_chunk().and_then(|head| bytes_after(head).ok());
            let after = after.filter(|after| *after > 0).ok_or(io::ErrorKind::InvalidData)?;
            message.resize(HEAD_BYTES + after, 0);
        } else {
            let read = Envelope::read(message);
            return read
                .map(|(envelope, _)| envelope)
                .map_err(|_| io::ErrorKind::InvalidData.into());
        }
    }
}

/// Writes one message, in bounded time.
pub(crate) fn write_message(stream: &mut TcpStream, envelope: &Envelope) -> io::Result<()> {
    stream.set_write_timeout(Some(LEAVING))?;
    let message = envelope.write(0).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&message)
}

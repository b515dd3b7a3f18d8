//! Where ranks of other processes come in: a listening socket, and what is made of who connects.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::connection::read_message;
use super::station::Station;

/// How long who has connected may take to show a communicator's key.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// Connections that have not shown a key yet; more are closed at once, and those in earnest come again.
const MOST_STRANGERS: usize = 128;

/// How long the thread rests when the system has nothing left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// A listening socket with its thread; dropping it closes both.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Door {
    /// Listens at an address of this host.
    pub(crate) fn open(address: IpAddr, station: Weak<Station>) -> io::Result<Self> {
        if address.is_unspecified() {
            let text = "ids have to carry an address that others reach; name one of this host";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let closed = Arc::new(AtomicBool::new(false));
        let thread = {
            let closed = Arc::clone(&closed);
            move || admit(&listener, &closed, &station)
        };
        Builder::new().name("eplb-host-door".to_owned()).spawn(thread)?;
        Ok(Self { address, closed })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the thread. If that fails, the thread stays until the next stranger comes.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

fn admit(listener: &TcpListener, closed: &AtomicBool, station: &Weak<Station>) {
    let strangers = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = listener.accept();
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            std::thread::sleep(EXHAUSTED);
            continue;
        };
        if strangers.load(Ordering::SeqCst) >= MOST_STRANGERS {
            continue;
        }
        let stranger = Stranger::new(&strangers);
        let station = Weak::clone(station);
        let greeted = Builder::new()
            .name("eplb-host-guest".to_owned())
            .spawn(move || greet(stream, stranger, &station));
        if greeted.is_err() {
            std::thread::sleep(EXHAUSTED);
        }
    }
}

/// Hears who has connected. Whoever says nothing in time, or garbage, is let go without a word.
fn greet(mut stream: TcpStream, stranger: Stranger, station: &Weak<Station>) {
    let until = Instant::now() + INTRODUCTION;
    let Ok(envelope) = read_message(&mut stream, || Instant::now() < until) else { return };
    let Some(host) = station.upgrade() else { return };
    if !host.knows(envelope.key) {
        return;
    }
    drop(stranger);
    let guest = host.welcome(envelope, stream);
    // The backend may go while the guest waits.
    drop(host);
    if let Some(guest) = guest {
        guest.attend(station);
    }
}

/// Counts as a stranger until it is dropped.
struct Stranger(Arc<AtomicUsize>);

impl Stranger {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

//! The acting side, one rank's part: `eplb_session`.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use eplb::core::{RankId, SlotId, Step, Topology};
use eplb::{
    Clock, CountForm, Figures, LoadReport, PendingSession, PlanDigest, RoundId, RoutingLayout,
    Session,
};

use crate::boundary::export;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::generated as c;
use crate::memory::{self, MemoryObject};
use crate::placement::{PlacementObject, check_tokens, layer_of};
use crate::registry::{self, Kind, Object};
use crate::session_options::{is_prefix_sums, open, phase_of};
use crate::status::Status;
use crate::{figures, routing};

/// A session, and the bytes that were last given out.
pub(crate) struct SessionObject {
    state: State,
    rank: RankId,
    topology: Topology,
    clock: Arc<dyn Clock>,
    endpoint: Vec<u8>,
    report: Vec<u8>,
}

/// How far a session is.
enum State {
    Pending(Box<PendingSession>),
    Connected(Box<Session>),
    /// It could not be connected.
    Broken,
}

impl Object for SessionObject {
    type Raw = c::eplb_session;
    const KIND: Kind = Kind { name: "eplb_session", number: 12 };
}

impl SessionObject {
    fn connected(&self) -> Result<&Session, Failure> {
        match &self.state {
            State::Connected(session) => Ok(session),
            State::Pending(_) => Err(not_connected()),
            State::Broken => Err(broken()),
        }
    }

    fn connected_mut(&mut self) -> Result<&mut Session, Failure> {
        match &mut self.state {
            State::Connected(session) => Ok(session),
            State::Pending(_) => Err(not_connected()),
            State::Broken => Err(broken()),
        }
    }

    fn connect(&mut self, endpoints: &[Vec<u8>]) -> Result<(), Failure> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Pending(pending) => {
                let session = pending.connect(endpoints, Arc::clone(&self.clock))?;
                self.state = State::Connected(Box::new(session));
                Ok(())
            }
            State::Connected(session) => {
                self.state = State::Connected(session);
                Err(Failure::new(Status::State, "the session is connected already"))
            }
            State::Broken => Err(broken()),
        }
    }

    /// The load that a rank counted, if its numbers are as many as they have to be.
    fn load(&self, caller: &Caller, load: &c::eplb_load) -> Result<LoadReport, Failure> {
        let session = self.connected()?;
        let shape = session.placement().shape();
        let needed = shape.layers() * self.topology.slots_of(self.rank).len();
        if load.count != needed {
            return Err(Failure::length("load.counts", load.count, needed));
        }
        if load.first_step > load.last_step {
            let allowed = format!("at most last_step, which is {}", load.last_step);
            return Err(Failure::argument("load.first_step", load.first_step, &allowed));
        }
        let form = if is_prefix_sums("load.form", load.form)? {
            CountForm::PrefixSums
        } else {
            CountForm::Plain
        };
        Ok(LoadReport {
            first_step: Step(load.first_step),
            last_step: Step(load.last_step),
            counts: caller.slice("load.counts", load.counts, load.count)?.to_vec(),
            form,
            phase: phase_of("load.phase", load.phase)?,
        })
    }
}

fn not_connected() -> Failure {
    Failure::new(Status::State, "the session is not connected yet; call eplb_session_connect")
}

fn broken() -> Failure {
    Failure::new(Status::Broken, "the session could not be connected; free it and open another one")
}

/// Reads from a session, beside other calls that do.
fn read<R>(
    session: *const c::eplb_session,
    body: impl FnOnce(&SessionObject, &Session) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with::<SessionObject, _>("session", session, |held| body(held, held.connected()?))
}

/// Changes a session.
fn change<R>(
    session: *mut c::eplb_session,
    body: impl FnOnce(&mut SessionObject) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with_mut::<SessionObject, _>("session", session, body)
}

/// Every figure with its name.
fn entries(figures: &Figures) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let Figures { layers_committed, layers_undone, moved, filled, load, collective, loads_ignored } =
        *figures;
    [
        ("layers_committed", layers_committed),
        ("layers_undone", layers_undone),
        ("moved_slots", moved.changed_slots),
        ("moved_local_slots", moved.local_slots),
        ("moved_local_bytes", moved.local_bytes),
        ("moved_received_slots", moved.received_slots),
        ("moved_received_bytes", moved.received_bytes),
        ("moved_collective_slots", moved.collective_slots),
        ("moved_collective_bytes", moved.collective_bytes),
        ("moved_pool_slots", moved.pool_slots),
        ("moved_pool_bytes", moved.pool_bytes),
        ("moved_verified_slots", moved.verified_slots),
        ("filled_slots", filled.changed_slots),
        ("filled_pool_slots", filled.pool_slots),
        ("filled_pool_bytes", filled.pool_bytes),
        ("load_collected", load.collected),
        ("load_dropped", load.dropped),
        ("load_baselines", load.baselines),
        ("load_impossible", load.impossible),
        ("load_failed", load.failed),
        ("loads_ignored", loads_ignored),
        ("collective_roll_calls", collective.roll_calls),
        ("collective_refused", collective.refused),
        ("collective_rounds", collective.rounds),
        ("collective_sent_slots", collective.sent_slots),
        ("collective_sent_bytes", collective.sent_bytes),
        ("collective_losses", collective.losses),
    ]
    .into_iter()
}

export! {
    fn eplb_session_open(
        caller,
        options: *const c::eplb_session_options,
        session: *mut *mut c::eplb_session,
    ) {
        let place = caller.place("session", session)?;
        let opened = open(caller, &caller.structure("options", options)?)?;
        place.set(registry::insert(SessionObject {
            endpoint: opened.session.endpoint(),
            state: State::Pending(Box::new(opened.session)),
            rank: opened.rank,
            topology: opened.topology,
            clock: opened.clock,
            report: Vec::new(),
        }));
        Ok(())
    }

    fn eplb_session_endpoint(
        caller,
        session: *mut c::eplb_session,
        endpoint: *mut c::eplb_bytes,
    ) {
        let place = caller.place("endpoint", endpoint)?;
        change(session, |held| {
            place.set(c::eplb_bytes { data: held.endpoint.as_ptr(), size: held.endpoint.len() });
            Ok(())
        })
    }

    fn eplb_session_connect(
        caller,
        session: *mut c::eplb_session,
        endpoints: *const c::eplb_bytes,
        count: usize,
    ) {
        let given = caller.slice("endpoints", endpoints, count)?;
        change(session, |held| {
            let ranks = held.topology.ranks();
            if count != ranks {
                return Err(Failure::length("endpoints", count, ranks));
            }
            let bytes = |(rank, bytes): (usize, &c::eplb_bytes)| {
                let name = format!("endpoints[{rank}]");
                Ok(caller.slice::<u8>(&name, bytes.data, bytes.size)?.to_vec())
            };
            let endpoints: Vec<Vec<u8>> =
                given.iter().enumerate().map(bytes).collect::<Result<_, Failure>>()?;
            held.connect(&endpoints)
        })
    }

    fn eplb_session_begin_step(
        caller,
        session: *mut c::eplb_session,
        header: *const c_void,
        size: usize,
    ) {
        let header = caller.slice::<u8>("header", header.cast(), size)?;
        change(session, |held| Ok(held.connected_mut()?.begin_step(header)?))
    }

    fn eplb_session_collect(_caller, session: *mut c::eplb_session, phase: i32) {
        let phase = phase_of("phase", phase)?;
        change(session, |held| Ok(held.connected_mut()?.collect(phase)?))
    }

    fn eplb_session_end_step(
        caller,
        session: *mut c::eplb_session,
        load: *const c::eplb_load,
        digest: *const c::eplb_plan_digest,
        report: *mut c::eplb_bytes,
    ) {
        let place = caller.place("report", report)?;
        let load = caller.optional_structure("load", load)?;
        let digest = caller.optional_structure("digest", digest)?;
        let digest = digest.map(|given| PlanDigest {
            round: RoundId(given.round),
            digest: given.digest,
        });
        change(session, |held| {
            let load = load.map(|load| held.load(caller, &load)).transpose()?;
            let mut report = std::mem::take(&mut held.report);
            held.connected_mut()?.end_step_into(load, digest, &mut report);
            held.report = report;
            place.set(c::eplb_bytes { data: held.report.as_ptr(), size: held.report.len() });
            Ok(())
        })
    }

    fn eplb_session_routing(
        caller,
        session: *const c::eplb_session,
        layer: u32,
        routing: *mut c::eplb_routing,
    ) {
        let form = caller.form("routing", routing)?;
        read(session, |_, session| {
            let layer = layer_of(session.placement().shape(), layer)?;
            form.fill(routing::view(session.routing(layer)));
            Ok(())
        })
    }

    fn eplb_session_divide(
        caller,
        session: *const c::eplb_session,
        layer: u32,
        tokens: *const u64,
        experts: usize,
        slot_tokens: *mut u64,
        slots: usize,
    ) {
        let tokens = caller.slice("tokens", tokens, experts)?;
        let room = caller.room("slot_tokens", slot_tokens, slots)?;
        read(session, |held, session| {
            let shape = session.placement().shape();
            let layer = layer_of(shape, layer)?;
            if experts != shape.experts() {
                return Err(Failure::length("tokens", experts, shape.experts()));
            }
            if slots != held.topology.slots() {
                return Err(Failure::length("slot_tokens", slots, held.topology.slots()));
            }
            check_tokens("tokens", tokens)?;
            let divided = session.routing(layer).slot_loads(tokens, &held.topology);
            for (place, tokens) in room.iter_mut().zip(divided) {
                place.write(tokens);
            }
            Ok(())
        })
    }

    fn eplb_session_device_routing(
        caller,
        session: *const c::eplb_session,
        layer: u32,
        routing: *mut c::eplb_device_routing,
    ) {
        let form = caller.form("routing", routing)?;
        read(session, |_, session| {
            let layer = layer_of(session.placement().shape(), layer)?;
            let missing = || {
                let text = "the session was opened without device_routing in its options";
                Failure::new(Status::State, text)
            };
            let layout = session.device_routing_layout().ok_or_else(missing)?;
            let memory = session.device_routing(layer).ok_or_else(missing)?;
            form.fill(c::eplb_device_routing {
                struct_size: 0,
                address: memory::pointer(memory),
                version: RoutingLayout::VERSION,
                experts: layout.experts as u32,
                slot_count: layout.slot_count as u32,
                local_slots: layout.local_slots as u32,
                offsets: layout.offsets,
                slots: layout.slots,
                shares: layout.shares,
                buffers: layout.buffers,
                bytes: layout.bytes,
            });
            Ok(())
        })
    }

    fn eplb_session_slot(
        caller,
        session: *const c::eplb_session,
        layer: u32,
        slot: u32,
        tensor: u32,
        memory: *mut *mut c::eplb_memory,
    ) {
        let place = caller.place("memory", memory)?;
        read(session, |held, session| {
            let layer = layer_of(session.placement().shape(), layer)?;
            let own = held.topology.slots_of(held.rank);
            if !own.contains(&(slot as usize)) {
                let allowed = format!("a slot of this rank, {} to {}", own.start, own.end - 1);
                return Err(Failure::argument("slot", slot, &allowed));
            }
            let tensors = session.slot(layer, SlotId(slot))?;
            let memory = tensors.get(tensor as usize).ok_or_else(|| {
                Failure::argument("tensor", tensor, &format!("0 to {}", tensors.len() - 1))
            })?;
            place.set(registry::insert(MemoryObject(memory.clone())));
            Ok(())
        })
    }

    fn eplb_session_slot_buffers(
        caller,
        session: *const c::eplb_session,
        layer: u32,
        buffers: *mut u32,
        count: usize,
    ) {
        let room = caller.room("buffers", buffers, count)?;
        read(session, |_, session| {
            let layer = layer_of(session.placement().shape(), layer)?;
            let found = session.slot_buffers(layer);
            if count != found.len() {
                return Err(Failure::length("buffers", count, found.len()));
            }
            for (place, buffer) in room.iter_mut().zip(found) {
                place.write(buffer);
            }
            Ok(())
        })
    }

    fn eplb_session_epochs(
        caller,
        session: *const c::eplb_session,
        epochs: *mut u64,
        count: usize,
    ) {
        let room = caller.room("epochs", epochs, count)?;
        read(session, |_, session| {
            let found = session.epochs();
            if count != found.len() {
                return Err(Failure::length("epochs", count, found.len()));
            }
            for (place, epoch) in room.iter_mut().zip(found) {
                place.write(epoch.0);
            }
            Ok(())
        })
    }

    fn eplb_session_placement(
        caller,
        session: *const c::eplb_session,
        placement: *mut *mut c::eplb_placement,
    ) {
        let place = caller.place("placement", placement)?;
        read(session, |held, session| {
            let placement = session.placement().clone();
            let topology = held.topology.clone();
            place.set(registry::insert(PlacementObject { placement, topology }));
            Ok(())
        })
    }

    fn eplb_session_settle(_caller, session: *mut c::eplb_session, timeout_ms: u32) {
        let limit = Duration::from_millis(timeout_ms.into());
        change(session, |held| Ok(held.connected_mut()?.settle(limit)?))
    }

    fn eplb_session_figures(
        _caller,
        session: *const c::eplb_session,
        visit: c::eplb_figure_fn,
        user: *mut c_void,
    ) {
        let found = read(session, |_, session| Ok(session.figures()))?;
        figures::visit(entries(&found), visit, user)
    }

    fn eplb_session_figure(
        caller,
        session: *const c::eplb_session,
        name: *const c_char,
        value: *mut u64,
    ) {
        let (name, place) = (caller.text("name", name)?, caller.place("value", value)?);
        let found = read(session, |_, session| Ok(session.figures()))?;
        place.set(figures::find(entries(&found), name)?);
        Ok(())
    }

    fn eplb_session_free(_caller, session: *mut c::eplb_session) {
        registry::free::<SessionObject>("session", session)
    }
}

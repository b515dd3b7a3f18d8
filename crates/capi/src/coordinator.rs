//! The deciding side: `eplb_coordinator`.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::time::Duration;

use eplb::core::{Step, Topology};
use eplb::{Carriage, Coordinator, Note};

use crate::boundary::export;
use crate::caller::Caller;
use crate::clock::clock;
use crate::config::ConfigObject;
use crate::failure::Failure;
use crate::generated as c;
use crate::placement::PlacementObject;
use crate::registry::{self, Kind, Object};
use crate::status::Status;
use crate::topology::rank_of;
use crate::{figures, note};

/// A coordinator, and the bytes that were last given out.
pub(crate) struct CoordinatorObject {
    coordinator: Coordinator,
    topology: Topology,
    header: Vec<u8>,
    profile: String,
    /// Notes that a visit did not come to.
    notes: VecDeque<Note>,
}

impl Object for CoordinatorObject {
    type Raw = c::eplb_coordinator;
    const KIND: Kind = Kind { name: "eplb_coordinator", number: 5 };
}

impl CoordinatorObject {
    /// Gives notes out until one is refused; that one and the rest stay.
    fn visit_notes(&mut self, visit: c::eplb_note_fn, user: *mut c_void) -> Result<(), Failure> {
        let Some(visit) = visit else {
            return Err(Failure::new(Status::Null, "visit is null"));
        };
        self.notes.extend(self.coordinator.take_notes());
        while let Some(next) = self.notes.front() {
            let text = note::text(next);
            let described = c::eplb_note { text: text.as_ptr(), ..note::describe(next) };
            // SAFETY: the caller's function with the pointer given with it, in the caller's own call; the
            // note and its text stay until it returns.
            let said = unsafe { visit(user, &raw const described) };
            if said != 0 {
                let text = format!("the visit of notes ended with {said}");
                return Err(Failure::new(Status::Callback, text));
            }
            self.notes.pop_front();
        }
        Ok(())
    }
}

fn start(
    caller: &Caller,
    config: *const c::eplb_config,
    placement: *const c::eplb_placement,
    options: *const c::eplb_coordinator_options,
) -> Result<CoordinatorObject, Failure> {
    let options = caller.optional_structure("options", options)?;
    let held =
        registry::with::<PlacementObject, _>("placement", placement, |held| Ok(held.clone()))?;
    let carriage = match &options {
        None => Carriage::Leader,
        Some(options) if options.carriage == c::EPLB_CARRIAGE_LEADER as i32 => Carriage::Leader,
        Some(options) if options.carriage == c::EPLB_CARRIAGE_SPMD as i32 => {
            Carriage::Spmd { own_rank: rank_of(&held.topology, options.own_rank)? }
        }
        Some(options) => {
            let allowed = "EPLB_CARRIAGE_LEADER or EPLB_CARRIAGE_SPMD";
            return Err(Failure::argument("options.carriage", options.carriage, allowed));
        }
    };
    let clock = match &options {
        Some(options) => clock(options.clock, options.user),
        None => clock(None, std::ptr::null_mut()),
    };
    let PlacementObject { placement, topology } = held;
    registry::with::<ConfigObject, _>("config", config, |config| {
        let shape = placement.shape();
        let coordinator = Coordinator::start(
            &config.config,
            shape,
            &topology,
            placement.clone(),
            carriage,
            clock,
        )?;
        Ok(CoordinatorObject {
            coordinator,
            topology,
            header: Vec::new(),
            profile: String::new(),
            notes: VecDeque::new(),
        })
    })
}

/// Reads from a coordinator, beside other calls that do.
fn read<R>(
    coordinator: *const c::eplb_coordinator,
    body: impl FnOnce(&CoordinatorObject) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with::<CoordinatorObject, _>("coordinator", coordinator, body)
}

/// Changes a coordinator.
fn change<R>(
    coordinator: *mut c::eplb_coordinator,
    body: impl FnOnce(&mut CoordinatorObject) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with_mut::<CoordinatorObject, _>("coordinator", coordinator, body)
}

export! {
    fn eplb_coordinator_start(
        caller,
        config: *const c::eplb_config,
        placement: *const c::eplb_placement,
        options: *const c::eplb_coordinator_options,
        coordinator: *mut *mut c::eplb_coordinator,
    ) {
        let place = caller.place("coordinator", coordinator)?;
        place.set(registry::insert(start(caller, config, placement, options)?));
        Ok(())
    }

    fn eplb_coordinator_begin_step(
        caller,
        coordinator: *mut c::eplb_coordinator,
        step: u64,
        allow_changes: i32,
        header: *mut c::eplb_bytes,
    ) {
        let place = caller.place("header", header)?;
        change(coordinator, |held| {
            held.header = held.coordinator.begin_step(Step(step), allow_changes != 0)?;
            place.set(c::eplb_bytes { data: held.header.as_ptr(), size: held.header.len() });
            Ok(())
        })
    }

    fn eplb_coordinator_accept_report(
        caller,
        coordinator: *mut c::eplb_coordinator,
        sender: u32,
        report: *const c_void,
        size: usize,
    ) {
        let report = caller.slice::<u8>("report", report.cast(), size)?;
        change(coordinator, |held| {
            let sender = rank_of(&held.topology, sender)?;
            Ok(held.coordinator.accept_report(sender, report)?)
        })
    }

    fn eplb_coordinator_settle(
        _caller,
        coordinator: *mut c::eplb_coordinator,
        timeout_ms: u32,
    ) {
        change(coordinator, |held| {
            held.coordinator.settle(Duration::from_millis(timeout_ms.into()));
            Ok(())
        })
    }

    fn eplb_coordinator_plan_digest(
        caller,
        coordinator: *const c::eplb_coordinator,
        digest: *mut c::eplb_plan_digest,
        has_digest: *mut i32,
    ) {
        let form = caller.form("digest", digest)?;
        let has = caller.place("has_digest", has_digest)?;
        read(coordinator, |held| {
            let digest = held.coordinator.plan_digest();
            has.set(i32::from(digest.is_some()));
            if let Some(digest) = digest {
                let (round, digest) = (digest.round.0, digest.digest);
                form.fill(c::eplb_plan_digest { struct_size: 0, round, digest });
            }
            Ok(())
        })
    }

    fn eplb_coordinator_placement(
        caller,
        coordinator: *const c::eplb_coordinator,
        placement: *mut *mut c::eplb_placement,
    ) {
        let place = caller.place("placement", placement)?;
        read(coordinator, |held| {
            let placement = held.coordinator.placement().clone();
            let topology = held.topology.clone();
            place.set(registry::insert(PlacementObject { placement, topology }));
            Ok(())
        })
    }

    fn eplb_coordinator_profile(
        caller,
        coordinator: *mut c::eplb_coordinator,
        profile: *mut c::eplb_bytes,
    ) {
        let place = caller.place("profile", profile)?;
        change(coordinator, |held| {
            held.profile = held.coordinator.profile()? + "\0";
            place.set(c::eplb_bytes { data: held.profile.as_ptr(), size: held.profile.len() - 1 });
            Ok(())
        })
    }

    fn eplb_coordinator_counters(
        _caller,
        coordinator: *const c::eplb_coordinator,
        visit: c::eplb_figure_fn,
        user: *mut c_void,
    ) {
        let counters = read(coordinator, |held| Ok(held.coordinator.counters()))?;
        figures::visit(counters.entries(), visit, user)
    }

    fn eplb_coordinator_counter(
        caller,
        coordinator: *const c::eplb_coordinator,
        name: *const c_char,
        value: *mut u64,
    ) {
        let (name, place) = (caller.text("name", name)?, caller.place("value", value)?);
        let counters = read(coordinator, |held| Ok(held.coordinator.counters()))?;
        place.set(figures::find(counters.entries(), name)?);
        Ok(())
    }

    fn eplb_coordinator_take_notes(
        _caller,
        coordinator: *mut c::eplb_coordinator,
        visit: c::eplb_note_fn,
        user: *mut c_void,
    ) {
        change(coordinator, |held| held.visit_notes(visit, user))
    }

    fn eplb_coordinator_free(_caller, coordinator: *mut c::eplb_coordinator) {
        registry::free::<CoordinatorObject>("coordinator", coordinator)
    }
}

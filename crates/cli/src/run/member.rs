//! `eplb run` as one rank of a group of processes.

use std::io::Write;
use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use eplb::device::Backend;
use eplb_backends::{BackendName, BackendSettings, Links};
use eplb_launch::{GroupError, GroupOptions};
use eplb_sim::{Devices, Interruption, RunError, RunInput};

use super::bootstrap::{Bootstrap, Meeting};
use super::{failure_of, print, show};
use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::progress::StepProgress;
use crate::run_config::configure_for;
use crate::run_text::losses;

/// Runs one rank; rank 0 prints the report.
pub(super) fn run(
    bootstrap: &Bootstrap,
    arguments: &RunArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let meeting = Meeting::of(bootstrap, arguments)?;
    let run = configure_for(arguments, meeting.size())?;
    let trace = super::read_trace(&run, arguments)?;
    let opened = open(&run.backend, run.config.ep_size, &meeting)?;
    let devices = devices(&opened, &run.backend, &meeting)?;
    let options = GroupOptions {
        size: run.config.ep_size,
        silence: Duration::from_secs_f64(run.settings.rank_timeout),
    };
    let limit = Duration::from_secs_f64(run.settings.join_timeout);
    let group = meeting.join(options, limit)?;
    let rank = group.rank();

    let input = RunInput { config: &run.config, settings: &run.settings, trace: &trace };
    // One rank speaks for all.
    let progress = (rank == 0).then(|| StepProgress::new(2 * trace.windows.len()));
    let done = eplb_sim::run_as_member(&input, &*group, devices, &mut |step| {
        if let Some(progress) = &progress {
            show(progress, step);
        }
    });
    if let Some(progress) = &progress {
        progress.end();
    }
    let (report, interruption) = match done {
        Err(error) if is_loss(&error) => {
            group.leave("it has lost others");
            return Err(Failure::interrupted(format!("rank {rank}: {error}")));
        }
        done => done.map_err(|error| failure_of(error, &run.flags, arguments))?,
    };
    group.leave("it is done");
    match (report, interruption) {
        (Some(report), _) => print(&report, arguments, out),
        (None, None) => Ok(ExitCode::SUCCESS),
        (None, Some(interruption)) => Err(Failure::interrupted(told(rank, &interruption))),
    }
}

fn is_loss(error: &RunError) -> bool {
    matches!(error, RunError::NoLeader { .. } | RunError::Group(GroupError::Lost { .. }))
}

/// What a rank without a report says.
fn told(rank: u32, interruption: &Interruption) -> String {
    format!("rank {rank}: {}", losses(interruption))
}

fn open(
    settings: &BackendSettings,
    ranks: u32,
    meeting: &Meeting,
) -> Result<Arc<dyn Backend>, Failure> {
    if settings.name == BackendName::Host {
        let links = match meeting.address() {
            Some(address) => Links::Tcp { address: address_of(address)? },
            None => meeting.links()?,
        };
        return Ok(eplb_backends::open_host(ranks, links));
    }
    eplb_backends::open(settings.name, &settings.libraries, ranks).map_err(Failure::new)
}

/// The first address of a `host` or `host:port`.
fn address_of(text: &str) -> Result<IpAddr, Failure> {
    let refuse = |problem: String| Failure::new(format!("address {text}: {problem}"));
    let with_port = (text, 0).to_socket_addrs().or_else(|_| text.to_socket_addrs());
    let first = with_port.map_err(|error| refuse(error.to_string()))?.next();
    first.map(|address| address.ip()).ok_or_else(|| refuse("the name has no address".to_owned()))
}

fn devices(
    opened: &Arc<dyn Backend>,
    settings: &BackendSettings,
    meeting: &Meeting,
) -> Result<Devices, Failure> {
    if let Some(ordinal) = settings.device.or(meeting.device()) {
        return Ok(Devices::one(Arc::clone(opened), ordinal));
    }
    let all = Devices::all(Arc::clone(opened)).map_err(Failure::new)?;
    Ok(match meeting.number_on_host() {
        // A host has devices of its own, numbered from 0.
        Some(number) => {
            let ordinal = all.of_rank(eplb::core::RankId(number));
            Devices::one(Arc::clone(opened), ordinal)
        }
        None => all,
    })
}

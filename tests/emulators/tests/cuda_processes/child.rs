//! Further processes, and the libraries in them.

use std::ffi::c_void;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use eplb_cuda_sys::{
    CudaRuntime, Nccl, Search, cudaError_t, cudaMemcpyKind, cudaStream_t, ncclResult_t,
};
use eplb_emulators::Control;

const ROLE: &str = "EPLB_EMULATED_ROLE";
const LIMIT: Duration = Duration::from_secs(30);

/// A process with a role; killed if it is dropped before its end.
pub(crate) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// The role of this process, if it has one.
    pub(crate) fn own_role() -> Option<String> {
        std::env::var(ROLE).ok()
    }

    pub(crate) fn start(role: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROLE, role).envs(environment.iter().copied());
        Self::run(command)
    }

    /// Starts a command that has a role by itself.
    pub(crate) fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    pub(crate) fn as_role(command: &mut Command, role: &str) {
        command.env(ROLE, role);
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The rest of its output; it has to end well, and in time.
    pub(crate) fn end(mut self) -> String {
        drop(self.input.take());
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "a process has not come to its end");
            std::thread::sleep(Duration::from_millis(2));
        };
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(status.success(), "a process ended with {status}: {rest}");
        rest
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the process is told.
pub(crate) fn told() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Says a line at once.
pub(crate) fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

/// The libraries in this process, with its device current.
pub(crate) struct Libraries {
    pub(crate) runtime: CudaRuntime,
    pub(crate) nccl: Nccl,
    pub(crate) control: Control,
}

pub(crate) fn libraries(device: i32) -> Libraries {
    let cuda = eplb_emulators::cuda();
    let at = |variable| Search::at(cuda.file(variable).unwrap());
    let libraries = Libraries {
        runtime: CudaRuntime::open(&at("EPLB_CUDART")).unwrap().table,
        nccl: Nccl::open(&at("EPLB_NCCL")).unwrap().table,
        control: Control::of(&cuda).unwrap(),
    };
    must(unsafe { (libraries.runtime.cudaSetDevice)(device) });
    libraries
}

impl Libraries {
    pub(crate) fn memory(&self, bytes: usize) -> *mut c_void {
        let mut address = null_mut();
        must(unsafe { (self.runtime.cudaMalloc)(&raw mut address, bytes) });
        address
    }

    pub(crate) fn stream(&self) -> cudaStream_t {
        let mut stream = null_mut();
        must(unsafe { (self.runtime.cudaStreamCreateWithFlags)(&raw mut stream, 1) });
        stream
    }

    pub(crate) fn put(&self, at: *mut c_void, bytes: &[u8]) {
        let kind = cudaMemcpyKind::cudaMemcpyHostToDevice;
        must(unsafe { (self.runtime.cudaMemcpy)(at, bytes.as_ptr().cast(), bytes.len(), kind) });
    }

    pub(crate) fn bytes(&self, at: *mut c_void, count: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; count];
        let kind = cudaMemcpyKind::cudaMemcpyDeviceToHost;
        must(unsafe { (self.runtime.cudaMemcpy)(bytes.as_mut_ptr().cast(), at, count, kind) });
        bytes
    }

    pub(crate) fn rules(&self) -> Vec<String> {
        self.control.take_violations().into_iter().map(|violation| violation.rule).collect()
    }
}

#[track_caller]
pub(crate) fn must(status: cudaError_t) {
    assert_eq!(status, cudaError_t::cudaSuccess);
}

#[track_caller]
pub(crate) fn agreed(status: ncclResult_t) {
    assert_eq!(status, ncclResult_t::ncclSuccess);
}

pub(crate) fn digits(bytes: &[i8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_digits<const N: usize>(text: &str) -> [i8; N] {
    std::array::from_fn(|index| {
        u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap().cast_signed()
    })
}

//! Further processes, and the libraries in them.

use std::ffi::{c_char, c_void};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use eplb_ascend_sys::{
    AclRuntime, Hccl, HcclComm, HcclCommConfig, HcclResult, HcclRootInfo, Search, aclError,
    aclrtMemMallocPolicy, aclrtMemcpyKind, aclrtStream,
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
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, role)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    pub(crate) fn number(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
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

    /// It has to end well, and in time.
    pub(crate) fn end(mut self) {
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

/// The libraries in this process.
pub(crate) struct Libraries {
    pub(crate) acl: AclRuntime,
    pub(crate) hccl: Hccl,
    pub(crate) control: Control,
}

pub(crate) fn unused_libraries() -> Libraries {
    let ascend = eplb_emulators::ascend();
    let at = |variable| Search::at(ascend.file(variable).unwrap());
    Libraries {
        acl: AclRuntime::open(&at("EPLB_ASCENDCL")).unwrap().table,
        hccl: Hccl::open(&at("EPLB_HCCL")).unwrap().table,
        control: Control::of(&ascend).unwrap(),
    }
}

/// Initialised, with a device set.
pub(crate) fn libraries(device: i32) -> Libraries {
    let libraries = unused_libraries();
    unsafe { (libraries.acl.aclInit)(std::ptr::null()) };
    must(unsafe { (libraries.acl.aclrtSetDevice)(device) });
    libraries
}

impl Libraries {
    pub(crate) fn memory(&self, bytes: usize) -> *mut c_void {
        let mut address = null_mut();
        let policy = aclrtMemMallocPolicy::ACL_MEM_MALLOC_HUGE_FIRST;
        must(unsafe { (self.acl.aclrtMalloc)(&raw mut address, bytes, policy) });
        address
    }

    pub(crate) fn stream(&self) -> aclrtStream {
        let mut stream = null_mut();
        must(unsafe { (self.acl.aclrtCreateStreamWithConfig)(&raw mut stream, 0, 1) });
        stream
    }

    pub(crate) fn put(&self, at: *mut c_void, bytes: &[u8]) {
        let kind = aclrtMemcpyKind::ACL_MEMCPY_HOST_TO_DEVICE;
        let count = bytes.len();
        must(unsafe { (self.acl.aclrtMemcpy)(at, count, bytes.as_ptr().cast(), count, kind) });
    }

    pub(crate) fn bytes(&self, at: *mut c_void, count: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; count];
        let kind = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_HOST;
        must(unsafe { (self.acl.aclrtMemcpy)(bytes.as_mut_ptr().cast(), count, at, count, kind) });
        bytes
    }

    /// Waits for a stream, for at most 10 seconds.
    pub(crate) fn wait(&self, stream: aclrtStream) -> aclError {
        unsafe { (self.acl.aclrtSynchronizeStreamWithTimeout)(stream, 10_000) }
    }

    pub(crate) fn root_info(&self) -> HcclRootInfo {
        let mut root_info = HcclRootInfo { internal: [0; 4108] };
        let status = unsafe { (self.hccl.HcclGetRootInfo)(&raw mut root_info) };
        assert_eq!(status, HcclResult::HCCL_SUCCESS);
        root_info
    }

    pub(crate) fn create(
        &self,
        root_info: &HcclRootInfo,
        rank: u32,
        size: u32,
    ) -> Result<HcclComm, HcclResult> {
        let config = HcclCommConfig { hcclBufferSize: 4, ..HcclCommConfig::version_6() };
        let mut end: HcclComm = null_mut();
        let create = self.hccl.HcclCommInitRootInfoConfig;
        let status = unsafe { create(size, root_info, rank, &raw const config, &raw mut end) };
        if status == HcclResult::HCCL_SUCCESS { Ok(end) } else { Err(status) }
    }

    pub(crate) fn rules(&self) -> Vec<String> {
        self.control.take_violations().into_iter().map(|violation| violation.rule).collect()
    }
}

#[track_caller]
pub(crate) fn must(status: aclError) {
    assert_eq!(status, aclError::ACL_SUCCESS);
}

pub(crate) fn digits(bytes: &[c_char]) -> String {
    bytes.iter().map(|byte| format!("{:02x}", *byte as u8)).collect()
}

pub(crate) fn from_digits<const N: usize>(text: &str) -> [c_char; N] {
    std::array::from_fn(|index| {
        u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap() as c_char
    })
}

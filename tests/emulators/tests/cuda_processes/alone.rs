//! Checks of one process that needs to be on its own.

use std::ptr::null_mut;

use eplb_cuda_sys::{
    CudaRuntime, Search, cudaError_t, cudaMemLocation, cudaMemLocationType, cudaMemcpyAttributes,
    cudaMemcpySrcAccessOrder,
};
use eplb_emulators::Control;

use crate::child::{Child, libraries, must, say, told};

pub(crate) fn failed_work_breaks_the_context() {
    Child::start("alone::failed_work", &[]).end();
}

pub(crate) fn failed_work() {
    let libraries = libraries(0);
    let runtime = libraries.runtime;
    let (stream, other, memory) = (libraries.stream(), libraries.stream(), libraries.memory(8));
    let fill = || unsafe { (runtime.cudaMemsetAsync)(memory, 1, 8, stream) };
    libraries.control.order("fail_later cudaMemsetAsync 700 nth 2").unwrap();
    must(fill());
    must(unsafe { (runtime.cudaStreamSynchronize)(stream) });
    // The call succeeds; what it queued fails, and with it everything of the context.
    must(fill());
    let broken = cudaError_t::cudaErrorIllegalAddress;
    assert_eq!(unsafe { (runtime.cudaStreamSynchronize)(stream) }, broken);
    assert_eq!(fill(), broken);
    assert_eq!(unsafe { (runtime.cudaStreamQuery)(other) }, broken);
    assert_eq!(unsafe { (runtime.cudaFree)(memory) }, broken);
    // For good.
    assert_eq!(unsafe { (runtime.cudaGetLastError)() }, broken);
    assert_eq!(unsafe { (runtime.cudaGetLastError)() }, broken);
    // Another device goes on.
    must(unsafe { (runtime.cudaSetDevice)(1) });
    must(unsafe { (runtime.cudaFree)(libraries.memory(8)) });
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn orders_come_from_the_environment() {
    let orders = "fail cudaStreamSynchronize 999; lose 3";
    Child::start("alone::environment_orders", &[("EPLB_EMULATOR_ORDERS", orders)]).end();
    let bad = [("EPLB_EMULATOR_ORDERS", "be nice"), ("EPLB_EMULATOR_MEMORY", "plenty")];
    let mut child = Child::start("alone::break_a_rule", &bad);
    assert_eq!(child.line(), "order_not_understood environment_not_understood double_free");
    child.end();
}

pub(crate) fn environment_orders() {
    let libraries = libraries(0);
    let wait = || unsafe { (libraries.runtime.cudaStreamSynchronize)(null_mut()) };
    assert_eq!(wait(), cudaError_t::cudaErrorUnknown);
    must(wait());
}

pub(crate) fn orders_come_from_a_file_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders");
    std::fs::write(&path, "").unwrap();
    let variable = [("EPLB_EMULATOR_CONTROL", path.to_str().unwrap())];
    let mut child = Child::start("alone::control_file", &variable);
    for (orders, status) in
        [("fail cudaMemGetInfo 2", "2"), ("", "0"), ("# no\nfail cudaMemGetInfo 1 times 0", "1")]
    {
        std::fs::write(&path, orders).unwrap();
        child.tell("go on");
        assert_eq!(child.line(), status, "{orders}");
    }
    child.end();
}

pub(crate) fn control_file() {
    let libraries = libraries(0);
    while !told().is_empty() {
        let (mut free, mut total) = (0, 0);
        let status = unsafe { (libraries.runtime.cudaMemGetInfo)(&raw mut free, &raw mut total) };
        say(&status.0.to_string());
    }
}

pub(crate) fn reports_are_appended_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    for round in 1..=2 {
        let report = [("EPLB_EMULATOR_REPORT", path.to_str().unwrap())];
        Child::start("alone::break_a_rule", &report).end();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), round, "{text}");
        let fields: Vec<&str> = text.lines().last().unwrap().split('\t').collect();
        assert!(fields[0].parse::<u32>().is_ok());
        assert_eq!(fields[1], "double_free");
        assert!(fields[2].starts_with("cudaFree: "), "{text}");
    }
}

pub(crate) fn break_a_rule() {
    let libraries = libraries(0);
    let memory = libraries.memory(8);
    must(unsafe { (libraries.runtime.cudaFree)(memory) });
    unsafe { (libraries.runtime.cudaFree)(memory) };
    say(&libraries.rules().join(" "));
}

pub(crate) fn there_may_be_no_device() {
    Child::start("alone::no_device", &[("EPLB_EMULATOR_DEVICES", "0")]).end();
}

pub(crate) fn no_device() {
    let cuda = eplb_emulators::cuda();
    let runtime = CudaRuntime::open(&Search::at(cuda.file("EPLB_CUDART").unwrap())).unwrap().table;
    let mut count = 77;
    let status = unsafe { (runtime.cudaGetDeviceCount)(&raw mut count) };
    assert_eq!(status, cudaError_t::cudaErrorNoDevice);
    assert_eq!(count, 77, "left as it was");
    assert_eq!(unsafe { (runtime.cudaSetDevice)(0) }, cudaError_t::cudaErrorNoDevice);
    let mut address = null_mut();
    let status = unsafe { (runtime.cudaMalloc)(&raw mut address, 8) };
    assert_eq!(status, cudaError_t::cudaErrorNoDevice);
    assert_eq!(Control::of(&cuda).unwrap().violations(), []);
}

pub(crate) fn a_host_may_be_too_small() {
    let memory = (1_u64 << 50).to_string();
    Child::start("alone::too_much_memory", &[("EPLB_EMULATOR_MEMORY", &memory)]).end();
}

pub(crate) fn too_much_memory() {
    let cuda = eplb_emulators::cuda();
    let runtime = CudaRuntime::open(&Search::at(cuda.file("EPLB_CUDART").unwrap())).unwrap().table;
    let mut count = 77;
    let status = unsafe { (runtime.cudaGetDeviceCount)(&raw mut count) };
    assert_eq!((status, count), (cudaError_t::cudaErrorNoDevice, 77));
    let found = Control::of(&cuda).unwrap().violations();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, "environment_unfit");
}

pub(crate) fn version_12_takes_batches_in_its_form() {
    let version = [("EPLB_EMULATOR_CUDA_VERSION", "12090")];
    Child::start("alone::batch_of_12", &version).end();
}

pub(crate) fn batch_of_12() {
    let libraries = libraries(0);
    let runtime = libraries.runtime;
    let mut version = 0;
    must(unsafe { (runtime.cudaRuntimeGetVersion)(&raw mut version) });
    assert_eq!(version, 12_090);
    assert!(runtime.cudaMemcpyBatchAsync_v13.is_none());
    let batch = runtime.cudaMemcpyBatchAsync_v12.unwrap();
    let (stream, memory) = (libraries.stream(), libraries.memory(64));
    libraries.put(memory, &[9; 16]);
    let nowhere = cudaMemLocation { type_: cudaMemLocationType(0), id: 0 };
    let mut attributes = cudaMemcpyAttributes {
        srcAccessOrder: cudaMemcpySrcAccessOrder::cudaMemcpySrcAccessOrderStream,
        srcLocHint: nowhere,
        dstLocHint: nowhere,
        flags: 0,
    };
    let at = |offset: usize| memory.wrapping_byte_add(offset);
    let mut run = |mut to: [_; 2]| {
        let (mut from, mut sizes) = ([at(0), at(8)], [8_usize; 2]);
        let (mut first, mut failed) = (0, 5);
        let status = unsafe {
            batch(
                to.as_mut_ptr(),
                from.as_mut_ptr(),
                sizes.as_mut_ptr(),
                2,
                &raw mut attributes,
                &raw mut first,
                1,
                &raw mut failed,
                stream,
            )
        };
        (status, failed)
    };
    must(run([at(32), at(40)]).0);
    must(unsafe { (runtime.cudaStreamSynchronize)(stream) });
    assert_eq!(libraries.bytes(at(32), 16), [9; 16]);
    // The second leaves the allocation.
    assert_eq!(run([at(32), at(60)]), (cudaError_t::cudaErrorInvalidValue, 1));
    assert_eq!(libraries.rules(), ["range_outside_allocation"]);
}

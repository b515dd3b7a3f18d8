//! Codes print as names, unknown ones stay, and the generated files are of the headers beside them.

use std::path::Path;

use eplb_cuda_sys::{
    CUresult, cudaError_t, cudaMemcpyKind, ncclConfig_t, ncclDataType_t, ncclResult_t,
};

#[test]
fn codes_print_as_names_and_unknown_ones_as_numbers() {
    assert_eq!(format!("{:?}", cudaError_t::cudaErrorNotReady), "cudaErrorNotReady");
    assert_eq!(format!("{:?}", cudaError_t(123_456)), "cudaError_t(123456)");
    assert_eq!(format!("{:?}", ncclResult_t(-1)), "ncclResult_t(-1)");
    assert_eq!(format!("{:?}", CUresult(201)), "CUDA_ERROR_INVALID_CONTEXT");
    assert_eq!(cudaMemcpyKind(2).name(), Some("cudaMemcpyDeviceToHost"));
    assert_eq!(ncclDataType_t(99).name(), None);
}

#[test]
fn codes_are_integers_of_c_with_any_value() {
    assert_eq!(size_of::<cudaError_t>(), size_of::<core::ffi::c_int>());
    for value in [i32::MIN, -1, 0, 35, i32::MAX] {
        assert_eq!(cudaError_t(value).0, value);
    }
    assert_eq!(cudaError_t(600), cudaError_t::cudaErrorNotReady);
    assert_ne!(cudaError_t(601), cudaError_t::cudaErrorNotReady);
}

#[test]
fn a_configuration_of_nccl_has_the_layout_of_2_27() {
    assert_eq!(size_of::<ncclConfig_t>(), 72);
}

/// The full comparison is `ci/update-bindings --check`, which needs libclang; this needs nothing.
#[test]
fn generated_files_are_of_the_present_headers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut headers = 0;
    for entry in std::fs::read_dir(root.join("include")).unwrap() {
        let header = entry.unwrap().path();
        let bytes = std::fs::read(&header).unwrap();
        let checksum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let stem = header.file_stem().unwrap().to_str().unwrap();
        let generated = root.join(format!("src/generated/{stem}.rs"));
        let text = std::fs::read_to_string(&generated).unwrap();
        assert!(
            text.contains(&format!("Header checksum: {checksum:016x}")),
            "{} is of an older {stem}.h: run ci/update-bindings",
            generated.display()
        );
        headers += 1;
    }
    assert_eq!(headers, 4);
}

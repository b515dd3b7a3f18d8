//! The table of functions. Made by ci/update-bindings from include/eplb_cuda_driver.h: change that.
//!
//! The few functions of the CUDA driver, `libcuda`, that the runtime has no form of: the context of a
//! thread as a handle, the allocation that holds an address, and a device's name.

use core::ffi::{c_char, c_int, c_uint, c_void};

use super::eplb_cuda_driver::*;

crate::table! {
    /// The few functions of the CUDA driver, `libcuda`, that the runtime has no form of: the context of a
    /// thread as a handle, the allocation that holds an address, and a device's name.
    pub struct CudaDriver {
        required {
            /// Starts the driver, once per process; repeating it is harmless. Flags are 0.
            "cuInit" => cuInit: unsafe extern "C" fn(flags: c_uint) -> CUresult,
            /// The version of CUDA that the driver serves: 1000 x major + 10 x minor.
            "cuDriverGetVersion" => cuDriverGetVersion: unsafe extern "C" fn(
                version: *mut c_int,
            ) -> CUresult,
            /// The name of a status, in `text`; null for an unknown one.
            "cuGetErrorName" => cuGetErrorName: unsafe extern "C" fn(
                status: CUresult,
                text: *mut *const c_char,
            ) -> CUresult,
            /// A sentence on a status, in `text`; null for an unknown one.
            "cuGetErrorString" => cuGetErrorString: unsafe extern "C" fn(
                status: CUresult,
                text: *mut *const c_char,
            ) -> CUresult,
            /// A device's name, as at most `length` bytes with the zero at its end.
            "cuDeviceGetName" => cuDeviceGetName: unsafe extern "C" fn(
                name: *mut c_char,
                length: c_int,
                device: CUdevice,
            ) -> CUresult,
            /// The calling thread's context, null if it has none.
            "cuCtxGetCurrent" => cuCtxGetCurrent: unsafe extern "C" fn(
                context: *mut CUcontext,
            ) -> CUresult,
            /// Makes a context the calling thread's, in place of the one it had; null leaves it without.
            "cuCtxSetCurrent" => cuCtxSetCurrent: unsafe extern "C" fn(
                context: CUcontext,
            ) -> CUresult,
            /// The device of the calling thread's context.
            "cuCtxGetDevice" => cuCtxGetDevice: unsafe extern "C" fn(
                device: *mut CUdevice,
            ) -> CUresult,
            /// Whether a device's primary context is alive, without making it so.
            "cuDevicePrimaryCtxGetState" => cuDevicePrimaryCtxGetState: unsafe extern "C" fn(
                device: CUdevice,
                flags: *mut c_uint,
                active: *mut c_int,
            ) -> CUresult,
            /// Start and length of the allocation that holds an address; either may be null.
            "cuMemGetAddressRange_v2" => cuMemGetAddressRange_v2: unsafe extern "C" fn(
                base: *mut CUdeviceptr,
                size: *mut usize,
                address: CUdeviceptr,
            ) -> CUresult,
            /// Answers a question about an address; what `data` points to depends on the question.
            "cuPointerGetAttribute" => cuPointerGetAttribute: unsafe extern "C" fn(
                data: *mut c_void,
                attribute: CUpointer_attribute,
                address: CUdeviceptr,
            ) -> CUresult,
        }
        optional {
        }
    }
}

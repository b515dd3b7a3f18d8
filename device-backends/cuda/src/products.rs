//! Matrix products, as a model's forward pass is made of them: for benchmarks that need its kind of load.

use std::sync::{Arc, Mutex};

use eplb_cuda_sys::{
    Cublas, LoadError, Search, cublasHandle_t, cublasOperation_t, cublasStatus_t, cudaDataType_t,
};
use eplb_device::{DeviceError, ErrorKind, Memory, Result, Stream, VendorCode};

use crate::context::Context;
use crate::error::{c_number, invalid, unsupported, words};
use crate::library::{Api, Libraries};
use crate::lock::lock;
use crate::memory::{pointer, stream as handle_of};

/// Bytes of an element: `bfloat16`.
const ELEMENT: usize = 2;

/// Products of square matrices on streams of one device: C = A B in `bfloat16`, with sums in 32 bits, by cuBLAS.
///
/// Dropping it waits for the device, as the library does when it frees its state.
#[derive(Debug)]
pub struct MatrixProducts {
    context: Context,
    cublas: Cublas,
    /// The library's state, as an address; used by one thread at a time.
    state: Mutex<usize>,
    order: i32,
    operands: [Memory; 3],
}

impl MatrixProducts {
    /// Prepares products of `order` x `order` matrices on the device of `stream`, which fills them. Takes 3 x 2 x `order`² bytes of the device, and what the library reserves.
    ///
    /// # Errors
    ///
    /// A library is missing, there is no memory, or the order is 0 or too large for the library.
    pub fn prepare(
        libraries: &Libraries,
        cublas: &Search,
        stream: &Stream,
        order: u32,
    ) -> Result<Self> {
        let absent = |error: LoadError| unsupported("products", error.to_string());
        let api = Arc::new(Api::open(libraries).map_err(absent)?);
        let cublas = Cublas::open(cublas).map_err(absent)?.table;
        if order == 0 {
            return Err(invalid("products", "matrices of order 0 have no product"));
        }
        let bytes =
            (order as usize).checked_pow(2).and_then(|elements| elements.checked_mul(ELEMENT));
        let bytes =
            bytes.ok_or_else(|| invalid("products", format!("order {order} is too large")))?;
        let order = c_number("products", "order", order)?;
        let device = stream.device();
        let context = Context::primary(&api, device.info().ordinal)?;
        let operands = [device.allocate(bytes)?, device.allocate(bytes)?, device.allocate(bytes)?];
        for operand in &operands {
            // Ordinary numbers: a product of zeros takes a device less power, and so less time.
            stream.fill(operand, 0x3c)?;
        }
        let mut state: cublasHandle_t = std::ptr::null_mut();
        {
            let _bound = context.bind("products")?;
            // SAFETY: writes one pointer, which lives; the context is current for this thread.
            let status = unsafe { (cublas.cublasCreate_v2)(&raw mut state) };
            accept(&cublas, status)?;
        }
        Ok(Self { context, cublas, state: Mutex::new(state as usize), order, operands })
    }

    /// Queues one product on a stream of the device.
    ///
    /// # Errors
    ///
    /// The stream is another device's, or the library refuses the product.
    pub fn queue(&self, stream: &Stream) -> Result<()> {
        if stream.device().info().ordinal != self.context.ordinal() {
            return Err(invalid("products", "the stream is another device's"));
        }
        let state = lock(&self.state);
        let handle = *state as cublasHandle_t;
        let _bound = self.context.bind("products")?;
        // SAFETY: the state is alive, and locked, so that this thread alone uses it; the stream is alive. That the
        // state remembers it after the call does no harm, since it is set again before each product.
        let status =
            unsafe { (self.cublas.cublasSetStream_v2)(handle, handle_of(stream.handle())) };
        accept(&self.cublas, status)?;
        let [left, right, product] =
            self.operands.each_ref().map(|memory| pointer(memory.address()));
        let (none, half, order) =
            (cublasOperation_t::CUBLAS_OP_N, cudaDataType_t::CUDA_R_16BF, self.order);
        let (one, zero) = (1.0_f32, 0.0_f32);
        // SAFETY: the state is alive and locked; the matrices are allocations
        // of the device, each of order² elements, and outlive the work, since dropping this waits for the
        // device first. What several streams do with them at once has no meaning, and nobody looks at it.
        // The two factors are read before the call returns.
        let status = unsafe {
            (self.cublas.cublasSgemmEx)(
                handle,
                none,
                none,
                order,
                order,
                order,
                &raw const one,
                left,
                half,
                order,
                right,
                half,
                order,
                &raw const zero,
                product,
                half,
                order,
            )
        };
        accept(&self.cublas, status)
    }

    /// Rows and columns of each matrix.
    pub fn order(&self) -> u32 {
        self.order.unsigned_abs()
    }
}

impl Drop for MatrixProducts {
    fn drop(&mut self) {
        // Nobody is left to tell; without the context the state stays.
        if let Ok(_bound) = self.context.bind("products") {
            // SAFETY: made by `prepare`, and used no more. The call waits for the device, so that the
            // matrices, which are dropped after it, are in use by nothing.
            unsafe { (self.cublas.cublasDestroy_v2)(*lock(&self.state) as cublasHandle_t) };
        }
    }
}

fn accept(cublas: &Cublas, status: cublasStatus_t) -> Result<()> {
    if status == cublasStatus_t::CUBLAS_STATUS_SUCCESS {
        return Ok(());
    }
    let kind = match status {
        cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => ErrorKind::OutOfMemory,
        cublasStatus_t::CUBLAS_STATUS_INVALID_VALUE => ErrorKind::InvalidUse,
        cublasStatus_t::CUBLAS_STATUS_ARCH_MISMATCH
        | cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED => ErrorKind::Unsupported,
        _ => ErrorKind::Failed,
    };
    // SAFETY: takes any number and gives a text that stays.
    let text = words(unsafe { (cublas.cublasGetStatusString)(status) });
    Err(DeviceError::new(kind, "products", format!("{status:?}: {text}"))
        .with_code(VendorCode(status.0.into())))
}

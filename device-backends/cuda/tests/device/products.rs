//! Matrix products.

use eplb_cuda::{Libraries, MatrixProducts};
use eplb_cuda_sys::Search;
use eplb_device::{ErrorKind, StreamPriority};

use crate::support::{kind, patience, rig};

pub(crate) fn products_are_queued_on_any_stream() {
    let rig = rig();
    let (stream, other) = (rig.stream(), rig.device.stream(StreamPriority::High).unwrap());
    let prepared = MatrixProducts::prepare(&Libraries::default(), &Search::default(), &stream, 48);
    let products = match prepared {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            // A driver and a runtime do not bring cuBLAS; what was tried is told.
            assert!(error.to_string().contains("libcublas"), "{error}");
            return rig.finish();
        }
        prepared => prepared.unwrap(),
    };
    assert_eq!(products.order(), 48);
    for stream in [&stream, &other, &stream] {
        products.queue(stream).unwrap();
        products.queue(stream).unwrap();
        stream.wait(&mut patience()).unwrap();
    }
    products.queue(&stream).unwrap();
    // With one under way.
    drop((products, stream, other));
    rig.finish();
}

pub(crate) fn products_that_cannot_be_are_refused() {
    let rig = rig();
    let stream = rig.stream();
    let nowhere = Search::at("/nowhere/libcublas.so");
    let error = MatrixProducts::prepare(&Libraries::default(), &nowhere, &stream, 16).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("/nowhere"), "{error}");
    // Of order 0, with cuBLAS or without.
    let none = MatrixProducts::prepare(&Libraries::default(), &Search::default(), &stream, 0);
    assert!(matches!(kind(none), ErrorKind::InvalidUse | ErrorKind::Unsupported));
    drop(stream);
    rig.finish();
}

//! Pools hold the experts of a checkpoint, byte for byte, and refuse what is damaged or another model's.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::{Patience, TENSORS, assert_served, checkpoints, layout, sharded, template};
use eplb_core::{ExpertId, LayerId};
use eplb_device::{Backend, Device, Expired, Wait};
use eplb_executor::{
    ExpertLayout, ExpertPool, PinnedPool, PoolError, SafetensorsPool, SharedMemoryPool,
    TensorTemplate,
};
use eplb_host::HostBackend;

/// A deadline that has passed.
struct Impatience;

impl Wait for Impatience {
    fn pause(&mut self) -> Result<(), Expired> {
        Err(Expired)
    }
}

/// Counts reads; from the `fails_from`th on they fail.
#[derive(Debug)]
struct Counted {
    pool: SafetensorsPool,
    reads: AtomicUsize,
    fails_from: usize,
}

impl Counted {
    fn new(fails_from: usize) -> Self {
        Self { pool: sharded().unwrap(), reads: AtomicUsize::new(0), fails_from }
    }
}

impl ExpertPool for Counted {
    fn layout(&self) -> &ExpertLayout {
        self.pool.layout()
    }

    fn identity(&self) -> u64 {
        self.pool.identity()
    }

    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        into: &mut [u8],
    ) -> Result<(), PoolError> {
        if self.reads.fetch_add(1, Ordering::SeqCst) >= self.fails_from {
            let tensor = tensor.to_owned();
            return Err(PoolError::Unknown { layer, expert, tensor });
        }
        self.pool.read(layer, tensor, expert, into)
    }
}

fn copy_of_sharded(to: &Path) {
    for entry in fs::read_dir(checkpoints().join("sharded")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn refusal(path: &Path, template: &TensorTemplate) -> String {
    SafetensorsPool::open(path, template, layout()).unwrap_err().to_string()
}

#[test]
fn checkpoints_of_several_files_are_served() {
    assert_served(&sharded().unwrap());
    // Without an index all files of the folder are looked into.
    let folder = tempfile::tempdir().unwrap();
    copy_of_sharded(folder.path());
    fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    assert_served(&SafetensorsPool::open(folder.path(), &template(), layout()).unwrap());
}

#[test]
fn tensors_that_hold_all_experts_are_served() {
    let path = checkpoints().join("fused.safetensors");
    let pattern = "layers.{layer}.experts.{tensor}";
    let template = TensorTemplate { first_layer: 1, layer_step: 2, ..TensorTemplate::new(pattern) };
    assert_served(&SafetensorsPool::open(&path, &template, layout()).unwrap());
    let more = ExpertLayout::new(7, vec![layout().tensors(LayerId(0)).to_vec(); 2]);
    let error = SafetensorsPool::open(&path, &template, more).unwrap_err().to_string();
    assert!(error.ends_with("is of shape [6, 1000]; its first axis must be 7 experts"), "{error}");
}

#[test]
fn what_a_pool_does_not_hold_is_refused() {
    let pool = sharded().unwrap();
    let mut bytes = [0; 7];
    let mut read = |layer, tensor, expert| {
        pool.read(LayerId(layer), tensor, ExpertId(expert), &mut bytes).unwrap_err().to_string()
    };
    assert_eq!(read(2, "scale", 0), "pool: it does not hold layer 2, expert 0, tensor scale");
    assert_eq!(read(0, "scales", 0), "pool: it does not hold layer 0, expert 0, tensor scales");
    assert_eq!(read(0, "scale", 6), "pool: it does not hold layer 0, expert 6, tensor scale");
    let expected = "pool: 7 bytes for layer 0, expert 0, tensor down, of which a slot has 333";
    assert_eq!(read(0, "down", 0), expected);
}

#[test]
fn damaged_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    copy_of_sharded(path);
    let shard = path.join("model-00002-of-00003.safetensors");
    let whole = fs::read(&shard).unwrap();
    let after = |bytes: &[u8]| {
        fs::write(&shard, bytes).unwrap();
        refusal(path, &template())
    };
    let cut = after(&whole[..whole.len() - 1]);
    assert!(cut.contains("its header names") && cut.contains("it holds"), "{cut}");
    let longer = after(&[&whole[..], &[0]].concat());
    assert!(longer.contains("its header names"), "{longer}");
    assert!(after(&whole[..5]).ends_with("5 bytes are too few for a safetensors file"));
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(after(&huge).contains("a header of 18446744073709551615 bytes in a file of"));
    let mut garbled = whole.clone();
    garbled[9] = b'?';
    assert!(after(&garbled).contains("its header can't be used"));
    // Offsets that overlap.
    let header_end = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(whole[8..header_end].to_vec()).unwrap();
    let shifted = header.replacen("\"data_offsets\":[0,", "\"data_offsets\":[1,", 1);
    assert_ne!(header, shifted);
    let shifted = [&whole[..8], shifted.as_bytes(), &whole[header_end..]].concat();
    assert!(after(&shifted).contains("its header can't be used"));
    fs::remove_file(&shard).unwrap();
    assert!(refusal(path, &template()).ends_with("No such file or directory (os error 2)"));
    fs::write(&shard, &whole).unwrap();

    let index = path.join("model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("model-00002-of", "../model-00002-of")).unwrap();
    let outside = refusal(path, &template());
    assert!(outside.ends_with("allowed are files beside it"), "{outside}");
    fs::write(&index, "{}").unwrap();
    assert!(refusal(path, &template()).contains("it is no index: missing field `weight_map`"));
    fs::write(&index, &text).unwrap();
    assert_served(&SafetensorsPool::open(path, &template(), layout()).unwrap());

    let empty = tempfile::tempdir().unwrap();
    let none = refusal(empty.path(), &template());
    assert!(none.ends_with("the folder holds no .safetensors file"), "{none}");
}

#[test]
fn templates_that_do_not_fit_are_refused() {
    let path = checkpoints().join("sharded");
    let pattern = |pattern: &str| TensorTemplate { pattern: pattern.to_owned(), ..template() };
    let said = |template: &TensorTemplate| refusal(&path, template);
    assert!(said(&pattern("experts.{expert}.{tensor}")).ends_with("{layer} is missing"));
    assert!(said(&pattern("{layer}.{expert}")).ends_with("{tensor} is missing"));
    let unknown = said(&pattern("{layer}.{expert}.{tensor}.{rank}"));
    assert!(unknown.ends_with("allowed in braces are layer, expert and tensor"), "{unknown}");
    assert!(said(&TensorTemplate { layer_step: 0, ..template() }).contains("the step"));
    let mut nothing = template();
    nothing.tensors.insert("down".to_owned(), Vec::new());
    assert!(said(&nothing).ends_with("tensor down is made of nothing"));
    let shifted = said(&TensorTemplate { first_layer: 2, ..template() });
    let name = "model.layers.3.mlp.experts.0.gate_proj.weight";
    assert!(shifted.contains(&format!("holds \"{name}\", of layer 1, expert 0")), "{shifted}");
    let mut short = template();
    short.tensors.insert("gate_up".to_owned(), vec!["gate_proj.weight".to_owned()]);
    let expected =
        "pool: 500 bytes for layer 0, expert 0, tensor gate_up, of which a slot has 1000";
    assert_eq!(said(&short), expected);
}

#[test]
fn a_file_that_is_cut_short_while_it_serves_is_an_error_and_no_signal() {
    let folder = tempfile::tempdir().unwrap();
    copy_of_sharded(folder.path());
    let pool = SafetensorsPool::open(folder.path(), &template(), layout()).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let file = fs::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
        file.set_len(100).unwrap();
    }
    let mut bytes = vec![0; TENSORS[0].1];
    let error = pool.read(LayerId(0), "gate_up", ExpertId(0), &mut bytes).unwrap_err();
    assert!(matches!(error, PoolError::File { .. }), "{error}");
}

#[test]
fn shared_memory_is_filled_once() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("experts");
    let source = Counted::new(usize::MAX);
    let reads = || source.reads.load(Ordering::SeqCst);
    let all = layout().entries().count();
    // Several at the same time, as the ranks of a node start.
    let pools: Vec<_> = std::thread::scope(|scope| {
        let open = || SharedMemoryPool::open(&path, &source, &mut Patience::new()).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(reads(), all, "one of them filled it");
    for pool in &pools {
        assert_served(pool);
        assert_eq!(pool.identity(), source.identity());
    }
    drop(pools);
    // The next start finds it filled.
    // (With patience: a process that another test starts holds copies of locks until it has begun.)
    let again = SharedMemoryPool::open(&path, &source, &mut Patience::new()).unwrap();
    assert_served(&again);
    assert_eq!(reads(), all);
}

#[test]
fn shared_memory_that_a_crash_left_half_filled_is_filled_anew() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("experts");
    for fails_from in [0, 1, 17, layout().entries().count() - 1] {
        let dying = Counted::new(fails_from);
        assert!(SharedMemoryPool::open(&path, &dying, &mut Patience::new()).is_err());
        assert!(fs::metadata(&path).unwrap().len() > 0, "it had begun");
        let source = Counted::new(usize::MAX);
        let pool = SharedMemoryPool::open(&path, &source, &mut Patience::new()).unwrap();
        assert_served(&pool);
        drop(pool);
        fs::remove_file(&path).unwrap();
    }
    // A complete file whose header or length is damaged counts as not filled.
    let source = Counted::new(usize::MAX);
    let fill = || SharedMemoryPool::open(&path, &source, &mut Patience::new()).unwrap();
    drop(fill());
    let whole = fs::read(&path).unwrap();
    for position in [0, 9, 17, 25, 33, 41] {
        let mut damaged = whole.clone();
        damaged[position] ^= 1;
        fs::write(&path, damaged).unwrap();
        let before = source.reads.load(Ordering::SeqCst);
        assert_served(&fill());
        assert!(source.reads.load(Ordering::SeqCst) > before, "byte {position}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_served(&fill());
}

/// Reads some experts and then sleeps, until its process is killed.
#[derive(Debug)]
struct Sleeping(Counted);

impl ExpertPool for Sleeping {
    fn layout(&self) -> &ExpertLayout {
        self.0.layout()
    }

    fn identity(&self) -> u64 {
        self.0.identity()
    }

    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        into: &mut [u8],
    ) -> Result<(), PoolError> {
        if self.0.reads.load(Ordering::SeqCst) == 17 {
            std::thread::sleep(Duration::from_secs(60));
        }
        self.0.read(layer, tensor, expert, into)
    }
}

#[test]
fn shared_memory_whose_filler_is_killed_is_filled_by_the_next_process() {
    const CHILD: &str = "POOL_TO_FILL";
    if let Ok(path) = std::env::var(CHILD) {
        let source = Sleeping(Counted::new(usize::MAX));
        SharedMemoryPool::open(Path::new(&path), &source, &mut Patience::new()).unwrap();
        panic!("it should have been killed");
    }
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("experts");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shared_memory_whose_filler_is_killed_is_filled_by_the_next_process"])
        .env(CHILD, &path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let source = Counted::new(usize::MAX);
    let mut patience = Patience::new();
    while !fs::metadata(&path).is_ok_and(|file| file.len() > 4_096) {
        patience.pause().expect("the child begins to fill it");
    }
    let error = SharedMemoryPool::open(&path, &source, &mut Impatience).unwrap_err();
    assert!(error.to_string().ends_with("another process has not filled it yet"), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_served(&SharedMemoryPool::open(&path, &source, &mut Patience::new()).unwrap());
}

#[test]
fn shared_memory_is_waited_for_until_a_deadline() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("experts");
    let source = Counted::new(usize::MAX);
    // Another process fills it: it holds the exclusive lock.
    let filler = fs::File::create(&path).unwrap();
    filler.lock().unwrap();
    let error = SharedMemoryPool::open(&path, &source, &mut Impatience).unwrap_err();
    assert!(error.to_string().ends_with("another process has not filled it yet"), "{error}");
    // It dies; the system lets go of the lock.
    drop(filler);
    let pool = SharedMemoryPool::open(&path, &source, &mut Patience::new()).unwrap();
    // Other experts don't get in while somebody reads these …
    let pattern = "layers.{layer}.experts.{tensor}";
    let template = TensorTemplate { first_layer: 1, layer_step: 2, ..TensorTemplate::new(pattern) };
    let fused = checkpoints().join("fused.safetensors");
    let other = SafetensorsPool::open(&fused, &template, layout()).unwrap();
    let error = SharedMemoryPool::open(&path, &other, &mut Impatience).unwrap_err();
    assert!(error.to_string().ends_with("with the experts of another model"), "{error}");
    assert_served(&pool);
    // … and do afterwards.
    drop(pool);
    assert_served(&SharedMemoryPool::open(&path, &other, &mut Patience::new()).unwrap());
}

#[test]
fn shared_memory_under_a_name_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let source = sharded().unwrap();
    let error = SharedMemoryPool::open(folder.path(), &source, &mut Impatience).unwrap_err();
    assert!(error.to_string().ends_with("it is not a regular file"), "{error}");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
    let error = SharedMemoryPool::open(&link, &source, &mut Impatience).unwrap_err();
    assert!(error.to_string().ends_with("it is not a regular file"), "{error}");
}

#[test]
fn pinned_memory_is_served_to_hosts_and_devices() {
    let backend: Arc<dyn Backend> = HostBackend::new(1);
    let device = Device::open(&backend, 0).unwrap();
    let source = sharded().unwrap();
    let pool = PinnedPool::load(&device, &source).unwrap();
    assert_served(&pool);
    assert_eq!(pool.identity(), source.identity());
    let pinned = pool.pinned(LayerId(1), "down", ExpertId(3)).unwrap();
    assert_eq!(pinned.to_vec().unwrap(), cluster::expert_bytes(LayerId(1), ExpertId(3), 1));
    assert!(pool.pinned(LayerId(2), "down", ExpertId(3)).is_none());
    assert!(source.pinned(LayerId(1), "down", ExpertId(3)).is_none());
}

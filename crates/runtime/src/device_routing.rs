//! Routing tables on the device, for kernels that dispatch tokens.

use std::collections::VecDeque;

use eplb_core::{Epoch, LayerId, ModelShape, RankId, RoutingTable, Topology};
use eplb_device::{Device, DeviceError, ErrorKind, Event, Memory, PinnedMemory, Stream};

/// Where the parts of a layer's table lie in its device memory, in bytes from its start; it is the same
/// for all layers and stays for the session's life. All numbers are little endian and aligned to their
/// size:
///
/// | at | numbers | what |
/// |---|---|---|
/// | 0 | u32 | version of this layout, 1 |
/// | 4 | u32 | logical experts |
/// | 8 | u32 | slots of all ranks |
/// | 12 | u32 | slots of this rank |
/// | 16 | u64 | epoch of the layer |
/// | 24 | 8 bytes | zero |
/// | `offsets` | u32 × (experts + 1) | for each expert the first of its entries, and their number at the end |
/// | `slots` | u32 × slots | the slot of each entry; `u32::MAX` behind the last entry (slots of dead ranks) |
/// | `shares` | u16 × slots | the share of each entry in 1/65,535; 0 behind the last; zeros up to 4 bytes |
/// | `buffers` | u32 × slots of this rank | which of the rank's buffers holds the slot; changes only with indirect commits |
///
/// The entries are those of [`RoutingTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingLayout {
    /// Logical experts of a layer.
    pub experts: usize,
    /// Slots of all ranks.
    pub slot_count: usize,
    /// Slots of this rank.
    pub local_slots: usize,
    /// Start of the offsets.
    pub offsets: usize,
    /// Start of the slots.
    pub slots: usize,
    /// Start of the shares.
    pub shares: usize,
    /// Start of the buffers.
    pub buffers: usize,
    /// Bytes of a layer's table.
    pub bytes: usize,
}

impl RoutingLayout {
    /// The version that begins each table.
    pub const VERSION: u32 = 1;

    /// Bytes before the offsets.
    const FRONT: usize = 32;

    /// Tables begin at multiples of this: a cache line of any device.
    const ALIGNMENT: usize = 256;

    fn new(experts: usize, slot_count: usize, local_slots: usize) -> Self {
        let offsets = Self::FRONT;
        let slots = offsets + 4 * (experts + 1);
        let shares = slots + 4 * slot_count;
        let buffers = shares + (2 * slot_count).next_multiple_of(4);
        let bytes = buffers + 4 * local_slots;
        Self { experts, slot_count, local_slots, offsets, slots, shares, buffers, bytes }
    }

    fn stride(&self) -> usize {
        self.bytes.next_multiple_of(Self::ALIGNMENT)
    }

    /// Writes a table over `into`, which has the table's bytes.
    fn encode(&self, table: &RoutingTable, buffers: &[u32], into: &mut [u8]) {
        into.fill(0);
        let front = [self.experts, self.slot_count, self.local_slots].map(|count| count as u32);
        write(into, 0, [Self::VERSION].into_iter().chain(front).map(u32::to_le_bytes));
        write(into, 16, [table.epoch().0.to_le_bytes()]);
        write(into, self.offsets, table.offsets().iter().map(|offset| offset.to_le_bytes()));
        let unused = std::iter::repeat(u32::MAX);
        let slots = table.slots().iter().map(|slot| slot.0).chain(unused).take(self.slot_count);
        write(into, self.slots, slots.map(u32::to_le_bytes));
        write(into, self.shares, table.shares().iter().map(|share| share.to_le_bytes()));
        write(into, self.buffers, buffers.iter().map(|buffer| buffer.to_le_bytes()));
    }
}

fn write<const BYTES: usize>(
    into: &mut [u8],
    at: usize,
    numbers: impl IntoIterator<Item = [u8; BYTES]>,
) {
    for (place, number) in into[at..].chunks_exact_mut(BYTES).zip(numbers) {
        place.copy_from_slice(&number);
    }
}

/// The tables of all layers on the device, each at an address that stays. All memory is reserved at
/// the start. A table changes by one copy on the engine's stream, behind the copies of the switch and
/// before later forward passes.
#[derive(Debug)]
pub(crate) struct DeviceRouting {
    layout: RoutingLayout,
    layers: Vec<DeviceTable>,
    idle: Vec<Upload>,
    /// Uploads under way, in the order in which they were queued.
    flying: VecDeque<(LayerId, Upload)>,
    /// What is uploaded, before it is in pinned memory.
    bytes: Vec<u8>,
    uploads: usize,
}

#[derive(Debug)]
struct DeviceTable {
    memory: Memory,
    /// The epoch that the last queued work brings; `None` where that is not known.
    epoch: Option<Epoch>,
}

/// Pinned memory for one table.
#[derive(Debug)]
struct Upload {
    pinned: PinnedMemory,
    done: Event,
}

impl DeviceRouting {
    /// Reserves tables for all layers, and pinned memory for `uploads` changes at a time.
    pub(crate) fn reserve(
        device: &Device,
        shape: ModelShape,
        topology: &Topology,
        rank: RankId,
        uploads: usize,
    ) -> Result<Self, DeviceError> {
        let local_slots = topology.slots_of(rank).len();
        let layout = RoutingLayout::new(shape.experts(), topology.slots(), local_slots);
        let memory = device.allocate(layout.stride() * shape.layers())?;
        let layer = |index: usize| {
            let memory = memory.slice(index * layout.stride(), layout.bytes)?;
            Ok(DeviceTable { memory, epoch: None })
        };
        let layers = (0..shape.layers()).map(layer).collect::<Result<_, DeviceError>>()?;
        let upload = |_| {
            let (pinned, done) = (device.allocate_pinned(layout.bytes)?, device.event()?);
            Ok(Upload { pinned, done })
        };
        let idle = (0..uploads).map(upload).collect::<Result<_, DeviceError>>()?;
        let bytes = vec![0; layout.bytes];
        let flying = VecDeque::with_capacity(uploads);
        Ok(Self { layout, layers, idle, flying, bytes, uploads })
    }

    /// Brings all tables to the device at the start, in one copy of memory that is let go afterwards.
    /// `tables` holds each layer's routing and buffers.
    pub(crate) fn publish_all<'a>(
        &mut self,
        stream: &Stream,
        tables: impl Iterator<Item = (&'a RoutingTable, Vec<u32>)>,
    ) -> Result<(), DeviceError> {
        let (layout, stride) = (self.layout, self.layout.stride());
        let mut bytes = vec![0; stride * self.layers.len()];
        let mut epochs = Vec::new();
        for ((table, buffers), into) in tables.zip(bytes.chunks_exact_mut(stride)) {
            layout.encode(table, &buffers, &mut into[..layout.bytes]);
            epochs.push(table.epoch());
        }
        let pinned = stream.device().pin(&bytes)?;
        let mut copies = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let source = pinned.slice(index * stride, layout.bytes)?;
            copies.push(eplb_device::MemoryCopy::upload(&layer.memory, &source));
        }
        stream.copy(&copies)?;
        for (layer, epoch) in self.layers.iter_mut().zip(epochs) {
            layer.epoch = Some(epoch);
        }
        Ok(())
    }

    /// Brings a layer's table to the device, unless it is there.
    ///
    /// # Errors
    /// A device that refuses a call, or too many uploads under way. What the device holds is unknown
    /// then, and [`DeviceRouting::unknown`] names the layer until a later call succeeds.
    pub(crate) fn publish(
        &mut self,
        stream: &Stream,
        layer: LayerId,
        table: &RoutingTable,
        buffers: &[u32],
    ) -> Result<(), DeviceError> {
        if self.layers[layer.index()].epoch == Some(table.epoch()) {
            return Ok(());
        }
        self.layers[layer.index()].epoch = None;
        self.poll();
        // Whether memory is idle is asked of the device, which may fail to say it of one and not of all.
        let free = self.idle.iter().position(|upload| upload.pinned.is_idle());
        let Some(upload) = free.map(|index| self.idle.swap_remove(index)) else {
            let uploads = self.uploads;
            let text = format!("{uploads} routing tables are on their way; try again later");
            return Err(DeviceError::new(ErrorKind::OutOfMemory, "publish routing", text));
        };
        self.layout.encode(table, buffers, &mut self.bytes);
        let memory = &self.layers[layer.index()].memory;
        let queued = upload.pinned.write(&self.bytes).and_then(|()| {
            stream.upload(memory, &upload.pinned)?;
            stream.record(&upload.done)
        });
        match queued {
            Ok(()) => {
                self.layers[layer.index()].epoch = Some(table.epoch());
                self.flying.push_back((layer, upload));
                Ok(())
            }
            Err(error) => {
                // Part of it may be queued; it is not idle until that has ended.
                self.idle.push(upload);
                Err(error)
            }
        }
    }

    /// Takes uploads back that are over. What failed ones should have brought is unknown from now on.
    pub(crate) fn poll(&mut self) {
        while let Some((layer, upload)) = self.flying.front() {
            match upload.done.is_complete() {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => {
                    tracing::error!(%layer, %error, "a routing table did not reach the device");
                    self.layers[layer.index()].epoch = None;
                }
            }
            self.idle.extend(self.flying.pop_front().map(|(_, upload)| upload));
        }
    }

    /// A layer whose table on the device is not known.
    pub(crate) fn unknown(&self) -> Option<LayerId> {
        self.layers.iter().position(|layer| layer.epoch.is_none()).map(LayerId::from_index)
    }

    /// Whether no upload is under way, as far as was polled.
    pub(crate) fn is_idle(&self) -> bool {
        self.flying.is_empty()
    }

    pub(crate) fn memory(&self, layer: LayerId) -> &Memory {
        &self.layers[layer.index()].memory
    }

    pub(crate) fn layout(&self) -> RoutingLayout {
        self.layout
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use eplb_core::Placement;
    use eplb_device::{Backend, StreamPriority};
    use eplb_host::HostBackend;

    use super::*;
    use crate::Patience;

    const LAYER: LayerId = LayerId(1);

    fn placement() -> (Placement, Topology) {
        let shape = ModelShape::new(2, 3, 1).unwrap();
        let topology = Topology::uniform(3, 2, 1).unwrap().without(RankId(2)).unwrap();
        (Placement::initial(shape, &topology).unwrap(), topology)
    }

    fn words(bytes: &[u8]) -> Vec<u32> {
        let words = bytes.chunks_exact(4);
        words.map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    #[test]
    fn the_layout_is_what_the_documentation_says() {
        let (placement, topology) = placement();
        let table = placement.layer(LAYER).with_epoch(Epoch(1 << 40)).routing(&topology);
        let layout = RoutingLayout::new(3, 6, 2);
        let RoutingLayout { offsets, slots, shares, buffers, bytes, .. } = layout;
        assert_eq!([offsets, slots, shares, buffers, bytes], [32, 48, 72, 84, 92]);
        let mut encoded = vec![0xAA; bytes];
        layout.encode(&table, &[1, 0], &mut encoded);
        assert_eq!(words(&encoded[..32]), [1, 3, 6, 2, 0, 1 << 8, 0, 0]);
        assert_eq!(words(&encoded[offsets..slots]), table.offsets());
        let mut expected: Vec<_> = table.slots().iter().map(|slot| slot.0).collect();
        assert_eq!(expected.len(), 4, "the dead rank's two slots take no tokens");
        expected.extend([u32::MAX; 2]);
        assert_eq!(words(&encoded[slots..shares]), expected);
        let shares: Vec<u8> = table.shares().iter().flat_map(|share| share.to_le_bytes()).collect();
        assert_eq!(encoded[72..80], shares);
        assert_eq!(encoded[80..84], [0; 4]);
        assert_eq!(words(&encoded[buffers..]), [1, 0]);
    }

    #[test]
    fn an_upload_waits_for_nothing_and_what_did_not_fit_is_known() {
        let (placement, topology) = placement();
        let host = HostBackend::new(1);
        let backend: Arc<dyn Backend> = host.clone();
        let device = Device::open(&backend, 0).unwrap();
        let stream = device.stream(StreamPriority::High).unwrap();
        let shape = placement.shape();
        let mut tables = DeviceRouting::reserve(&device, shape, &topology, RankId(0), 1).unwrap();
        let of_epoch = |epoch| placement.layer(LAYER).with_epoch(Epoch(epoch)).routing(&topology);
        let all: Vec<_> = placement.layers().map(|layer| layer.routing(&topology)).collect();
        tables.publish_all(&stream, all.iter().map(|table| (table, vec![0, 1]))).unwrap();
        assert_eq!(tables.unknown(), None);
        let hold = host.hold(stream.handle()).unwrap();
        tables.publish(&stream, LAYER, &of_epoch(1), &[0, 1]).unwrap();
        // The same again is there already, and another finds no memory that is free.
        tables.publish(&stream, LAYER, &of_epoch(1), &[0, 1]).unwrap();
        let error = tables.publish(&stream, LAYER, &of_epoch(2), &[0, 1]).unwrap_err();
        assert_eq!(error.text(), "1 routing tables are on their way; try again later");
        assert_eq!(tables.unknown(), Some(LAYER));
        assert!(!tables.is_idle());
        hold.release();
        stream.wait(&mut Patience::new(Duration::from_secs(20))).unwrap();
        tables.publish(&stream, LAYER, &of_epoch(2), &[0, 1]).unwrap();
        assert_eq!(tables.unknown(), None);
    }
}

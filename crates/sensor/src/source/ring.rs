//! An AF_PACKET ring (TPACKET_V3, packet(7) and Documentation/networking/packet_mmap.rst of Linux): the one place
//! where the sensor touches memory that the kernel writes.
//!
//! The kernel fills blocks and hands each over as a whole; [`Ring::take`] copies the packets of one block out and gives
//! the block back at once, so nothing outside this file ever sees ring memory.
#![allow(unsafe_code)]

use noroshi_packet::capture::{LinkType, RawBatch, RawRecord};
use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of one block. A block is handed over when full or after [`BLOCK_TIMEOUT_MS`].
const BLOCK_BYTES: usize = 1 << 20;
/// Blocks: 32 MiB absorb a tenth of a second at three million small packets a second.
const BLOCKS: usize = 32;
/// Nominal only in version 3, where packets lie densely; the kernel wants it to divide the block.
const FRAME_BYTES: usize = 2048;
/// A block with few packets is handed over after this time: part of the latency budget.
const BLOCK_TIMEOUT_MS: u32 = 20;
const ETHERNET: LinkType = LinkType(1);
const RAW_IP: LinkType = LinkType(101);

/// A ring on one interface.
pub(super) struct Ring {
    fd: OwnedFd,
    memory: NonNull<u8>,
    next: usize,
    link: LinkType,
}

// SAFETY: the mapping belongs to this value alone; the kernel synchronises through the block status, which is accessed
// atomically, so the value may move to another thread.
unsafe impl Send for Ring {}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn set<T>(fd: &OwnedFd, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: `value` points to a live T of `length` bytes, which the kernel only reads.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, name, value, length) }).map(drop)
}

impl Ring {
    /// Opens a ring on the interface with this index. `any_link` is its ARPHRD type.
    pub fn open(index: u32, hardware: u16) -> io::Result<Ring> {
        let link = match hardware {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => ETHERNET,
            libc::ARPHRD_NONE | libc::ARPHRD_PPP | libc::ARPHRD_TUNNEL | libc::ARPHRD_TUNNEL6 => RAW_IP,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "this kind of link is not understood")),
        };
        // Protocol 0 receives nothing until the socket is bound to its interface, so no foreign packet slips in.
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: the descriptor was just made and is owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        set(&fd, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
        set(&fd, libc::PACKET_IGNORE_OUTGOING, &1)?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME_BYTES as u32,
            tp_frame_nr: (BLOCKS * BLOCK_BYTES / FRAME_BYTES) as u32,
            tp_retire_blk_tov: BLOCK_TIMEOUT_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&fd, libc::PACKET_RX_RING, &request)?;
        // SAFETY: the kernel chooses the address; the length is that of the ring just requested.
        let memory = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let length = BLOCKS * BLOCK_BYTES;
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        let ring = Ring { fd, memory, next: 0, link };
        ring.bind(index)?;
        Ok(ring)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all bits zero is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as i32;
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the address is live and `length` bytes long.
        check(unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), length) }).map(drop)
    }

    /// For waiting.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Packets dropped by the kernel since the last call; it resets its counter with each reading.
    pub fn drops(&self) -> io::Result<u64> {
        let mut found = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = size_of_val(&found) as libc::socklen_t;
        // SAFETY: `found` has room for `length` bytes, which the kernel writes.
        check(unsafe {
            let out = (&raw mut found).cast();
            libc::getsockopt(self.fd.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, out, &raw mut length)
        })?;
        Ok(u64::from(found.tp_drops))
    }

    /// Appends the packets of the next finished block to `batch`; false when there is none.
    pub fn take(&mut self, batch: &mut RawBatch) -> bool {
        let start = self.next * BLOCK_BYTES;
        // SAFETY: `next` is below BLOCKS, so the block lies inside the mapping, which lives as long as `self`.
        let block = unsafe { self.memory.as_ptr().add(start) };
        // SAFETY: the mapping is page aligned and blocks are whole mebibytes, so the description is aligned. Only its
        // status is shared while the kernel owns the block, and that is accessed atomically.
        let status = unsafe {
            let description = block.cast::<libc::tpacket_block_desc>();
            AtomicU32::from_ptr(&raw mut (*description).hdr.bh1.block_status)
        };
        // Acquire: the packets were written before the status was.
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the block belongs to user space until its status is cleared below; nothing else writes to it.
        let bytes = unsafe { std::slice::from_raw_parts(block, BLOCK_BYTES) };
        copy_block(bytes, self.link, batch);
        // Release: everything was read before the kernel may write again.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % BLOCKS;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped in `open` with this length, and not used after this.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), BLOCKS * BLOCK_BYTES) };
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

/// Copies the packets of one block out. Every offset is checked, although the kernel wrote it.
fn copy_block(block: &[u8], link: LinkType, batch: &mut RawBatch) {
    // struct tpacket_block_desc: version, offset_to_priv, then tpacket_hdr_v1: status, num_pkts, offset_to_first_pkt.
    let (Some(count), Some(first)) = (u32_at(block, 12), u32_at(block, 16)) else { return };
    let mut at = first as usize;
    for _ in 0..count {
        let Some(step) = copy_packet(block, at, link, batch) else { return };
        at += step;
    }
}

/// Copies one packet; the offset to the next, or `None` when the block makes no sense here.
fn copy_packet(block: &[u8], at: usize, link: LinkType, batch: &mut RawBatch) -> Option<usize> {
    // struct tpacket3_hdr: next_offset, sec, nsec, snaplen, len, status (u32 each), mac, net (u16), rxhash, vlan_tci,
    // vlan_tpid (u16).
    let header = block.get(at..at + size_of::<libc::tpacket3_hdr>())?;
    let field = |at| u32_at(header, at);
    let (next, seconds, nanos, captured, length) = (field(0)?, field(4)?, field(8)?, field(12)?, field(16)?);
    let (status, mac) = (field(20)?, u16_at(header, 24)?);
    let frame = block.get(at + mac..at + mac + captured as usize)?;
    let tag = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
        let protocol = if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { u16_at(header, 36) } else { None };
        (protocol.unwrap_or(0x8100) as u16, field(32).unwrap_or(0) as u16)
    });
    let start = batch.data.len();
    match tag {
        // The kernel takes the outermost tag off; it is put back where it was on the wire.
        Some((protocol, control)) if link == ETHERNET && frame.len() >= 12 => {
            batch.data.extend_from_slice(&frame[..12]);
            batch.data.extend_from_slice(&protocol.to_be_bytes());
            batch.data.extend_from_slice(&control.to_be_bytes());
            batch.data.extend_from_slice(&frame[12..]);
        }
        _ => batch.data.extend_from_slice(frame),
    }
    let cap_len = (batch.data.len() - start) as u32;
    batch.records.push(RawRecord {
        ts: i64::from(seconds) * 1_000_000_000 + i64::from(nanos),
        start: start as u32,
        cap_len,
        wire_len: length.saturating_add(cap_len - captured).min(i32::MAX as u32),
        link,
        has_time: true,
        odd: Default::default(),
    });
    Some(next as usize)
}

const _: () = assert!(size_of::<libc::tpacket3_hdr>() == 48 && size_of::<libc::tpacket_block_desc>() == 48);

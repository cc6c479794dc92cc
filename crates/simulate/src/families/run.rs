//! What a sandbox sees of one sample of a family: one source, all that it sends, nothing foreign.

use super::habit::{Habit, LINUX_OPTIONS, Rule, Transport, Walk};
use super::observe::{Sender, Turn, packet};
use crate::rng::Rng;
use noroshi_model::packet::Packet;

/// Packets of one run at most; a run is cut short rather than thinned.
const PACKETS_MAX: u64 = 2_500;
/// The kernel that sandboxes run on: a sample that connects shows its window, not that of the device it was made for.
const KERNEL_WINDOW: u16 = 64_240;
/// The address that every sample has in the sandbox.
const ADDRESS: u32 = 0x0a42_0002;

/// One run of a sample; [`SampleRun::for_each`] makes its packets.
#[derive(Clone, Debug)]
pub struct SampleRun<'a> {
    /// The right answer.
    pub family: &'a str,
    /// When the sample was found, in seconds since the half year began.
    pub second: u64,
    habit: Habit,
    rng: Rng,
}

impl<'a> SampleRun<'a> {
    pub(super) fn draw(mut rng: Rng, family: &'a str, habit: &Habit, day: u64) -> Self {
        let mut habit = habit.clone();
        if habit.transport == Transport::Tcp && habit.options == LINUX_OPTIONS {
            habit.window = Rule::Constant(KERNEL_WINDOW);
        }
        let second = day * 86_400 + rng.below(86_400);
        SampleRun { family, second, habit, rng }
    }

    /// Makes the packets in the order of time; the second argument is the UDP payload.
    pub fn for_each(mut self, mut visit: impl FnMut(&Packet, &[u8])) {
        let habit = self.habit.clone();
        let seconds = self.rng.between(4, 30);
        let packets = (habit.rate * seconds).clamp(60, PACKETS_MAX);
        let gap = 1_000_000 / habit.rate.max(1);
        let key = self.rng.draw();
        let mut sender = Sender { addr: ADDRESS, key, hops: 0, counter: (key >> 48) as u16 };
        let mut turn =
            Turn { habit: &habit, sender: &mut sender, rng: &mut self.rng, rewritten: false, seen_whole: true };
        let mut planned = Vec::new();
        let (mut sent, mut at) = (0, u64::from(turn.rng.draw() as u32));
        while sent < packets {
            at += 1;
            let target = if habit.walk == Walk::Ascending { public(at) } else { public(turn.rng.draw()) };
            for port in turn.ports() {
                let row = turn.probe(target, port);
                for again in 0..=habit.repeats {
                    let jitter = turn.rng.below(gap / 4 + 1);
                    planned.push((sent * gap + jitter + again * habit.retry_seconds * 1_000_000, row));
                }
                sent += 1;
            }
        }
        planned.sort_by_key(|(time, _)| *time);
        planned.retain(|(time, _)| *time < seconds * 1_000_000);
        for (time, row) in planned {
            packet(row, self.second, time, habit.payload.0, &mut visit);
        }
    }
}

/// A public unicast address, roughly, from a number.
fn public(number: u64) -> u32 {
    0x0b00_0000 + (number % 0xd400_0000) as u32
}

//! Captures decoded to rows: the path of `noroshi packets`.
//!
//! One thread frames packets and applies the filter; workers decode and encode; the results are written in the order
//! of the input, so the output is the same byte for byte with any number of threads.

pub mod columnar;
pub mod filter;
mod pages;
pub mod rows;

use crate::inputs::Input;
use crate::progress::Progress;
use filter::Filter;
use noroshi_model::report::Problem;
use noroshi_packet::capture::{RawBatch, Reader};

/// Raw packets of all inputs in turn, filtered, gathered into groups.
pub struct Groups<'a> {
    inputs: std::slice::Iter<'a, Input>,
    open: Option<(&'a Input, Reader, u64)>,
    filter: Option<Filter>,
    progress: &'a Progress,
    /// Captured bytes and packets that fill a group.
    fill: Fill,
    /// What went wrong, by input.
    pub problems: Vec<(String, Problem)>,
    /// Inputs of which nothing could be read.
    pub refused: usize,
    /// Packets that passed the filter.
    pub packets: u64,
}

/// When a group is full: whichever comes first.
#[derive(Clone, Copy)]
pub struct Fill {
    /// Captured bytes.
    pub bytes: usize,
    /// Packets.
    pub packets: usize,
}

impl<'a> Groups<'a> {
    /// Reads the inputs in their order.
    pub fn new(inputs: &'a [Input], filter: Option<Filter>, progress: &'a Progress, fill: Fill) -> Self {
        let inputs = inputs.iter();
        Groups { inputs, open: None, filter, progress, fill, problems: Vec::new(), refused: 0, packets: 0 }
    }

    /// Packets that the filter could not look into.
    pub fn unfiltered(&self) -> u64 {
        self.filter.as_ref().map_or(0, Filter::unreadable)
    }

    fn next_batch(&mut self) -> Option<RawBatch> {
        loop {
            if self.open.is_none() {
                let input = self.inputs.next()?;
                match input.open() {
                    Ok(reader) => self.open = Some((input, reader, 0)),
                    Err(problem) => {
                        self.refused += 1;
                        self.problems.push((input.path.clone(), problem));
                        continue;
                    }
                }
            }
            let (input, reader, taken) = self.open.as_mut()?;
            let Some(mut batch) = reader.next_batch() else {
                self.problems.extend(reader.problems().iter().map(|problem| (input.path.clone(), problem.clone())));
                self.open = None;
                continue;
            };
            let now = reader.bytes_taken();
            self.progress.advance(now - *taken, batch.records.len() as u64);
            *taken = now;
            if let Some(filter) = &mut self.filter {
                filter.retain(&mut batch);
            }
            if !batch.records.is_empty() {
                self.packets += batch.records.len() as u64;
                return Some(batch);
            }
        }
    }
}

impl Iterator for Groups<'_> {
    type Item = Vec<RawBatch>;

    fn next(&mut self) -> Option<Vec<RawBatch>> {
        let (mut group, mut bytes, mut packets) = (Vec::new(), 0, 0);
        while bytes < self.fill.bytes && packets < self.fill.packets {
            let Some(batch) = self.next_batch() else { break };
            bytes += batch.data.len();
            packets += batch.records.len();
            group.push(batch);
        }
        (!group.is_empty()).then_some(group)
    }
}

//! Captures decoded to rows: the path of `noroshi packets`.
//!
//! One thread at a time frames packets and applies the filter; workers decode and encode; the results are written in the
//! order of the input, so the output is the same byte for byte with any number of threads.

pub mod columnar;
pub mod filter;
mod pages;
pub mod rows;
mod spliced;

use crate::inputs::Input;
use crate::progress::Progress;
use filter::Filter;
use noroshi_model::report::Problem;
use noroshi_packet::capture::{RawBatch, Reader};
use std::sync::{Arc, Mutex, PoisonError};

/// Raw packets of all inputs in turn, filtered, gathered into groups.
pub struct Groups<'a> {
    inputs: std::slice::Iter<'a, Input>,
    open: Option<(&'a Input, Reader, u64)>,
    filter: Option<Filter>,
    progress: &'a Progress,
    /// Captured bytes and packets that fill a group.
    fill: Fill,
    shelf: Shelf,
    /// What went wrong, by input.
    pub problems: Vec<(String, Problem)>,
    /// Inputs of which nothing could be read.
    pub refused: usize,
    /// Packets that passed the filter.
    pub packets: u64,
}

/// Batches that are not needed any more, from any thread, to be filled again: memory that was used a moment ago is the
/// cheapest.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<Vec<RawBatch>>>);

impl Shelf {
    /// Puts a batch back.
    pub fn put(&self, batch: RawBatch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }

    fn take(&self) -> Vec<RawBatch> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
        let (inputs, shelf) = (inputs.iter(), Shelf::default());
        Groups { inputs, open: None, filter, progress, fill, shelf, problems: Vec::new(), refused: 0, packets: 0 }
    }

    /// Where batches that have been worked on go.
    pub fn shelf(&self) -> Shelf {
        self.shelf.clone()
    }

    /// The next group, whose batches are read as they are asked for.
    pub fn group(&mut self) -> Group<'_, 'a> {
        Group { groups: self, bytes: 0, packets: 0 }
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
            self.shelf.take().into_iter().for_each(|batch| reader.give_back(batch));
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
        let group: Vec<RawBatch> = self.group().collect();
        (!group.is_empty()).then_some(group)
    }
}

/// The batches of one group, in turn.
pub struct Group<'g, 'a> {
    groups: &'g mut Groups<'a>,
    bytes: usize,
    packets: usize,
}

impl Iterator for Group<'_, '_> {
    type Item = RawBatch;

    fn next(&mut self) -> Option<RawBatch> {
        let fill = self.groups.fill;
        if self.bytes >= fill.bytes || self.packets >= fill.packets {
            return None;
        }
        let batch = self.groups.next_batch()?;
        self.bytes += batch.data.len();
        self.packets += batch.records.len();
        Some(batch)
    }
}

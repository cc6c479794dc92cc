//! Batches, good and evil, through ingest into a real journal.

//! Work on several threads, results in the order of the jobs.

use std::num::NonZeroUsize;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Jobs that wait for one worker; more would only hold memory.
const WAITING: usize = 1;

/// Threads to use when nobody said: one per core that this process may use.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Runs `work` on every job with so many threads and hands the results to `sink` in the order of the jobs. The first
/// error of `sink` ends it. Jobs are dealt out in turn, so the order needs no sorting, and at most `2 * threads` are
/// held at a time. With one thread everything runs on the caller's.
pub fn ordered<J: Send, R: Send, E>(
    threads: usize,
    jobs: impl IntoIterator<Item = J>,
    work: impl Fn(J) -> R + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 {
        return jobs.into_iter().try_for_each(|job| sink(work(job)));
    }
    thread::scope(|scope| {
        let work = &work;
        let lanes: Vec<_> = (0..threads)
            .map(|_| {
                let (give, jobs) = sync_channel::<J>(WAITING);
                let (done, take) = sync_channel::<R>(WAITING + 1);
                scope.spawn(move || {
                    for job in jobs {
                        if done.send(work(job)).is_err() {
                            break;
                        }
                    }
                });
                (give, take)
            })
            .collect();
        let (mut given, mut taken) = (0usize, 0usize);
        // A closed channel means that a worker panicked; leaving the scope passes the panic on.
        for job in jobs {
            if given - taken == threads * (WAITING + 1) {
                let Ok(result) = lanes[taken % threads].1.recv() else { return Ok(()) };
                taken += 1;
                sink(result)?;
            }
            if lanes[given % threads].0.send(job).is_err() {
                return Ok(());
            }
            given += 1;
        }
        while taken < given {
            let Ok(result) = lanes[taken % threads].1.recv() else { return Ok(()) };
            taken += 1;
            sink(result)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_with_any_number_of_threads() {
        for threads in 1..5 {
            let mut seen = Vec::new();
            let outcome: Result<(), ()> = ordered(
                threads,
                0..1000u64,
                |job| job * job,
                |result| {
                    seen.push(result);
                    Ok(())
                },
            );
            assert_eq!(outcome, Ok(()));
            assert_eq!(seen, (0..1000).map(|n| n * n).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn an_error_ends_it() {
        for threads in [1, 3] {
            let mut seen = 0;
            let outcome = ordered(
                threads,
                0..,
                |job: u64| job,
                |result| {
                    seen += 1;
                    if result == 10 { Err("enough") } else { Ok(()) }
                },
            );
            assert_eq!((outcome, seen), (Err("enough"), 11));
        }
    }
}

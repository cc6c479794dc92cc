//! Answers that many people ask for, made once.
//!
//! Whoever asks what somebody else is asking waits for the same answer. An answer is given as it is while it is fresh;
//! for a while longer it is still given while a newer one is being made, so that nobody waits for what others have just
//! seen. What took long stays fresh for longer, so that one question never takes more than a fifth of the time. What is
//! kept is bounded in bytes, the oldest goes first. A question goes on as long as anybody waits for it, whoever of them goes
//! away; one that nobody waits for any more is given up.
//!
//! The key must hold everything that the answer depends on except the present: what is asked, and where rows depend on
//! who asks, that too.

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use noroshi_api::backend::Answered;
use serde::Serialize;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An answer is fresh for so many times what it took to make.
const REST: u32 = 4;
/// But no longer than that.
const LONGEST: Duration = Duration::from_secs(60);
/// After it was fresh, an answer is given for so long while a newer one is made.
const STALE: Duration = Duration::from_secs(10);
/// An answer in memory takes about so many times its JSON.
const IN_MEMORY: usize = 3;

/// Answers of one kind; clones share them.
pub struct Answers<T>(Arc<Inner<T>>);

struct Inner<T> {
    fresh: Duration,
    most_bytes: usize,
    shelf: Mutex<Shelf<T>>,
}

struct Shelf<T> {
    entries: HashMap<String, Entry<T>>,
    bytes: usize,
}

struct Entry<T> {
    ready: Option<Ready<T>>,
    /// Lives as long as somebody waits for it.
    making: Option<WeakShared<Work<T>>>,
}

struct Ready<T> {
    value: T,
    made: Instant,
    fresh: Duration,
    bytes: usize,
}

/// An answer on its way, and how long it took.
type Work<T> = BoxFuture<'static, (Answered<T>, Duration)>;
type Making<T> = Shared<Work<T>>;

/// What there is for a question.
enum Found<T> {
    Fresh(T),
    /// Still good to give; a newer one is for the asker to make, when nobody does yet.
    Stale(T, Option<Making<T>>),
    Missing(Making<T>),
}

impl<T> Clone for Answers<T> {
    fn clone(&self) -> Self {
        Answers(self.0.clone())
    }
}

impl<T: Clone + Serialize + Send + Sync + 'static> Answers<T> {
    /// No answers yet; each is fresh for at least `fresh`, all together take at most about `most_bytes`.
    pub fn new(fresh: Duration, most_bytes: usize) -> Self {
        let shelf = Mutex::new(Shelf { entries: HashMap::new(), bytes: 0 });
        Answers(Arc::new(Inner { fresh, most_bytes, shelf }))
    }

    /// The answer for that key: one that is there, one that is on its way, or one that `make` makes.
    pub async fn get<F>(&self, key: String, make: impl FnOnce() -> F + Send + 'static) -> Answered<T>
    where
        F: Future<Output = Answered<T>> + Send + 'static,
    {
        match self.0.find(&key, Instant::now(), make) {
            Found::Fresh(value) | Found::Stale(value, None) => Ok(value),
            Found::Stale(value, Some(making)) => {
                let inner = self.0.clone();
                tokio::spawn(async move { inner.made(&key, making).await });
                Ok(value)
            }
            Found::Missing(making) => self.0.made(&key, making).await,
        }
    }

    /// Forgets all answers; what is on its way is given to those who wait, and not kept.
    pub fn clear(&self) {
        *self.0.shelf() = Shelf { entries: HashMap::new(), bytes: 0 };
    }
}

/// The work that gives the answer, for any number of people to wait for.
fn begin<T, F>(make: impl FnOnce() -> F + Send + 'static) -> Making<T>
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = Answered<T>> + Send + 'static,
{
    let timed = async move {
        let began = Instant::now();
        (make().await, began.elapsed())
    };
    timed.boxed().shared()
}

impl<T: Clone + Serialize + Send + Sync + 'static> Inner<T> {
    fn shelf(&self) -> MutexGuard<'_, Shelf<T>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find<F>(&self, key: &str, now: Instant, make: impl FnOnce() -> F + Send + 'static) -> Found<T>
    where
        F: Future<Output = Answered<T>> + Send + 'static,
    {
        let mut shelf = self.shelf();
        let entry = shelf.entries.entry(key.to_owned()).or_insert(Entry { ready: None, making: None });
        let age = |ready: &Ready<T>| now.saturating_duration_since(ready.made);
        let usable = entry.ready.as_ref().filter(|ready| age(ready) < ready.fresh + STALE);
        if let Some(ready) = usable.filter(|ready| age(ready) < ready.fresh) {
            return Found::Fresh(ready.value.clone());
        }
        let under_way = entry.making.as_ref().and_then(WeakShared::upgrade);
        if let (Some(ready), Some(_)) = (usable, &under_way) {
            return Found::Stale(ready.value.clone(), None);
        }
        let making = under_way.unwrap_or_else(|| begin(make));
        entry.making = making.downgrade();
        match usable {
            Some(ready) => Found::Stale(ready.value.clone(), Some(making)),
            None => Found::Missing(making),
        }
    }

    async fn made(&self, key: &str, making: Making<T>) -> Answered<T> {
        let (answer, took) = making.clone().await;
        self.put(key, &making, &answer, took, Instant::now());
        answer
    }

    fn put(&self, key: &str, making: &Making<T>, answer: &Answered<T>, took: Duration, now: Instant) {
        let shelf = &mut *self.shelf();
        let Some(entry) = shelf.entries.get_mut(key) else { return };
        // The first of those who waited puts it there; and what was forgotten meanwhile stays so.
        let current = entry.making.as_ref().and_then(WeakShared::upgrade);
        if !current.is_some_and(|current| current.ptr_eq(making)) {
            return;
        }
        entry.making = None;
        if let Ok(value) = answer {
            let bytes = serde_json::to_vec(value).map_or(0, |json| json.len()) * IN_MEMORY + key.len();
            let fresh = (took * REST).clamp(self.fresh, LONGEST.max(self.fresh));
            let old = entry.ready.replace(Ready { value: value.clone(), made: now, fresh, bytes });
            shelf.bytes += bytes;
            shelf.bytes -= old.map_or(0, |old| old.bytes);
        }
        shelf.tidy(now, self.most_bytes);
    }
}

impl<T> Shelf<T> {
    /// Drops what is too old to be given, what nobody waits for, and the oldest of what is too much.
    fn tidy(&mut self, now: Instant, most_bytes: usize) {
        let bytes = &mut self.bytes;
        self.entries.retain(|_, entry| {
            let age = |ready: &Ready<T>| now.saturating_duration_since(ready.made);
            if let Some(old) = entry.ready.take_if(|ready| age(ready) >= ready.fresh + STALE) {
                *bytes -= old.bytes;
            }
            let awaited = || entry.making.as_ref().and_then(WeakShared::upgrade).is_some();
            entry.ready.is_some() || awaited()
        });
        while self.bytes > most_bytes {
            let ready = self.entries.iter().filter_map(|(key, entry)| Some((entry.ready.as_ref()?.made, key)));
            let Some((_, key)) = ready.min().map(|(made, key)| (made, key.clone())) else { return };
            let Some(old) = self.entries.get_mut(&key).and_then(|entry| entry.ready.take()) else { return };
            self.bytes -= old.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_api::backend::BackendError;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Barrier;

    const FRESH: Duration = Duration::from_secs(5);

    fn answers() -> Answers<u32> {
        Answers::new(FRESH, 1 << 20)
    }

    /// What is there for "a" at a moment.
    fn find(answers: &Answers<u32>, at: Instant) -> Found<u32> {
        answers.0.find("a", at, || async { Ok(9) })
    }

    #[tokio::test]
    async fn whoever_asks_at_the_same_time_gets_the_same_answer_and_it_is_made_once() {
        let (answers, made, gate) = (answers(), Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(2)));
        let ask = |key: &str| {
            let (answers, made, gate, key) = (answers.clone(), made.clone(), gate.clone(), key.to_owned());
            let make = move || async move {
                gate.wait().await;
                Ok(made.fetch_add(1, Ordering::Relaxed))
            };
            tokio::spawn(async move { answers.get(key, make).await.unwrap() })
        };
        let asked: Vec<_> = (0..100).map(|_| ask("a")).collect();
        gate.wait().await;
        for one in asked {
            assert_eq!(one.await.unwrap(), 0);
        }
        let other = ask("b");
        gate.wait().await;
        assert_eq!(other.await.unwrap(), 1, "another question has an answer of its own");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_fresh_is_given_while_one_maker_makes_the_next() {
        let answers = answers();
        assert_eq!(answers.get("a".into(), || async { Ok(1) }).await.unwrap(), 1);
        let at = Instant::now();
        assert!(matches!(find(&answers, at), Found::Fresh(1)));
        let first = find(&answers, at + FRESH);
        assert!(matches!(first, Found::Stale(1, Some(_))), "the first makes a newer one");
        assert!(matches!(find(&answers, at + FRESH), Found::Stale(1, None)), "the next does not");
        assert!(matches!(find(&answers, at + FRESH + STALE), Found::Missing(_)), "too old to be given");
    }

    #[tokio::test]
    async fn what_took_long_is_fresh_for_longer() {
        let answers = answers();
        let at = Instant::now();
        let Found::Missing(making) = find(&answers, at) else { panic!("nothing is there yet") };
        answers.0.put("a", &making, &Ok(1), FRESH * 2, at);
        assert!(matches!(find(&answers, at + FRESH * 7), Found::Fresh(1)));
        assert!(matches!(find(&answers, at + FRESH * 8), Found::Stale(1, Some(_))));
    }

    #[tokio::test]
    async fn failures_are_told_to_all_who_wait_and_not_kept() {
        let answers = answers();
        let failed = answers.get("a".into(), || async { Err(BackendError::Busy { again_seconds: 1 }) }).await;
        assert!(matches!(failed, Err(BackendError::Busy { .. })));
        assert_eq!(answers.get("a".into(), || async { Ok(2) }).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_question_goes_on_when_one_of_those_who_wait_goes_away_and_ends_with_the_last() {
        let (answers, begun, gate) = (answers(), Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(2)));
        let ask = || {
            let (answers, begun, gate) = (answers.clone(), begun.clone(), gate.clone());
            let make = move || async move {
                begun.fetch_add(1, Ordering::Relaxed);
                gate.wait().await;
                Ok(7)
            };
            tokio::spawn(async move { answers.get("a".into(), make).await })
        };
        let (first, second) = (ask(), ask());
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        gate.wait().await;
        assert_eq!((second.await.unwrap().unwrap(), begun.load(Ordering::Relaxed)), (7, 1), "not begun anew");
        answers.clear();
        let alone = ask();
        tokio::task::yield_now().await;
        alone.abort();
        assert!(alone.await.unwrap_err().is_cancelled());
        assert_eq!(answers.get("a".into(), || async { Ok(3) }).await.unwrap(), 3, "nobody waited: given up");
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_oldest_goes_first() {
        let answers: Answers<String> = Answers::new(FRESH, 10_000);
        for n in 0..100 {
            answers.get(n.to_string(), move || async move { Ok("x".repeat(1000)) }).await.unwrap();
            assert!(answers.0.shelf().bytes <= 10_000);
        }
        let made = || async { Ok(String::new()) };
        let kept = |key: &str| matches!(answers.0.find(key, Instant::now(), made), Found::Fresh(_));
        assert!(kept("99") && kept("98") && !kept("0"));
        assert!(answers.0.shelf().entries.len() < 10, "nothing is left of what was dropped");
        answers.clear();
        assert!(!kept("99"));
    }
}

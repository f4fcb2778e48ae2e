//! Work on many items by as many threads as the machine has, and on two things beside each other. The results stand in the
//! order of the items, so they do not depend on who did what.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Builder};

/// Threads at most.
const MOST: usize = 8;
/// Parts of the items for each thread: the one that is done early takes another.
const PARTS: usize = 8;

/// The results of `work` for all items; it has something of its own on each thread, which `own` makes. `worth`: how many
/// threads it is worth, one for some half a millisecond.
pub(crate) fn map<T: Sync, O, R: Send>(
    items: &[T],
    worth: usize,
    own: impl Fn() -> O + Sync,
    work: impl Fn(&mut O, &T) -> R + Sync,
) -> Vec<R> {
    map_by(threads().min(worth), items, own, work)
}

fn map_by<T: Sync, O, R: Send>(
    threads: usize,
    items: &[T],
    own: impl Fn() -> O + Sync,
    work: impl Fn(&mut O, &T) -> R + Sync,
) -> Vec<R> {
    if threads < 2 {
        let mut own = own();
        return items.iter().map(|item| work(&mut own, item)).collect();
    }
    let parts: Vec<&[T]> = items.chunks(items.len().div_ceil(threads * PARTS).max(1)).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(parts.len())));
    let run = || {
        let mut own = own();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(at) else { break };
            let results: Vec<R> = part.iter().map(|item| work(&mut own, item)).collect();
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, results));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread is to be had the others do its part; what panics in one panics here.
            let _ = Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

/// Does two pieces of work, the first by a thread of its own if they are worth one.
pub(crate) fn join(worth: bool, aside: impl FnOnce() + Send, here: impl FnOnce()) {
    if !worth {
        aside();
        here();
        return;
    }
    let waits = Mutex::new(Some(aside));
    let run = || {
        let aside = waits.lock().unwrap_or_else(PoisonError::into_inner).take();
        aside.into_iter().for_each(|aside| aside());
    };
    thread::scope(|scope| {
        // Where no thread is to be had, or it comes late, this one does it afterwards.
        let _ = Builder::new().spawn_scoped(scope, run);
        here();
        run();
    });
}

fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Condvar, mpsc};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        for len in [0, 1, 7, 64, 1000] {
            let items: Vec<usize> = (0..len).collect();
            let doubled = map(&items, 4, || 2, |own, item| *own * item);
            assert!(doubled.into_iter().eq(items.iter().map(|item| 2 * item)));
        }
    }

    #[test]
    fn both_are_done_whether_they_are_worth_a_thread_or_not() {
        for worth in [false, true] {
            let (mut aside, mut here) = (0, 0);
            join(worth, || aside += 1, || here += 1);
            assert_eq!((aside, here), (1, 1));
        }
    }

    /// Long enough for a thread to be scheduled on a busy machine.
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn both_are_done_at_the_same_time() {
        let ((to_here, from_aside), (to_aside, from_here)) = (mpsc::channel(), mpsc::channel());
        let (met_aside, met_here) = (AtomicBool::new(false), AtomicBool::new(false));
        let (aside, here) = (&met_aside, &met_here);
        // Each waits until the other one has begun, which it never does where one is done after the other.
        join(
            true,
            move || {
                let _ = to_here.send(());
                aside.store(from_here.recv_timeout(LONG).is_ok(), Ordering::Relaxed);
            },
            move || {
                let _ = to_aside.send(());
                here.store(from_aside.recv_timeout(LONG).is_ok(), Ordering::Relaxed);
            },
        );
        assert!(met_aside.into_inner() && met_here.into_inner(), "nothing ran beside the other");
    }

    #[test]
    fn items_are_shared_out_among_threads() {
        let (begun, all) = (Mutex::new(0), Condvar::new());
        // An item waits until as many have begun as there are threads.
        let meet = |(): &mut (), _: &usize| {
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            all.notify_all();
            let (mut begun, waited) = all.wait_timeout_while(begun, LONG, |begun| *begun < 3).unwrap();
            if waited.timed_out() {
                // Once is enough.
                *begun = 3;
            }
            (thread::current().id(), waited.timed_out())
        };
        let items: Vec<usize> = (0..64).collect();
        let done = map_by(3, &items, || (), meet);
        assert!(done.iter().all(|(_, timed_out)| !timed_out), "items waited for each other");
        let threads: HashSet<_> = done.into_iter().map(|(id, _)| id).collect();
        assert_eq!(threads.len(), 3);
    }
}

//! Handles: numbers that look like pointers, and the table that knows what they stand for.
//!
//! A token holds the kind of its object, the generation of its place and the place's number. The table only grows and a place
//! whose object is gone gets another generation, so a token that was closed names nothing for ever, and nothing that C does
//! with a token reaches memory. Objects are shared: one that is closed while another thread uses it ends with that use.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{LockResult, Mutex, PoisonError};

use crate::failure::{Failure, Result};
use crate::nicfw_code::{NICFW_E_HANDLE, NICFW_E_INTERNAL, NICFW_E_LIMIT};

/// Bits of a token that number the place.
const PLACE_BITS: u32 = 24;
/// Bits of a token that count the generation. The kind is above both.
const GENERATION_BITS: u32 = 32;

/// An adapter that this process drives. Any thread may use it; calls wait for each other.
pub struct nicfw_adapter {
    _opaque: [u8; 0],
}

/// A checked policy document. It never changes.
pub struct nicfw_policy {
    _opaque: [u8; 0],
}

/// A policy document that is being built.
pub struct nicfw_builder {
    _opaque: [u8; 0],
}

/// A policy compiled for one adapter's tables. It never changes.
pub struct nicfw_compiled {
    _opaque: [u8; 0],
}

/// The commands of a change. It never changes.
pub struct nicfw_plan {
    _opaque: [u8; 0],
}

/// Items, in an order. It never changes.
pub struct nicfw_list {
    _opaque: [u8; 0],
}

/// A type of handle.
pub trait Kind {
    /// Top byte of its tokens. With the highest bit set no token is an address that a program can have.
    const KIND: u8;
    const NAME: &'static str;
}

/// What is behind the handles of a kind: said where the object is defined.
pub trait Handle: Kind {
    /// What the table shares out.
    type Shared: Any + Clone + Send + Sync;
}

macro_rules! kinds {
    ($($handle:ident, $kind:literal, $name:literal;)*) => {
        $(impl Kind for $handle {
            const KIND: u8 = $kind;
            const NAME: &'static str = $name;
        })*

        fn kind_name(kind: u8) -> Option<&'static str> {
            match kind {
                $($kind => Some($name),)*
                _ => None,
            }
        }
    };
}
kinds! {
    nicfw_adapter, 0xa1, "an adapter";
    nicfw_policy, 0xa2, "a policy";
    nicfw_builder, 0xa3, "a builder";
    nicfw_compiled, 0xa4, "a compiled policy";
    nicfw_plan, 0xa5, "a plan";
    nicfw_list, 0xa6, "a list";
}

#[derive(Default)]
struct Place {
    generation: u32,
    /// What the handle's kind shares out.
    object: Option<Box<dyn Any + Send + Sync>>,
}

impl Place {
    fn shared<K: Handle>(&self) -> Option<K::Shared> {
        self.object.as_ref()?.downcast_ref().cloned()
    }
}

struct Table {
    places: Vec<Place>,
    /// Places without an object, the longest free first.
    free: VecDeque<usize>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { places: Vec::new(), free: VecDeque::new() });

/// The table is changed in single steps that cannot panic half-way, so it is sound after a panic too.
fn table<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

/// Gives an object a place and returns its token.
pub fn insert<K: Handle>(shared: K::Shared) -> Result<*mut K> {
    let mut table = table(TABLE.lock());
    let at = match table.free.pop_front() {
        Some(at) => at,
        None if table.places.len() < 1 << PLACE_BITS => {
            table.places.push(Place::default());
            table.places.len() - 1
        }
        None => return Err(Failure::new(NICFW_E_LIMIT, format!("{} handles are open: close some", 1 << PLACE_BITS))),
    };
    let place = table.places.get_mut(at).ok_or_else(Failure::internal)?;
    place.generation += 1;
    place.object = Some(Box::new(shared));
    let token = u64::from(K::KIND) << (PLACE_BITS + GENERATION_BITS) | u64::from(place.generation) << PLACE_BITS;
    let address = usize::try_from(token).map_err(|_| Failure::internal())? | at;
    Ok(std::ptr::without_provenance_mut(address))
}

/// The object of a token.
pub fn get<K: Handle>(token: *const K) -> Result<K::Shared> {
    let table = table(TABLE.lock());
    let (at, generation) = split(token)?;
    let place = table.places.get(at).filter(|place| place.generation == generation);
    place.and_then(Place::shared::<K>).ok_or_else(closed::<K>)
}

/// Ends a token and returns its object. Whoever uses the object at this time keeps it as long.
pub fn remove<K: Handle>(token: *const K) -> Result<K::Shared> {
    let mut table = table(TABLE.lock());
    let (at, generation) = split(token)?;
    let place = table.places.get_mut(at).filter(|place| place.generation == generation).ok_or_else(closed::<K>)?;
    let shared = place.shared::<K>().ok_or_else(closed::<K>)?;
    place.object = None;
    // A place that has used up its generations rests for ever, so that no token comes twice.
    if generation < u32::MAX {
        table.free.push_back(at);
    }
    Ok(shared)
}

/// Place and generation of a token of kind `K`.
fn split<K: Kind>(token: *const K) -> Result<(usize, u32)> {
    let bytes = token.addr().to_be_bytes();
    let [kind, g0, g1, g2, g3, p0, p1, p2] = bytes;
    if kind == K::KIND {
        return Ok((usize::from_be_bytes([0, 0, 0, 0, 0, p0, p1, p2]), u32::from_be_bytes([g0, g1, g2, g3])));
    }
    let is = match kind_name(kind) {
        _ if token.is_null() => "NULL",
        Some(name) => name,
        None => "none of this library's",
    };
    Err(Failure::new(NICFW_E_HANDLE, format!("the handle of {} is expected, this one is {is}", K::NAME)))
}

fn closed<K: Kind>() -> Failure {
    Failure::new(NICFW_E_HANDLE, format!("the handle of {} is closed, or was never given out", K::NAME))
}

/// Locks an object. One that a panic left half-done is refused.
pub fn lock<T>(object: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>> {
    object.lock().map_err(|_| {
        Failure::new(NICFW_E_INTERNAL, "an earlier call with this handle ended in an internal error: close the handle")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn list() -> *mut nicfw_list {
        insert(Arc::from(Vec::new())).unwrap()
    }

    fn code<T>(result: Result<T>) -> crate::nicfw_code {
        result.err().unwrap().code
    }

    #[test]
    fn a_token_names_its_object_until_it_is_closed() {
        let token = list();
        get::<nicfw_list>(token).unwrap();
        remove::<nicfw_list>(token).unwrap();
        assert_eq!(code(get::<nicfw_list>(token)), NICFW_E_HANDLE);
        assert_eq!(code(remove::<nicfw_list>(token)), NICFW_E_HANDLE);
        let others: Vec<_> = (0..1000).map(|_| list()).collect();
        assert!(!others.contains(&token), "its place is used again, its token is not");
        assert_eq!(code(get::<nicfw_list>(token)), NICFW_E_HANDLE);
        others.into_iter().for_each(|token| drop(remove::<nicfw_list>(token).unwrap()));
    }

    #[test]
    fn what_is_no_token_of_the_kind_is_refused_by_name() {
        let token = list();
        let text = |failure: Option<Failure>| failure.unwrap().message;
        let expected = "the handle of a plan is expected, this one is a list";
        assert_eq!(text(get::<nicfw_plan>(token.cast()).err()), expected);
        let expected = "the handle of a plan is expected, this one is NULL";
        assert_eq!(text(get::<nicfw_plan>(std::ptr::null()).err()), expected);
        let local = 5;
        let expected = "the handle of a plan is expected, this one is none of this library's";
        assert_eq!(text(get::<nicfw_plan>((&raw const local).cast()).err()), expected);
        // The right kind, in no place, and in a place of another kind.
        let forged = |address: usize| std::ptr::without_provenance::<nicfw_plan>(address);
        assert_eq!(code(get::<nicfw_plan>(forged(0xa500_0000_01ff_ffff))), NICFW_E_HANDLE);
        let other = forged(token.addr() ^ (0xa5 ^ 0xa6) << 56);
        assert_eq!(code(get::<nicfw_plan>(other)), NICFW_E_HANDLE);
        assert_eq!(code(remove::<nicfw_plan>(other)), NICFW_E_HANDLE);
        remove::<nicfw_list>(token).unwrap();
    }
}

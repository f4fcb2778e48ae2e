//! The lists of a document.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Policies or bindings of a document, as a `Vec` of them. Copies share their content until one of them is changed, so a
/// copy costs next to nothing.
#[derive(Debug, Eq)]
pub struct SharedList<T>(Arc<Vec<Arc<T>>>);

impl<T> Clone for SharedList<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: PartialEq> PartialEq for SharedList<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T> Deref for SharedList<T> {
    type Target = Vec<Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for SharedList<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<Vec<Arc<T>>> for SharedList<T> {
    fn from(list: Vec<Arc<T>>) -> Self {
        Self(Arc::new(list))
    }
}

impl<T> FromIterator<Arc<T>> for SharedList<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(items: I) -> Self {
        Self::from(Vec::from_iter(items))
    }
}

impl<T> FromIterator<T> for SharedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().map(Arc::new).collect()
    }
}

impl<'a, T> IntoIterator for &'a SharedList<T> {
    type Item = &'a Arc<T>;
    type IntoIter = std::slice::Iter<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut SharedList<T> {
    type Item = &'a mut Arc<T>;
    type IntoIter = std::slice::IterMut<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_shared_until_it_is_changed() {
        let list: SharedList<u8> = [1, 2, 3].into_iter().collect();
        let mut copy = list.clone();
        assert!(Arc::ptr_eq(&list.0, &copy.0));
        *Arc::make_mut(&mut copy[1]) = 7;
        copy.push(Arc::new(4));
        assert_eq!(list, [1, 2, 3].into_iter().collect());
        assert_eq!(copy, [1, 7, 3, 4].into_iter().collect());
        assert!(Arc::ptr_eq(&list[2], &copy[2]), "what was not changed is the same value");
    }
}

//! A table with a bound: whoever came first gives way, and is counted.

use std::collections::{HashMap, VecDeque};

/// Values by their keys, at most so many.
#[derive(Debug, Clone)]
pub struct Table<V> {
    max: usize,
    serial: u64,
    values: HashMap<Box<[u8]>, (u64, V)>,
    /// In the order in which they came; some may be gone by now.
    queue: VecDeque<(u64, Box<[u8]>)>,
    /// How many gave way.
    pub evicted: u64,
}

impl<V> Table<V> {
    /// For at most `max` values.
    pub fn new(max: usize) -> Table<V> {
        Table { max: max.max(1), serial: 0, values: HashMap::new(), queue: VecDeque::new(), evicted: 0 }
    }

    /// The value of this key.
    pub fn find(&mut self, key: &[u8]) -> Option<&mut V> {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    /// The value of this key, made if there is none.
    pub fn at(&mut self, key: &[u8], make: impl FnOnce() -> V) -> &mut V {
        if !self.values.contains_key(key) {
            while self.queue.len() >= self.max {
                let Some((serial, first)) = self.queue.pop_front() else { break };
                if self.values.get(&first).is_some_and(|(known, _)| *known == serial) {
                    self.values.remove(&first);
                    self.evicted += 1;
                }
            }
            self.serial += 1;
            self.queue.push_back((self.serial, key.into()));
        }
        let serial = self.serial;
        &mut self.values.entry(key.into()).or_insert_with(|| (serial, make())).1
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.values.remove(key).map(|(_, value)| value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_gives_way() {
        let mut table = Table::new(3);
        for key in [b"a", b"b", b"c"] {
            *table.at(key, || 0) += 1;
        }
        *table.at(b"a", || 0) += 1;
        assert_eq!(table.find(b"a"), Some(&mut 2));
        assert_eq!(table.remove(b"b"), Some(1));
        table.at(b"b", || 5);
        assert_eq!(table.find(b"a"), None);
        assert_eq!((table.find(b"b").copied(), table.evicted), (Some(5), 1));
        for key in 0..100u8 {
            table.at(&[key], || 0);
            assert!(table.len() <= 3);
        }
        assert!(!table.is_empty());
    }
}

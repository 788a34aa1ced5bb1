//! A map of a few entries in a row. A tree of ten thousand checkers' services would consist of empty room: each of its
//! nodes is made for eleven.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// By key, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Few<K, V> {
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(self.place(key).ok()?).map(|(_, value)| value)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Puts in what is not there yet, or in the place of what is.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(place) => {
                if let Some((_, known)) = self.0.get_mut(place) {
                    *known = value;
                }
            }
            Err(place) => {
                // Exactly: a few entries stay for long, and in many maps.
                self.0.reserve_exact(1);
                self.0.insert(place, (key, value));
            }
        }
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Puts in what is not there yet, or returns what is.
    pub fn insert_or_get(&mut self, key: K, value: V) -> Option<&mut V> {
        match self.place(&key) {
            Ok(place) => self.0.get_mut(place).map(|(_, known)| known),
            Err(_) => {
                self.insert(key, value);
                None
            }
        }
    }

    pub fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.0.retain(|(key, _)| keep(key));
        self.0.shrink_to_fit();
    }

    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }
}

impl<K: Ord + Clone, V: Clone> From<&BTreeMap<K, V>> for Few<K, V> {
    fn from(map: &BTreeMap<K, V>) -> Self {
        Self(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl<K: Serialize, V: Serialize> Serialize for Few<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for Few<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(BTreeMap::deserialize(deserializer)?.into_iter().collect()))
    }
}

#[cfg(test)]
impl<V> std::ops::Index<&str> for Few<String, V> {
    type Output = V;

    fn index(&self, key: &str) -> &V {
        self.get(key).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map() {
        let mut few = Few::default();
        for (key, value) in [("b", 1), ("a", 2), ("c", 3)] {
            assert_eq!(few.insert_or_get(key.to_owned(), value), None);
        }
        assert_eq!(few.insert_or_get("a".to_owned(), 9), Some(&mut 2));
        few.insert("c".to_owned(), 4);
        few.insert("0".to_owned(), 5);
        assert_eq!((few.keys().count(), few.values().copied().max()), (4, Some(5)));
        few.retain(|key| key != "0");
        assert!(!few.is_empty());
        assert_eq!(
            few.iter().map(|(key, value)| (key.as_str(), *value)).collect::<Vec<_>>(),
            [("a", 2), ("b", 1), ("c", 4)]
        );
        assert_eq!((few.get("b"), few.get("d"), few.contains_key("c")), (Some(&1), None, true));
        let text = serde_json::to_string(&few).unwrap();
        assert_eq!(text, r#"{"a":2,"b":1,"c":4}"#);
        assert_eq!(serde_json::from_str::<Few<String, i32>>(&text).unwrap(), few);
        assert_eq!(Few::from(&BTreeMap::from([("x".to_owned(), 1)])).get("x"), Some(&1));
        few.retain(|key| key != "b");
        assert!(!few.contains_key("b") && few.contains_key("a"));
    }
}

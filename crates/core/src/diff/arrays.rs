//! Arrays: which element of one side is which of the other.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Change;
use crate::violation::Trail;

pub(super) fn compare(at: &Trail<'_>, before: &[Value], after: &[Value], changes: &mut Vec<Change>) {
    let kept = match ["id", "name"].iter().find_map(|key| Some((keys(before, key)?, keys(after, key)?))) {
        Some((before_keys, after_keys)) => kept_by_key(&before_keys, &after_keys),
        None => (0..before.len().min(after.len())).map(|index| (index, index)).collect(),
    };
    let kept_before: HashSet<usize> = kept.iter().map(|(before, _)| *before).collect();
    let kept_after: HashSet<usize> = kept.iter().map(|(_, after)| *after).collect();
    for (index, element) in before.iter().enumerate().rev().filter(|(index, _)| !kept_before.contains(index))
    {
        changes.push(Change::remove(at.index(index).pointer(), element.clone()));
    }
    for (index, element) in after.iter().enumerate().filter(|(index, _)| !kept_after.contains(index)) {
        changes.push(Change::add(at.index(index).pointer(), element.clone()));
    }
    for (from, to) in kept {
        super::compare(&at.index(to), &before[from], &after[to], changes);
    }
}

/// The string at `key` of each element; `None` where one has none or two have the same.
fn keys<'a>(elements: &'a [Value], key: &str) -> Option<Vec<&'a str>> {
    let mut seen = HashSet::with_capacity(elements.len());
    elements
        .iter()
        .map(|element| element.as_object()?.get(key)?.as_str().filter(|found| seen.insert(*found)))
        .collect()
}

/// Pairs of indices, increasing on both sides: of the common elements as many as can stay without crossing.
fn kept_by_key(before: &[&str], after: &[&str]) -> Vec<(usize, usize)> {
    let places: HashMap<&str, usize> = after.iter().enumerate().map(|(index, key)| (*key, index)).collect();
    let common: Vec<(usize, usize)> = before
        .iter()
        .enumerate()
        .filter_map(|(index, key)| places.get(key).map(|place| (index, *place)))
        .collect();
    longest_increasing(&common)
}

/// The longest subsequence whose second indices increase (patience sorting, O(n log n)).
fn longest_increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // tails[n] is the pair that ends the best sequence of n + 1 pairs; came_from links each back to its predecessor.
    let mut tails: Vec<usize> = Vec::new();
    let mut came_from: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, place)) in pairs.iter().enumerate() {
        let length = tails.partition_point(|tail| pairs[*tail].1 < *place);
        came_from.push(length.checked_sub(1).map(|previous| tails[previous]));
        match tails.get_mut(length) {
            Some(tail) => *tail = index,
            None => tails.push(index),
        }
    }
    let mut kept = Vec::with_capacity(tails.len());
    let mut next = tails.last().copied();
    while let Some(index) = next {
        kept.push(pairs[index]);
        next = came_from[index];
    }
    kept.reverse();
    kept
}

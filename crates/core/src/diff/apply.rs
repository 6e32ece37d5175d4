//! Carrying out recorded changes, one after the other, each checked against what it says was there before.

use serde_json::Value;

use super::{Change, ChangeOp, same};
use crate::error::{Error, Result};
use crate::violation::Pointer;

/// `before` with all `changes` made. Fails with `change_does_not_apply` (a conflict) where a pointer leads nowhere, or
/// where something else stands than the change says.
pub fn apply(before: &Value, changes: &[Change]) -> Result<Value> {
    let mut value = before.clone();
    for change in changes {
        apply_one(&mut value, change).ok_or_else(|| {
            let at = if change.pointer.is_empty() { "the whole value" } else { &change.pointer };
            Error::conflict("change_does_not_apply", format!("the change at {at} does not fit what is there"))
        })?;
    }
    Ok(value)
}

fn apply_one(root: &mut Value, change: &Change) -> Option<()> {
    let mut tokens = Pointer::tokens(&change.pointer)?;
    let Some(last) = tokens.pop() else {
        return (change.op == ChangeOp::Replace).then(|| replace(root, change))?;
    };
    let parent = tokens.iter().try_fold(root, |value, token| match value {
        Value::Object(members) => members.get_mut(token),
        Value::Array(elements) => elements.get_mut(index(token)?),
        _ => None,
    })?;
    match (parent, change.op) {
        (Value::Object(members), ChangeOp::Replace) => replace(members.get_mut(&last)?, change),
        (Value::Array(elements), ChangeOp::Replace) => replace(elements.get_mut(index(&last)?)?, change),
        (Value::Object(members), ChangeOp::Add) if !members.contains_key(&last) => {
            members.insert(last, change.after.clone()?);
            Some(())
        }
        (Value::Array(elements), ChangeOp::Add) => {
            let at = index(&last).filter(|at| *at <= elements.len())?;
            elements.insert(at, change.after.clone()?);
            Some(())
        }
        (Value::Object(members), ChangeOp::Remove) => {
            same(members.get(&last)?, change.before.as_ref()?).then(|| members.shift_remove(&last))?;
            Some(())
        }
        (Value::Array(elements), ChangeOp::Remove) => {
            let at = index(&last)?;
            same(elements.get(at)?, change.before.as_ref()?).then(|| elements.remove(at))?;
            Some(())
        }
        _ => None,
    }
}

fn replace(target: &mut Value, change: &Change) -> Option<()> {
    if !same(target, change.before.as_ref()?) {
        return None;
    }
    *target = change.after.clone()?;
    Some(())
}

fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with('0');
    if canonical && token.bytes().all(|b| b.is_ascii_digit()) { token.parse().ok() } else { None }
}

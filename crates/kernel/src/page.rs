//! Keyset pages: a stable order, an opaque cursor, no offsets.

use qd_core::{
    cursor::{bad_cursor, decode, encode},
    error::{Error, Result},
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

pub const DEFAULT_LIMIT: u32 = 50;
pub const MAX_LIMIT: u32 = 500;

/// What a list was asked for.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// 1 to [`MAX_LIMIT`].
    pub limit: u32,
    cursor: Option<String>,
}

/// One page, and the cursor of the next when there is more.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(DEFAULT_LIMIT)
    }
}

impl PageRequest {
    pub fn new(limit: Option<u32>, cursor: Option<&str>) -> Result<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 || limit > MAX_LIMIT {
            return Err(Error::malformed(
                "bad_limit",
                format!("limit is {limit}; it must be between 1 and {MAX_LIMIT}"),
            ));
        }
        let cursor = cursor.filter(|c| !c.is_empty()).map(decode).transpose()?;
        Ok(Self { limit, cursor })
    }

    pub fn first(limit: u32) -> Self {
        Self { limit, cursor: None }
    }

    /// One more than the limit, to learn whether there is a next page.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The key of the last item of the page before. Refuses a cursor that another list than `list` gave out.
    pub fn after(&self, list: &str) -> Result<Option<&str>> {
        let Some(cursor) = self.cursor.as_deref() else { return Ok(None) };
        match cursor.split_once(' ') {
            Some((from, key)) if from == list => Ok(Some(key)),
            _ => Err(bad_cursor()),
        }
    }

    pub fn after_uuid(&self, list: &str) -> Result<Option<Uuid>> {
        self.after(list)?.map(|key| key.parse().map_err(|_| bad_cursor())).transpose()
    }

    pub fn after_number(&self, list: &str) -> Result<Option<i64>> {
        self.after(list)?.map(|key| key.parse().map_err(|_| bad_cursor())).transpose()
    }

    /// Cuts the extra item off and names the list and the key to go on from.
    pub fn cut<T>(&self, list: &str, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next_cursor =
            if more { items.last().map(|last| encode(&format!("{list} {}", key(last)))) } else { None };
        Page { items, next_cursor }
    }

    /// The same of what is left of more: where not all was looked at, `rest` is the key to go on from.
    pub fn cut_sifted<T>(
        &self,
        list: &str,
        (items, rest): (Vec<T>, Option<String>),
        key: impl Fn(&T) -> String,
    ) -> Page<T> {
        let page = self.cut(list, items, key);
        let rest = rest.map(|rest| encode(&format!("{list} {rest}")));
        Page { next_cursor: page.next_cursor.or(rest), ..page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_item_after() {
        let page = PageRequest::first(2).cut("numbers", vec![1, 2, 3], ToString::to_string);
        assert_eq!(page.items, [1, 2]);
        let next = PageRequest::new(Some(2), page.next_cursor.as_deref()).unwrap();
        assert_eq!(next.after("numbers").unwrap(), Some("2"));
        assert_eq!(next.after("letters").unwrap_err().code, "bad_cursor");
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        assert_eq!(
            PageRequest::first(3).cut("numbers", vec![1, 2, 3], ToString::to_string).next_cursor,
            None
        );
    }

    #[test]
    fn a_page_of_what_is_left_of_more_goes_on_where_the_look_ended() {
        let page =
            PageRequest::first(2).cut_sifted("numbers", (vec![7], Some("4".into())), ToString::to_string);
        let next = PageRequest::new(Some(2), page.next_cursor.as_deref()).unwrap();
        assert_eq!((page.items, next.after("numbers").unwrap()), (vec![7], Some("4")));
    }

    #[test]
    fn foreign_cursors_and_limits_are_refused() {
        assert_eq!(PageRequest::new(None, Some("zz")).unwrap_err().code, "bad_cursor");
        assert_eq!(PageRequest::new(Some(0), None).unwrap_err().code, "bad_limit");
        assert_eq!(PageRequest::new(Some(501), None).unwrap_err().code, "bad_limit");
    }
}

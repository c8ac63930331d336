//! Pages of lists.

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;

use crate::domain::Failure;

const DEFAULT_SIZE: usize = 100;
const MAX_SIZE: usize = 1000;
/// Bytes of one page: gRPC clients take messages of 4 MiB by default.
const MAX_BYTES: usize = 1 << 20;

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_token: String,
    pub(super) total: i32,
}

/// Which page of which list is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) size: i32,
    pub(super) token: &'a str,
    /// The token is good for this filter only.
    pub(super) filter: &'a str,
}

/// Cuts a page out of `items`, whose order is that of their keys, ascending or descending. The
/// token is the last key of the page before, so pages neither skip nor repeat what stays while
/// other items come and go.
pub(super) fn page<T>(
    items: Vec<T>,
    wanted: Wanted<'_>,
    descending: bool,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>, Failure> {
    page_of_bytes(items, wanted, descending, key, |_| 0)
}

/// As [`page`]; it ends before it has too many bytes, but has one item at least.
pub(super) fn page_of_bytes<T>(
    items: Vec<T>,
    wanted: Wanted<'_>,
    descending: bool,
    key: impl Fn(&T) -> String,
    bytes: impl Fn(&T) -> usize,
) -> Result<Page<T>, Failure> {
    let size = page_size(wanted.size)?;
    let total = i32::try_from(items.len()).unwrap_or(i32::MAX);
    let after = parse(wanted)?;
    let is_next = |item: &T| match &after {
        None => true,
        Some(after) if descending => key(item) < *after,
        Some(after) => key(item) > *after,
    };
    let mut rest = items.into_iter().filter(is_next).peekable();
    let mut items = Vec::new();
    let mut room = MAX_BYTES;
    while let Some(item) = rest.next_if(|item| items.is_empty() || bytes(item) <= room) {
        room = room.saturating_sub(bytes(&item));
        items.push(item);
        if items.len() == size {
            break;
        }
    }
    let next_token = match (rest.next(), items.last()) {
        (Some(_), Some(last)) => format!("{:016x}.{}", fingerprint(wanted.filter), key(last)),
        _ => String::new(),
    };
    Ok(Page {
        items,
        next_token,
        total,
    })
}

/// How many items a page may have.
pub(super) fn page_size(wanted: i32) -> Result<usize, Failure> {
    match usize::try_from(wanted) {
        Err(_) => Err(Failure::invalid(
            "page_size",
            "is negative; use 0 for the default",
        )),
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MAX_SIZE)),
    }
}

fn parse(wanted: Wanted<'_>) -> Result<Option<String>, Failure> {
    if wanted.token.is_empty() {
        return Ok(None);
    }
    let invalid = || {
        Failure::invalid(
            "page_token",
            "is not of this list and filter; begin again without one",
        )
    };
    let (filter, key) = wanted.token.split_once('.').ok_or_else(invalid)?;
    let is_same = u64::from_str_radix(filter, 16) == Ok(fingerprint(wanted.filter));
    if is_same {
        Ok(Some(key.to_owned()))
    } else {
        Err(invalid())
    }
}

fn fingerprint(filter: &str) -> u64 {
    FixedState::default().hash_one(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(descending: bool, items: &[u32]) -> Vec<u32> {
        let mut token = String::new();
        let mut all = Vec::new();
        loop {
            let wanted = Wanted {
                size: 2,
                token: &token,
                filter: "x",
            };
            let page = page(items.to_vec(), wanted, descending, |item| {
                format!("{item:05}")
            })
            .unwrap();
            assert_eq!(page.total as usize, items.len());
            all.extend(page.items);
            if page.next_token.is_empty() {
                return all;
            }
            token = page.next_token;
        }
    }

    #[test]
    fn pages_together_are_the_list_in_either_order() {
        assert_eq!(walk(false, &[1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]);
        assert_eq!(walk(true, &[5, 4, 3, 2, 1]), [5, 4, 3, 2, 1]);
        assert_eq!(walk(false, &[]), [0u32; 0]);
    }

    #[test]
    fn a_page_is_bounded_in_bytes_but_never_empty() {
        let wanted = Wanted {
            size: 10,
            token: "",
            filter: "",
        };
        let lengths = |bytes: &[usize]| {
            let key = |bytes: &usize| format!("{bytes:08}");
            let page = page_of_bytes(bytes.to_vec(), wanted, false, key, |bytes| *bytes);
            let page = page.unwrap();
            (page.items.len(), page.next_token.is_empty())
        };
        assert_eq!(lengths(&[1, 2, MAX_BYTES]), (2, false));
        assert_eq!(lengths(&[MAX_BYTES + 1, MAX_BYTES + 2]), (1, false));
        assert_eq!(lengths(&[1, 2, 3]), (3, true));
    }

    #[test]
    fn what_leaves_or_comes_meanwhile_shifts_nothing() {
        let wanted = |token| Wanted {
            size: 2,
            token,
            filter: "",
        };
        let key = |item: &u32| format!("{item:05}");
        let first = page(vec![1, 2, 3, 4], wanted(""), false, key).unwrap();
        let second = page(vec![2, 3, 4, 9], wanted(&first.next_token), false, key).unwrap();
        assert_eq!((first.items, second.items), (vec![1, 2], vec![3, 4]));
    }

    #[test]
    fn a_token_of_another_filter_is_refused() {
        let key = |item: &u32| format!("{item:05}");
        let first = page(
            vec![1, 2, 3],
            Wanted {
                size: 1,
                token: "",
                filter: "a",
            },
            false,
            key,
        )
        .unwrap();
        let other = Wanted {
            size: 1,
            token: &first.next_token,
            filter: "b",
        };
        assert!(page(vec![1, 2, 3], other, false, key).is_err());
        assert!(
            page(
                vec![1, 2, 3],
                Wanted {
                    size: 1,
                    token: "nonsense",
                    filter: ""
                },
                false,
                key
            )
            .is_err()
        );
        assert!(
            page(
                vec![1, 2, 3],
                Wanted {
                    size: -1,
                    token: "",
                    filter: ""
                },
                false,
                key
            )
            .is_err()
        );
    }
}

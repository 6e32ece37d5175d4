//! The edges, from outside: how many requests, how large, how slowly, from which pages, over what.

mod headers;
mod inputs;
mod limits;
mod slow;
mod tls;

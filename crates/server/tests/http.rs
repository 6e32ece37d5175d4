//! The HTTP face, from outside: a real server on a free port, the sample kind, the fake engine.

mod http {
    mod access;
    mod bodies;
    mod resources;
    mod runs;
    mod streams;
    mod support;
}

//! What tests share: real services started on free ports, a database for each test, a kernel with a fake engine and a
//! fake world, a clock that a test moves. Never shipped, so it may panic where a test would.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "only tests use it")]

pub mod clock;
pub mod database;
pub mod engine;
pub mod eventually;
pub mod faketime;
pub mod http;
pub mod jwt;
pub mod kernel;
pub mod nats;
pub mod oidc;
pub mod postgres;
pub mod proxy;
pub mod ray;
pub mod s3;
pub mod sample;
pub mod scripted;
pub mod world;

pub use clock::{ManualClock, SetClock};
pub use database::TestDatabase;
pub use engine::FakeEngine;
pub use eventually::eventually;
pub use faketime::Faketime;
pub use http::{Heard, HttpServer, Reply};
pub use kernel::TestKernel;
pub use nats::Nats;
pub use oidc::OidcProvider;
pub use proxy::{Cut, Proxy};
pub use ray::RayHead;
pub use s3::S3;
pub use scripted::Scripted;
pub use world::{Gate, World};

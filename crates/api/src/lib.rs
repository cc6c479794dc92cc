//! The door: REST under `/api/v1`, server-sent events, and the portal's files.
//!
//! - [`scope`]: roles, rights, markings and the row filter that every query carries
//! - [`routes`]: every route with the right it needs; [`guard`] checks it, once
//! - [`people`]: accounts, one-time links, sessions, API tokens, audit log
//! - [`backend`]: what the routes need from the rest of the house; `hub` implements it
//! - [`exchange`]: what partners and members tell us and take: TAXII, pushed findings, answers to warnings
//! - [`filter`] and [`query`]: one filter language and one statistics query for API, portal and command line
//! - [`flight_sql`]: SQL for programs that speak Arrow
//! - [`live`]: what arrives this second, sampled honestly
//! - [`memory`]: a backend over packets and a report in memory, for tests, development and small captures
//!
//! The portal is a client like any other: it has no door of its own.

pub mod assets;
pub mod backend;
pub mod exchange;
pub mod filter;
pub mod flight_sql;
pub mod guard;
pub mod handlers;
pub mod live;
pub mod memory;
pub mod people;
pub mod problem;
pub mod query;
pub mod routes;
pub mod scope;
pub mod views;

pub use backend::{Backend, BackendError};
pub use handlers::openapi;
pub use people::People;
pub use routes::{Door, Settings, router};

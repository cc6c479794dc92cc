//! Where the stages meet: wiring, configuration, lifecycle, the fleet, jobs.
//!
//! The life of one packet: a sensor numbers it and puts it on its own disk; [`endpoint`] knows the sensor by its
//! certificate; `ingest` checks the batch and appends it to the journal, which syncs; only then the sensor hears that
//! it may forget. From the journal the services of [`services`] take over: the mover brings it into the lake, detectors
//! read it as it arrives.
//!
//! ```no_run
//! # async fn run() -> Result<(), noroshi_hub::HubError> {
//! use noroshi_hub::{Config, Hub, services};
//! let hub = Hub::start(Config::in_folder("data".into()), services::standard()).await?;
//! println!("sensors: {}", hub.context().sensor_address);
//! hub.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod admin;
pub mod cause;
pub mod config;
pub mod endpoint;
pub mod error;
pub mod fleet;
pub mod live;
pub mod portal;
pub mod questions;
pub mod rollout;
pub mod services;
pub mod state;
pub mod warning;
pub mod watch;

mod run;

pub use config::Config;
pub use error::HubError;
pub use fleet::Fleet;
pub use run::Hub;
pub use services::{Context, Service};

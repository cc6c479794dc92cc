//! A trial: a hub and some sensors at work, with the oracle watching.

use super::lab::{Lab, PATIENCE, Process, tick};
use super::oracle::{Fault, Oracle, generate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::PathBuf;
use std::time::Instant;

pub struct Trial {
    pub lab: Lab,
    pub oracle: Oracle,
    pub random: StdRng,
    key: u64,
    packets: u64,
    names: Vec<String>,
    hub: Option<Process>,
    sensors: Vec<Option<Process>>,
    /// Sensors that are restarted take their time from here on, or not.
    paced: bool,
}

impl Trial {
    /// Enrols `sensors` sensors that have `packets` packets each to replay, `per_second` a second. `promise` is broken
    /// on purpose.
    pub fn new(lab: Lab, sensors: usize, packets: u64, per_second: u64, promise: Option<&str>) -> Trial {
        let (mut lab, seed) = (lab, rand::random());
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let oracle = Oracle::listen(&lab);
        lab.set("NOROSHI_ORACLE", oracle.socket.clone());
        if let Some(promise) = promise {
            lab.set("NOROSHI_BREAK", promise);
        }
        let key = random.random();
        let names: Vec<String> = (0..sensors).map(|n| format!("sensor-{n}")).collect();
        let hub = Some(lab.hub());
        for name in &names {
            generate(&lab.path(&format!("{name}.pcap")), key, name, packets, per_second);
            lab.enrol(name);
        }
        let mut trial = Trial { lab, oracle, random, key, packets, names, hub, sensors: vec![], paced: true };
        trial.sensors = (0..sensors).map(|at| Some(trial.sensor(at))).collect();
        trial
    }

    fn capture(&self, at: usize) -> PathBuf {
        self.lab.path(&format!("{}.pcap", self.names[at]))
    }

    fn sensor(&self, at: usize) -> Process {
        self.lab.sensor(&self.names[at], &self.capture(at), self.paced.then_some(1.0))
    }

    pub fn kill_hub(&mut self) {
        self.hub = None;
    }

    /// Stops the hub where it is, without ending it.
    pub fn freeze_hub(&self) {
        self.hub.iter().for_each(Process::freeze);
    }

    /// Stops every sensor where it is, without ending it.
    pub fn freeze_sensors(&self) {
        self.sensors.iter().flatten().for_each(Process::freeze);
    }

    pub fn start_hub(&mut self) {
        self.hub = Some(self.lab.hub());
    }

    /// The next sensor that still has something to send, at random.
    pub fn running(&mut self) -> Option<usize> {
        let running: Vec<usize> = (0..self.sensors.len()).filter(|at| self.is_running(*at)).collect();
        (!running.is_empty()).then(|| running[self.random.random_range(0..running.len())])
    }

    /// A sensor that ended must have ended well: a person is never needed.
    fn is_running(&mut self, at: usize) -> bool {
        let Some(process) = &mut self.sensors[at] else { return false };
        let Some(status) = process.0.try_wait().unwrap() else { return true };
        let name = &self.names[at];
        assert!(status.success(), "{name} ends with {status}: {}", self.lab.log(&format!("{name}.log")));
        self.sensors[at] = None;
        false
    }

    pub fn kill_sensor(&mut self, at: usize) {
        if let Some(process) = &mut self.sensors[at] {
            process.kill();
        }
    }

    pub fn start_sensor(&mut self, at: usize) {
        self.sensors[at] = Some(self.sensor(at));
    }

    /// All sensors that have not ended, whatever they ended with: for power cuts, which take them along.
    pub fn kill_sensors(&mut self) -> Vec<usize> {
        let all: Vec<usize> = (0..self.sensors.len()).filter(|at| self.sensors[*at].is_some()).collect();
        all.iter().for_each(|at| self.kill_sensor(*at));
        all
    }

    /// A random short while.
    pub fn wait(&mut self, milliseconds: std::ops::Range<u64>) {
        tick(self.random.random_range(milliseconds));
    }

    pub fn check(&self) -> Result<(), Fault> {
        self.oracle.check_now(&self.lab, self.hub.is_none())
    }

    /// Lets everything arrive, as fast as it can, and compares it with what was generated.
    pub fn finish(mut self) -> Result<Lab, Fault> {
        self.paced = false;
        for at in self.kill_sensors() {
            self.start_sensor(at);
        }
        let (mut since, mut last) = (Instant::now(), 0);
        while self.running().is_some() {
            tick(50);
            let now: i64 = self.lab.journal(async |connection| {
                let query = "select coalesce(sum(last_seq - first_seq + 1), 0) from batches";
                sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
            });
            if now > last {
                (since, last) = (Instant::now(), now);
            }
            if since.elapsed() > PATIENCE / 4 {
                return Err(Fault(format!("nothing moves any more at {now} stored records")));
            }
        }
        self.kill_hub();
        self.oracle.check_end(&self.lab, self.key, self.packets, &self.names)?;
        self.start_hub();
        let doctor = super::lab::noroshi().arg("doctor").arg("--data").arg(self.lab.data()).output().unwrap();
        let text = String::from_utf8_lossy(&doctor.stdout);
        // The hub's own findings are a stream too, beside those of the sensors.
        let of_sensors = |line: &&str| line.ends_with("  balances") && !line.trim_start().starts_with("hub:");
        let balanced = text.lines().filter(of_sensors).count();
        assert_eq!(balanced, self.names.len(), "{text}");
        self.kill_hub();
        Ok(self.lab)
    }
}

/// A number from the environment: long forms ask for more.
pub fn wanted(name: &str, short: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

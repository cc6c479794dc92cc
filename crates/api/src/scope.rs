//! Who may see what: roles, rights, markings, and the row filter that every query carries.
//!
//! A right opens a route ([`Right::allows`]); a [`Scope`] then decides row by row. Both are exhaustive matches, so that a
//! new role or right does not build until its place in the matrix is written.

use noroshi_model::{Addr, Prefix};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a person or token is to this installation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the installation.
    Administrator,
    /// Works with everything observed.
    Analyst,
    /// Belongs to an organisation that is warned; sees what concerns it and what is shared with the community.
    Member,
    /// Hosts a sensor; sees that sensor and its statistics.
    SensorHost,
    /// Sees what may be shared with the community.
    Reader,
}

impl Role {
    /// All roles, from the widest to the narrowest.
    pub const ALL: [Role; 5] = [Role::Administrator, Role::Analyst, Role::Member, Role::SensorHost, Role::Reader];
}

/// What a route needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Nothing: the door itself.
    Anyone,
    /// Any signed-in person or valid token.
    SignedIn,
    /// Statistics, the live view, lookups.
    Observe,
    /// Single packets, which show the sensors' addresses.
    Packets,
    /// Attacks, campaigns, scans.
    Findings,
    /// Sensors, their health and policy.
    Sensors,
    /// Changing policy, adding and revoking sensors.
    ManageSensors,
    /// People, tokens of others, organisations.
    ManagePeople,
    /// The audit log.
    Audit,
    /// Messages to members and the rules behind them.
    Warnings,
    /// The organisations that are warned.
    Members,
}

impl Right {
    /// All rights.
    pub const ALL: [Right; 11] = [
        Right::Anyone,
        Right::SignedIn,
        Right::Observe,
        Right::Packets,
        Right::Findings,
        Right::Sensors,
        Right::ManageSensors,
        Right::ManagePeople,
        Right::Audit,
        Right::Warnings,
        Right::Members,
    ];

    /// The matrix of roles and rights.
    pub const fn allows(self, role: Role) -> bool {
        use Role::*;
        match (self, role) {
            (Right::Anyone | Right::SignedIn, _) => true,
            (Right::Observe, Administrator | Analyst | Member | Reader) => true,
            (Right::Observe, SensorHost) => false,
            (Right::Packets, Administrator | Analyst) => true,
            (Right::Packets, Member | SensorHost | Reader) => false,
            (Right::Findings, Administrator | Analyst | Member | Reader) => true,
            (Right::Findings, SensorHost) => false,
            (Right::Sensors, Administrator | Analyst | SensorHost) => true,
            (Right::Sensors, Member | Reader) => false,
            (Right::Warnings, Administrator | Analyst | Member) => true,
            (Right::Warnings, SensorHost | Reader) => false,
            (Right::Members, Administrator | Analyst) => true,
            (Right::Members, Member | SensorHost | Reader) => false,
            (Right::ManageSensors | Right::ManagePeople | Right::Audit, Administrator) => true,
            (Right::ManageSensors | Right::ManagePeople | Right::Audit, Analyst | Member | SensorHost | Reader) => {
                false
            }
        }
    }
}

/// Traffic Light Protocol 2.0 (FIRST, August 2022), ordered from free to closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tlp {
    /// No limit.
    Clear,
    /// Within the community.
    Green,
    /// Within the organisation and its clients.
    Amber,
    /// Within the organisation.
    AmberStrict,
    /// For the named recipients only.
    Red,
}

impl Tlp {
    /// The label of something derived from both: the stricter one.
    pub fn join(self, other: Tlp) -> Tlp {
        self.max(other)
    }
}

/// How far something may travel, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Marking {
    /// Label.
    pub tlp: Tlp,
    /// Owner.
    pub organisation: String,
}

/// The row filter: carried by every query, made only from a [`Principal`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    role: Role,
    organisation: String,
    prefixes: Vec<Prefix>,
}

impl Scope {
    /// The scope of a role inside an organisation that holds `prefixes`.
    pub fn new(role: Role, organisation: impl Into<String>, prefixes: Vec<Prefix>) -> Self {
        Scope { role, organisation: organisation.into(), prefixes }
    }

    /// The role that asks.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The organisation that asks.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Whether addresses of the monitored space may be shown. They identify sensors, so only operators see them.
    pub fn sensor_addresses(&self) -> bool {
        match self.role {
            Role::Administrator | Role::Analyst => true,
            Role::Member | Role::SensorHost | Role::Reader => false,
        }
    }

    /// Whether a finding with this marking, about this victim or source, may be shown.
    pub fn sees(&self, marking: &Marking, about: Option<Addr>) -> bool {
        let own = marking.organisation == self.organisation;
        let concerns = about.is_some_and(|addr| self.prefixes.iter().any(|prefix| prefix.contains(addr)));
        match self.role {
            Role::Administrator | Role::Analyst => own || marking.tlp <= Tlp::AmberStrict,
            // A warned organisation sees what is about its own addresses, unless the owner named other recipients.
            Role::Member => own || marking.tlp <= Tlp::Green || (concerns && marking.tlp <= Tlp::Amber),
            Role::SensorHost => false,
            Role::Reader => marking.tlp <= Tlp::Green,
        }
    }

    /// Whether a message to that member may be shown.
    pub fn sees_messages_to(&self, member: &str) -> bool {
        match self.role {
            Role::Administrator | Role::Analyst => true,
            Role::Member => member == self.organisation,
            Role::SensorHost | Role::Reader => false,
        }
    }

    /// Whether a sensor of that organisation may be shown.
    pub fn sees_sensor(&self, organisation: &str) -> bool {
        match self.role {
            Role::Administrator | Role::Analyst => true,
            Role::SensorHost => organisation == self.organisation,
            Role::Member | Role::Reader => false,
        }
    }
}

/// Who makes a request, once proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// Account name.
    pub name: String,
    /// Role of the account.
    pub role: Role,
    /// Organisation of the account.
    pub organisation: String,
    /// Prefixes of the organisation.
    pub prefixes: Vec<Prefix>,
    /// How the request was proven.
    pub via: Via,
}

/// How a request was proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Via {
    /// A browser session; state changes need the token that belongs to it.
    Session {
        /// Key of the session record.
        id: String,
        /// Token that every state change repeats in a header.
        csrf: String,
    },
    /// An API token, limited to some rights.
    Token {
        /// What it may do, at most.
        rights: Vec<Right>,
    },
}

impl Principal {
    /// Whether this request may use a route with that right.
    pub fn has(&self, right: Right) -> bool {
        right.allows(self.role)
            && match &self.via {
                Via::Session { .. } => true,
                Via::Token { rights } => matches!(right, Right::Anyone | Right::SignedIn) || rights.contains(&right),
            }
    }

    /// The row filter of this request.
    pub fn scope(&self) -> Scope {
        Scope::new(self.role, self.organisation.clone(), self.prefixes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marking(tlp: Tlp, organisation: &str) -> Marking {
        Marking { tlp, organisation: organisation.into() }
    }

    #[test]
    fn a_member_sees_what_concerns_its_prefixes_and_nothing_stricter() {
        let scope = Scope::new(Role::Member, "isp", vec!["192.0.2.0/24".parse().unwrap()]);
        let inside = Some("192.0.2.9".parse().unwrap());
        let outside = Some("198.51.100.9".parse().unwrap());
        assert!(scope.sees(&marking(Tlp::Amber, "hub"), inside));
        assert!(!scope.sees(&marking(Tlp::Amber, "hub"), outside));
        assert!(!scope.sees(&marking(Tlp::Red, "hub"), inside));
        assert!(scope.sees(&marking(Tlp::Red, "isp"), None));
        assert!(scope.sees(&marking(Tlp::Green, "hub"), outside));
    }

    #[test]
    fn joined_labels_never_fall() {
        assert_eq!(Tlp::Red.join(Tlp::Clear), Tlp::Red);
        assert_eq!(Tlp::Green.join(Tlp::AmberStrict), Tlp::AmberStrict);
    }

    #[test]
    fn a_token_never_exceeds_its_role() {
        let token = Principal {
            name: "feed".into(),
            role: Role::Reader,
            organisation: "x".into(),
            prefixes: Vec::new(),
            via: Via::Token { rights: vec![Right::Packets, Right::Findings] },
        };
        assert!(!token.has(Right::Packets), "readers see no packets, whatever the token says");
        assert!(token.has(Right::Findings));
        assert!(!token.has(Right::Observe), "not listed in the token");
    }
}

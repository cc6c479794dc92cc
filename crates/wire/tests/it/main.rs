//! Both ends of the protocol on loopback.
